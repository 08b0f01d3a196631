#include <chrono>

#include <weir/spelling.hpp>

#include "expression/block.hpp"

namespace weir::expression {
namespace {

using std::chrono::days, std::chrono::sys_days, std::chrono::year_month_day;

constexpr Duration one_hour = 60 * minute, one_day = 24 * one_hour;
constexpr Type instant = Type::timestamp;

/// What an instant lies in, and what it says of it. All in UTC.
enum class Part : std::int64_t {
  microsecond,
  millisecond,
  second,
  minute,
  hour,
  day,
  week,
  month,
  quarter,
  year,
  epoch,
  dow,
  isodow,
  doy,
};
constexpr std::array<std::string_view, 14> part_names{"microsecond", "millisecond", "second", "minute",  "hour",
                                                      "day",         "week",        "month",  "quarter", "year",
                                                      "epoch",       "dow",         "isodow", "doy"};
constexpr std::array<Duration, 6> lengths{microsecond, millisecond, second, minute, one_hour, one_day};

/// The length of time from a multiple of `length` to the instant.
constexpr Duration behind(Timestamp time, Duration length) {
  const Duration rest = time % length;
  return rest < 0 ? rest + length : rest;
}
std::int64_t day_of(Timestamp time) { return time / one_day - (time % one_day < 0 ? 1 : 0); }
year_month_day date_of(Timestamp time) { return sys_days{days{day_of(time)}}; }
std::int64_t days_of(year_month_day date) { return sys_days{date}.time_since_epoch().count(); }
unsigned month_of(year_month_day date) { return static_cast<unsigned>(date.month()); }
/// Monday is 0; the first of 1970 was a Thursday.
std::int64_t weekday(std::int64_t number) { return ((number + 3) % 7 + 7) % 7; }

/// The day that a week, month, quarter or year begins with.
std::int64_t first_day(Part part, Timestamp time) {
  if (part == Part::week) return day_of(time) - weekday(day_of(time));
  const auto date = date_of(time);
  unsigned month = month_of(date);
  if (part == Part::year) month = 1;
  if (part == Part::quarter) month -= (month - 1) % 3;
  return days_of(date.year() / std::chrono::month{month} / 1);
}

/// ISO 8601: the first week of a year is the one with its first Thursday.
std::int64_t week_of(Timestamp time) {
  const std::int64_t thursday = day_of(time) - weekday(day_of(time)) + 3;
  const year_month_day date{sys_days{days{thursday}}};
  return (thursday - days_of(date.year() / 1 / 1)) / 7 + 1;
}

std::int64_t part_of_time(Part part, Timestamp time) {
  const auto date = date_of(time);
  switch (part) {
    case Part::microsecond:
      return behind(time, minute) / microsecond;
    case Part::millisecond:
      return behind(time, minute) / millisecond;
    case Part::minute:
      return behind(time, one_hour) / minute;
    case Part::hour:
      return behind(time, one_day) / one_hour;
    case Part::day:
      return static_cast<unsigned>(date.day());
    case Part::week:
      return week_of(time);
    case Part::month:
      return month_of(date);
    case Part::quarter:
      return (month_of(date) + 2) / 3;
    case Part::year:
      return static_cast<int>(date.year());
    case Part::dow:
      return (weekday(day_of(time)) + 1) % 7;
    case Part::isodow:
      return weekday(day_of(time)) + 1;
    case Part::doy:
      return day_of(time) - days_of(date.year() / 1 / 1) + 1;
    case Part::second:
    case Part::epoch:
      break;  // with decimals
  }
  return 0;
}

std::optional<std::pair<std::size_t, std::string>> find_part(Node& n, std::size_t parts) {
  std::vector<std::string> known;
  for (const auto name : std::span{part_names}.first(parts)) known.emplace_back(name);
  const auto found = std::ranges::find(known, n.args[0].text);
  n.integer = found - known.begin();
  if (found != known.end()) return {};
  const std::string near = did_you_mean(n.args[0].text, known);
  return {{0, weir::format("{} is no part of a time; {}", quoted(n.args[0].text),
                           near.empty() ? "there are " + listed(known) : near)}};
}
std::optional<std::pair<std::size_t, std::string>> find_length(Node& n) { return find_part(n, 10); }
std::optional<std::pair<std::size_t, std::string>> find_extracted(Node& n) {
  auto problem = find_part(n, part_names.size());
  const Part part{n.integer};
  n.type = part == Part::second || part == Part::epoch ? Type::float64 : Type::int64;
  return problem;
}

Values date_trunc(Block& block, const Node& n) {
  const Part part{n.integer};
  const auto truncated = [=](std::int64_t time) {
    std::int64_t out = 0;
    const bool fixed = part <= Part::day;
    const bool lost =
        fixed ? __builtin_sub_overflow(time, behind(time, lengths.at(static_cast<std::size_t>(n.integer))), &out)
              : __builtin_mul_overflow(first_day(part, time), one_day, &out);
    return Maybe{out, !lost};
  };
  return block.map<std::int64_t>(n.type, truncated, block.values(n.args[1]));
}

Values extract(Block& block, const Node& n) {
  const Values of = block.values(n.args[1]);
  const Part part{n.integer};
  if (part == Part::second)
    return block.map<std::int64_t>(n.type, [](std::int64_t time) { return seconds(behind(time, minute)); }, of);
  if (part == Part::epoch) return block.map<std::int64_t>(n.type, [](std::int64_t time) { return seconds(time); }, of);
  return block.map<std::int64_t>(n.type, [=](std::int64_t time) { return part_of_time(part, time); }, of);
}

constexpr std::array<Takes, 3> part_and_time{Takes::constant, Takes::instant, Takes::instant};

constexpr auto time_table = std::to_array<Form>({
    {"date_trunc", function, 2, 2, part_and_time, instant, date_trunc, "'hour', time",
     "when the microsecond, millisecond, second, minute, hour, day, week, month, quarter or year began, in UTC",
     find_length},
    {"extract",
     function,
     2,
     2,
     part_and_time,
     {},
     extract,
     "hour from time",
     "microsecond, millisecond, second, minute, hour, day, week, month, quarter, year, dow (Sunday is 0), isodow "
     "(Monday is 1), doy, or epoch (seconds since 1970), in UTC",
     find_extracted},
});

}  // namespace

std::span<const Form> time_forms() { return time_table; }

}  // namespace weir::expression
