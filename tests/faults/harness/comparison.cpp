#include "faults/harness/comparison.hpp"

#include <rapidjson/document.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <map>
#include <sstream>
#include <utility>

#include <weir/format.hpp>
#include <weir/rfc3339.hpp>

#include "integration/fleet_job.hpp"
#include "integration/stream_reading.hpp"
#include "reference/completion.hpp"

namespace weir::faults {
namespace {

constexpr std::size_t most_differences = 12;
constexpr double null = std::numeric_limits<double>::quiet_NaN();

double number(const std::string& text) {
  if (text == "NULL") return null;
  double out = 0;
  std::from_chars(text.data(), text.data() + text.size(), out);
  return out;
}

std::vector<double> cells_of(const reference::Row& row) {
  const reference::Cell& position = row.cells[0];
  const bool known = position.quality != Quality::null;
  std::vector<double> out{known ? position.value.x : null, known ? position.value.y.value_or(0) : null,
                          known ? position.value.z.value_or(null) : null};
  for (std::size_t c = 1; c < row.cells.size(); ++c)
    out.push_back(row.cells[c].quality != Quality::null ? row.cells[c].value.x : null);
  return out;
}

/// A table's values, line by line.
class Table {
 public:
  Table(const Stage& stage, const std::string& sql) : text_{stage.database->ask(sql)} {}

  bool next(std::string& first) { return static_cast<bool>(text_ >> first); }
  std::string word() {
    std::string out;
    text_ >> out;
    return out;
  }
  template <typename Number>
  Number integer() {
    Number out{};
    text_ >> out;
    return out;
  }

