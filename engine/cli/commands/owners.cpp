/// weir owners: which worker has which partition, and so which vehicle.
#include <algorithm>
#include <iostream>
#include <memory>
#include <optional>

#include <weir/format.hpp>
#include <weir/partition.hpp>
#include <weir/rfc3339.hpp>

#include "cli/kept.hpp"
#include "console/progress_json.hpp"
#include "core/plan/keeping.hpp"
#include "core/runtime/session_lookup.hpp"

namespace weir::cli {
namespace {

struct OwnersOptions : KeptOptions {
  std::string key;
  std::string format = "text";
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
                              line.progress.place.position, shown(line.progress.place.arrival));
  }
}

void write_session(const Vehicle& vehicle, JsonWriter& out) {
  out.text("key", vehicle.key);
  out.key("session").object([&] {
    out.text("state", std::string{state_of(vehicle)});
    if (!vehicle.seen) return out.text("reason", vehicle.seen.error().message);
    const auto session = vehicle.seen->session.value_or(KeySession{});
    out.time("first", session.first);
    out.time("newest", session.newest);
    out.number("position", vehicle.seen->position);
    out.time("arrival", vehicle.seen->arrival);
  });
}

/// An array of objects.
void print_json(const std::vector<ProgressLine>& lines, const std::optional<Vehicle>& vehicle) {
  JsonWriter out;
  out.array([&] {
    for (const ProgressLine& line : lines) {
      out.object([&] {
        write_progress(line, out);
        if (vehicle) write_session(*vehicle, out);
      });
    }
  });
  std::cout << out.result() << '\n';
}

int owners(const OwnersOptions& options, const Registry& registry) {
  const auto kept = load_kept("weir owners", options, registry);
  if (!kept) return kept.error();
  const Pipeline& pipeline = (*kept)->pipeline();
  const Node& source = pipeline.nodes[pipeline.source()];
  const Claims claims = claims_of(source);
  if (!options.key.empty() && !claims.partitioned) {
    std::cerr << weir::format("weir owners: {} is a queue that workers share: a vehicle's messages reach any of them\n",
                              source.id);
    return usage;
  }
  auto answers = ask("weir owners", options, **kept);
  if (!answers) return answers.error();
  if (answers->kept.size() > 1) answers->kept.resize(1);
  auto lines = lines_of(claims.partitions, answers->lines());
  std::optional<Vehicle> vehicle;
  if (!options.key.empty()) {
    const ProgressLine line = lines.at(partition_of(options.key, claims.partitions));
    vehicle = Vehicle{options.key, last_session(pipeline, registry, line, options.key)};
    lines = {line};
  }
  if (options.format == "json")
    print_json(lines, vehicle);
  else
    print(lines, vehicle, claims.partitions);
  return fine;
}

}  // namespace

void add_owners(Arguments& program, Session& session) {
  auto options = std::make_shared<OwnersOptions>();
  auto command = program.command("owners", "shows which worker has which partition, since when, and how far it is");
  add_kept_options(command, *options);
  command.option("--node", options->node, "as this sink keeps it; without, the first one that answers");
  command.option("--key", options->key, "only the partition of this vehicle, and its session");
  command.choice("--format", options->format, {"text", "json"}, "JSON: an array with an object for each partition");
  command.does([options, &session] { session.exit = owners(*options, session.registry); });
}

}  // namespace weir::cli
