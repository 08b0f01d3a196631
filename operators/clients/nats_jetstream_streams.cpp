#include <nats/nats.h>
#include <rapidjson/document.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <functional>

#include <weir/format.hpp>
#include <weir/units.hpp>

#include "clients/nats_jetstream.hpp"
#include "clients/nats_subject.hpp"

namespace weir::nats {
namespace {

constexpr const char* partitions_of_set = "weir.partitions";

StreamState state_of(const jsStreamInfo& info) {
  return {info.Created, info.State.Msgs, info.State.FirstSeq, info.State.LastSeq};
}

FoundStream found(const jsStreamInfo& info) {
  FoundStream out{.state = state_of(info)};
  const jsStreamConfig& config = *info.Config;
  out.sealed = config.Sealed;
  out.acknowledges = !config.NoAck;
  for (int i = 0; i < config.SubjectsLen; ++i) out.subjects.emplace_back(config.Subjects[i]);
  for (int i = 0; i < config.Metadata.Count; ++i) {
    const std::string_view name = config.Metadata.List[2 * i];
    const std::string_view value = config.Metadata.List[2 * i + 1];
    if (name == partitions_of_set) std::from_chars(value.data(), value.data() + value.size(), out.partitions);
  }
  return out;
}

std::string subjects_of(const jsStreamConfig& config) {
  std::string out;
  for (int i = 0; i < config.SubjectsLen; ++i) out += (i == 0 ? "" : ",") + std::string{config.Subjects[i]};
  return out;
}

/// Settings by which messages go out of a stream's middle: a replay would count fewer than were read, and stop.
void add_holes(const jsStreamConfig& is, const std::function<void(const std::string&)>& add) {
  constexpr std::string_view why = "replay after a crash needs every message between the oldest and the newest";
  if (is.MaxMsgsPerSubject > 0) {
    add(weir::format(
        "it keeps {} messages a subject, must keep all: {} (nats stream edit {} --max-msgs-per-subject=-1)",
        is.MaxMsgsPerSubject, why, is.Name));
  }
  // Which the server lets nobody take back.
  if (is.AllowMsgTTL) add(weir::format("it allows a TTL per message: {}; recreate it without allow_msg_ttl", why));
  if (is.AllowRollup) add(weir::format("it allows roll-ups: {} (nats stream edit {} --no-allow-rollup)", why, is.Name));
}

/// Everything in which an existing stream differs from what was asked for.
std::string differences(const jsStreamInfo& info, const StreamConfig& want) {
  const jsStreamConfig& is = *info.Config;
  const FoundStream there = found(info);
  std::string out;
  const auto add = [&](const std::string& text) { out += (out.empty() ? "" : "; ") + text; };
  std::string lacks;
  for (const auto& subject : want.subjects) {
    if (!there.takes(subject)) lacks += (lacks.empty() ? "" : ",") + subject;
  }
  if (!lacks.empty()) {
    add(weir::format("it does not take {} (add it: nats stream edit {} --subjects='{},{}')", lacks, want.name,
                     subjects_of(is), lacks));
  }
  if (is.Retention != js_LimitsPolicy) {
    add(std::string{"its retention is "} + (is.Retention == js_InterestPolicy ? "interest" : "workqueue") +
        ", must be limits: replay after a crash needs messages that were already read");
  }
  if (want.replayed) add_holes(is, add);
  if (want.memory && *want.memory != (is.Storage == js_MemoryStorage)) {
    add(weir::format("its storage is {}, the pipeline says {}", is.Storage == js_MemoryStorage ? "memory" : "file",
                     *want.memory ? "memory" : "file"));
  }
  if (want.max_age && *want.max_age != is.MaxAge) {
    add(weir::format("its max_age is {}s, the pipeline says {}s", is.MaxAge / second, *want.max_age / second));
  }
  if (want.max_bytes && *want.max_bytes != is.MaxBytes) {
    add(weir::format("its max_bytes is {}, the pipeline says {}", is.MaxBytes, *want.max_bytes));
  }
  if (want.replicas && *want.replicas != is.Replicas) {
    add(weir::format("it has {} replicas, the pipeline says {}", is.Replicas, *want.replicas));
  }
  const Duration least = std::min(want.dedupe.value_or(0), is.MaxAge > 0 ? is.MaxAge : want.dedupe.value_or(0));
  if (is.Duplicates < least) {
    add(weir::format(
        "it knows ids for {} only, repetitions may come after {} (nats stream edit {} --dupe-window={}, or "
        "set \"deduplicate\": false)",
        format_duration(is.Duplicates), format_duration(least), want.name, format_duration(least)));
  }
  return out;
}

/// Which streams have the subjects already, and what to do.
std::string overlap(Connection& connection, const jsStreamConfig& wanted) {
  std::string holders;
  for (int i = 0; i < wanted.SubjectsLen; ++i) {
    rapidjson::StringBuffer request;
    rapidjson::Writer<rapidjson::StringBuffer> writer{request};
    writer.StartObject();
    writer.Key("subject");
    writer.String(wanted.Subjects[i]);
    writer.EndObject();
    const auto answer = connection.request("$JS.API.STREAM.NAMES", request.GetString(), answer_wait);
    if (!answer) continue;
    rapidjson::Document json;
    json.Parse<rapidjson::kParseIterativeFlag>(answer->data(), answer->size());
    if (!json.IsObject() || !json.HasMember("streams") || !json["streams"].IsArray()) continue;
    for (const auto& name : json["streams"].GetArray()) {
      if (name.IsString()) holders += (holders.empty() ? "" : ", ") + std::string{name.GetString()};
    }
  }
  return (holders.empty() ? "" : ": stream " + holders + " has them") +
         std::string{"; read that stream (\"stream\"), or choose another \"subject\""};
}

}  // namespace

bool FoundStream::takes(std::string_view subject) const {
  return std::ranges::any_of(subjects, [&](const std::string& one) { return covers(one, subject); });
}

void JetStream::InfoDeleter::operator()(jsStreamInfo* info) const { jsStreamInfo_Destroy(info); }

Result<JetStream::StreamInfo> JetStream::info(const std::string& stream) {
  jsStreamInfo* raw = nullptr;
  jsErrCode code{};
  const natsStatus status = js_GetStreamInfo(&raw, handle_, stream.c_str(), nullptr, &code);
  if (status == NATS_OK) return StreamInfo{raw};
  if (status == NATS_NOT_FOUND || code == JSStreamNotFoundErr) return StreamInfo{};
  return std::unexpected(request_error(connection_, "stream " + stream, status, code));
}

Result<std::optional<FoundStream>> JetStream::find(const std::string& stream) {
  return info(stream).transform(
      [](const StreamInfo& there) { return there ? std::optional{found(*there)} : std::nullopt; });
}

Result<StreamState> JetStream::ensure(const StreamConfig& config) {
  const auto there = info(config.name);
  if (!there) return std::unexpected(there.error());
  if (*there) {
    const auto differs = differences(**there, config);
    if (differs.empty()) return state_of(**there);
    return fail(Error::Kind::changed,
                "stream " + config.name + " is there but is not what the pipeline says: " + differs +
                    "; change the pipeline's settings or the stream",
                "stream");
  }
  if (config.create) return make(config);
  return fail(Error::Kind::changed,
              "there is no stream " + config.name + ": look at its name, or make it; a run does by \"create\": true",
              "stream");
}

void JetStream::remove(const std::string& stream) { (void)js_DeleteStream(handle_, stream.c_str(), nullptr, nullptr); }

Result<StreamState> JetStream::make(const StreamConfig& config) {
  std::vector<const char*> subjects;
  for (const auto& subject : config.subjects) subjects.push_back(subject.c_str());
  for (const auto& subject : config.also) subjects.push_back(subject.c_str());
  const std::string partitions = std::to_string(config.partitions);
  std::array<const char*, 2> metadata{partitions_of_set, partitions.c_str()};
  jsStreamConfig wanted;
  jsStreamConfig_Init(&wanted);
  wanted.Name = config.name.c_str();
  wanted.Subjects = subjects.data();
  wanted.SubjectsLen = static_cast<int>(subjects.size());
  wanted.Retention = js_LimitsPolicy;
  wanted.Storage = config.memory.value_or(false) ? js_MemoryStorage : js_FileStorage;
  wanted.MaxAge = config.max_age.value_or(0);
  wanted.MaxBytes = config.max_bytes.value_or(-1);
  wanted.Replicas = config.replicas.value_or(1);
  wanted.AllowDirect = true;
  if (config.partitions != 0) wanted.Metadata = {.List = metadata.data(), .Count = 1};
  jsStreamInfo* raw = nullptr;
  jsErrCode code{};
  const natsStatus status = js_AddStream(&raw, handle_, &wanted, nullptr, &code);
  if (status == NATS_OK) {
    const StreamInfo info{raw};
    StreamState made = state_of(*info);
    made.news = weir::format("stream {} was not there; created it, for {}", config.name, subjects_of(wanted));
    if (!config.max_age && !config.max_bytes) made.news += "; without max_age or max_bytes it keeps all it gets";
    if (config.partitions > 1) made.news += "; the server must map the vehicles' subjects to it, see weir nats mapping";
    return made;
  }
  // Another worker may have been faster; then theirs is checked like any other.
  if (code == JSStreamNameExistErr) {
    auto checked = config;
    checked.create = false;
    return ensure(checked);
  }
  auto error =
      request_error(connection_, "can't create stream " + config.name + " for " + subjects_of(wanted), status, code);
  // What the server has stands against what the pipeline wants, and only its owner can change that.
  if (error.kind == Error::Kind::refused) error.kind = Error::Kind::changed;
  if (code == JSStreamSubjectOverlapErr) error.message += overlap(connection_, wanted);
  error.setting = "stream";
  return std::unexpected(std::move(error));
}

}  // namespace weir::nats
