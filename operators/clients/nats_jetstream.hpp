/// Streams and consumers of JetStream: creating and checking them, asking what is in them.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <weir/types.hpp>

#include "clients/nats.hpp"

struct __jsCtx;           // NOLINT: nats.h's own names
struct jsConsumerConfig;  // NOLINT
struct jsStreamInfo;      // NOLINT

namespace weir::nats {

/// What a failed request to JetStream means: unreachable if it may pass (no connection, no answer, a cluster without a
/// leader), refused if the server said no to the request itself. `status` and `code` are natsStatus and jsErrCode.
Error request_error(const Connection& connection, const std::string& what, int status, int code);

/// Whether the server (jsErrCode) says that something else was there than what the publisher expected.
bool is_conflict(int code);

/// What a stream must be. What is not given is the server's default when the stream is made, and is not checked.
struct StreamConfig {
  std::string name;
  std::vector<std::string> subjects;   ///< each must be taken by the stream; it may take others too
  std::vector<std::string> also = {};  ///< subjects that it gets too if it is made, but need not have if it is there
  bool create = true;                  ///< make it if it is absent; else its absence is an error
  std::optional<bool> memory;          ///< storage
  std::optional<Duration> max_age;
  std::optional<std::int64_t> max_bytes;
  std::optional<std::int64_t> replicas;
  std::optional<Duration> dedupe = {};  ///< for at least so long, or as long as it keeps messages, it must know ids
  bool replayed =
      false;  ///< messages that were read are read again after a crash: only the oldest may go, by age or size
  std::uint32_t partitions = 0;  ///< of the set that it is one of, kept in its metadata, see StreamSet; 0: of none

  /// From the settings that with_stream() declares, for one stream.
  static StreamConfig from(const Settings& settings, std::string name, std::vector<std::string> subjects);
};

/// Adds the settings create, storage, max_age, max_bytes, replicas.
Spec with_stream(Spec spec);

/// What is in a stream.
struct StreamState {
  Timestamp created = no_time;
  std::uint64_t messages = 0;
  std::uint64_t first = 0;  ///< sequence of the first message; last + 1 if there is none
  std::uint64_t last = 0;   ///< highest sequence ever given
  std::string news = {};    ///< "stream TELEMETRY was not there; created it (…)", if ensure() made it
};

/// A stream as it is there, whoever made it.
struct FoundStream {
  StreamState state;
  std::vector<std::string> subjects = {};
  std::uint32_t partitions = 0;  ///< of the set that it was made for, as its metadata says; 0: it does not say
  bool sealed = false;           ///< it takes nothing any more
  bool acknowledges = true;      ///< it says what it has stored

  /// Whether everything that matches `subject` is stored in it.
  bool takes(std::string_view subject) const;
};

/// A message that is in a stream.
struct Stored {
  std::uint64_t sequence = 0;
  Timestamp time = no_time;  ///< when the stream stored it
};

/// Where a reader begins.
struct ReadFrom {
  std::uint64_t sequence = 0;          ///< 0: the first message there is
  std::optional<Timestamp> time = {};  ///< instead of a sequence: the first message stored at or after it
};

/// A consumer that several workers share; every message goes to one of them until it is acknowledged.
struct DurableConfig {
  std::string name;
  std::string filter;
  bool only_new = false;
  std::optional<Timestamp> time = {};
  Duration ack_wait = 30 * second;
  std::int64_t max_ack_pending = 20'000;
  /// What one request for messages asks for: a durable that is there may not allow less. 0: whatever it allows.
  std::int64_t request_messages = 0;
  std::int64_t request_bytes = 0;
  Duration request_expires = 0;
};

/// The JetStream of a connection. Threads: any. The connection must outlive it.
class JetStream {
 public:
  static Result<std::unique_ptr<JetStream>> open(Connection& connection);
  ~JetStream();
  JetStream(const JetStream&) = delete;
  JetStream& operator=(const JetStream&) = delete;

  /// Makes the stream if it is absent; if it is there, checks it. Error::changed names every difference and says what
  /// to do; limits retention is always required. Workers may do so at once.
  Result<StreamState> ensure(const StreamConfig& config);
  /// Nothing if there is no such stream.
  Result<std::optional<FoundStream>> find(const std::string& stream);
  /// Error::changed if there is no such stream.
  Result<StreamState> state(const std::string& stream);
  /// Deletes a stream with all that is in it; whether that worked is not told.
  void remove(const std::string& stream);
  /// When the message of this sequence was stored; nothing if it is no longer there.
  Result<std::optional<Timestamp>> time_of(const std::string& stream, std::uint64_t sequence);
  /// The first message at or after `from` that the stream still has; nothing if there is none.
  Result<std::optional<Stored>> next_message(const std::string& stream, std::uint64_t from);

  /// What an answer of JetStream's says against what was asked or published; empty if nothing.
  static std::string refusal_in(std::string_view answer);

  /// An ephemeral consumer that was made.
  struct Reader {
    std::string name;
    std::uint64_t before = 0;  ///< sequence before the first that it will deliver
  };
  /// Makes an ephemeral consumer without filter and acknowledgements; the server removes it after two minutes without
  /// a request.
  Result<Reader> add_reader(const std::string& stream, const ReadFrom& from);
  /// Makes the durable, or checks the one that is there. Answers whether it was made.
  Result<bool> ensure_durable(const std::string& stream, const DurableConfig& config);
  /// Tells the server that a consumer is no longer needed; does not wait.
  void forget_consumer(const std::string& stream, const std::string& consumer);
  /// False if the server says that there is no such consumer.
  Result<bool> has_consumer(const std::string& stream, const std::string& consumer);

  Connection& connection() { return connection_; }
  __jsCtx* handle() const { return handle_; }

 private:
  explicit JetStream(Connection& connection) : connection_{connection} {}

  struct InfoDeleter {
    void operator()(jsStreamInfo* info) const;
  };
  using StreamInfo = std::unique_ptr<jsStreamInfo, InfoDeleter>;
  /// Null if there is no such stream.
  Result<StreamInfo> info(const std::string& stream);
  Result<StreamState> make(const StreamConfig& config);
  /// Makes a consumer, `what` in errors. Answers the sequence before the first message that it will deliver.
  Result<std::uint64_t> make_consumer(const std::string& stream, const jsConsumerConfig& config,
                                      const std::string& what);

  Connection& connection_;
  __jsCtx* handle_ = nullptr;
};

/// What a delivered message's reply subject says.
struct Delivery {
  std::uint64_t delivered = 0;          ///< 1: for the first time
  std::uint64_t sequence = 0;           ///< in the stream
  std::uint64_t consumer_sequence = 0;  ///< counts what this consumer has sent
  Timestamp time = no_time;             ///< when the stream stored it
  std::uint64_t pending = 0;            ///< messages behind it in the stream
};

/// Reads "$JS.ACK.<stream>.<consumer>.…" of any server version; false if it is none.
bool parse_delivery(std::string_view reply, Delivery& out);

}  // namespace weir::nats
