#include <weir/utf8.hpp>

#include <initializer_list>

namespace weir {

std::size_t utf8_length(std::string_view text) {
  if (text.empty()) return 0;
  const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U; };
  const auto follows = [&](std::size_t i) { return (byte(i) & 0xc0U) == 0x80U; };
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first <= 0xdf) return follows(1) ? 2 : 0;
  if (first >= 0xe0 && first <= 0xef) {
    const bool overlong = first == 0xe0 && byte(1) < 0xa0;
    const bool surrogate = first == 0xed && byte(1) > 0x9f;
    return follows(1) && follows(2) && !overlong && !surrogate ? 3 : 0;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    const bool overlong = first == 0xf0 && byte(1) < 0x90;
    const bool beyond = first == 0xf4 && byte(1) > 0x8f;
    return follows(1) && follows(2) && follows(3) && !overlong && !beyond ? 4 : 0;
  }
  return 0;
}

void append_utf8(std::string& text, char32_t point) {
  if (point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff)) point = 0xfffd;
  const auto put = [&](char32_t lead, std::initializer_list<int> shifts) {
    const char32_t mask = lead == 0 ? 0x7f : lead == 0xc0 ? 0x1f : lead == 0xe0 ? 0x0f : 0x07;
    for (bool first = true; const int shift : shifts) {
      text += static_cast<char>(first ? lead | (point >> shift & mask) : 0x80 | (point >> shift & 0x3f));
      first = false;
    }
  };
  if (point < 0x80) {
    put(0, {0});
  } else if (point < 0x800) {
    put(0xc0, {6, 0});
  } else if (point < 0x10000) {
    put(0xe0, {12, 6, 0});
  } else {
    put(0xf0, {18, 12, 6, 0});
  }
}

std::string valid_utf8(std::string_view text) {
  std::string valid;
  valid.reserve(text.size());
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    if (length == 0) {
      valid += "\xef\xbf\xbd";
    } else {
      valid += text.substr(0, length);
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return valid;
}

bool is_storable_utf8(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const std::size_t length = byte < 0x80 ? byte != 0 : utf8_length(text.substr(i));
    if (length == 0) return false;
    i += length;
  }
  return true;
}

std::string storable_utf8(std::string_view text) {
  std::string valid;
  for (auto nul = text.find('\0'); nul != std::string_view::npos; nul = text.find('\0')) {
    valid += valid_utf8(text.substr(0, nul)) + "\xef\xbf\xbd";
    text.remove_prefix(nul + 1);
  }
  return valid + valid_utf8(text);
}

}  // namespace weir
