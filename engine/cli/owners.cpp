/// weir owners: which worker has which partition, and so which vehicle.
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include <algorithm>
#include <iostream>
#include <memory>
#include <optional>

#include <weir/format.hpp>
#include <weir/partition.hpp>
#include <weir/rfc3339.hpp>

#include "cli/kept.hpp"
#include "core/keeping.hpp"
#include "core/look_back.hpp"

namespace weir::cli {
namespace {

struct OwnersOptions {
  std::string file;
  PipelineOptions pipeline;
  std::string node;
  std::string key;
  bool json = false;
};

/// What is known of the vehicle that was asked for.
struct Vehicle {
  std::string key;
  Result<SeenSession> seen;
};

std::string_view state_of(const Vehicle& vehicle) {
  if (!vehicle.seen) return "unknown";
  if (!vehicle.seen->session) return "none";
  return vehicle.seen->session->ended ? "ended" : "open";
}

std::string sentence(const Vehicle& vehicle) {
  if (!vehicle.seen) return weir::format("not known: {}", vehicle.seen.error().message);
  const std::string as_of = weir::format("; as of the last snapshot, at position {}, arrival {}",
                                         vehicle.seen->position, shown(vehicle.seen->arrival));
  const auto& session = vehicle.seen->session;
  if (!session) return "none" + as_of;
  return weir::format("{}, samples from {} to {}{}", state_of(vehicle), format_rfc3339(session->first),
                      format_rfc3339(session->newest), as_of);
}

void print(const std::vector<ProgressLine>& lines, const std::optional<Vehicle>& vehicle, std::size_t partitions) {
  const auto owner = [](const ProgressLine& line) {
    if (is_owned(line)) return line.owner;
    return line.owner.empty() ? std::string{"nobody"} : "nobody; the lease of " + line.owner + " ran out";
  };
  std::size_t width = 5;
  for (const ProgressLine& line : lines) width = std::max(width, owner(line).size());
  if (vehicle) {
    std::cout << weir::format("{} is in partition {} of {}\nsession: {}\n\n", vehicle->key, lines.front().partition,
                              partitions, sentence(*vehicle));
  }
  std::cout << weir::format("partition  {:<{}}  {:<20}  {:>10}  {:>12}  arrival\n", "owner", width, "since",
                            "lease left", "position");
  for (const ProgressLine& line : lines) {
    const bool owned = is_owned(line);
    std::cout << weir::format("{:>9}  {:<{}}  {:<20}  {:>10}  {:>12}  {}\n", line.partition, owner(line), width,
                              shown(owned ? line.since : no_time), owned ? shown_seconds(line.lease_left) : "-",
                              line.progress.position, shown(line.progress.arrival));
  }
}

/// An array of objects whose names never change.
class Json {
 public:
  std::string text(const std::vector<ProgressLine>& lines, const std::optional<Vehicle>& vehicle) {
    json_.SetMaxDecimalPlaces(3);
    json_.StartArray();
    for (const ProgressLine& line : lines) add(line, vehicle);
    json_.EndArray();
    return buffer_.GetString();
  }

 private:
  void add(const ProgressLine& line, const std::optional<Vehicle>& vehicle) {
    const bool owned = is_owned(line);
    json_.StartObject();
    number("partition", line.partition);
    text("owner", owned ? std::optional{line.owner} : std::nullopt);
    time("since", owned ? line.since : no_time);
    json_.Key("lease_left");
    owned ? json_.Double(static_cast<double>(line.lease_left) / static_cast<double>(second)) : json_.Null();
    number("position", line.progress.position);
    time("arrival", line.progress.arrival);
    if (vehicle) {
      text("key", vehicle->key);
      add_session(*vehicle);
    }
    json_.EndObject();
  }

  void add_session(const Vehicle& vehicle) {
    json_.Key("session");
    json_.StartObject();
    text("state", std::string{state_of(vehicle)});
    if (vehicle.seen) {
      const auto session = vehicle.seen->session.value_or(KeySession{});
      time("first", session.first);
      time("newest", session.newest);
      number("position", vehicle.seen->position);
      time("arrival", vehicle.seen->arrival);
    } else {
      text("reason", vehicle.seen.error().message);
    }
    json_.EndObject();
  }

  void number(const char* name, std::uint64_t value) {
    json_.Key(name);
    json_.Uint64(value);
  }
  void text(const char* name, const std::optional<std::string>& value) {
    json_.Key(name);
    value ? json_.String(value->data(), static_cast<rapidjson::SizeType>(value->size())) : json_.Null();
  }
  void time(const char* name, Timestamp value) {
    text(name, value == no_time ? std::nullopt : std::optional{format_rfc3339(value)});
  }

  rapidjson::StringBuffer buffer_;
  rapidjson::Writer<rapidjson::StringBuffer> json_{buffer_};
};

int owners(const OwnersOptions& options, const Registry& registry) {
  const auto kept = load_kept("weir owners", options.file, options.pipeline, options.node, registry);
  if (!kept) return kept.error();
  const Pipeline& pipeline = (*kept)->pipeline();
  const Node& source = pipeline.nodes[pipeline.source()];
  const Claims claims = claims_of(source);
  if (!options.key.empty() && !claims.partitioned) {
    std::cerr << weir::format("weir owners: {} is a queue that workers share: a vehicle's messages reach any of them\n",
                              source.id);
    return usage;
  }
  const Keepers::Keeper& keeper = (*kept)->keepers.all().front();
  const auto kept_lines = keeper.progress();
  if (!kept_lines) return failed("weir owners: " + keeper.node, kept_lines.error());
  auto lines = lines_of(claims.partitions, {*kept_lines});
  std::optional<Vehicle> vehicle;
  if (!options.key.empty()) {
    const ProgressLine line = lines.at(partition_of(options.key, claims.partitions));
    vehicle = Vehicle{options.key, last_session(pipeline, registry, line, options.key)};
    lines = {line};
  }
  if (options.json)
    std::cout << Json{}.text(lines, vehicle) << '\n';
  else
    print(lines, vehicle, claims.partitions);
  return fine;
}

}  // namespace

void add_owners(Arguments& program, Session& session) {
  auto options = std::make_shared<OwnersOptions>();
  auto command = program.command("owners", "shows which worker has which partition, since when, and how far it is");
  command.needs("pipeline", options->file, "pipeline file");
  add_pipeline_options(command, options->pipeline);
  command.option("--node", options->node, "as this sink keeps it; without, the first one that keeps progress");
  command.option("--key", options->key, "only the partition of this vehicle, and its session");
  command.flag("--json", options->json, "an array with an object for each partition");
  command.does([options, &session] { session.exit = owners(*options, session.registry); });
}

}  // namespace weir::cli
