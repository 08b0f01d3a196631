#include <charconv>
#include <cstring>

#include <re2/re2.h>
#include <weir/rfc3339.hpp>
#include <weir/spelling.hpp>

#include "expression/block.hpp"

namespace weir::expression {
namespace {

/// Where the code point at `at` ends. Bytes that are no UTF-8 are one each.
std::size_t next_point(Text text, std::size_t at) {
  for (++at; at < text.size() && (text[at] & 0xc0) == 0x80;) ++at;
  return at;
}

constexpr auto code_points = [](Text text) -> std::int64_t {
  return std::ranges::count_if(text, [](char c) { return (c & 0xc0) != 0x80; });
};

/// lower, upper: turns the case of the 26 letters that begin with `from`.
template <char from>
Values cased(Block& block, const Node& n) {
  const auto turned = [](char c) { return static_cast<char>(c >= from && c < from + 26 ? c ^ 32 : c); };
  const auto copied = [&](Text text) {
    char* out = block.memory.allocate_object<char>(text.size());
    std::ranges::transform(text, out, turned);
    return Text{out, text.size()};
  };
  return block.map<Text>(n.type, copied, block.values(n.args[0]));
}

constexpr auto trimmed = [](Text text, Text of) {
  const std::size_t begin = text.find_first_not_of(of);
  return begin == Text::npos ? Text{} : text.substr(begin, text.find_last_not_of(of) + 1 - begin);
};

Values trim(Block& block, const Node& n) {
  if (n.args.size() == 2) return mapped<Text, trimmed>(block, n);
  return block.map<Text>(n.type, [](Text text) { return trimmed(text, " "); }, block.values(n.args[0]));
}

/// As in SQL: the first code point is number 1, and what lies before it or behind the end is empty.
Maybe<Text> part_of(Text text, std::int64_t from, std::int64_t count) {
  if (count < 0) return {{}, 0};
  std::int64_t end = 0;
  if (__builtin_add_overflow(from, count, &end)) end = INT64_MAX;
  std::size_t begin = 0;
  std::int64_t number = 1;
  for (; number < from && begin < text.size(); ++number) begin = next_point(text, begin);
  std::size_t stop = begin;
  for (; number < end && stop < text.size(); ++number) stop = next_point(text, stop);
  return {text.substr(begin, stop - begin), 1};
}

Values substr(Block& block, const Node& n) {
  const Values text = block.values(n.args[0]), from = block.values(n.args[1]);
  const Byte* given = block.both(text.valid, from.valid);
  const auto* texts = block.as<Text>(text);
  const auto* first = block.as<std::int64_t>(from);
  if (n.args.size() == 2) {
    const auto rest = [](Text of, std::int64_t begin) { return part_of(of, begin, INT64_MAX).value; };
    return block.mapped_rows(n.type, rest, given, texts, first);
  }
  const Values count = block.values(n.args[2]);
  return block.mapped_rows(n.type, part_of, block.both(given, count.valid), texts, first,
                           block.as<std::int64_t>(count));
}

/// Values of any type as texts, as JSON has them; what a NULL's row holds is empty.
const Text* as_texts(Block& block, const Values& of) {
  const auto copied = [&](Text text) {
    char* out = block.memory.allocate_object<char>(text.size());
    std::ranges::copy(text, out);
    return Text{out, text.size()};
  };
  const auto each = [&]<typename T>(auto text_of) {
    return block.filled<Text>(
        [&, data = block.as<T>(of)](std::size_t i) { return of.valid[i] != 0 ? text_of(data[i]) : Text{}; });
  };
  const auto number = [&](auto value) {
    std::array<char, 32> out;
    return copied({out.data(), std::to_chars(out.begin(), out.end(), value).ptr});
  };
  switch (of.type) {
    case Type::int64:
      return each.template operator()<std::int64_t>(number);
    case Type::float64:
      return each.template operator()<double>(number);
    case Type::boolean:
      return each.template operator()<Byte>([](Byte flag) { return flag != 0 ? Text{"true"} : Text{"false"}; });
    case Type::timestamp:
      return each.template operator()<std::int64_t>([&](std::int64_t time) { return copied(format_rfc3339(time)); });
    case Type::string:
    case Type::dictionary:
      break;
  }
  return each.template operator()<Text>([](Text text) { return text; });
}

/// NULL is left out, as in PostgreSQL.
Values concat(Block& block, const Node& n) {
  const std::size_t parts = n.args.size();
  auto* texts = block.memory.allocate_object<const Text*>(parts);
  for (std::size_t part = 0; part < parts; ++part) texts[part] = as_texts(block, block.values(n.args[part]));
  const auto joined = [&](std::size_t row) {
    std::size_t size = 0;
    for (std::size_t part = 0; part < parts; ++part) size += texts[part][row].size();
    char* const out = block.memory.allocate_object<char>(size);
    char* end = out;
    for (std::size_t part = 0; part < parts; ++part) end = std::ranges::copy(texts[part][row], end).out;
    return Text{out, size};
  };
  return {n.type, all_valid.data(), block.filled<Text>(joined)};
}

/// SQL's pattern: % is any text, _ any code point, what stands behind \ itself.
constexpr auto like = [](Text text, Text pattern) {
  std::size_t at = 0, step = 0, again = Text::npos, from = 0;  // `again`: behind the last %, which reached to `from`
  while (at < text.size()) {
    if (step < pattern.size() && pattern[step] == '%') {
      again = ++step;
      from = at;
      continue;
    }
    const std::size_t escape = step + 1 < pattern.size() && pattern[step] == '\\' ? 1 : 0;
    if (step < pattern.size() && escape == 0 && pattern[step] == '_') {
      at = next_point(text, at);
      ++step;
    } else if (step < pattern.size() && pattern[step + escape] == text[at]) {
      ++at;
      step += 1 + escape;
    } else if (again != Text::npos) {
      at = from = next_point(text, from);
      step = again;
    } else {
      return false;
    }
  }
  while (step < pattern.size() && pattern[step] == '%') ++step;
  return step == pattern.size();
};

/// Compiles the pattern, once for all rows: a lane holds the pattern's automaton, of 1 MB at most.
std::optional<std::pair<std::size_t, std::string>> compile_pattern(Node& n) {
  RE2::Options options{RE2::Quiet};
  options.set_max_mem(1 << 20);
  if (n.args.size() == 3) {
    if (n.args[2].text != "i" && n.args[2].text != "c") return {{2, "a flag is 'i' (either case) or 'c' (as written)"}};
    options.set_case_sensitive(n.args[2].text == "c");
  }
  auto pattern = std::make_shared<const RE2>(n.args[1].text, options);
  if (!pattern->ok()) return {{1, weir::format("{} is no pattern: {}", quoted(n.args[1].text), pattern->error())}};
  n.prepared = std::move(pattern);
  return {};
}

Values regexp_like(Block& block, const Node& n) {
  const RE2& pattern = *static_cast<const RE2*>(n.prepared.get());
  const auto found = [&](Text text) { return RE2::PartialMatch(text, pattern); };
  return block.map<Text>(n.type, found, block.values(n.args[0]));
}

constexpr Type flag = Type::boolean, some_text = Type::string;

constexpr auto text_table = std::to_array<Form>({
    {"like", 4, 2, 2, texts, flag, mapped<Text, like>},
    {"length", function, 1, 1, texts, Type::int64, mapped<Text, code_points>, "text", "how many characters"},
    {"lower", function, 1, 1, texts, some_text, cased<'A'>, "text", "A to Z as a to z"},
    {"upper", function, 1, 1, texts, some_text, cased<'a'>, "text", "a to z as A to Z"},
    {"trim", function, 1, 2, texts, some_text, trim, "text, characters",
     "without the characters (blanks) at both ends"},
    {"substr",
     function,
     2,
     3,
     {Takes::text, Takes::whole, Takes::whole},
     some_text,
     substr,
     "text, from, count",
     "count characters (all) from the one with this number; the first is 1"},
    {"concat", function, 1, many, all(Takes::any), some_text, concat, "x, …",
     "values of any type, one behind the other; NULL is left out"},
    {"starts_with", function, 2, 2, texts, flag, mapped<Text, [](Text a, Text b) { return a.starts_with(b); }>,
     "text, part", "whether it begins with the part"},
    {"ends_with", function, 2, 2, texts, flag, mapped<Text, [](Text a, Text b) { return a.ends_with(b); }>,
     "text, part", "whether it ends with the part"},
    {"contains", function, 2, 2, texts, flag, mapped<Text, [](Text a, Text b) { return a.contains(b); }>, "text, part",
     "whether the part is in it"},
    {"regexp_like",
     function,
     2,
     3,
     {Takes::text, Takes::constant, Takes::constant},
     flag,
     regexp_like,
     "text, 'pattern', 'i'",
     "whether RE2's pattern is found in it; with 'i' in either case",
     compile_pattern},
});

}  // namespace

std::span<const Form> text_forms() { return text_table; }

}  // namespace weir::expression
