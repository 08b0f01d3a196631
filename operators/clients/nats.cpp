#include "clients/nats.hpp"

#include <nats/nats.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <mutex>
#include <ranges>

#include <weir/secrets.hpp>

namespace weir::nats {
namespace {

constexpr std::int64_t connect_timeout_ms = 5'000;
constexpr std::int64_t reconnect_wait_ms = 500;
constexpr std::int64_t reconnect_jitter_ms = 2'000;
constexpr std::int64_t write_deadline_ms = 15'000;
constexpr std::int64_t ping_interval_ms = 10'000;
constexpr int pings_out = 2;
constexpr Duration stop_check = 20 * millisecond;

std::int64_t to_ms(Duration length) { return std::max<std::int64_t>(length / millisecond, 1); }

std::vector<std::string> split(std::string_view urls) {
  std::vector<std::string> out;
  for (const auto part : urls | std::views::split(',')) {
    std::string_view url{part};
    while (!url.empty() && url.front() == ' ') url.remove_prefix(1);
    while (!url.empty() && url.back() == ' ') url.remove_suffix(1);
    if (!url.empty()) out.emplace_back(url);
  }
  return out;
}

struct OptionsDeleter {
  void operator()(natsOptions* options) const { natsOptions_Destroy(options); }
};
using Options = std::unique_ptr<natsOptions, OptionsDeleter>;

/// Runs one natsOptions_Set… and remembers the first that failed.
class Setup {
 public:
  void operator()(natsStatus status, std::string_view what) {
    if (status_ == NATS_OK && status != NATS_OK) {
      status_ = status;
      what_ = std::string{what} + ": " + library_says(status);
    }
  }
  bool failed() const { return status_ != NATS_OK; }
  const std::string& what() const { return what_; }

 private:
  natsStatus status_ = NATS_OK;
  std::string what_;
};

void set_login(natsOptions* o, const Access& a, Setup& set) {
  if (!a.credentials.empty()) {
    set(natsOptions_SetUserCredentialsFromFiles(o, a.credentials.c_str(), nullptr), "credentials " + a.credentials);
  }
  if (!a.nkey.empty()) set(natsOptions_SetNKeyFromSeed(o, a.nkey.c_str(), a.nkey_seed.c_str()), "nkey " + a.nkey_seed);
  if (!a.user.empty()) set(natsOptions_SetUserInfo(o, a.user.c_str(), a.password.c_str()), "user");
  if (!a.token.empty()) set(natsOptions_SetToken(o, a.token.c_str()), "token");
  if (a.tls) set(natsOptions_SetSecure(o, true), "tls");
  if (!a.ca.empty()) set(natsOptions_LoadCATrustedCertificates(o, a.ca.c_str()), "tls.ca " + a.ca);
  if (!a.cert.empty()) {
    set(natsOptions_LoadCertificatesChain(o, a.cert.c_str(), a.key.c_str()), "tls.cert " + a.cert);
  }
}

void set_behaviour(natsOptions* o, Connection::Use use, Setup& set) {
  set(natsOptions_SetTimeout(o, connect_timeout_ms), "timeout");
  set(natsOptions_SetMaxReconnect(o, -1), "reconnect");
  set(natsOptions_SetReconnectWait(o, reconnect_wait_ms), "reconnect");
  set(natsOptions_SetReconnectJitter(o, reconnect_jitter_ms, reconnect_jitter_ms), "reconnect");
  set(natsOptions_SetIgnoreAuthErrorAbort(o, true), "reconnect");
  // Else any other -ERR of the server ("maximum connections exceeded") closes the connection for good.
  set(natsOptions_SetReconnectOnProtocolError(o, true), "reconnect");
  set(natsOptions_SetFailRequestsOnDisconnect(o, true), "requests");
  set(natsOptions_SetPingInterval(o, ping_interval_ms), "ping");
  set(natsOptions_SetMaxPingsOut(o, pings_out), "ping");
  set(natsOptions_SetWriteDeadline(o, write_deadline_ms), "write deadline");
  if (use == Connection::Use::consume) set(natsOptions_SetSendAsap(o, true), "send at once");
}

/// Why no connection was made, and what to do.
Error refusal(natsStatus status, bool tls, const std::string& servers) {
  const std::string at = "NATS at " + servers;
  const std::string why = library_says(status);
  switch (status) {
    case NATS_CONNECTION_AUTH_FAILED:
    case NATS_NOT_PERMITTED:
      return {Error::Kind::unreachable,
              at + " refuses the login: " + why + "; check user, password, token, nkey or credentials", "url"};
    case NATS_SECURE_CONNECTION_WANTED:
      return {Error::Kind::unreachable, at + " does not offer TLS; leave \"tls\" out, or turn it on at the server",
              "tls"};
    case NATS_SECURE_CONNECTION_REQUIRED:
      return {Error::Kind::unreachable, at + " demands TLS; add \"tls\": { \"ca\": … }", "tls"};
    case NATS_SSL_ERROR:
      return {Error::Kind::unreachable, at + ": TLS: " + why + "; check the settings in tls", "tls"};
    case NATS_CONNECTION_CLOSED:
    case NATS_IO_ERROR:
      if (!tls) break;
      return {Error::Kind::unreachable,
              at + ": TLS: " + why + "; the server may want another client certificate: check the settings in tls",
              "tls"};
    default:
      break;
  }
  return {Error::Kind::unreachable, at + " does not answer: " + why + "; check \"url\"", "url"};
}

}  // namespace

std::string library_says(int status) {
  const char* detail = nats_GetLastError(nullptr);
  std::string_view text =
      detail == nullptr || *detail == '\0' ? natsStatus_GetText(static_cast<natsStatus>(status)) : detail;
  if (const auto end = text.find("): "); text.starts_with('(') && end != std::string_view::npos)
    text.remove_prefix(end + 3);
  return std::string{text};
}

/// What the library's threads tell us. Lives until the library has called back for the last time.
struct Connection::Events {
  std::atomic<std::uint64_t> errors{0};
  std::atomic<bool> over{false};
  std::mutex mutex;
  std::string last_error;