 private:
  std::istringstream text_;
};

/// Lines whose values begin with key, time and transaction; `rest` reads what follows.
template <typename Rest>
std::vector<Line> lines_of(const Stage& stage, const std::string& sql, Rest rest) {
  Table table{stage, sql};
  std::vector<Line> out;
  for (std::string key; table.next(key);) {
    Line& line = out.emplace_back();
    line.key = key;
    line.time = table.integer<Timestamp>();
    line.transaction = table.integer<std::uint64_t>();
    rest(table, line);
  }
  return out;
}

std::vector<Line> rows_of(const Stage& stage) {
  return lines_of(stage,
                  "SELECT key, (extract(epoch FROM time) * 1000000)::bigint * 1000, xmin::text, position_lat, "
                  "position_lon, position_alt, heading, speed, charge FROM vehicle_second",
                  [](Table& table, Line& line) {
                    for (int c = 0; c < 6; ++c) line.cells.push_back(number(table.word()));
                  });
}

/// The rows as the third sink has published them. In any order: one that must be published again comes behind its
/// successors, as `weir explain` says.
std::vector<Line> copies_of(const Stage& stage) {
  std::vector<Line> out;
  const integration::StreamReading stream{stage.nats.nats(), copies_name};
  stream.read_all([&](const integration::StreamReading::Stored& message) {
    rapidjson::Document row;
    row.Parse<rapidjson::kParseFullPrecisionFlag>(message.payload.data(), message.payload.size());
    Line& line = out.emplace_back();
    line.key = row["key"].GetString();
    line.time = parse_rfc3339(row["tick"].GetString()).value();
    for (const char* name : {"position_lat", "position_lon", "position_alt", "heading", "speed", "charge"})
      line.cells.push_back(row[name].IsNull() ? null : row[name].GetDouble());
  });
  return out;
}

std::vector<Line> sessions_of(const Stage& stage) {
  return lines_of(
      stage, "SELECT key, (extract(epoch FROM time) * 1000000)::bigint * 1000, xmin::text, event, reason FROM session",
      [](Table& table, Line& line) {
        line.word = table.word();
        line.text = table.word();
      });
}

Line letter(Partition partition, std::uint64_t position) {
  return {.key = weir::format("partition-{}", partition), .time = static_cast<Timestamp>(position), .word = "letter"};
}

std::vector<Line> letters_of(const Stage& stage) {
  Table table{stage, "SELECT partition, position FROM weir_dead_letters"};
  std::vector<Line> out;
  for (std::string partition; table.next(partition);)
    out.push_back(letter(static_cast<Partition>(std::stoul(partition)), table.integer<std::uint64_t>()));
  return out;
}

/// What a vehicle does depends on its own samples alone, and on how far arrival time has come. So each is joined by
/// itself: the reference takes its time for all of them at once. It ends so much later than the stream.
std::map<std::string, std::vector<reference::Input>> by_vehicle(std::vector<reference::Input> inputs, Duration later) {
  std::map<std::string, std::vector<reference::Input>> out;
  Timestamp reached = 0;
  for (reference::Input& input : inputs) {
    reached = std::max(reached, input.sample ? input.sample->arrival : input.reached);
    if (input.sample) out[input.sample->key].push_back(std::move(input));
  }
  for (auto& [key, own] : out) own.push_back({std::nullopt, reached + later});
  return out;
}

}  // namespace

Expectation::Expectation(const Stage& stage, const std::vector<Acknowledged>& acknowledged,
                         const std::vector<std::uint64_t>& positions, Duration later)
    : later_{later}, contents_(stage.partitions) {
  for (Partition k = 0; k < stage.partitions; ++k) read(stage, k, positions[k]);
  stored_.acknowledged = acknowledged.size();
  for (const Acknowledged& one : acknowledged) {
    const auto& contents = contents_[one.partition];
    if (one.sequence <= contents.size() && contents[one.sequence - 1] == one.content) continue;
    ++stored_.gone;
    if (stored_.differences.size() < most_differences) {
      stored_.differences.push_back(weir::format("message {} of {} was acknowledged, and is not there", one.sequence,
                                                 stage.stream(one.partition)));
    }
  }
}

void Expectation::read(const Stage& stage, Partition partition, std::uint64_t up_to) {
  auto& contents = contents_[partition];
  std::vector<std::uint64_t> refused, holes;
  std::vector<reference::Input> inputs;
  try {
    const integration::StreamReading stream{stage.nats.nats(), stage.stream(partition), {partition, stage.partitions}};
    inputs = stream.read(
        up_to,
        [&](const integration::StreamReading::Stored& message) {
          contents.resize(message.sequence - 1);
          contents.push_back(content_of(message.subject, message.payload));
        },
        &refused, &holes);
  } catch (const std::exception& error) {
    stored_.differences.push_back(weir::format("{}: {}", stage.stream(partition), error.what()));
    return;
  }
  stored_.messages += contents.size() - holes.size();
  if (const auto deleted = stage.deleted.find(partition);
      holes.size() != (deleted == stage.deleted.end() ? 0 : deleted->second)) {
    stored_.differences.push_back(weir::format("{}: {} messages are missing, the first is {}", stage.stream(partition),
                                               holes.size(), holes.empty() ? 0 : holes.front()));
  }
  for (const std::uint64_t sequence : refused) letters_.push_back(letter(partition, sequence));
  const reference::JoinSettings settings = integration::join_settings();
  for (const auto& [key, own] : by_vehicle(std::move(inputs), later_)) {
    const reference::Joined joined = reference::window_join(own, settings);
    for (const auto& row : reference::complete(joined.rows, settings.fields, integration::columns(), false))
      rows_.push_back({.key = row.key, .time = row.tick, .word = "", .cells = cells_of(row)});
    for (const auto& event : joined.sessions) {
      const Timestamp stored = event.time / microsecond * microsecond;
      sessions_.push_back({.key = event.key, .time = stored, .word = event.event, .text = event.reason});
    }
  }
}

Verdict Expectation::check(const Stage& stage) const {
  Verdict out = stored_;
  out.rows = compare("rows", rows_, rows_of(stage), out.differences);
  out.copies = compare("copies", rows_, copies_of(stage), out.differences);
  out.sessions = compare("sessions", sessions_, sessions_of(stage), out.differences);
  out.letters = compare("dead letters", letters_, letters_of(stage), out.differences);
  return out;
}

}  // namespace weir::faults
