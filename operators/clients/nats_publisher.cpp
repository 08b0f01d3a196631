#include "clients/nats_publisher.hpp"

#include <nats/nats.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <optional>
#include <vector>

#include "clients/nats_closure.hpp"
#include "clients/nats_jetstream.hpp"

namespace weir::nats {
namespace {

constexpr std::int64_t stall_wait_ms = 10'000;
constexpr Duration first_pause = 50 * millisecond;
constexpr Duration longest_pause = 2 * second;

struct MessageDeleter {
  void operator()(natsMsg* message) const { natsMsg_Destroy(message); }
};
using MessagePtr = std::unique_ptr<natsMsg, MessageDeleter>;

/// As the server counts it: with the headers.
std::size_t size_of(natsMsg* message) {
  return static_cast<std::size_t>(natsMsg_GetDataLength(message) + natsMsgHeader_EncodedLength(message));
}

/// Whether it is the message that the stream objects to, and will for ever.
bool is_final(jsErrCode code) { return code == JSStreamMessageExceedsMaximumErr; }

}  // namespace

struct Publisher::State {
  State(Connection& to, const Clock& time) : connection{to}, clock{time} {}

  Connection& connection;
  const Clock& clock;
  jsCtx* context = nullptr;
  bool published = false;  ///< anything; the library has no list of what is pending before

  std::mutex mutex;  ///< the library calls back from a thread of its own
  std::vector<MessagePtr> failed;
  std::vector<Refused> refused;
  std::vector<Outcome> outcomes;
  std::string reason;
  std::atomic<bool> conditional{false};  ///< publish_if() was called: outcomes are wanted
  std::atomic<std::uint64_t> duplicates{0};
  std::optional<Closure<State>> closure;

  static void answered(jsCtx*, natsMsg* message, jsPubAck* ack, jsPubAckErr* error, void* closure) {
    MessagePtr owned{message};
    const auto state = Closure<State>::find(closure);
    if (state == nullptr) return;
    if (ack != nullptr && ack->Duplicate) state->duplicates.fetch_add(1, std::memory_order_relaxed);
    const bool conflict = error != nullptr && is_conflict(error->ErrCode);
    if (error == nullptr && !state->conditional.load(std::memory_order_relaxed)) return;
    const std::lock_guard lock{state->mutex};
    if (error == nullptr || conflict) {
      state->outcomes.push_back({natsMsg_GetSubject(owned.get()), conflict || ack == nullptr ? 0 : ack->Sequence});
      return;
    }
    if (is_final(error->ErrCode)) return state->refuse(owned.get());
    state->reason = error->ErrText != nullptr ? error->ErrText : natsStatus_GetText(error->Err);
    state->failed.push_back(std::move(owned));
  }

  void refuse(natsMsg* message) {
    const auto size = static_cast<std::size_t>(natsMsg_GetDataLength(message));
    refused.push_back({natsMsg_GetSubject(message),
                       std::string(natsMsg_GetData(message), size),
                       {"too_large_for_stream",
                        std::to_string(size) + " bytes and the headers; raise its max_msg_size or send less at once"}});
  }

  std::vector<MessagePtr> take_failed() {
    const std::lock_guard lock{mutex};
    return std::exchange(failed, {});
  }

  Error lost() {
    if (!connection.connected()) return connection.down();
    const std::string denied = connection.denied();
    const std::lock_guard lock{mutex};
    return {Error::Kind::unreachable, "NATS does not acknowledge what was published" +
                                          (reason.empty() ? "" : ": " + reason) +
                                          (denied.empty() ? "" : " (" + denied + ")")};
  }

  void forget() {
    natsMsgList pending{};
    if (published && js_PublishAsyncGetPendingList(&pending, context) == NATS_OK) natsMsgList_Destroy(&pending);
    (void)take_failed();
    const std::lock_guard lock{mutex};
    refused.clear();
    outcomes.clear();
  }

  Result<void> send(MessagePtr message, jsPubOptions& options) {
    options.MaxWait = answer_wait / millisecond;
    published = true;
    natsMsg* raw = message.release();
    const natsStatus sent = js_PublishMsgAsync(context, &raw, &options);
    const MessagePtr left{raw};
    if (sent == NATS_OK) return {};
    if (sent == NATS_MAX_PAYLOAD) return fail(Error::Kind::refused, connection.too_large(size_of(raw)));
    auto error = lost();
    forget();
    return std::unexpected(std::move(error));
  }

