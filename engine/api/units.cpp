#include <weir/units.hpp>

#include <algorithm>
#include <charconv>
#include <optional>
#include <span>
#include <utility>

#include <weir/ascii.hpp>
#include <weir/spelling.hpp>

namespace weir {
namespace {

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};

constexpr Unit durations[] = {{"d", 86'400'000'000'000},
                              {"h", 3'600'000'000'000},
                              {"m", 60'000'000'000},
                              {"s", 1'000'000'000},
                              {"ms", 1'000'000},
                              {"us", 1'000},
                              {"ns", 1}};
constexpr Unit sizes[] = {{"TiB", 1ULL << 40},
                          {"GiB", 1ULL << 30},
                          {"MiB", 1ULL << 20},
                          {"KiB", 1ULL << 10},
                          {"TB", 1'000'000'000'000},
                          {"GB", 1'000'000'000},
                          {"MB", 1'000'000},
                          {"kB", 1'000},
                          {"B", 1}};

/// What people write instead.
struct Synonym {
  std::string_view written;
  std::string_view meant;
};
constexpr Synonym duration_synonyms[] = {
    {"sec", "s"},    {"secs", "s"},    {"second", "s"},       {"seconds", "s"}, {"min", "m"},  {"mins", "m"},
    {"minute", "m"}, {"minutes", "m"}, {"hr", "h"},           {"hrs", "h"},     {"hour", "h"}, {"hours", "h"},
    {"day", "d"},    {"days", "d"},    {"msec", "ms"},        {"millis", "ms"}, {"µs", "us"},  {"μs", "us"},
    {"usec", "us"},  {"micros", "us"}, {"milliseconds", "ms"}};
constexpr Synonym size_synonyms[] = {{"b", "B"},    {"byte", "B"},  {"bytes", "B"}, {"k", "kB"},    {"m", "MB"},
                                     {"g", "GB"},   {"t", "TB"},    {"kb", "kB"},   {"mb", "MB"},   {"gb", "GB"},
                                     {"tb", "TB"},  {"kib", "KiB"}, {"mib", "MiB"}, {"gib", "GiB"}, {"tib", "TiB"},
                                     {"ki", "KiB"}, {"mi", "MiB"},  {"gi", "GiB"},  {"ti", "TiB"}};

const Unit* find(std::span<const Unit> units, std::string_view name) {
  const auto unit = std::ranges::find(units, name, &Unit::name);
  return unit == units.end() ? nullptr : &*unit;
}

std::string_view meant_unit(std::span<const Unit> units, std::span<const Synonym> synonyms, std::string_view written) {
  std::string lower{written};
  std::ranges::transform(lower, lower.begin(), weir::lower);
  if (const auto synonym = std::ranges::find(synonyms, lower, &Synonym::written); synonym != synonyms.end()) {
    return synonym->meant;
  }
  const Unit* unit = find(units, lower);
  return unit == nullptr ? "" : unit->name;
}

/// The names of all units, as a list for messages.
std::string listed(std::span<const Unit> units) {
  std::string list;
  for (const Unit& unit : units) list += (list.empty() ? "" : ", ") + std::string{unit.name};
  return list;
}

/// Digits, with a point and digits behind it or without, off the front; empty if there are none.
std::string_view take_number(std::string_view& text) {
  const auto digits_from = [&](std::size_t at) {
    while (at < text.size() && is_digit(text[at])) ++at;
    return at;
  };
  std::size_t length = digits_from(0);
  if (length > 0 && length + 1 < text.size() && text[length] == '.' && is_digit(text[length + 1])) {
    length = digits_from(length + 1);
  }
  const auto number = text.substr(0, length);
  text.remove_prefix(length);
  return number;
}

/// Everything up to the next digit.
std::string_view take_name(std::string_view& text) {
  const auto name = text.substr(0, text.find_first_of("0123456789."));
  text.remove_prefix(name.size());
  return name;
}

/// number × factor if that is a whole number; nothing if it isn't, or is 2^63 or more.
std::optional<std::uint64_t> times(std::string_view number, std::uint64_t factor) {
  const auto point = std::min(number.find('.'), number.size());
  std::uint64_t part = 0;
  for (std::size_t i = number.size(); i-- > point + 1;) {
    part += static_cast<std::uint64_t>(number[i] - '0') * factor;
    if (part % 10 != 0) return {};
    part /= 10;
  }
  std::uint64_t whole = 0;
  const auto [end, error] = std::from_chars(number.data(), number.data() + point, whole);
  if (error != std::errc{} || whole > (INT64_MAX - part) / factor) return {};
  return whole * factor + part;
}

std::unexpected<std::string> wrong(std::string message) { return std::unexpected(std::move(message)); }

/// Blanks are the commonest slip of all. `parse` says whether they are the only one.
template <typename Parse>
std::optional<std::string> blank_inside(std::string_view text, const Parse& parse) {
  if (!text.contains(' ') && !text.contains('\t')) return {};
  std::string without{text};
  std::erase_if(without, [](char c) { return c == ' ' || c == '\t'; });
  if (const auto parsed = parse(without); !parsed) return parsed.error();
  return quoted(text) + ": no space between number and unit; write " + quoted(without);
}

std::string unknown_unit(std::string_view text, std::string_view name, std::span<const Unit> units,
                         std::span<const Synonym> synonyms) {
  const std::string unknown = quoted(text) + ": unknown unit " + quoted(name);
  const std::string_view meant = meant_unit(units, synonyms, name);
  if (meant.empty()) return unknown + "; units are " + listed(units);
  std::string written{text};
  written.replace(static_cast<std::size_t>(name.data() - text.data()), name.size(), meant);
  return unknown + "; write " + quoted(written);
}

}  // namespace

std::expected<Duration, std::string> parse_duration(std::string_view text) {
  if (auto blank = blank_inside(text, parse_duration)) return wrong(std::move(*blank));
  std::uint64_t total = 0;
  std::uint64_t last_factor = UINT64_MAX;
  std::string_view rest = text;
  do {
    const auto number = take_number(rest);
    if (number.empty())
      return wrong(quoted(text) + R"( is not a duration; write for example "1s", "250ms" or "1m30s")");
    const auto name = take_name(rest);
    if (name.empty()) {
      const std::string written{text};
      return wrong(quoted(text) + " has no unit; write " + quoted(written + "s") + " or " + quoted(written + "ms"));
    }
    const Unit* unit = find(durations, name);
    if (unit == nullptr) return wrong(unknown_unit(text, name, durations, duration_synonyms));
    if (unit->factor >= last_factor) {
      return wrong(quoted(text) + R"(: units must descend, each once; write them as in "1m30s")");
    }
    last_factor = unit->factor;
    const auto part = times(number, unit->factor);
    if (!part || *part > INT64_MAX - total) {
      return wrong(quoted(text) + ": durations go in steps of 1ns up to 292 years");
    }
    total += *part;
  } while (!rest.empty());
  return static_cast<Duration>(total);
}

std::expected<std::uint64_t, std::string> parse_size(std::string_view text) {
  if (auto blank = blank_inside(text, parse_size)) return wrong(std::move(*blank));
  std::string_view rest = text;
  const auto number = take_number(rest);
  if (number.empty()) return wrong(quoted(text) + R"( is not a size; write for example "64MB" or "1GiB")");
  if (rest.empty()) {
    const std::string written{text};
    return wrong(quoted(text) + " has no unit; write " + quoted(written + "MB") + " or " + quoted(written + "kB"));
  }
  const Unit* unit = find(sizes, rest);
  if (unit == nullptr) return wrong(unknown_unit(text, rest, sizes, size_synonyms));
  const auto bytes = times(number, unit->factor);
  if (!bytes) return wrong(quoted(text) + ": sizes are whole bytes below 8 EiB");
  return *bytes;
}

std::expected<double, std::string> parse_rate(std::string_view text) {
  if (auto blank = blank_inside(text, parse_rate)) return wrong(std::move(*blank));
  std::string_view rest = text;
  const auto number = take_number(rest);
  if (number.empty()) return wrong(quoted(text) + R"( is not a rate; write for example "5/s", "60/m" or "100k/s")");
  double value = 0;
  if (std::from_chars(number.data(), number.data() + number.size(), value).ec != std::errc{}) {
    return wrong(quoted(text) + " is out of range");
  }
  if (rest.starts_with('k') || rest.starts_with('M')) {
    value *= rest[0] == 'k' ? 1e3 : 1e6;
    rest.remove_prefix(1);
  }
  if (rest.empty()) return wrong(quoted(text) + " has no unit; write " + quoted(std::string{text} + "/s"));
  const std::string_view written = text.substr(0, text.size() - rest.size());
  if (rest == "Hz" || rest == "hz" || rest == "HZ") {
    return wrong(quoted(text) + ": unknown unit " + quoted(rest) + "; write " + quoted(std::string{written} + "/s"));
  }
  if (!rest.starts_with('/'))
    return wrong(quoted(text) + R"( is not a rate; write for example "5/s", "60/m" or "100k/s")");
  const Unit* unit = find(durations, rest.substr(1));
  if (unit == nullptr) return wrong(unknown_unit(text, rest.substr(1), durations, duration_synonyms));
  return value / (static_cast<double>(unit->factor) / 1e9);
}

std::string format_duration(Duration duration) {
  if (duration == 0) return "0s";
  std::string text = duration < 0 ? "-" : "";
  // Negating the least value would overflow, so the digits come from the unsigned magnitude.
  std::uint64_t rest = duration < 0 ? 0 - static_cast<std::uint64_t>(duration) : static_cast<std::uint64_t>(duration);
  for (const Unit& unit : durations) {
    if (rest < unit.factor) continue;
    text += std::to_string(rest / unit.factor);
    rest %= unit.factor;
    // From seconds downwards one unit takes all that is left as its decimals.
    if (unit.factor <= static_cast<std::uint64_t>(second) && rest > 0) {
      std::string decimals = std::to_string(unit.factor + rest).substr(1);
      text += "." + decimals.substr(0, decimals.find_last_not_of('0') + 1);
      rest = 0;
    }
    text += unit.name;
  }
  return text;
}

}  // namespace weir
