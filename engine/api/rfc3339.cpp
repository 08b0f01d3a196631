#include <weir/rfc3339.hpp>

#include <chrono>
#include <cstdio>

namespace weir {
namespace {

constexpr std::int64_t day = 24 * 60 * minute;

/// Reads digits from the front of a text; after a mistake `ok` stays false.
struct Cursor {
  std::string_view rest;
  bool ok = true;

  std::int64_t digits(std::size_t count) {
    std::int64_t value = 0;
    ok = ok && rest.size() >= count;
    for (std::size_t i = 0; ok && i < count; ++i) {
      ok = rest[i] >= '0' && rest[i] <= '9';
      value = value * 10 + (rest[i] - '0');
    }
    if (ok) rest.remove_prefix(count);
    return ok ? value : 0;
  }
  bool skip(std::string_view any_of) {
    if (rest.empty() || any_of.find(rest.front()) == std::string_view::npos) return false;
    rest.remove_prefix(1);
    return true;
  }
  void expect(std::string_view any_of) { ok = skip(any_of) && ok; }
};

std::int64_t decimals(Cursor& in) {
  if (!in.skip(".")) return 0;
  std::int64_t value = 0;
  std::int64_t unit = second;
  in.ok = in.ok && !in.rest.empty() && in.rest.front() >= '0' && in.rest.front() <= '9';
  while (in.ok && !in.rest.empty() && in.rest.front() >= '0' && in.rest.front() <= '9') {
    unit /= 10;
    value += in.digits(1) * unit;
    in.ok = unit != 0;
  }
  return value;
}

/// Distance of the local time from UTC.
Duration offset(Cursor& in) {
  if (in.skip("Zz")) return 0;
  const bool west = !in.rest.empty() && in.rest.front() == '-';
  in.expect("+-");
  const auto hours = in.digits(2);
  in.expect(":");
  const auto minutes = in.digits(2);
  in.ok = in.ok && hours < 24 && minutes < 60;
  const Duration length = (hours * 60 + minutes) * minute;
  return west ? -length : length;
}

}  // namespace

std::string format_rfc3339(Timestamp time) {
  auto days = time / day;
  auto rest = time % day;
  if (rest < 0) {
    rest += day;
    --days;
  }
  const std::chrono::year_month_day date{std::chrono::sys_days{std::chrono::days{days}}};
  const auto seconds = static_cast<int>(rest / second);
  char text[48];
  int length = std::snprintf(text, sizeof text, "%04d-%02u-%02uT%02d:%02d:%02d.%09d", static_cast<int>(date.year()),
                             static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()), seconds / 3600,
                             seconds / 60 % 60, seconds % 60, static_cast<int>(rest % second));
  while (text[length - 1] == '0') --length;
  if (text[length - 1] == '.') --length;
  return std::string(text, static_cast<std::size_t>(length)) + 'Z';
}

std::optional<Timestamp> parse_rfc3339(std::string_view text) {
  Cursor in{text};
  const auto year = static_cast<int>(in.digits(4));
  in.expect("-");
  const auto month = static_cast<unsigned>(in.digits(2));
  in.expect("-");
  const auto date = static_cast<unsigned>(in.digits(2));
  in.expect("Tt ");
  const auto hours = in.digits(2);
  in.expect(":");
  const auto minutes = in.digits(2);
  in.expect(":");
  const auto seconds = in.digits(2);
  const auto fraction = decimals(in);
  const auto shift = offset(in);
  const std::chrono::year_month_day ymd{std::chrono::year{year}, std::chrono::month{month}, std::chrono::day{date}};
  if (!in.ok || !in.rest.empty() || !ymd.ok() || hours > 23 || minutes > 59 || seconds > 60) return {};
  const auto whole = (hours * 60 + minutes) * minute + seconds * second + fraction - shift;
  Timestamp time = 0;
  if (__builtin_mul_overflow(std::chrono::sys_days{ymd}.time_since_epoch().count(), day, &time)) return {};
  if (__builtin_add_overflow(time, whole, &time)) return {};
  return time;
}

}  // namespace weir
