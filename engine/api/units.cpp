#include <weir/units.hpp>

#include <array>
#include <charconv>
#include <cmath>
#include <utility>

namespace weir {
namespace {

struct Unit {
  std::string_view name;
  double factor;
};

constexpr std::array<Unit, 7> durations{{{"d", 86'400e9}, {"h", 3'600e9}, {"m", 60e9}, {"s", 1e9}, {"ms", 1e6}, {"us", 1e3}, {"ns", 1}}};
constexpr std::array<Unit, 9> sizes{{{"TiB", 1099511627776.0}, {"GiB", 1073741824.0}, {"MiB", 1048576.0}, {"KiB", 1024.0}, {"TB", 1e12},
                                     {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"B", 1}}};

std::string in_quotes(std::string_view text) { return "\"" + std::string{text} + "\""; }

/// Takes a decimal number off the front; nothing if there is none.
std::expected<double, std::string> take_number(std::string_view& text) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
  if (error != std::errc{}) return std::unexpected(in_quotes(text) + " does not begin with a number");
  if (number < 0) return std::unexpected(in_quotes(text) + " is negative");
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return number;
}

std::string without_blanks(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c != ' ' && c != '\t') out += c;
  }
  return out;
}

/// Takes the letters off the front.
std::string_view take_letters(std::string_view& text) {
  std::size_t length = 0;
  while (length < text.size() && ((text[length] >= 'a' && text[length] <= 'z') || (text[length] >= 'A' && text[length] <= 'Z'))) ++length;
  const auto letters = text.substr(0, length);
  text.remove_prefix(length);
  return letters;
}

template <std::size_t n>
const Unit* find(const std::array<Unit, n>& units, std::string_view name) {
  for (const Unit& unit : units) {
    if (unit.name == name) return &unit;
  }
  return nullptr;
}

std::unexpected<std::string> blank_inside(std::string_view text) {
  return std::unexpected(in_quotes(text) + ": no space between number and unit; write " + in_quotes(without_blanks(text)));
}

}  // namespace

std::expected<Duration, std::string> parse_duration(std::string_view text) {
  if (text.contains(' ')) return blank_inside(text);
  double total = 0;
  double last_factor = HUGE_VAL;
  std::string_view rest = text;
  do {
    auto number = take_number(rest);
    if (!number) return std::unexpected(in_quotes(text) + R"( is not a duration; write for example "1s", "250ms" or "1m30s")");
    const auto name = take_letters(rest);
    if (name.empty()) return std::unexpected(in_quotes(text) + " has no unit; write " + in_quotes(std::string{text} + "s") + " or " + in_quotes(std::string{text} + "ms"));
    const Unit* unit = find(durations, name);
    if (unit == nullptr) return std::unexpected(in_quotes(text) + ": unknown unit " + in_quotes(name) + "; units are ns, us, ms, s, m, h, d");
    if (unit->factor >= last_factor) return std::unexpected(in_quotes(text) + ": units must descend, each once, as in \"1m30s\"");
    last_factor = unit->factor;
    total += *number * unit->factor;
  } while (!rest.empty());
  if (total > 9e18) return std::unexpected(in_quotes(text) + " is longer than 285 years");
  return static_cast<Duration>(std::llround(total));
}

std::expected<std::uint64_t, std::string> parse_size(std::string_view text) {
  if (text.contains(' ')) return blank_inside(text);
  std::string_view rest = text;
  auto number = take_number(rest);
  if (!number) return std::unexpected(in_quotes(text) + R"( is not a size; write for example "64MB" or "1GiB")");
  const Unit* unit = rest.empty() ? &sizes.back() : find(sizes, rest);
  if (unit == nullptr) return std::unexpected(in_quotes(text) + ": unknown unit " + in_quotes(rest) + "; units are B, kB, MB, GB, TB, KiB, MiB, GiB, TiB");
  const double bytes = *number * unit->factor;
  if (bytes > 9e18) return std::unexpected(in_quotes(text) + " is too large");
  return static_cast<std::uint64_t>(std::llround(bytes));
}

std::expected<double, std::string> parse_rate(std::string_view text) {
  if (text.contains(' ')) return blank_inside(text);
  const std::string wrong = in_quotes(text) + R"( is not a rate; write for example "5/s", "60/m" or "100k/s")";
  std::string_view rest = text;
  auto number = take_number(rest);
  if (!number) return std::unexpected(wrong);
  double factor = 1;
  if (rest.starts_with('k')) factor = 1e3;
  if (rest.starts_with('M')) factor = 1e6;
  if (factor != 1) rest.remove_prefix(1);
  if (!rest.starts_with('/')) return std::unexpected(wrong);
  const Unit* unit = find(durations, rest.substr(1));
  if (unit == nullptr) return std::unexpected(wrong);
  return *number * factor / (unit->factor / 1e9);
}

std::string format_duration(Duration duration) {
  if (duration == 0) return "0s";
  std::string out = duration < 0 ? "-" : "";
  // Negating the least value would overflow, so the digits come from the unsigned magnitude.
  std::uint64_t rest = duration < 0 ? 0 - static_cast<std::uint64_t>(duration) : static_cast<std::uint64_t>(duration);
  for (const Unit& unit : durations) {
    const auto factor = static_cast<std::uint64_t>(unit.factor);
    if (rest >= factor) out += std::to_string(rest / factor) + std::string{unit.name};
    rest %= factor;
  }
  return out;
}

}  // namespace weir
