#include "core/config/variables.hpp"

#include <algorithm>
#include <utility>

#include <weir/ascii.hpp>
#include <weir/format.hpp>
#include <weir/secrets.hpp>
#include <weir/utf8.hpp>

namespace weir {
namespace {

bool is_name(std::string_view text) {
  const auto fits = [](char c) { return is_digit(c) || c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  return !text.empty() && !is_digit(text.front()) && std::ranges::all_of(text, fits);
}

/// The `}` that closes the `${` at the front, across balanced braces.
std::size_t closing_brace(std::string_view text) {
  std::size_t depth = 0;
  for (std::size_t i = 2; i < text.size(); ++i) {
    if (text[i] == '{') ++depth;
    if (text[i] == '}' && depth-- == 0) return i;
  }
  return std::string_view::npos;
}

/// Replaces the variables of all strings of one document.
class Replacer {
 public:
  Replacer(const Document& document, const Environment& environment, Severity unset_required)
      : document_{document}, environment_{environment}, unset_required_{unset_required} {}

  void visit(Value& value) {
    for (Value& item : value.items) visit(item);
    for (Member& member : value.members) {
      if (member.key.contains("${")) {
        findings.push_back({Severity::warn, document_.file, member.key_span, "variable-in-key",
                            "variables are replaced in values, not in keys", ""});
      }
      visit(member.value);
    }
    if (value.is(Value::Kind::string) && value.text.contains("${")) replace(value);
  }

  std::vector<Finding> findings;

 private:
  void replace(Value& value) {
    const std::size_t errors = errors_;
    value.written = std::exchange(value.text, {});
    const std::string_view written = value.written;
    for (std::size_t at = 0; at < written.size();) {
      const std::string_view rest = written.substr(at);
      if (rest.starts_with("$${")) {
        put(value, "${", at, 3);
        at += 3;
      } else if (rest.starts_with("${")) {
        const std::size_t length = std::min(closing_brace(rest), rest.size() - 1) + 1;
        put(value, resolve(value, at, rest.substr(0, length)), at, length);
        value.from_variable = length == written.size();
        at += length;
      } else {
        value.text += written[at++];
      }
    }
    if (errors_ != errors) value.kind = Value::Kind::invalid;
  }

  static void put(Value& value, std::string_view content, std::size_t at, std::size_t length) {
    value.replaced.push_back({value.text.size(), content.size(), at, length});
    value.text += content;
  }

  /// What stands for `${NAME}`, `${NAME:default}` or `${NAME:?message}`.
  std::string resolve(const Value& value, std::size_t at, std::string_view written) {
    const auto refuse = [&](Severity severity, std::string rule, std::string message, std::string suggestion) {
      report(value, at, written.size(), severity, std::move(rule), std::move(message), std::move(suggestion));
      return std::string{};
    };
    if (closing_brace(written) == std::string_view::npos) {
      return refuse(Severity::error, "open-variable", R"("${" has no "}")", "write $${ for a literal ${");
    }
    const std::string_view variable = written.substr(2, written.size() - 3);
    const auto colon = variable.find(':');
    const std::string name{variable.substr(0, colon)};
    if (!is_name(name)) {
      return refuse(Severity::error, "bad-variable", quoted(name) + " is no name of a variable",
                    "names are letters, digits and _; write $${ for a literal ${");
    }
    if (variable.contains("${")) {
      return refuse(Severity::error, "nested-variable", "a variable's default can't hold a variable",
                    "give it a value of its own");
    }
    const std::string_view otherwise = colon == std::string_view::npos ? "" : variable.substr(colon + 1);
    // A shell's way to write it; taken literally it would be a default that begins with the sign.
    if (otherwise.starts_with('-') || otherwise.starts_with('=') || otherwise.starts_with('+')) {
      return refuse(Severity::error, "shell-variable", weir::format("${{{}}} is a shell's syntax", variable),
                    weir::format("write ${{{}:{}}}", name, otherwise.substr(1)));
    }
    const auto set = environment_ ? environment_(name) : std::nullopt;
    if (set && (!set->empty() || colon == std::string_view::npos)) {
      if (valid_utf8(*set) == *set) return *set;
      return refuse(Severity::error, "invalid-utf8", "variable " + name + " is no UTF-8", "set it to text");
    }
    if (colon == std::string_view::npos) {
      return refuse(Severity::error, "unset-variable", "variable " + name + " is not set",
                    weir::format("set it, or write ${{{0}:default}}, or ${{{0}:?why}} if only a run needs it", name));
    }
    if (!otherwise.starts_with('?')) return std::string{otherwise};
    const std::string why = otherwise.size() > 1 ? std::string{otherwise.substr(1)} : "it is required";
    return refuse(unset_required_, "unset-variable", "variable " + name + " is not set: " + why, "");
  }

  void report(const Value& value, std::size_t at, std::size_t length, Severity severity, std::string rule,
              std::string message, std::string suggestion) {
    const Span span{place_as_written(document_.text, value, at), place_as_written(document_.text, value, at + length)};
    if (severity == Severity::error) ++errors_;
    findings.push_back({severity, document_.file, span, std::move(rule), std::move(message), std::move(suggestion)});
  }

  const Document& document_;
  const Environment& environment_;
  Severity unset_required_;
  std::size_t errors_ = 0;
};

constexpr std::string_view blanks = " \t\r";

std::string_view trimmed(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(blanks), text.size()));
  return text.substr(0, text.find_last_not_of(blanks) + 1);
}

/// A dotenv value; nothing if its quotes don't close, or something follows them.
std::optional<std::string> unquoted(std::string_view text) {
  if (text.empty() || (text[0] != '"' && text[0] != '\'')) {
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (text[i] == '#' && (i == 0 || blanks.contains(text[i - 1]))) return std::string{trimmed(text.substr(0, i))};
    }
    return std::string{text};
  }
  std::string value;
  for (std::size_t i = 1; i < text.size(); ++i) {
    if (text[i] == text[0]) {
      const std::string_view behind = trimmed(text.substr(i + 1));
      return behind.empty() || behind.starts_with('#') ? std::optional{value} : std::nullopt;
    }
    if (text[0] == '"' && text[i] == '\\' && i + 1 < text.size()) {
      constexpr std::string_view names = "nrt\"\\$", codes = "\n\r\t\"\\$";
      const auto escape = names.find(text[++i]);
      if (escape == std::string_view::npos) value += '\\';
      value += escape == std::string_view::npos ? text[i] : codes[escape];
    } else {
      value += text[i];
    }
  }
  return {};
}

