#include "clients/nats_jetstream.hpp"

#include <nats/nats.h>
#include <rapidjson/document.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include <algorithm>
#include <array>

#include <weir/format.hpp>
#include <weir/rfc3339.hpp>
#include <weir/units.hpp>

namespace weir::nats {
namespace {

constexpr const char* no_answer =
    ": JetStream does not answer; is it enabled (jetstream {} in the server's configuration), and may this user "
    "publish to $JS.API.>?";
constexpr std::int64_t reader_kept_for = 2 * minute;

struct InfoDeleter {
  void operator()(jsConsumerInfo* info) const { jsConsumerInfo_Destroy(info); }
};
using ConsumerPtr = std::unique_ptr<jsConsumerInfo, InfoDeleter>;

jsConsumerConfig consumer_of(const DurableConfig& want) {
  jsConsumerConfig out;
  jsConsumerConfig_Init(&out);
  out.Name = want.name.c_str();
  out.Durable = want.name.c_str();
  out.AckPolicy = js_AckExplicit;
  out.AckWait = want.ack_wait;
  out.MaxAckPending = want.max_ack_pending;
  out.DeliverPolicy = js_DeliverAll;
  if (!want.filter.empty()) out.FilterSubject = want.filter.c_str();
  if (want.only_new) out.DeliverPolicy = js_DeliverNew;
  if (want.time) {
    out.DeliverPolicy = js_DeliverByStartTime;
    out.OptStartTime = *want.time;
  }
  return out;
}

/// Everything in which an existing durable differs from what was asked for, each after "; ". Where it once started is
/// past: a durable is progress, and `start` is for those that have none.
std::string differences(const jsConsumerConfig& is, const DurableConfig& asked) {
  const jsConsumerConfig want = consumer_of(asked);
  std::string out;
  if (is.AckPolicy != want.AckPolicy) out += "; it does not take explicit acknowledgements";
  if (is.DeliverSubject != nullptr) out += "; it pushes, a pull consumer is needed";
  const auto compare = [&](std::string_view what, const std::string& has, const std::string& wanted) {
    if (has != wanted) out += weir::format("; its {} is {}, the pipeline says {}", what, has, wanted);
  };
  const auto filter = [](const jsConsumerConfig& config) {
    return weir::format("\"{}\"", config.FilterSubject == nullptr ? "" : config.FilterSubject);
  };
  compare("filter", filter(is), filter(want));
  compare("ack_wait", format_duration(is.AckWait), format_duration(want.AckWait));
  compare("max_ack_pending", std::to_string(is.MaxAckPending), std::to_string(want.MaxAckPending));
  const auto allows = [&](std::string_view what, std::int64_t has, std::int64_t needed, const auto& shown) {
    if (has > 0 && has < needed)
      out += weir::format("; its {} is {}, a request asks for {}", what, shown(has), shown(needed));
  };
  const auto number = [](std::int64_t value) { return std::to_string(value); };
  allows("max_batch", is.MaxRequestBatch, asked.request_messages, number);
  allows("max_bytes", is.MaxRequestMaxBytes, asked.request_bytes, number);
  allows("max_expires", is.MaxRequestExpires, asked.request_expires, format_duration);
  return out;
}

/// What makes a durable that is there one that fits. Only what can be edited keeps what was acknowledged.
std::string remedy(const std::string& stream, const jsConsumerConfig& is, const DurableConfig& want) {
  jsConsumerConfig edited = is;
  std::string flags;
  const auto edit = [&](std::int64_t& value, std::int64_t wanted, const std::string& flag) {
    if (value != wanted) flags += " --" + flag;
    value = wanted;
  };
  const auto allow = [&](std::int64_t& value, std::int64_t wanted, const std::string& flag) {
    if (value > 0 && value < wanted) edit(value, wanted, flag);
  };
  edit(edited.AckWait, want.ack_wait, "wait=" + format_duration(want.ack_wait));
  edit(edited.MaxAckPending, want.max_ack_pending, "max-pending=" + std::to_string(want.max_ack_pending));
  allow(edited.MaxRequestBatch, want.request_messages, "max-pull-batch=" + std::to_string(want.request_messages));
  allow(edited.MaxRequestMaxBytes, want.request_bytes, "max-pull-bytes=" + std::to_string(want.request_bytes));
  allow(edited.MaxRequestExpires, want.request_expires, "max-pull-expire=" + format_duration(want.request_expires));
  if (!differences(edited, want).empty()) {
    return "; it can't be made to fit: choose another name, to which the stream is delivered again from its `start` on, "
           "or put back what the pipeline said";
  }
  return weir::format(" (nats consumer edit {} {}{})", stream, want.name, flags);
}

std::string_view name_of(jsDeliverPolicy policy) {
  switch (policy) {
    case js_DeliverNew:
      return "new";
    case js_DeliverByStartSequence:
      return "by_start_sequence";
    case js_DeliverByStartTime:
      return "by_start_time";
    default:
      return "all";
  }
}

/// The request that makes a consumer. js_AddConsumer would write it too, but leaves out the zeros that a start time's
/// nanoseconds begin with (nats_EncodeTimeUTC of nats.c 3.14): what was to begin at .05 s began at .5 s.
std::string request_for(const std::string& stream, const jsConsumerConfig& config) {
  rapidjson::StringBuffer text;
  rapidjson::Writer<rapidjson::StringBuffer> writer{text};
  const auto key = [&](std::string_view name) { writer.Key(name.data(), static_cast<unsigned>(name.size())); };
  const auto add = [&](std::string_view name, std::string_view value) {
    key(name);
    writer.String(value.data(), static_cast<unsigned>(value.size()));
  };
  const auto add_number = [&](std::string_view name, std::int64_t value) {
    if (value <= 0) return;
    key(name);
    writer.Int64(value);
  };
  writer.StartObject();
  add("stream_name", stream);
  key("config");
  writer.StartObject();
  add("name", config.Name);
  if (config.Durable != nullptr) add("durable_name", config.Durable);
  if (config.FilterSubject != nullptr) add("filter_subject", config.FilterSubject);
  add("deliver_policy", name_of(config.DeliverPolicy));
  add_number("opt_start_seq", static_cast<std::int64_t>(config.OptStartSeq));
  if (config.DeliverPolicy == js_DeliverByStartTime) add("opt_start_time", format_rfc3339(config.OptStartTime));
  add("ack_policy", config.AckPolicy == js_AckNone ? "none" : "explicit");
  add_number("ack_wait", config.AckWait);
  add_number("max_ack_pending", config.MaxAckPending);
  add_number("inactive_threshold", config.InactiveThreshold);
  add_number("num_replicas", config.Replicas);
  add("replay_policy", "instant");
  key("mem_storage");
  writer.Bool(config.MemoryStorage);
  writer.EndObject();
  writer.EndObject();
  return text.GetString();
}

/// Whether what JetStream said (jsErrCode; 0: a failure without one) may pass: a failure of the server's own, such as a
/// full disk; what is on a server that is down or just starts; or consumers of workers that were killed, which it
/// removes after a while.
bool may_pass(int code) {
  static constexpr std::array passing{0,
                                      static_cast<int>(JSMaximumConsumersLimitErr),
                                      static_cast<int>(JSClusterNotAvailErr),
                                      static_cast<int>(JSClusterNotLeaderErr),
                                      static_cast<int>(JSClusterNoPeersErr),
                                      static_cast<int>(JSInsufficientResourcesErr),
                                      static_cast<int>(JSMemoryResourcesExceededErr),
                                      static_cast<int>(JSStorageResourcesExceededErr),
                                      static_cast<int>(JSRaftGeneralErr),
                                      static_cast<int>(JSNotEnabledForAccountErr),
                                      static_cast<int>(JSStreamOfflineErr),
                                      static_cast<int>(JSConsumerOfflineErr),
                                      static_cast<int>(JSConsumerCreateErr),
                                      static_cast<int>(JSConsumerStoreFailedErr),
                                      static_cast<int>(JSStreamStoreFailedErr),
                                      static_cast<int>(JSStreamCreateErr)};
  return std::ranges::contains(passing, code);
}

Error said_no(const std::string& what, std::string_view why, int code) {
  return {may_pass(code) ? Error::Kind::unreachable : Error::Kind::refused, weir::format("{}: {}", what, why)};
}

}  // namespace

bool is_conflict(int code) {
  return code == JSStreamWrongLastSequenceErr || code == JSStreamWrongLastSequenceConstantErr;
}

Error request_error(const Connection& connection, const std::string& what, int status, int code) {
  const std::string why = library_says(status);
  if (!connection.connected()) return {Error::Kind::unreachable, what + ": " + connection.down().message};
  if (status == NATS_NO_RESPONDERS || status == NATS_TIMEOUT) return {Error::Kind::unreachable, what + no_answer};
  return said_no(what, why, code);
}

Result<std::unique_ptr<JetStream>> JetStream::open(Connection& connection) {
  std::unique_ptr<JetStream> out{new JetStream{connection}};
  jsOptions options;
  jsOptions_Init(&options);
  options.Wait = answer_wait / millisecond;
  if (natsConnection_JetStream(&out->handle_, connection.handle(), &options) != NATS_OK) {
    return std::unexpected(connection.down());
  }
  return out;
}

JetStream::~JetStream() { jsCtx_Destroy(handle_); }

Result<StreamState> JetStream::state(const std::string& stream) {
  auto found = find(stream);
  if (!found) return std::unexpected(found.error());
  if (*found) return std::move((*found)->state);
  return fail(Error::Kind::changed, "stream " + stream + " is gone; somebody deleted it", "stream");
}

Result<std::optional<Timestamp>> JetStream::time_of(const std::string& stream, std::uint64_t sequence) {
  natsMsg* message = nullptr;
  jsErrCode code{};
  const natsStatus status = js_GetMsg(&message, handle_, stream.c_str(), sequence, nullptr, &code);
  if (status == NATS_NOT_FOUND || code == JSNoMessageFoundErr) return std::optional<Timestamp>{};
  if (status != NATS_OK) return std::unexpected(request_error(connection_, "stream " + stream, status, code));
  const Timestamp time = natsMsg_GetTime(message);
  natsMsg_Destroy(message);
  return time;
}

Result<std::optional<Stored>> JetStream::next_message(const std::string& stream, std::uint64_t from) {
  auto answer = connection_.request("$JS.API.STREAM.MSG.GET." + stream,
                                    weir::format(R"({{"seq":{},"next_by_subj":">"}})", from), answer_wait);
  if (!answer) return std::unexpected(answer.error());
  rapidjson::Document json;
  json.Parse<rapidjson::kParseIterativeFlag>(answer->data(), answer->size());
  if (json.IsObject() && json.HasMember("message")) {
    const auto& message = json["message"];
    if (message.IsObject() && message.HasMember("seq") && message["seq"].IsUint64() && message.HasMember("time") &&
        message["time"].IsString()) {
      return Stored{message["seq"].GetUint64(), parse_rfc3339(message["time"].GetString()).value_or(no_time)};
    }
  }
  if (json.IsObject() && json.HasMember("error")) {
    const auto& error = json["error"];
    if (error.IsObject() && error.HasMember("err_code") && error["err_code"].IsInt() &&
        error["err_code"].GetInt() == JSNoMessageFoundErr) {
      return std::optional<Stored>{};
    }
  }
  return fail(Error::Kind::unreachable,
              "stream " + stream + ": can't ask what follows " + std::to_string(from) + ": " + answer->substr(0, 200));
}

std::string JetStream::refusal_in(std::string_view answer) {
  rapidjson::Document json;
  json.Parse<rapidjson::kParseIterativeFlag>(answer.data(), answer.size());
  if (!json.IsObject() || !json.HasMember("error") || !json["error"].IsObject()) return {};
  const auto& error = json["error"];
  return error.HasMember("description") && error["description"].IsString() ? error["description"].GetString() : "";
}

Result<JetStream::Reader> JetStream::add_reader(const std::string& stream, const ReadFrom& from) {
  std::string name = Connection::inbox();
  name = "weir-" + name.substr(name.rfind('.') + 1);
  jsConsumerConfig config;
  jsConsumerConfig_Init(&config);
  config.Name = name.c_str();
  config.AckPolicy = js_AckNone;
  config.DeliverPolicy = js_DeliverAll;  // which is none of them as it comes
  config.MemoryStorage = true;
  config.Replicas = 1;
  config.InactiveThreshold = reader_kept_for;
  if (from.time) {
    config.DeliverPolicy = js_DeliverByStartTime;
    config.OptStartTime = *from.time;
  } else if (from.sequence > 1) {
    config.DeliverPolicy = js_DeliverByStartSequence;
    config.OptStartSeq = from.sequence;
  }
  return make_consumer(stream, config, "a consumer of stream " + stream).transform([&](std::uint64_t before) {
    return Reader{std::move(name), before};
  });
}

Result<std::uint64_t> JetStream::make_consumer(const std::string& stream, const jsConsumerConfig& config,
                                               const std::string& what) {
  std::string subject = weir::format("$JS.API.CONSUMER.CREATE.{}.{}", stream, config.Name);
  if (config.FilterSubject != nullptr) subject += "." + std::string{config.FilterSubject};
  const auto answer = connection_.request(subject, request_for(stream, config), answer_wait);
  if (!answer) return std::unexpected(answer.error());
  rapidjson::Document json;
  json.Parse<rapidjson::kParseIterativeFlag>(answer->data(), answer->size());
  if (const std::string refused = refusal_in(*answer); !refused.empty()) {
    const auto& error = json["error"];
    const bool coded = error.HasMember("err_code") && error["err_code"].IsInt();
    return std::unexpected(said_no(what, refused, coded ? error["err_code"].GetInt() : 0));
  }
  if (json.IsObject() && json.HasMember("delivered") && json["delivered"].IsObject()) {
    const auto& delivered = json["delivered"];
    if (delivered.HasMember("stream_seq") && delivered["stream_seq"].IsUint64())
      return delivered["stream_seq"].GetUint64();
  }
  return fail(Error::Kind::unreachable, what + ": the server answered " + answer->substr(0, 200));
}

Result<bool> JetStream::ensure_durable(const std::string& stream, const DurableConfig& want) {
  const std::string what = "durable " + want.name + " of stream " + stream;
  jsConsumerInfo* raw = nullptr;
  jsErrCode code{};
  const natsStatus status = js_GetConsumerInfo(&raw, handle_, stream.c_str(), want.name.c_str(), nullptr, &code);
  if (status == NATS_OK) {
    const ConsumerPtr info{raw};
    const std::string differs = differences(*info->Config, want);
    if (differs.empty()) return false;
    return fail(Error::Kind::changed,
                what + " is not what the pipeline says" + differs + remedy(stream, *info->Config, want), "durable");
  }
  if (status != NATS_NOT_FOUND && code != JSConsumerNotFoundErr) {
    return std::unexpected(request_error(connection_, what, status, code));
  }
  return make_consumer(stream, consumer_of(want), "can't create " + what).transform([](std::uint64_t) { return true; });
}

void JetStream::forget_consumer(const std::string& stream, const std::string& consumer) {
  if (!consumer.empty()) (void)connection_.publish("$JS.API.CONSUMER.DELETE." + stream + "." + consumer, {});
}

Result<bool> JetStream::has_consumer(const std::string& stream, const std::string& consumer) {
  jsConsumerInfo* raw = nullptr;
  jsErrCode code{};
  const natsStatus status = js_GetConsumerInfo(&raw, handle_, stream.c_str(), consumer.c_str(), nullptr, &code);
  if (status == NATS_NOT_FOUND || code == JSConsumerNotFoundErr || code == JSStreamNotFoundErr) return false;
  if (status != NATS_OK) return std::unexpected(request_error(connection_, "consumer " + consumer, status, code));
  const ConsumerPtr info{raw};
  return true;
}

bool parse_delivery(std::string_view reply, Delivery& out) {
  // $JS.ACK.<stream>.<consumer>.<delivered>.<sequence>.<consumer sequence>.<time>.<pending>, or with domain and account
  // before the stream and more behind.
  if (!reply.starts_with("$JS.ACK.")) return false;
  struct Token {
    std::uint64_t value = 0;
    std::size_t digits = 0, length = 0;
  };
  std::array<Token, 12> tokens;
  std::size_t count = 0;
  Token token;
  for (const char c : reply.substr(8)) {  // once for every message: one pass
    if (c == '.') {
      tokens[count] = token;
      if (++count == tokens.size()) break;
      token = {};
      continue;
    }
    const auto digit = static_cast<unsigned char>(c - '0');
    token.value = token.value * 10 + digit;
    token.digits += digit < 10 ? 1 : 0;
    ++token.length;
  }
  if (count < tokens.size()) tokens[count++] = token;
  const std::size_t first = count == 7 ? 2 : 4;
  if (count < first + 5) return false;
  for (std::size_t i = first; i < first + 5; ++i) {
    const Token& number = tokens[i];
    if (number.length == 0 || number.length > 19 || number.digits != number.length) return false;
  }
  out.delivered = tokens[first].value;
  out.sequence = tokens[first + 1].value;
  out.consumer_sequence = tokens[first + 2].value;
  out.time = static_cast<Timestamp>(tokens[first + 3].value);
  out.pending = tokens[first + 4].value;
  return true;
}

}  // namespace weir::nats
