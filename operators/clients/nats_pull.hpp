/// Reading a JetStream consumer by pull requests that are always one ahead, so that no round trip is waited for.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include <weir/clock.hpp>
#include <weir/types.hpp>

#include "clients/nats_jetstream.hpp"

namespace weir::nats {

/// How much one read may bring and how long it may wait for the first message.
struct ReadBudget {
  std::size_t messages = 4096;
  std::size_t bytes = 4u << 20;
  Duration wait = 100 * millisecond;
};

/// What one pull request asks for at most, in bytes: always room for one message. And how long it waits for them.
std::size_t request_bytes(const Connection& connection);
inline constexpr Duration request_expires = 30 * second;

/// Pull requests to one consumer, and what they bring. Bounded: at most two requests are open, so at most twice
/// `request_messages` messages or request_bytes() wait in the client when nobody reads.
///
/// Threads   one at a time.
class PullReader {
 public:
  PullReader(Connection& connection, const Clock& clock) : connection_{connection}, clock_{clock} {}

  /// Starts reading a consumer; what an earlier one still sends is not seen any more.
  Result<void> bind(const std::string& stream, const std::string& consumer, std::size_t request_messages);
  bool bound() const { return subscription_ != nullptr; }
  /// Stops reading; waiting messages are forgotten.
  void unbind() { subscription_.reset(); }

  /// False: the consumer is gone, has moved, or sends nothing for too long, or the connection was replaced: bind again.
  /// Messages that came before it was noticed are in `into`, whatever the answer.
  bool read(MessageBatch& into, const ReadBudget& budget, const std::stop_token& stop);

  /// Appends what waits in the client already, and asks for nothing more.
  void drain(MessageBatch& into);

  /// Bound again and again, and no sign of life came: nothing will come as long as condition() lasts.
  bool unanswered() const { return fruitless_ >= most_fruitless && !heard_since_; }
  /// What the last false of read() was about, as an error.
  Error condition() const;
  /// Messages that came but were not read yet were dropped by the library; always 0 unless something is very wrong.
  std::uint64_t dropped() const { return subscription_ ? subscription_->dropped() : 0; }

 private:
  static constexpr int most_fruitless = 2;

  bool request_more();
  bool handle_status(const MessageBatch& batch);
  bool give_up(std::string why);

  Connection& connection_;
  const Clock& clock_;
  std::unique_ptr<Subscription> subscription_;
  std::string inbox_;
  std::string stream_;
  std::string request_subject_;
  std::size_t request_messages_ = 0;
  std::int64_t outstanding_ = 0;  ///< messages asked for and not come
  Timestamp heard_ = 0;           ///< steady time of the last sign of life
  std::uint64_t reconnects_ = 0;
  bool heard_since_ = true;  ///< a sign of life came since it was bound
  int fruitless_ = 0;        ///< how often it was bound again in a row without one before
  std::string condition_;
};

/// The error for a stream that begins at `first`, where one would go on after `after`.
Error cut_off(const std::string& stream, std::uint64_t first, std::uint64_t after);

/// Reads a stream in order, each message once, from a sequence on, whatever happens to consumers and connections.
/// A hole in the sequences is believed only when the server confirms that the messages are gone; it is an error where
/// nothing before it is left, as the stream then keeps less than its reader needs.
///
/// Threads   one at a time.
class OrderedReader {
 public:
  /// trusted: holes are believed at once. For buckets, whose streams are full of them.
  enum class Holes : std::uint8_t { confirmed, trusted };
  OrderedReader(JetStream& jetstream, std::string stream, const Clock& clock, Holes holes = Holes::confirmed);
  ~OrderedReader();

  /// Starts so that the first message is the one that `from` says. Answers the sequence before it. `stored`: when the
  /// stream stored the message before that, if it was read already; no_time: whatever is there is believed.
  /// Error::changed: it is another one.
  Result<std::uint64_t> start(const ReadFrom& from, Timestamp stored = no_time);

  /// Appends messages in order, and what is known of each. Nothing came: both stay as they are.
  /// Error::changed: the stream was deleted, recreated, lost messages that were already read, or does not reach back
  /// any more to those that are to be read next.
  Result<void> read(MessageBatch& into, std::vector<Delivery>& deliveries, const ReadBudget& budget,
                    const std::stop_token& stop);

  /// Whether the stream still is the one that was read, by the server's word; two requests. Error::changed: no.
  Result<void> check() const;

  const StreamState& opened() const { return opened_; }
  std::uint64_t deleted() const { return deleted_; }    ///< messages that the server had deleted before they were read
  std::uint64_t restarts() const { return restarts_; }  ///< how often the consumer had to be made again
  std::uint64_t dropped() const { return pull_.dropped(); }

 private:
  Result<void> begin_consumer();
  Result<void> restart(const std::stop_token& stop, Duration wait);
  Result<bool> accept(const Delivery& delivery);
  /// Whether the message before the next one still is the one that was read.
  Result<void> check_last() const;
  /// Whether a hole is one in the midst of the stream: what lies before it was not cut off with it.
  Result<void> check_reach() const;

  JetStream& jetstream_;
  std::string stream_;
  const Clock& clock_;
  Holes holes_;
  PullReader pull_;
  ReadFrom from_;
  StreamState opened_;
  std::string consumer_;
  std::uint64_t next_ = 0;         ///< sequence that must come; 0: not started
  Timestamp last_time_ = no_time;  ///< when the stream stored the message before it; no_time: not known
  std::uint64_t consumer_next_ = 1;
  std::uint64_t deleted_ = 0;
  std::uint64_t restarts_ = 0;
  Duration backoff_ = 0;
};

}  // namespace weir::nats