  using Handle = std::shared_ptr<Events>;
  static void closed(natsConnection*, void* closure) {
    const std::unique_ptr<Handle> events{static_cast<Handle*>(closure)};
    (*events)->over.store(true, std::memory_order_relaxed);
  }
  static void error(natsConnection* nc, natsSubscription*, natsStatus status, void* closure) {
    std::array<char, 256> text{};
    natsConnection_ReadLastError(nc, text.data(), text.size());
    auto& events = **static_cast<Handle*>(closure);
    const std::lock_guard lock{events.mutex};
    events.last_error = text[0] != '\0' ? text.data() : natsStatus_GetText(status);
    events.errors.fetch_add(1, std::memory_order_release);
  }
};

std::string redacted(std::string_view urls) {
  std::string out;
  for (const auto& url : split(urls)) {
    constexpr std::string_view scheme = "nats://";
    if (!out.empty()) out += ",";
    out +=
        url.contains("://") ? without_secrets(url) : without_secrets(std::string{scheme} + url).substr(scheme.size());
  }
  return out;
}

Result<std::unique_ptr<Connection>> Connection::open(const Access& access, const std::string& name, Use use) {
  if (auto usable = access.check(); !usable) return std::unexpected(usable.error());
  const auto urls = split(access.url);
  std::vector<const char*> servers;
  for (const auto& url : urls) servers.push_back(url.c_str());

  natsOptions* raw = nullptr;
  if (natsOptions_Create(&raw) != NATS_OK) return fail(Error::Kind::internal, "out of memory for NATS options");
  const Options options{raw};
  Setup set;
  set(natsOptions_SetServers(raw, servers.data(), static_cast<int>(servers.size())), "url " + redacted(access.url));
  set(natsOptions_SetName(raw, name.c_str()), "name");
  set_login(raw, access, set);
  set_behaviour(raw, use, set);
  auto events = std::make_shared<Events>();
  auto closure = std::make_unique<Events::Handle>(events);
  set(natsOptions_SetClosedCB(raw, Events::closed, closure.get()), "callback");
  set(natsOptions_SetErrorHandler(raw, Events::error, closure.get()), "callback");
  if (set.failed()) return fail(Error::Kind::invalid, "NATS: " + set.what(), "url");

  std::unique_ptr<Connection> out{new Connection};
  out->servers_ = redacted(access.url);
  const natsStatus status = natsConnection_Connect(&out->handle_, raw);
  if (status != NATS_OK) {
    out->handle_ = nullptr;
    return std::unexpected(refusal(status, access.tls, out->servers_));
  }
  closure.release();  // NOLINT: Events::closed deletes it
  out->events_ = std::move(events);
  return out;
}

Connection::~Connection() {
  if (handle_ == nullptr) return;
  natsConnection_Close(handle_);
  natsConnection_Destroy(handle_);
}

bool Connection::connected() const { return natsConnection_Status(handle_) == NATS_CONN_STATUS_CONNECTED; }

bool Connection::closed() const {
  return events_->over.load(std::memory_order_relaxed) || natsConnection_Status(handle_) == NATS_CONN_STATUS_CLOSED;
}

std::uint64_t Connection::reconnects() const {
  // Not by a callback: that comes later than what is published or answered over the new connection.
  natsStatistics* statistics = nullptr;
  if (natsStatistics_Create(&statistics) != NATS_OK) return 0;
  std::uint64_t count = 0;
  if (natsConnection_GetStats(handle_, statistics) == NATS_OK)
    natsStatistics_GetCounts(statistics, nullptr, nullptr, nullptr, nullptr, &count);
  natsStatistics_Destroy(statistics);
  return count;
}

std::uint64_t Connection::errors() const { return events_->errors.load(std::memory_order_acquire); }

std::string Connection::denied() const {
  std::array<char, 256> text{};
  return natsConnection_ReadLastError(handle_, text.data(), text.size()) == NATS_NOT_PERMITTED ? text.data() : "";
}

std::size_t Connection::max_payload() const {
  return static_cast<std::size_t>(std::max<std::int64_t>(natsConnection_GetMaxPayload(handle_), 0));
}

std::string Connection::inbox() {
  natsInbox* inbox = nullptr;
  if (natsInbox_Create(&inbox) != NATS_OK) return {};
  std::string out{inbox};
  natsInbox_Destroy(inbox);
  return out;
}

std::string Connection::last_error() const {
  const std::lock_guard lock{events_->mutex};
  return events_->last_error;
}

Error Connection::down() const {
  const std::string why = last_error();
  return {Error::Kind::unreachable, "NATS at " + servers_ +
                                        (closed() ? " has closed the connection for good" : " is not connected") +
                                        (why.empty() ? "" : " (" + why + ")")};
}

std::string Connection::too_large(std::size_t size) const {
  return "payload too large: " + std::to_string(size) + " bytes, the server takes " + std::to_string(max_payload()) +
         "; raise max_payload there or send less at once";
}

Result<void> Connection::publish(std::string_view subject, std::string_view payload, std::string_view reply) {
  const std::string to{subject};
  const auto size = static_cast<int>(payload.size());
  const natsStatus status = reply.empty() ? natsConnection_Publish(handle_, to.c_str(), payload.data(), size)
                                          : natsConnection_PublishRequest(
                                                handle_, to.c_str(), std::string{reply}.c_str(), payload.data(), size);
  if (status == NATS_OK) return {};
  if (status == NATS_MAX_PAYLOAD) return fail(Error::Kind::refused, too_large(payload.size()));
  if (status == NATS_INVALID_SUBJECT) return fail(Error::Kind::invalid, "\"" + to + "\" is not a subject");
  return std::unexpected(down());
}

Result<void> Connection::flush(Duration timeout) {
  if (natsConnection_FlushTimeout(handle_, to_ms(timeout)) != NATS_OK) return std::unexpected(down());
  return {};
}

Result<std::string> Connection::request(const std::string& subject, std::string_view payload, Duration timeout) {
  natsMsg* reply = nullptr;
  const natsStatus status = natsConnection_Request(&reply, handle_, subject.c_str(), payload.data(),
                                                   static_cast<int>(payload.size()), to_ms(timeout));
  if (status == NATS_NO_RESPONDERS) {
    return fail(Error::Kind::unreachable, "NATS at " + servers_ + ": nobody answers " + subject +
                                              "; is JetStream enabled there, and may this user publish to $JS.API.>?");
  }
  if (status == NATS_TIMEOUT)
    return fail(Error::Kind::unreachable, "NATS at " + servers_ + ": no answer to " + subject);
  if (status != NATS_OK) return std::unexpected(down());
  std::string out{natsMsg_GetData(reply), static_cast<std::size_t>(natsMsg_GetDataLength(reply))};
  natsMsg_Destroy(reply);
  return out;
}

MessageBatch::~MessageBatch() {
  for (natsMsg* message : handles_) natsMsg_Destroy(message);
}

void MessageBatch::add(__natsMsg* message) {
  const auto text = [](const char* s) { return s == nullptr ? std::string_view{} : std::string_view{s}; };
  const std::string_view payload{natsMsg_GetData(message), static_cast<std::size_t>(natsMsg_GetDataLength(message))};
  items_.push_back({text(natsMsg_GetSubject(message)), text(natsMsg_GetReply(message)), payload});
  handles_.push_back(message);
  bytes_ += payload.size() + items_.back().subject.size();
}

void MessageBatch::drop_last() {
  bytes_ -= items_.back().payload.size() + items_.back().subject.size();
  natsMsg_Destroy(handles_.back());
  items_.pop_back();
  handles_.pop_back();
}

bool MessageBatch::has_headers(std::size_t i) const { return natsMsgHeader_EncodedLength(handles_[i]) > 0; }

void MessageBatch::headers(std::size_t i, std::vector<Header>& out) const {
  const char** keys = nullptr;
  int key_count = 0;
  if (natsMsgHeader_Keys(handles_[i], &keys, &key_count) != NATS_OK) return;
  for (int k = 0; k < key_count; ++k) {
    const char** values = nullptr;
    int value_count = 0;
    if (natsMsgHeader_Values(handles_[i], keys[k], &values, &value_count) == NATS_OK) {
      for (int v = 0; v < value_count; ++v) out.emplace_back(keys[k], values[v]);
      free(static_cast<void*>(values));
    }
  }
  free(static_cast<void*>(keys));
}

Result<std::unique_ptr<Subscription>> Subscription::open(Connection& connection, const std::string& subject,
                                                         const std::string& group, Limits limits, bool answers) {
  std::unique_ptr<Subscription> out{new Subscription};
  out->answers_ = answers;
  natsStatus status = group.empty() ? natsConnection_SubscribeSync(&out->handle_, connection.handle(), subject.c_str())
                                    : natsConnection_QueueSubscribeSync(&out->handle_, connection.handle(),
                                                                        subject.c_str(), group.c_str());
  if (status == NATS_OK) {
    status = natsSubscription_SetPendingLimits(out->handle_, limits.messages > 0 ? limits.messages : -1,
                                               limits.bytes > 0 ? limits.bytes : -1);
  }
  if (status == NATS_OK) return out;
  if (status == NATS_INVALID_SUBJECT || status == NATS_INVALID_QUEUE_NAME || status == NATS_INVALID_ARG) {
    return fail(Error::Kind::invalid, "can't subscribe to \"" + subject + "\": " + natsStatus_GetText(status),
                "subject");
  }
  return std::unexpected(connection.down());
}

Subscription::~Subscription() { natsSubscription_Destroy(handle_); }

Subscription::End Subscription::take(MessageBatch& into, std::size_t messages, std::size_t bytes, Duration wait,
                                     const std::stop_token& stop) {
  const std::size_t most = into.size() + messages;
  const std::size_t most_bytes = into.bytes() + bytes;
  bool waited = wait <= 0;
  while (into.size() < most && into.bytes() < most_bytes) {
    natsMsg* message = nullptr;
    natsStatus status = natsSubscription_NextMsg(&message, handle_, 0);
    while (status == NATS_TIMEOUT && !waited) {
      const Duration slice = std::min(wait, stop_check);
      status = natsSubscription_NextMsg(&message, handle_, to_ms(slice));
      wait -= slice;
      waited = wait <= 0 || stop.stop_requested();
    }
    if (status == NATS_SLOW_CONSUMER) continue;  // told once per overflow; dropped() counts
    if (status == NATS_TIMEOUT) return End::empty;
    if (status == NATS_NO_RESPONDERS) return End::no_responders;
    if (status != NATS_OK) return End::closed;
    waited = true;
    into.add(message);
    if (answers_ && into[into.size() - 1].reply.empty()) return End::status;
  }
  return End::budget;
}

std::uint64_t Subscription::dropped() const {
  std::int64_t count = 0;
  return natsSubscription_GetDropped(handle_, &count) == NATS_OK
             ? static_cast<std::uint64_t>(std::max<std::int64_t>(count, 0))
             : 0;
}

}  // namespace weir::nats
