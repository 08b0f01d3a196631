#include "weir/secrets.hpp"

#include <algorithm>
#include <optional>
#include <string_view>

#include <weir/ascii.hpp>

namespace weir {
namespace {

constexpr std::string_view hidden = "***";

/// Whether user information without a colon is a name, and no secret.
bool names_users(std::string_view scheme) { return scheme.ends_with("postgresql") || scheme.ends_with("postgres"); }

/// Where the `@` behind a URL's user information stands, seen from behind `://`; nothing if there is none. One with
/// characters that should have been escaped is found too.
std::optional<std::size_t> user_end(std::string_view url, bool may_be_token) {
  url = url.substr(0, url.find_first_of(" \t,"));
  const std::string_view authority = url.substr(0, url.find_first_of("/?#"));
  if (const auto at = authority.rfind('@'); at != std::string_view::npos) return at;
  const auto colon = authority.find(':');
  const auto at = url.rfind('@');
  if (at == std::string_view::npos) return {};
  if (colon == std::string_view::npos) return may_be_token ? std::optional{at} : std::nullopt;
  return std::ranges::all_of(authority.substr(colon + 1), is_digit) ? std::nullopt : std::optional{at};
}

/// Hides what is secret in the user information that may stand at a place.
void hide_user(std::string& text, std::size_t from, bool names) {
  const auto end = user_end(std::string_view{text}.substr(from), !names);
  if (!end) return;
  const std::size_t colon = text.find(':', from);
  const bool named = colon < from + *end;
  if (!named && names) return;
  const std::size_t begin = named ? colon + 1 : from;
  text.replace(begin, from + *end - begin, hidden);
}

}  // namespace

std::string without_secrets(std::string text) {
  for (std::size_t from = text.find("://"); from != std::string::npos; from = text.find("://", from)) {
    const bool names = names_users(std::string_view{text}.substr(0, from));
    from += 3;
    hide_user(text, from, names);
    // In a list of addresses those behind the first may leave the scheme out.
    for (std::size_t comma = text.find_first_of(", \t", from); !names && comma < text.size() && text[comma] == ',';
         comma = text.find_first_of(", \t", comma)) {
      comma = std::min(text.find_first_not_of(' ', comma + 1), text.size());
      if (text.find("://", comma) < text.find_first_of(", \t", comma)) break;
      hide_user(text, comma, names);
    }
  }
  for (std::size_t from = text.find("password="); from != std::string::npos; from = text.find("password=", from)) {
    from += 9;
    const bool in_quotes = text.substr(from).starts_with('\'');
    const std::size_t end =
        std::min(in_quotes ? text.find('\'', from + 1) : text.find_first_of(" \t&", from), text.size());
    text.replace(from, std::min(end + (in_quotes ? 1 : 0), text.size()) - from, hidden);
  }
  return text;
}

}  // namespace weir
