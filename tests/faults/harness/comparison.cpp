#include "faults/harness/comparison.hpp"

#include <rapidjson/document.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <map>
#include <sstream>
#include <tuple>
#include <utility>

#include <weir/format.hpp>
#include <weir/rfc3339.hpp>

#include "faults/harness/pasts.hpp"
#include "integration/fleet_job.hpp"
#include "integration/stream_reading.hpp"
#include "reference/completion.hpp"

namespace weir::faults {
namespace {

constexpr std::size_t most_differences = 12;
constexpr Duration publish_ahead = 5 * second;  // as keyed-last-value does by default
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
  Table(const fakes::PostgresServer& database, const std::string& sql) : text_{database.ask(sql)} {}

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
std::vector<Line> lines_of(const fakes::PostgresServer& database, const std::string& sql, Rest rest) {
  Table table{database, sql};
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

std::vector<Line> rows_of(const fakes::PostgresServer& database) {
  return lines_of(database,
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
      *stage.database,
      "SELECT key, (extract(epoch FROM time) * 1000000)::bigint * 1000, xmin::text, event, reason FROM session",
      [](Table& table, Line& line) {
        line.word = table.word();
        line.text = table.word();
      });
}

std::string hexadecimal(std::string_view bytes) {
  std::string out;
  for (const char byte : bytes) out += weir::format("{:02x}", static_cast<unsigned char>(byte));
  return out;
}

/// One of a message; `rest` is all else that it must say.
Line letter(Partition partition, std::uint64_t position, std::string rest) {
  return {.key = weir::format("partition-{}", partition),
          .time = static_cast<Timestamp>(position),
          .word = "letter",
          .text = std::move(rest)};
}

/// Those of all databases: a pipeline keeps them with its last transactional sink.
std::vector<Line> letters_of(const Stage& stage) {
  std::vector<Line> out;
  for (const auto* database : stage.databases()) {
    Table table{*database,
                "SELECT partition, position, concat_ws('/', arrival_ns, subject, encode(convert_to(reason, 'UTF8'), "
                "'hex'), encode(payload, 'hex')) FROM weir_dead_letters"};
    for (std::string partition; table.next(partition);) {
      const auto position = table.integer<std::uint64_t>();
      out.push_back(letter(static_cast<Partition>(std::stoul(partition)), position, table.word()));
    }
  }
  return out;
}

std::uint64_t count_samples(const std::vector<reference::Input>& inputs) {
  return static_cast<std::uint64_t>(
      std::ranges::count_if(inputs, [](const auto& input) { return input.sample.has_value(); }));
}

/// Without the samples that say again what the newest one of their key and field said.
std::vector<reference::Input> without_repeats(std::vector<reference::Input> inputs) {
  std::map<std::pair<std::string, std::string>, reference::Sample> newest;
  for (reference::Input& input : inputs) {
    if (!input.sample) continue;
    const reference::Sample& sample = *input.sample;
    const auto [known, first] = newest.try_emplace({sample.key, sample.field}, sample);
    const auto said = [](const reference::Sample& one) {
      return std::tie(one.time, one.value.x, one.value.y, one.value.z, one.value.text);
    };
    if (!first && said(known->second) == said(sample)) {
      input.reached = sample.arrival;
      input.sample.reset();
    } else if (sample.time >= known->second.time) {
      known->second = sample;
    }
  }
  return inputs;
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
    : later_{later}, contents_(stage.partitions), consumed_(stage.partitions) {
  for (Partition k = 0; k < stage.partitions; ++k) read(stage, k, positions[k]);
  stored_.acknowledged = acknowledged.size();
  for (const Acknowledged& one : acknowledged) {
    const auto& contents = contents_[one.partition];
    if (one.sequence <= contents.size() && contents[one.sequence - 1] == one.content) continue;
    ++stored_.gone;
    if (stored_.differences.size() < most_differences) {
      stored_.differences.push_back(
          weir::format("message {} of {} was acknowledged, and {}", one.sequence, stage.stream(one.partition),
                       one.sequence <= contents.size() ? "another is in its place" : "is not there"));
    }
  }
}

void Expectation::read(const Stage& stage, Partition partition, std::uint64_t up_to) {
  auto& contents = contents_[partition];
  std::vector<integration::StreamReading::Refused> refused;
  std::vector<std::uint64_t> holes;
  std::vector<reference::Input> inputs;
  try {
    const integration::StreamReading stream{stage.nats.nats(), stage.stream(partition), {partition, stage.partitions}};
    inputs = stream.read(
        up_to,
        [&](const integration::StreamReading::Stored& message) {
          if (message.subject.ends_with(".telemetry")) ++balance_.messages;
          contents.resize(message.sequence - 1);
          contents.push_back(content_of(message.subject, message.payload));
        },
        &refused, &holes);
  } catch (const std::exception& error) {
    stored_.differences.push_back(weir::format("{}: {}", stage.stream(partition), error.what()));
    return;
  }
  consumed_[partition] = contents.size() - holes.size();
  stored_.messages += consumed_[partition];
  if (const auto deleted = stage.deleted.find(partition);
      holes.size() != (deleted == stage.deleted.end() ? 0 : deleted->second)) {
    stored_.differences.push_back(weir::format("{}: {} messages are missing, the first is {}", stage.stream(partition),
                                               holes.size(), holes.empty() ? 0 : holes.front()));
  }
  for (const auto& one : refused) {
    letters_.push_back(letter(
        partition, one.sequence,
        weir::format("{}/{}/{}/{}", one.arrival, one.subject, hexadecimal(one.reason), hexadecimal(one.payload))));
  }
  const std::uint64_t samples = count_samples(inputs);
  inputs = without_repeats(std::move(inputs));
  balance_.samples += samples;
  balance_.repeats += samples - count_samples(inputs);
  for (const reference::Input& input : inputs) {
    if (!input.sample || input.sample->field != current_field || input.sample->time > input.reached + publish_ahead)
      continue;
    Timestamp& newest = current_[input.sample->key];
    newest = std::max(newest, input.sample->time);
  }
  const reference::JoinSettings settings = integration::join_settings();
  for (const auto& [key, own] : by_vehicle(std::move(inputs), later_)) {
    const reference::Joined joined = reference::window_join(own, settings);
    balance_.late += joined.late.size();
    for (const auto& row : reference::complete(joined.rows, settings.fields, integration::columns(), false))
      rows_.push_back({.key = row.key, .time = row.tick, .word = "", .cells = cells_of(row)});
    for (const auto& event : joined.sessions) {
      const Timestamp stored = event.time / microsecond * microsecond;
      sessions_.push_back({.key = event.key, .time = stored, .word = event.event, .text = event.reason});
    }
  }
}

/// What all workers counted from their starts to their ends.
void Expectation::check_counts(const Stage& stage, Verdict& out) const {
  std::map<std::string, std::uint64_t, std::less<>> counted;
  for (const auto& worker : stage.workers) {
    std::istringstream lines{worker->process->log()};
    for (std::string time, level, name, rest; lines >> time >> level >> name && std::getline(lines, rest);) {
      // On a busy machine a lane may be lost, and read again.
      if (level == "warn" && !rest.contains("dead letter: ")) return;
      const std::size_t number = rest.find_last_not_of("0123456789") + 1;
      if (level == "info" && number < rest.size())
        counted[name.substr(0, name.find('{'))] += std::stoull(rest.substr(number));
    }
  }
  out.balanced = true;
  const std::array counts{std::pair{"signals.messages", balance_.messages},
                          std::pair{"signals.samples", balance_.samples},
                          std::pair{"signals.invalid", std::uint64_t{letters_.size()}},
                          std::pair{"last.repeats", balance_.repeats},
                          std::pair{"rows.late", balance_.late},
                          std::pair{"db.rows", std::uint64_t{rows_.size()}},
                          std::pair{"copies.rows", std::uint64_t{rows_.size()}},
                          std::pair{"trips.rows", std::uint64_t{sessions_.size()}}};
  for (const auto& [counter, wanted] : counts) {
    if (counted[counter] == wanted) continue;
    ++out.unbalanced;
    out.differences.push_back(weir::format("workers counted {} {}, there were {}", counted[counter], counter, wanted));
  }
}

/// What went in is what was counted: each message and marker up to the position once, whether it made rows or a dead
/// letter, was late, or was read again and again without output.
void Expectation::check_balance(const Stage& stage, Verdict& out) const {
  for (const Kept& kept : all_kept(stage)) {
    if (kept.consumed == consumed_[kept.partition]) continue;
    ++out.unbalanced;
    out.differences.push_back(weir::format("partition {}: sink {} counted {} messages, {} are there", kept.partition,
                                           kept.sink, kept.consumed, consumed_[kept.partition]));
  }
}

/// A commit waits until the bucket has what it covers, so no value is older than the newest sample up to there.
void Expectation::check_current(const Stage& stage, Verdict& out) const {
  std::map<std::string, Timestamp> found;
  const std::string before = weir::format("$KV.{}.", current_name), behind = weir::format(".{}", current_field);
  const integration::StreamReading bucket{stage.nats.nats(), weir::format("KV_{}", current_name)};
  bucket.read_rest([&](const integration::StreamReading::Stored& value) {
    if (!value.subject.starts_with(before) || !value.subject.ends_with(behind)) return;
    rapidjson::Document parsed;
    parsed.Parse(value.payload.data(), value.payload.size());
    const std::size_t length = value.subject.size() - before.size() - behind.size();
    found[std::string{value.subject.substr(before.size(), length)}] = parsed["time"].GetInt64();
  });
  for (const auto& [key, newest] : current_) {
    const auto there = found.find(key);
    if (there != found.end() && there->second >= newest) continue;
    ++out.outdated;
    if (out.differences.size() < most_differences)
      out.differences.push_back(
          weir::format("current value of {}: of {}, not of {}", key, there == found.end() ? 0 : there->second, newest));
  }
}

Verdict Expectation::check(const Stage& stage, bool orderly) const {
  Verdict out = stored_;
  out.rows = compare("rows", rows_, rows_of(*stage.database), out.differences);
  if (stage.second) out.twins = compare("twins", rows_, rows_of(*stage.second), out.differences);
  out.copies = compare("copies", rows_, copies_of(stage), out.differences);
  out.sessions = compare("sessions", sessions_, sessions_of(stage), out.differences);
  out.letters = compare("dead letters", letters_, letters_of(stage), out.differences);
  check_balance(stage, out);
  if (orderly) check_counts(stage, out);
  check_current(stage, out);
  return out;
}

}  // namespace weir::faults
