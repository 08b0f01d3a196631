/// Connections to NATS. The only place (with its siblings nats_*.cpp) that includes nats.h; its types stay hidden here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <weir/clock.hpp>
#include <weir/settings.hpp>
#include <weir/spec.hpp>
#include <weir/types.hpp>

struct __natsConnection;    // NOLINT: nats.h's own names
struct __natsSubscription;  // NOLINT
struct __natsMsg;           // NOLINT

namespace weir::nats {

/// How long a server that is reached may take to answer before that is a failure.
inline constexpr Duration answer_wait = 5 * second;

/// Where a server is and who we are there. Files are paths; empty: not given.
struct Access {
  std::string url;  ///< one or several, separated by commas
  std::string ca = {}, cert = {}, key = {};
  bool tls = false;
  std::string credentials = {};
  std::string nkey = {}, nkey_seed = {};  ///< public key; file with the seed
  std::string user = {}, password = {}, token = {};

  /// From the settings that with_access() declares.
  static Access from(const Settings& settings);
  /// What can be told to be wrong without a server: a file that can't be read or is not what it should be.
  Result<void> check() const;
};

/// What is wrong with a list of server URLs; empty if nothing is. Shows no password.
std::string url_problem(std::string_view urls);

/// Adds the settings url, tls, credentials, nkey, nkey_seed, user, password, token.
Spec with_access(Spec spec);

/// The user's mistakes in these settings (two ways to log in at once, a key without its certificate).
std::vector<Error> access_problems(const Settings& settings);

/// A text without the passwords in its URLs; for messages.
std::string redacted(std::string_view urls);

/// What the library has to say about a natsStatus that a call on this thread just returned.
std::string library_says(int status);

/// A connection that reconnects for ever, with seconds of jitter, and buffers nothing silently beyond 8 MB. Should the
/// library give it up all the same, closed() says so, everything that is tried answers down(), and its owner opens
/// another.
///
/// Threads   any.
/// Owns      its library threads; subscriptions made from it must be gone before it.
class Connection {
 public:
  /// consume: every publish goes out at once (pull requests, acknowledgements, markers). publish: publishes are
  /// gathered for up to a millisecond.
  enum class Use { consume, publish };

  /// Connects once. Error::unreachable if no server answers or the login is refused, Error::invalid for a URL, file or
  /// certificate that can't be used; the message says which and what to do.
  static Result<std::unique_ptr<Connection>> open(const Access& access, const std::string& name, Use use);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  bool connected() const;
  /// True: it is over; it will not be connected again.
  bool closed() const;
  /// How many times the connection was lost and made again; counted before anything goes over the new one.
  std::uint64_t reconnects() const;
  /// Largest payload the server takes, in bytes.
  std::size_t max_payload() const;
  /// Why a payload of this size, which is more than that, is refused; text before ':' is the same for all.
  std::string too_large(std::size_t size) const;
  /// A subject under which nobody else receives.
  static std::string inbox();

  /// Hands a message to the library. Error::unreachable while disconnected with a full buffer, Error::refused for one
  /// that is too large.
  Result<void> publish(std::string_view subject, std::string_view payload, std::string_view reply = {});
  /// Waits until the server has read everything that was published.
  Result<void> flush(Duration timeout);
  /// Sends and waits for the answer's payload.
  Result<std::string> request(const std::string& subject, std::string_view payload, Duration timeout);

  /// What the server or the library said last, by itself, that something is wrong; empty: nothing.
  std::string last_error() const;
  /// How often last_error() was set, the same text or another.
  std::uint64_t errors() const;
  /// What the server last said that this user may not do, if it said nothing else since; empty: nothing. The server
  /// answers a publish or subscription so by itself and later: a flush() that has returned has brought its answer.
  std::string denied() const;
  /// The error to return while the connection is down.
  Error down() const;
  __natsConnection* handle() const { return handle_; }

 private:
  struct Events;
  Connection() = default;
  __natsConnection* handle_ = nullptr;
  std::shared_ptr<Events> events_;
  std::string servers_;
};

/// One message as the library received it. Views live as long as the MessageBatch that holds it.
struct Incoming {
  std::string_view subject, reply, payload;
};

/// Messages and the memory behind them; freed together.
class MessageBatch {
 public:
  MessageBatch() = default;
  ~MessageBatch();
  MessageBatch(const MessageBatch&) = delete;
  MessageBatch& operator=(const MessageBatch&) = delete;

  std::size_t size() const { return items_.size(); }
  bool empty() const { return items_.empty(); }
  const Incoming& operator[](std::size_t i) const { return items_[i]; }
  std::size_t bytes() const { return bytes_; }

  using Header = std::pair<std::string_view, std::string_view>;
  /// Appends the headers of message i; their views live as long as the MessageBatch. Not from two threads at once.
  void headers(std::size_t i, std::vector<Header>& out) const;
  bool has_headers(std::size_t i) const;

  /// Takes the message over.
  void add(__natsMsg* message);
  /// Frees the last message.
  void drop_last();

 private:
  std::vector<Incoming> items_;
  std::vector<__natsMsg*> handles_;
  std::size_t bytes_ = 0;
};

/// Interest in a subject, with a queue of what came. Threads: one at a time.
class Subscription {
 public:
  /// Messages beyond these many waiting ones are dropped by the library and counted; 0: no limit.
  struct Limits {
    int messages = 0;
    int bytes = 0;
  };
  /// `group`: a queue group, each message goes to one member; empty: every subscriber gets it.
  /// `answers`: what comes are answers to pull requests; one without a reply subject is a status.
  static Result<std::unique_ptr<Subscription>> open(Connection& connection, const std::string& subject,
                                                    const std::string& group, Limits limits, bool answers = false);
  ~Subscription();
  Subscription(const Subscription&) = delete;
  Subscription& operator=(const Subscription&) = delete;

  /// What stopped a take().
  enum class End : std::uint8_t {
    budget,         ///< as much as was asked for
    empty,          ///< nothing more is waiting
    status,         ///< the last one appended is a status
    no_responders,  ///< a request that answers here reached nobody
    closed,         ///< the subscription is of no use any more
  };
  /// Appends what is waiting, up to so many messages or bytes; if nothing is, waits for the first up to `wait` or until
  /// a stop is asked for (noticed within 20 ms).
  End take(MessageBatch& into, std::size_t messages, std::size_t bytes, Duration wait, const std::stop_token& stop);

  /// Messages that the library dropped because the queue was full, since open().
  std::uint64_t dropped() const;

 private:
  Subscription() = default;
  __natsSubscription* handle_ = nullptr;
  bool answers_ = false;
};

}  // namespace weir::nats
