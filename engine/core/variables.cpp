#include "core/variables.hpp"

#include <algorithm>
#include <cctype>
#include <utility>

namespace weir {
namespace {

bool is_name(std::string_view text) {
  return !text.empty() && (std::isdigit(static_cast<unsigned char>(text.front())) == 0) &&
         std::ranges::all_of(text, [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; });
}

/// Replaces the variables of all strings of one document.
class Replacer {
 public:
  Replacer(const Document& document, const Environment& environment, Severity unset_required)
      : document_{document}, environment_{environment}, unset_required_{unset_required} {}

  void visit(Value& value) {
    for (Value& item : value.items) visit(item);
    for (Member& member : value.members) visit(member.value);
    if (value.is(Value::Kind::string) && value.text.contains("${")) replace(value);
  }

  std::vector<Finding> findings;

 private:
  void replace(Value& value) {
    value.written = std::exchange(value.text, {});
    const std::size_t problems = errors_;
    const std::string_view written = value.written;
    for (std::size_t at = 0; at < written.size();) {
      if (written.substr(at).starts_with("$${")) {
        value.text += "${";
        at += 3;
        continue;
      }
      if (!written.substr(at).starts_with("${")) {
        value.text += written[at++];
        continue;
      }
      const auto end = written.find('}', at);
      if (end == std::string_view::npos) {
        report(value, at, Severity::error, "open-variable", "\"${\" has no \"}\"", "write $${ for a literal ${");
        value.text += written.substr(at);
        break;
      }
      const std::string content = resolve(value, at, written.substr(at + 2, end - at - 2));
      value.replaced.push_back({value.text.size(), content.size(), at, end + 1 - at});
      value.text += content;
      value.from_variable = at == 0 && end + 1 == written.size();
      at = end + 1;
    }
    if (errors_ != problems) value.kind = Value::Kind::invalid;
  }

  /// What stands for `NAME`, `NAME:default` or `NAME:?message`.
  std::string resolve(const Value& value, std::size_t at, std::string_view variable) {
    const auto colon = variable.find(':');
    const auto name = variable.substr(0, colon);
    if (!is_name(name)) {
      report(value, at, Severity::error, "bad-variable", quoted(name) + " is not a variable's name", "write ${NAME}, ${NAME:default} or ${NAME:?message}");
      return {};
    }
    if (auto set = environment_ ? environment_(name) : std::nullopt) return *set;
    if (colon == std::string_view::npos) {
      report(value, at, Severity::error, "unset-variable", "variable " + std::string{name} + " is not set", "set it, or write ${" + std::string{name} + ":default}");
      return {};
    }
    const auto rest = variable.substr(colon + 1);
    if (!rest.starts_with('?')) return std::string{rest};
    const std::string message = rest.size() > 1 ? std::string{rest.substr(1)} : "it is required";
    report(value, at, unset_required_, "unset-variable", "variable " + std::string{name} + " is not set: " + message, "");
    return {};
  }

  void report(const Value& value, std::size_t at, Severity severity, std::string rule, std::string message, std::string suggestion) {
    errors_ += severity == Severity::error ? 1 : 0;
    const Place place = place_as_written(document_.text, value, at);
    findings.push_back({severity, document_.file, {place, place}, std::move(rule), std::move(message), std::move(suggestion)});
  }

  const Document& document_;
  const Environment& environment_;
  Severity unset_required_;
  std::size_t errors_ = 0;
};

std::string_view trimmed(std::string_view text) {
  const auto blank = [](char c) { return c == ' ' || c == '\t' || c == '\r'; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

/// user:password@ in a URL, with the password hidden.
std::string without_password(std::string text) {
  const auto scheme = text.find("://");
  const auto at = scheme == std::string::npos ? scheme : text.find('@', scheme);
  if (at == std::string::npos) return text;
  const auto colon = text.find(':', scheme + 3);
  if (colon != std::string::npos && colon < at) text.replace(colon + 1, at - colon - 1, "***");
  return text;
}

void show(const Value& value, std::string& out) {
  if (value.secret) {
    out += "\"<redacted>\"";
    return;
  }
  switch (value.kind) {
    case Value::Kind::object:
      out += "{";
      for (const Member& member : value.members) {
        out += (out.back() == '{' ? "" : ", ") + quoted(member.key) + ": ";
        show(member.value, out);
      }
      out += "}";
      return;
    case Value::Kind::array:
      out += "[";
      for (const Value& item : value.items) {
        out += out.back() == '[' ? "" : ", ";
        show(item, out);
      }
      out += "]";
      return;
    case Value::Kind::string: out += quoted(without_password(value.text)); return;
    case Value::Kind::integer: out += std::to_string(value.integer); return;
    case Value::Kind::number: out += std::to_string(value.number); return;
    case Value::Kind::boolean: out += value.boolean ? "true" : "false"; return;
    default: out += "null";
  }
}

}  // namespace

std::vector<Finding> replace_variables(Document& document, const Environment& environment, Severity unset_required) {
  Replacer replacer{document, environment, unset_required};
  replacer.visit(document.root);
  return std::move(replacer.findings);
}

std::vector<std::pair<std::string, std::string>> read_dotenv(std::string_view text, std::string_view file, std::vector<Finding>& findings) {
  std::vector<std::pair<std::string, std::string>> out;
  std::uint32_t number = 0;
  for (std::size_t begin = 0; begin <= text.size();) {
    const auto end = std::min(text.find('\n', begin), text.size());
    std::string_view line = trimmed(text.substr(begin, end - begin));
    ++number;
    const Place place{number, 1, static_cast<std::uint32_t>(begin)};
    begin = end + 1;
    if (line.empty() || line.starts_with('#')) continue;
    if (line.starts_with("export ")) line = trimmed(line.substr(7));
    const auto equals = line.find('=');
    const auto name = trimmed(line.substr(0, equals));
    if (equals == std::string_view::npos || !is_name(name)) {
      findings.push_back({Severity::error, std::string{file}, {place, place}, "bad-line", "not a NAME=value line", ""});
      continue;
    }
    std::string_view value = trimmed(line.substr(equals + 1));
    if (value.size() >= 2 && (value.front() == '"' || value.front() == '\'') && value.back() == value.front()) value = value.substr(1, value.size() - 2);
    out.emplace_back(name, value);
  }
  return out;
}

std::string shown(const Value& value) {
  std::string out;
  show(value, out);
  return out;
}

}  // namespace weir
