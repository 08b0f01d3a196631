#include "codecs/json/scalars.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>

#include <weir/format.hpp>
#include <weir/rfc3339.hpp>

namespace weir::json {

namespace {

/// Of a number that no type can hold: whether it is too small, by the power of ten of its first digit that counts.
bool is_tiny(std::string_view text) {
  const auto mark = std::min(text.find_first_of("eE"), text.size());
  const auto digits = text.substr(0, mark);
  const auto point = static_cast<std::int64_t>(std::min(digits.find('.'), digits.size()));
  const auto first = static_cast<std::int64_t>(digits.find_first_of("123456789"));
  const std::int64_t power = first < point ? point - first - 1 : point - first;
  auto written = text.substr(std::min(mark + 1, text.size()));
  const bool negative = written.starts_with('-');
  if (written.starts_with('+')) written.remove_prefix(1);
  std::int64_t exponent = 0;
  const auto [at, error] = std::from_chars(written.data(), written.data() + written.size(), exponent);
  return error == std::errc::result_out_of_range ? negative : exponent < -power;
}

}  // namespace

std::expected<double, Reason> number(std::string_view text) {
  double result = 0;
  const char* const end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, result);
  if (error == std::errc::result_out_of_range) {
    if (is_tiny(text)) return 0;
    return std::unexpected(Reason{"number_out_of_range", std::string{text.substr(0, 64)}});
  }
  if (error != std::errc{} || at != end) return std::unexpected(Reason{"not_a_number"});
  return result;
}

bool is_decimal(std::string_view text) {
  // from_chars also takes "inf" and "nan".
  if (text.empty() || text.find_first_not_of("-.0123456789eE") != std::string_view::npos) return false;
  double unused = 0;
  const char* const end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, unused);
  return at == end && error != std::errc::invalid_argument;
}

Duration unit_of(std::string_view name) {
  if (name == "s") return second;
  if (name == "ms") return millisecond;
  if (name == "us") return microsecond;
  return name == "ns" ? 1 : 0;
}

std::optional<Timestamp> scaled(std::string_view text, Duration unit) {
  const char* const end = text.data() + text.size();
  if (text.find_first_of("eE") != std::string_view::npos) {
    double value = 0;
    const auto [at, error] = std::from_chars(text.data(), end, value);
    value *= static_cast<double>(unit);
    if (error != std::errc{} || at != end || !(std::abs(value) < 9.2e18)) return {};  // no_time is beyond that
    return static_cast<Timestamp>(value);
  }
  std::int64_t whole = 0;
  Timestamp time = 0;
  auto [at, error] = std::from_chars(text.data(), end, whole);
  if (error != std::errc{} || __builtin_mul_overflow(whole, unit, &time)) return {};
  if (at == end && time == no_time) return {};
  if (at == end) return time;
  if (*at != '.') return {};
  std::int64_t fraction = 0;
  for (++at; at != end; ++at) {
    if (*at < '0' || *at > '9') return {};
    unit /= 10;
    fraction += (*at - '0') * unit;
  }
  const bool negative = text.front() == '-';
  if (__builtin_add_overflow(time, negative ? -fraction : fraction, &time) || time == no_time) return {};
  return time;
}

std::string time_text(Timestamp time, Duration unit) {
  if (unit == 0) return '"' + format_rfc3339(time) + '"';
  std::string text = std::to_string(time / unit);
  if (time % unit == 0) return text;
  if (time < 0 && time / unit == 0) text.insert(0, "-");
  std::string fraction = std::to_string(unit + std::abs(time % unit));
  fraction.front() = '.';
  fraction.erase(fraction.find_last_not_of('0') + 1);
  return text + fraction;
}

std::string time_advice(std::string_view text) {
  constexpr Timestamp millennium = 946'684'800 * second;
  for (const std::string_view unit : {"s", "ms", "us", "ns"}) {
    if (const auto time = scaled(text, unit_of(unit)); time && *time > millennium)
      return weir::format("; with \"time_unit\": \"{}\" it would be {}", unit, format_rfc3339(*time));
  }
  constexpr std::size_t date = 10;  // bytes of 2026-01-01
  std::string better{text};
  if (text.size() > date && text[date] == ' ') better[date] = 'T';
  for (const std::string_view rest : {"Z", "T00:00:00Z"}) {
    if (const std::string whole = better + std::string{rest}; parse_rfc3339(whole))
      return weir::format("; write {} if it is UTC", whole);
  }
  return {};
}

}  // namespace weir::json