  Result<MessagePtr> make(const std::string& subject, std::string_view payload,
                          std::span<const Header> headers = {}) const {
    if (payload.size() > connection.max_payload())
      return fail(Error::Kind::refused, connection.too_large(payload.size()));
    natsMsg* raw = nullptr;
    natsStatus made = natsMsg_Create(&raw, subject.c_str(), nullptr, payload.data(), static_cast<int>(payload.size()));
    for (const auto& [name, value] : headers) {
      if (made == NATS_OK) made = natsMsgHeader_Add(raw, std::string{name}.c_str(), std::string{value}.c_str());
    }
    MessagePtr message{raw};
    if (made == NATS_OK) return message;
    return fail(Error::Kind::refused, "can't publish to \"" + subject + "\": " + natsStatus_GetText(made));
  }
};

Publisher::Publisher(std::shared_ptr<State> state) : state_{std::move(state)} {}

Result<std::unique_ptr<Publisher>> Publisher::open(Connection& connection, const Clock& clock, std::size_t in_flight) {
  auto state = std::make_shared<State>(connection, clock);
  state->closure.emplace(state);
  jsOptions options;
  jsOptions_Init(&options);
  options.PublishAsync.MaxPending = static_cast<std::int64_t>(in_flight);
  options.PublishAsync.StallWait = stall_wait_ms;
  options.PublishAsync.AckHandler = State::answered;
  options.PublishAsync.AckHandlerClosure = state->closure->value();
  if (natsConnection_JetStream(&state->context, connection.handle(), &options) != NATS_OK) {
    return std::unexpected(connection.down());
  }
  return std::unique_ptr<Publisher>{new Publisher{std::move(state)}};
}

Publisher::~Publisher() {
  state_->closure.reset();
  state_->forget();
  jsCtx_Destroy(state_->context);
}

std::uint64_t Publisher::duplicates() const { return state_->duplicates.load(std::memory_order_relaxed); }

Result<void> Publisher::publish(const std::string& subject, std::string_view payload, const std::string& id,
                                std::span<const Header> headers) {
  auto message = state_->make(subject, payload, headers);
  if (!message) return std::unexpected(message.error());
  jsPubOptions options;
  jsPubOptions_Init(&options);
  if (!id.empty()) options.MsgId = id.c_str();
  return state_->send(std::move(*message), options);
}

Result<void> Publisher::publish_if(const std::string& subject, std::string_view payload, std::uint64_t newest) {
  auto message = state_->make(subject, payload);
  if (!message) return std::unexpected(message.error());
  jsPubOptions options;
  jsPubOptions_Init(&options);
  options.ExpectLastSubjectSeq = newest;
  options.ExpectNoMessage = newest == 0;
  state_->conditional.store(true, std::memory_order_relaxed);
  return state_->send(std::move(*message), options);
}

std::vector<Publisher::Outcome> Publisher::take_outcomes() {
  const std::lock_guard lock{state_->mutex};
  return std::exchange(state_->outcomes, {});
}

std::vector<Publisher::Refused> Publisher::take_refused() {
  const std::lock_guard lock{state_->mutex};
  return std::exchange(state_->refused, {});
}

Result<void> Publisher::complete(Duration patience) {
  const Timestamp end = state_->clock.steady() + patience;
  jsPubOptions options;
  jsPubOptions_Init(&options);
  for (Duration pause = first_pause;; pause = std::min(pause * 2, longest_pause)) {
    const Duration left = end - state_->clock.steady();
    options.MaxWait = std::max<std::int64_t>(left / millisecond, 1);
    const natsStatus status = js_PublishAsyncComplete(state_->context, &options);
    auto failed = state_->take_failed();
    if (status == NATS_OK && failed.empty()) return {};
    if (status != NATS_OK || left <= pause) break;
    state_->clock.wait(pause, {});
    options.MaxWait = answer_wait / millisecond;
    const bool sent = std::ranges::all_of(failed, [&](MessagePtr& message) {
      natsMsg* raw = message.release();
      const natsStatus again = js_PublishMsgAsync(state_->context, &raw, &options);
      natsMsg_Destroy(raw);
      return again == NATS_OK;
    });
    if (!sent) break;
  }
  auto error = state_->lost();
  state_->forget();
  return std::unexpected(std::move(error));
}

}  // namespace weir::nats
