/// weir info: what is in a recording.
#include <algorithm>
#include <array>
#include <iostream>
#include <map>
#include <memory>
#include <set>
#include <utility>

#include <weir/format.hpp>
#include <weir/rfc3339.hpp>
#include <weir/spelling.hpp>
#include <weir/units.hpp>
#include "recording/recording.hpp"

#include "cli/amounts.hpp"
#include "cli/command.hpp"
#include "console/json_writer.hpp"

namespace weir::cli {
namespace {

constexpr std::size_t spark_columns = 60;
constexpr std::size_t most_gaps = 10;
constexpr std::array<std::string_view, 8> bars{"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};

/// Messages that are missing, or could not be read.
struct Gap {
  Partition partition = 0;
  Position first = 0, last = 0;
};

/// All that the blocks tell together.
struct Sum {
  std::map<Partition, Position> last;  // of each partition
  std::uint64_t messages = 0, markers = 0, samples = 0, payload_bytes = 0, bytes = 0;
  std::map<std::string, std::uint64_t> fields;
  std::set<std::uint32_t> keys;
  Timestamp earliest = end_of_time, latest = no_time;
  Timestamp begin = end_of_time, end = no_time;         // arrival
  std::array<std::uint64_t, spark_columns> activity{};  // messages between them, without markers
  std::vector<Gap> gaps;                                // the first ones
  std::uint64_t all_gaps = 0, missing = 0;
  std::vector<std::string> damages;

  void add(const recording::Block& block) {
    messages += block.messages - block.markers;
    markers += block.markers;
    samples += block.samples;
    payload_bytes += block.payload_bytes;
    bytes += block.bytes;
    for (const auto& [field, count] : block.fields) fields[field] += count;
    if (block.samples == 0) return;
    earliest = std::min(earliest, block.earliest);
    latest = std::max(latest, block.latest);
  }

  void add(Partition partition, const Messages& all) {
    for (const Message& message : all.items) {
      const auto [before, first] = last.try_emplace(partition, message.sequence);
      if (!first && message.sequence > before->second + 1)
        add_gap({partition, before->second + 1, message.sequence - 1});
      before->second = message.sequence;
      if (!message.marker) ++activity.at(column_of(message.arrival));
    }
  }

 private:
  void add_gap(const Gap& gap) {
    if (gaps.size() < most_gaps) gaps.push_back(gap);
    ++all_gaps;
    missing += gap.last - gap.first + 1;
  }
  std::size_t column_of(Timestamp arrival) const {
    const double share = (static_cast<double>(arrival) - static_cast<double>(begin)) /
                         (static_cast<double>(end) - static_cast<double>(begin) + 1);
    return static_cast<std::size_t>(std::clamp(share * spark_columns, 0.0, spark_columns - 1.0));
  }
};

std::string sparkline(const Sum& sum) {
  const std::uint64_t most = std::max<std::uint64_t>(1, *std::ranges::max_element(sum.activity));
  std::string out;
  for (const std::uint64_t count : sum.activity)
    out += count == 0 ? std::string_view{" "} : bars[(count * bars.size() - 1) / most];
  return out;
}

Result<Sum> sum_of(const recording::Reader& file) {
  Sum out;
  for (const recording::Block& block : file.blocks()) out.end = std::max(out.end, block.reached);
  for (const auto& [partition, reached] : file.reached()) out.end = std::max(out.end, reached.arrival);
  std::set<Partition> begun;
  for (const recording::Block& block : file.blocks()) {
    auto messages = file.read(block);
    if (!messages && messages.error().kind != Error::Kind::changed) return std::unexpected(messages.error());
    if (!messages) {
      out.damages.push_back(messages.error().message);
      continue;
    }
    // The first ones of all partitions stand near the beginning: what comes later hardly moves it.
    if (begun.insert(block.partition).second && !(*messages)->items.empty())
      out.begin = std::min(out.begin, (*messages)->items.front().arrival);
    out.add(block);
    out.add(block.partition, **messages);
    const auto keys = file.keys(block);
    if (!keys) return std::unexpected(keys.error());
    out.keys.insert(keys->begin(), keys->end());
  }
  if (file.cut()) {
    out.damages.push_back(weir::format(
        "the last commit, {} bytes, is not whole, and doesn't count: a power cut, or a disk", file.unfinished()));
  }
  for (const recording::Damage& damage : file.damages())
    out.damages.push_back(
        weir::format("bytes {} to {} are damaged: the messages there are lost", damage.from, damage.to));
  return out;
}

void print(const std::string& path, const recording::Reader& file, const Sum& sum) {
  const auto line = [](std::string_view name, const std::string& text) {
    std::cout << weir::format("{:<12}{}\n", name, text);
  };
  const recording::Beginning& beginning = file.beginning();
  // What stands in the file may be anybody's.
  line("recording", weir::format("{}, by {} of {}, {}", path, printable(beginning.node), printable(beginning.pipeline),
                                 printable(beginning.made_by)));
  if (!beginning.selection.empty()) line("records", printable(beginning.selection));
  if (file.unfinished() != 0 && !file.cut())
    line("unfinished", shown_bytes(file.unfinished()) + " at the end: being written, or of a crash; they don't count");
  if (sum.messages + sum.markers == 0) return line("messages", "none");
  const double seconds = (static_cast<double>(sum.end) - static_cast<double>(sum.begin)) / 1e9;
  const auto rate = [&](std::uint64_t count) {
    return seconds > 0 ? weir::format(", {:.1f}/s", static_cast<double>(count) / seconds) : std::string{};
  };
  line("arrival", weir::format("{} to {}, {}", format_rfc3339(sum.begin), format_rfc3339(sum.end),
                               format_duration(static_cast<Duration>(seconds * 1e3) * millisecond)));
  line("messages", weir::format("{} of {} partition{}{}, and {} markers", grouped(sum.messages), sum.last.size(),
                                sum.last.size() == 1 ? "" : "s", rate(sum.messages), grouped(sum.markers)));
  line("bytes", weir::format("{} of payload, {} in the file", shown_bytes(sum.payload_bytes), shown_bytes(sum.bytes)));
  line("samples", weir::format("{} of {} vehicle{}{}", grouped(sum.samples), grouped(sum.keys.size()),
                               sum.keys.size() == 1 ? "" : "s", rate(sum.samples)));
  if (sum.samples != 0)
    line("measured", weir::format("{} to {}", format_rfc3339(sum.earliest), format_rfc3339(sum.latest)));
  bool first = true;
  for (const auto& [field, count] : sum.fields)
    line(std::exchange(first, false) ? "fields" : "", weir::format("{:<20} {:>14}", printable(field), grouped(count)));
  line("activity", sparkline(sum));
  if (!beginning.selection.empty()) {
    if (sum.missing != 0)
      line("left out",
           weir::format("{} messages between these, by the selection if they ever were there", grouped(sum.missing)));
    return;
  }
  for (const Gap& gap : sum.gaps)
    line(&gap == &sum.gaps.front() ? "gaps" : "",
         weir::format("partition {}: messages {} to {} are not there", gap.partition, gap.first, gap.last));
  if (sum.all_gaps > sum.gaps.size())
    line("", weir::format("and {} more; {} messages in all", sum.all_gaps - sum.gaps.size(), grouped(sum.missing)));
}

/// The same as an object; instants as texts, and none that is not known.
void write_gaps(const Sum& sum, JsonWriter& out) {
  out.number("missing", sum.missing);
  out.number("gaps", sum.all_gaps);
  out.key("first_gaps").array([&] {
    for (const Gap& gap : sum.gaps) {
      out.object([&] {
        out.number("partition", gap.partition);
        out.number("first", gap.first);
        out.number("last", gap.last);
      });
    }
  });
}

void write(const std::string& path, const recording::Reader& file, const Sum& sum, JsonWriter& out) {
  const recording::Beginning& beginning = file.beginning();
  out.text("recording", path);
  out.text("node", beginning.node);
  out.text("pipeline", beginning.pipeline);
  out.text("made_by", beginning.made_by);
  out.time("made_at", beginning.made_at);
  out.text("selection", beginning.selection);
  if (sum.messages + sum.markers != 0) {
    out.time("begin", sum.begin);
    out.time("end", sum.end);
  }
  out.number("messages", sum.messages);
  out.number("markers", sum.markers);
  out.number("partitions", sum.last.size());
  out.number("payload_bytes", sum.payload_bytes);
  out.number("file_bytes", sum.bytes);
  out.number("unfinished_bytes", file.unfinished());
  out.number("vehicles", sum.keys.size());
  out.number("samples", sum.samples);
  if (sum.samples != 0) {
    out.time("earliest", sum.earliest);
    out.time("latest", sum.latest);
  }
  out.key("fields").object([&] {
    for (const auto& [field, count] : sum.fields) out.number(field, count);
  });
  if (beginning.selection.empty()) {
    write_gaps(sum, out);
  } else {
    out.number("left_out", sum.missing);
  }
  out.key("damages").array([&] {
    for (const std::string& damage : sum.damages) out.text(damage);
  });
}

void print_json(const std::string& path, const recording::Reader& file, const Sum& sum) {
  JsonWriter out;
  out.object([&] { write(path, file, sum, out); });
  std::cout << out.result() << '\n';
}

;

int info(const std::string& path, const std::string& format) {
  const auto file = recording::Reader::open(path);
  const auto sum = file ? sum_of(*file) : Result<Sum>{std::unexpected(file.error())};
  if (!sum) {
    std::cerr << "weir info: " << sum.error().message << "\n";
    return exit_of_file(sum.error());
  }
  if (format == "json")
    print_json(path, *file, *sum);
  else
    print(path, *file, *sum);
  for (const std::string& damage : sum->damages) std::cerr << "weir info: " << damage << "\n";
  return sum->damages.empty() ? fine : findings;
}

}  // namespace

void add_info(Arguments& program, Session& session) {
  auto path = std::make_shared<std::string>();
  auto format = std::make_shared<std::string>("text");
  auto command = program.command("info", "tells what is in a recording, and whether all of it can be read");
  command.needs("recording", *path, "file that the sink `recording` or weir record has written");
  command.choice("--format", *format, {"text", "json"}, "JSON: one object");
  command.does([path, format, &session] { session.exit = info(*path, *format); });
}

}  // namespace weir::cli
