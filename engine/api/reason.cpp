#include <algorithm>
#include <weir/types.hpp>

namespace weir {

bool is_code(std::string_view text) {
  return !text.empty() &&
         std::ranges::all_of(text, [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; });
}

void Reason::add_detail(std::string_view words) {
  if (!detail.empty()) detail += "; ";
  detail += words;
}

std::string Reason::text() const { return detail.empty() ? code : code + ": " + detail; }

Reason Reason::parse(std::string_view text) {
  const auto end = text.find(": ");
  const std::string_view code = text.substr(0, end);
  if (!is_code(code)) return text.empty() ? Reason{} : Reason{"unspecified", std::string{text}};
  return {code, end == std::string_view::npos ? "" : std::string{text.substr(end + 2)}};
}

}  // namespace weir