/// A JSON string; quoted() would cut it.
std::string json_string(std::string_view text) {
  std::string json = "\"";
  for (const char c : valid_utf8(text)) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      json += weir::format("\\u{:04x}", static_cast<unsigned char>(c));
      continue;
    }
    if (c == '"' || c == '\\') json += '\\';
    json += c;
  }
  return json + "\"";
}

void show(const Value& value, std::string& out) {
  std::string separator;
  const auto separate = [&] { return std::exchange(separator, ", "); };
  if (value.secret) {
    out += "\"<redacted>\"";
  } else if (value.is(Value::Kind::object)) {
    out += "{";
    for (const Member& member : value.members) {
      out += separate() + json_string(member.key) + ": ";
      show(member.value, out);
    }
    out += "}";
  } else if (value.is(Value::Kind::array)) {
    out += "[";
    for (const Value& item : value.items) {
      out += separate();
      show(item, out);
    }
    out += "]";
  } else if (value.is(Value::Kind::string) || value.is(Value::Kind::invalid)) {
    out += json_string(without_secrets(value.written.empty() ? value.text : value.written));
  } else if (value.is(Value::Kind::integer)) {
    out += std::to_string(value.integer);
  } else if (value.is(Value::Kind::number)) {
    out += weir::format("{}", value.number);
  } else {
    out += value.is(Value::Kind::null) ? "null" : value.boolean ? "true" : "false";
  }
}

}  // namespace

std::vector<Finding> replace_variables(Document& document, const Environment& environment, Severity unset_required) {
  Replacer replacer{document, environment, unset_required};
  replacer.visit(document.root);
  sort_by_place(replacer.findings);
  return std::move(replacer.findings);
}

std::vector<std::pair<std::string, std::string>> read_dotenv(std::string_view text, std::string_view file,
                                                             std::vector<Finding>& findings) {
  std::vector<std::pair<std::string, std::string>> variables;
  std::uint32_t number = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view whole = text.substr(begin, end - begin);
    std::string_view line = trimmed(whole);
    const auto indent = static_cast<std::uint32_t>(line.empty() ? 0 : line.data() - whole.data());
    const auto offset = static_cast<std::uint32_t>(begin) + indent;
    const Span span{{++number, indent + 1, offset},
                    {number, indent + 1 + static_cast<std::uint32_t>(line.size()),
                     offset + static_cast<std::uint32_t>(line.size())}};
    begin = end + 1;
    if (line.empty() || line.starts_with('#')) continue;
    if (line.starts_with("export ")) line = trimmed(line.substr(7));
    const std::size_t equals = std::min(line.find('='), line.size());
    const std::string_view name = trimmed(line.substr(0, equals));
    if (equals == line.size() || !is_name(name)) {
      findings.push_back({Severity::error, std::string{file}, span, "bad-line", "not a line of the form NAME=value",
                          "write NAME=value; names are letters, digits and _"});
    } else if (auto value = unquoted(trimmed(line.substr(equals + 1)))) {
      variables.emplace_back(name, std::move(*value));
    } else {
      findings.push_back({Severity::error, std::string{file}, span, "bad-line",
                          weir::format("the quotes around the value of {} don't close at its end", name),
                          "close them"});
    }
  }
  return variables;
}

std::string shown(const Value& value) {
  std::string text;
  show(value, text);
  return text;
}

}  // namespace weir
