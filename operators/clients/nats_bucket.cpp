#include "clients/nats_bucket.hpp"

#include <nats/nats.h>
#include <rapidjson/document.h>

#include <algorithm>

#include <weir/format.hpp>
#include <weir/rfc3339.hpp>
#include <weir/units.hpp>

namespace weir::nats {
namespace {

constexpr std::size_t watched_at_once = 8192;
constexpr std::size_t watched_bytes = 8u << 20;

/// By whom the value was removed: a client, or the server itself when a limit is reached (ADR-43).
constexpr const char* by_client = "KV-Operation";
constexpr const char* by_server = "Nats-Marker-Reason";

bool is_removal(natsMsg* message) {
  const char* operation = nullptr;
  if (natsMsgHeader_Get(message, by_server, &operation) == NATS_OK) return true;
  return natsMsgHeader_Get(message, by_client, &operation) == NATS_OK && operation != nullptr &&
         std::string_view{operation} != "PUT";
}

bool is_removal(const MessageBatch& batch, std::size_t i) {
  if (!batch.has_headers(i)) return false;
  std::vector<MessageBatch::Header> headers;
  batch.headers(i, headers);
  return std::ranges::any_of(headers, [](const auto& header) {
    return header.first == by_server || (header.first == by_client && header.second != "PUT");
  });
}

/// Everything in which an existing bucket differs from what was asked for.
std::string differences(const jsStreamConfig& is, const BucketConfig& want) {
  std::string out;
  const auto add = [&](const std::string& text) { out += (out.empty() ? "" : "; ") + text; };
  if (want.replicas && *want.replicas != is.Replicas)
    add(weir::format("it has {} replicas, the pipeline says {}", is.Replicas, *want.replicas));
  if (is.MaxMsgSize > 0 && static_cast<std::size_t>(is.MaxMsgSize) < want.largest) {
    add(weir::format("it takes messages of {} bytes, values may have {} (nats stream edit {} --max-msg-size=-1)",
                     is.MaxMsgSize, want.largest, bucket_stream(want.name)));
  }
  if (want.lasting && is.MaxAge > 0) {
    add(weir::format("it removes values after {}, must keep them (nats stream edit {} --max-age=0)",
                     format_duration(is.MaxAge), bucket_stream(want.name)));
  }
  if (want.lasting && is.Discard == js_DiscardOld && (is.MaxBytes > 0 || is.MaxMsgs > 0))
    add("it removes the oldest values when it is full, must refuse new ones instead (discard policy new)");
  return out;
}

}  // namespace

std::vector<Error> bucket_problems(const Settings& settings, const std::string& setting) {
  constexpr std::string_view allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
  auto problems = access_problems(settings);
  if (!settings.has(setting)) return problems;
  const auto& name = settings.text(setting);
  if (name.empty() || name.find_first_not_of(allowed) != name.npos) {
    problems.push_back({Error::Kind::invalid, "a bucket's name has letters, digits, \"_\" and \"-\" only", setting});
  }
  return problems;
}

bool is_bucket_token(std::string_view text) {
  constexpr std::string_view allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-/=";
  return !text.empty() && text.find_first_not_of(allowed) == text.npos;
}

std::string bucket_subject(std::string_view bucket, std::string_view key) {
  return weir::format("$KV.{}.{}", bucket, key);
}
std::string bucket_stream(std::string_view bucket) { return weir::format("KV_{}", bucket); }

Result<Duration> ensure_bucket(JetStream& jetstream, const BucketConfig& config) {
  const std::string stream = bucket_stream(config.name);
  const std::string what = "bucket " + config.name;
  jsStreamInfo* info = nullptr;
  jsErrCode code{};
  natsStatus status = js_GetStreamInfo(&info, jetstream.handle(), stream.c_str(), nullptr, &code);
  if (status == NATS_OK) {
    const auto differs = differences(*info->Config, config);
    const Duration kept_for = info->Config->MaxAge;
    jsStreamInfo_Destroy(info);
    if (differs.empty()) return kept_for;
    return fail(Error::Kind::changed,
                what + " is there but is not what the pipeline needs: " + differs + "; change it or choose another",
                "bucket");
  }
  if (status != NATS_NOT_FOUND && code != JSStreamNotFoundErr) {
    return std::unexpected(request_error(jetstream.connection(), what, status, code));
  }
  if (!config.create) {
    return fail(Error::Kind::changed,
                "there is no " + what + "; nothing has written it yet: start what does, or set \"create\": true",
                "bucket");
  }
  const std::string subject = bucket_subject(config.name, ">");
  const char* subjects[] = {subject.c_str()};
  jsStreamConfig wanted;
  jsStreamConfig_Init(&wanted);
  wanted.Name = stream.c_str();
  wanted.Subjects = subjects;
  wanted.SubjectsLen = 1;
  wanted.MaxMsgsPerSubject = 1;
  wanted.Discard = js_DiscardNew;
  wanted.Replicas = config.replicas.value_or(1);
  wanted.AllowRollup = true;
  wanted.DenyDelete = true;
  wanted.AllowDirect = true;
  code = {};
  status = js_AddStream(nullptr, jetstream.handle(), &wanted, nullptr, &code);
  if (status == NATS_OK) return Duration{0};
  if (code == JSStreamNameExistErr) return ensure_bucket(jetstream, config);  // another was quicker
  auto error = request_error(jetstream.connection(), "can't create " + what, status, code);
  error.setting = "bucket";
  return std::unexpected(std::move(error));
}

Result<void> Bucket::put(std::string_view key, std::string_view value) {
  jsErrCode code{};
  const natsStatus status = js_Publish(nullptr, jetstream_.handle(), bucket_subject(name_, key).c_str(), value.data(),
                                       static_cast<int>(value.size()), nullptr, &code);
  if (status == NATS_OK) return {};
  return std::unexpected(
      request_error(jetstream_.connection(), weir::format("can't put {} into bucket {}", key, name_), status, code));
}

Result<std::optional<Bucket::Value>> Bucket::get(std::string_view key) {
  auto out = newest(key);
  if (out && *out && (*out)->removed) out->reset();
  return out;
}

Result<std::optional<Bucket::Value>> Bucket::newest(std::string_view key) {
  natsMsg* message = nullptr;
  jsErrCode code{};
  const natsStatus status = js_GetLastMsg(&message, jetstream_.handle(), bucket_stream(name_).c_str(),
                                          bucket_subject(name_, key).c_str(), nullptr, &code);
  if (status == NATS_NOT_FOUND || code == JSNoMessageFoundErr) return std::optional<Value>{};
  if (status != NATS_OK) {
    return std::unexpected(
        request_error(jetstream_.connection(), weir::format("can't get {} from bucket {}", key, name_), status, code));
  }
  const char* data = natsMsg_GetData(message);
  const auto size = static_cast<std::size_t>(natsMsg_GetDataLength(message));
  std::optional out{Value{size == 0 ? std::string{} : std::string{data, size}, natsMsg_GetSequence(message),
                          is_removal(message), natsMsg_GetTime(message)}};
  natsMsg_Destroy(message);
  return out;
}

Result<std::optional<std::uint64_t>> Bucket::put_if(std::string_view key, std::string_view value,
                                                    std::uint64_t revision) {
  jsPubOptions options;
  jsPubOptions_Init(&options);
  options.ExpectLastSubjectSeq = revision;
  options.ExpectNoMessage = revision == 0;
  jsPubAck* stored = nullptr;
  jsErrCode code{};
  const natsStatus status = js_Publish(&stored, jetstream_.handle(), bucket_subject(name_, key).c_str(), value.data(),
                                       static_cast<int>(value.size()), &options, &code);
  if (status == NATS_OK) {
    const std::uint64_t sequence = stored->Sequence;
    jsPubAck_Destroy(stored);
    return sequence;
  }
  if (is_conflict(code)) return std::nullopt;
  return std::unexpected(
      request_error(jetstream_.connection(), weir::format("can't put {} into bucket {}", key, name_), status, code));
}

Result<void> Bucket::remove(std::string_view key) {
  const std::string subject = bucket_subject(name_, key);
  jsOptions options;
  jsOptions_Init(&options);
  options.Stream.Purge.Subject = subject.c_str();
  jsErrCode code{};
  const natsStatus status = js_PurgeStream(jetstream_.handle(), bucket_stream(name_).c_str(), &options, &code);
  if (status == NATS_OK) return {};
  return std::unexpected(
      request_error(jetstream_.connection(), weir::format("can't remove {} from bucket {}", key, name_), status, code));
}

Result<std::vector<std::string>> Bucket::names(std::string_view prefix) {
  // Whole tokens of the prefix narrow the request; the rest is compared here.
  const std::string filter = bucket_subject(name_, std::string{prefix.substr(0, prefix.rfind('.') + 1)} + ">");
  jsOptions options;
  jsOptions_Init(&options);
  options.Stream.Info.SubjectsFilter = filter.c_str();
  jsStreamInfo* info = nullptr;
  jsErrCode code{};
  const natsStatus status = js_GetStreamInfo(&info, jetstream_.handle(), bucket_stream(name_).c_str(), &options, &code);
  if (status != NATS_OK) {
    return std::unexpected(request_error(jetstream_.connection(), "can't list bucket " + name_, status, code));
  }
  std::vector<std::string> out;
  const std::size_t cut = bucket_subject(name_, "").size();
  if (const auto* subjects = info->State.Subjects; subjects != nullptr) {
    for (int i = 0; i < subjects->Count; ++i) {
      const std::string_view name = std::string_view{subjects->List[i].Subject}.substr(cut);
      if (name.starts_with(prefix)) out.emplace_back(name);
    }
  }
  jsStreamInfo_Destroy(info);
  std::ranges::sort(out);
  return out;
}

Result<Timestamp> Bucket::time() {
  const auto answer = jetstream_.connection().request("$JS.API.STREAM.INFO." + bucket_stream(name_), "", answer_wait);
  if (!answer) return std::unexpected(answer.error());
  rapidjson::Document json;
  json.Parse<rapidjson::kParseIterativeFlag>(answer->data(), answer->size());
  const auto ts = json.IsObject() ? json.FindMember("ts") : rapidjson::Value::MemberIterator{};
  const auto time = json.IsObject() && ts != json.MemberEnd() && ts->value.IsString()
                        ? parse_rfc3339({ts->value.GetString(), ts->value.GetStringLength()})
                        : std::nullopt;
  if (!time) return fail(Error::Kind::changed, weir::format("the server of bucket {} does not say its time", name_));
  return *time;
}

BucketWatch::BucketWatch(JetStream& jetstream, const std::string& bucket, const Clock& clock)
    : prefix_{bucket_subject(bucket, "").size()},
      reader_{jetstream, bucket_stream(bucket), clock, OrderedReader::Holes::trusted} {}

Result<void> BucketWatch::start() {
  return reader_.start({}).transform([&](std::uint64_t before) {
    const StreamState& is = reader_.opened();
    behind_ = std::min(is.last - std::min(before, is.last), is.messages);
  });
}

Result<std::size_t> BucketWatch::follow(const std::function<void(const Update&)>& each, Duration wait,
                                        const std::stop_token& stop) {
  MessageBatch batch;
  deliveries_.clear();
  if (auto read = reader_.read(batch, deliveries_, {watched_at_once, watched_bytes, wait}, stop); !read) {
    return std::unexpected(read.error());
  }
  for (std::size_t i = 0; i < deliveries_.size(); ++i) {
    const auto& in = batch[i];
    if (in.subject.size() > prefix_)
      each(
          {in.subject.substr(prefix_), in.payload, deliveries_[i].sequence, deliveries_[i].time, is_removal(batch, i)});
  }
  if (!deliveries_.empty()) behind_ = deliveries_.back().pending;
  return deliveries_.size();
}

}  // namespace weir::nats
