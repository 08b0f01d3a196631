#include "core/config/cursor.hpp"

#include <algorithm>

#include <weir/utf8.hpp>

namespace weir {

bool Cursor::advance() {
  if (peek() == '\n') {
    place_ = {place_.line + 1, 1, place_.offset + 1};
    return true;
  }
  const std::size_t length = utf8_length(rest());
  place_.offset += static_cast<std::uint32_t>(length == 0 ? 1 : length);
  ++place_.column;
  return length > 0;
}

void Cursor::back(std::size_t characters) {
  place_.offset -= static_cast<std::uint32_t>(characters);
  place_.column -= static_cast<std::uint32_t>(characters);
}

bool Cursor::odd_quotes(TextPosition place) const {
  const std::size_t offset = std::min<std::size_t>(place.offset, text_.size());
  const std::size_t before = text_.substr(0, offset).rfind('\n');
  const std::size_t begin = before == std::string_view::npos ? 0 : before + 1;
  const std::string_view line = text_.substr(begin, text_.find('\n', offset) - begin);
  bool odd = false;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '\\')
      ++i;
    else if (line[i] == '"')
      odd = !odd;
  }
  return odd;
}

std::ptrdiff_t Cursor::closers_ahead() const {
  std::ptrdiff_t closers = 0;
  for (std::size_t i = std::size_t{place_.offset} + 1; i < text_.size(); ++i) {
    const std::string_view ahead = text_.substr(i);
    if (ahead[0] == '"') {
      for (++i; i < text_.size() && text_[i] != '"' && text_[i] != '\n'; ++i) i += text_[i] == '\\' ? 1 : 0;
    } else if (ahead.starts_with("//")) {
      i = std::min(text_.find('\n', i), text_.size());
    } else if (ahead.starts_with("/*")) {
      const std::size_t end = text_.find("*/", i + 2);
      i = end == std::string_view::npos ? text_.size() : end + 1;
    } else if (ahead[0] == '}' || ahead[0] == ']') {
      ++closers;
    } else if (ahead[0] == '{' || ahead[0] == '[') {
      --closers;
    }
  }
  return closers;
}

}  // namespace weir
