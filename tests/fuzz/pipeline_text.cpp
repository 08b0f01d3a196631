/// Whatever the bytes: the reader ends, spans nest, every mistake has a place inside the text, and a text without
/// mistakes has no invalid value, and a layout that is laid out the same again.
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <utility>

#include "core/config/format_text.hpp"
#include "core/config/text.hpp"

namespace {

using namespace weir;

void check(bool holds) {
  if (!holds) std::abort();
}

void check_nested(Span inner, Span outer) {
  check(outer.begin.offset <= inner.begin.offset);
  check(inner.begin.offset <= inner.end.offset);
  check(inner.end.offset <= outer.end.offset);
}

/// `invalid` counts the values that are invalid.
void check_tree(const Value& value, std::size_t depth, std::string_view source, std::size_t& invalid) {
  check(depth <= depth_limit + 1);
  if (value.is(Value::Kind::invalid)) ++invalid;
  if (value.is(Value::Kind::string)) {
    for (std::size_t offset = 0; offset < value.text.size() && offset < 3; ++offset) {
      const TextPosition place = place_inside(source, value, offset);
      check_nested({place, place}, value.span);
    }
  }
  std::uint32_t end = value.span.begin.offset;
  for (const Value& item : value.items) {
    check_nested(item.span, value.span);
    check(item.span.begin.offset >= std::exchange(end, item.span.end.offset));
    check_tree(item, depth + 1, source, invalid);
  }
  for (const auto& [key, key_span, member] : value.members) {
    check_nested(key_span, value.span);
    check_nested(member.span, value.span);
    check(key_span.end.offset <= member.span.begin.offset);
    check(key_span.begin.offset >= std::exchange(end, member.span.end.offset));
    check(value.find(key) == &member);
    check_tree(member, depth + 1, source, invalid);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view source{reinterpret_cast<const char*>(data), size};
  const Document document = read_text(source, "fuzz.json");
  const Span whole{{1, 1, 0}, {0, 0, static_cast<std::uint32_t>(size)}};
  std::size_t invalid = 0;
  check_nested(document.root.span, whole);
  check_tree(document.root, 0, source, invalid);
  check(document.findings.size() <= finding_limit);
  if (document.findings.empty()) {
    check(invalid == 0);
    const std::string once = format_text(document);
    const Document again = read_text(once, "fuzz.json");
    check(again.findings.empty() && format_text(again) == once);
  }
  std::uint32_t line = 1;
  for (const Finding& finding : document.findings) {
    check(finding.span.begin.line >= std::exchange(line, finding.span.begin.line));
    check(finding.span.begin.offset <= size && !finding.message.empty());
  }
  return 0;
}
