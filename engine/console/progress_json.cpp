#include "console/progress_json.hpp"

#include <rapidjson/document.h>

#include <algorithm>
#include <cmath>

namespace weir {
namespace {

std::unexpected<Error> other_page() {
  return fail(Error::Kind::changed, "what came is not what this weir serves; is it one of another version?");
}

std::string text(const rapidjson::Value& object, const char* name) {
  const auto it = object.FindMember(name);
  return it != object.MemberEnd() && it->value.IsString()
             ? std::string{it->value.GetString(), it->value.GetStringLength()}
             : "";
}

std::uint64_t number(const rapidjson::Value& object, const char* name) {
  const auto it = object.FindMember(name);
  return it != object.MemberEnd() && it->value.IsUint64() ? it->value.GetUint64() : 0;
}

Duration seconds(const rapidjson::Value& object, const char* name) {
  const auto it = object.FindMember(name);
  return it != object.MemberEnd() && it->value.IsNumber()
             ? static_cast<Duration>(std::llround(it->value.GetDouble() * static_cast<double>(second)))
             : 0;
}

Timestamp time(const rapidjson::Value& object, const char* name) {
  return parse_rfc3339(text(object, name)).value_or(no_time);
}

/// The objects of an array; nothing if it is none.
std::optional<std::vector<const rapidjson::Value*>> objects(const rapidjson::Value& array) {
  if (!array.IsArray()) return {};
  std::vector<const rapidjson::Value*> out;
  for (const rapidjson::Value& one : array.GetArray()) {
    if (!one.IsObject()) return {};
    out.push_back(&one);
  }
  return out;
}

}  // namespace

void write_progress(const ProgressLine& line, JsonWriter& out) {
  const bool owned = is_owned(line);
  out.number("partition", line.partition);
  out.text("owner", owned ? std::optional{line.owner} : std::nullopt);
  out.time("since", owned ? line.since : no_time);
  out.seconds("lease_left", owned ? std::optional{line.lease_left} : std::nullopt);
  out.number("position", line.progress.place.position);
  out.time("arrival", line.progress.place.arrival);
}

std::string progress_json(const Ledgers::Answers& answers) {
  JsonWriter out;
  out.array([&] {
    for (const auto& [node, lines] : answers.kept) {
      for (const ProgressLine& line : lines) {
        out.object([&] {
          out.text("node", node);
          write_progress(line, out);
          out.time("updated", line.updated);
          out.text("snapshot", line.progress.snapshot.empty() ? std::nullopt : std::optional{line.progress.snapshot});
        });
      }
    }
    for (const std::string& one : answers.unanswered) out.object([&] { out.text("unanswered", one); });
  });
  return std::string{out.result()};
}

Result<Ledgers::Answers> read_progress(std::string_view json) {
  rapidjson::Document page;
  page.Parse<rapidjson::kParseIterativeFlag>(json.data(), json.size());
  const auto lines = page.HasParseError() ? std::nullopt : objects(page);
  if (!lines) return other_page();
  Ledgers::Answers out;
  for (const rapidjson::Value* line : *lines) {
    if (line->HasMember("unanswered")) {
      out.unanswered.push_back(text(*line, "unanswered"));
      continue;
    }
    const std::string node = text(*line, "node");
    if (out.kept.empty() || out.kept.back().node != node) out.kept.push_back({node, {}});
    ProgressLine& read = out.kept.back().lines.emplace_back();
    read.partition = static_cast<Partition>(number(*line, "partition"));
    read.owner = text(*line, "owner");
    read.since = time(*line, "since");
    read.lease_left = seconds(*line, "lease_left");
    read.updated = time(*line, "updated");
    read.progress.place.position = number(*line, "position");
    read.progress.place.arrival = time(*line, "arrival");
    read.progress.snapshot = text(*line, "snapshot");
  }
  return out;
}

Result<ReadLag> read_lag(std::string_view json) {
  rapidjson::Document page;
  page.Parse<rapidjson::kParseIterativeFlag>(json.data(), json.size());
  if (page.HasParseError() || !page.IsObject() || !page.HasMember("partitions")) return other_page();
  const auto lines = objects(page["partitions"]);
  if (!lines) return other_page();
  ReadLag out{text(page, "pipeline"), {}};
  out.lag.messages = number(page, "messages");
  out.lag.age = seconds(page, "seconds");
  if (const auto them = page.FindMember("unanswered"); them != page.MemberEnd() && them->value.IsArray()) {
    for (const rapidjson::Value& one : them->value.GetArray())
      if (one.IsString()) out.lag.unanswered.emplace_back(one.GetString(), one.GetStringLength());
  }
  for (const rapidjson::Value* line : *lines) {
    out.lag.partitions.push_back({.partition = static_cast<Partition>(number(*line, "partition")),
                                  .owner = text(*line, "owner"),
                                  .position = number(*line, "position"),
                                  .messages = number(*line, "messages"),
                                  .age = seconds(*line, "seconds")});
  }
  return out;
}

}  // namespace weir
