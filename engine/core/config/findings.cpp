#include "core/config/findings.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

#include <rapidjson/prettywriter.h>
#include <rapidjson/stringbuffer.h>

#include <weir/format.hpp>
#include <weir/utf8.hpp>

namespace weir {
namespace {

using Writer = rapidjson::PrettyWriter<rapidjson::StringBuffer>;

void put(Writer& out, std::string_view key, std::string_view value) {
  out.Key(key.data(), static_cast<rapidjson::SizeType>(key.size()));
  const std::string valid = valid_utf8(value);  // file names need not be
  out.String(valid.data(), static_cast<rapidjson::SizeType>(valid.size()));
}

void put(Writer& out, std::string_view key, std::size_t value) {
  out.Key(key.data(), static_cast<rapidjson::SizeType>(key.size()));
  out.Uint64(value);
}

std::string sentence(const Finding& finding) {
  return finding.suggestion.empty() ? finding.message : finding.message + "; " + finding.suggestion;
}

/// Control characters would break the promise of one line per finding, and could drive a terminal.
std::string one_line(std::string_view text) {
  std::string line;
  for (const char c : text) {
    if (c == '\n') {
      line += "\\n";
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      line += weir::format("\\x{:02x}", static_cast<unsigned char>(c));
    } else {
      line += c;
    }
  }
  return line;
}

std::string plain(const Finding& finding) {
  std::string line = finding.file;
  if (finding.span.begin.line > 0) line += weir::format(":{}:{}", finding.span.begin.line, finding.span.begin.column);
  if (!line.empty()) line += ": ";
  return one_line(weir::format("{}{}: {}", line, to_string(finding.severity), sentence(finding))) + "\n";
}

std::string in_text(std::span<const Finding> findings) {
  std::string text;
  for (const Finding& finding : findings) text += plain(finding);
  return text + summary(findings) + "\n";
}

std::size_t count(std::span<const Finding> findings, Severity severity) {
  return static_cast<std::size_t>(std::ranges::count(findings, severity, &Finding::severity));
}

std::string in_json(std::span<const Finding> findings) {
  rapidjson::StringBuffer buffer;
  Writer out{buffer};
  out.SetIndent(' ', 2);
  out.StartObject();
  out.Key("findings");
  out.StartArray();
  for (const Finding& finding : findings) {
    out.StartObject();
    put(out, "severity", to_string(finding.severity));
    put(out, "rule", finding.rule);
    put(out, "file", finding.file);
    put(out, "line", finding.span.begin.line);
    put(out, "column", finding.span.begin.column);
    put(out, "end_line", finding.span.end.line);
    put(out, "end_column", finding.span.end.column);
    put(out, "message", finding.message);
    put(out, "suggestion", finding.suggestion);
    out.EndObject();
  }
  out.EndArray();
  put(out, "errors", count(findings, Severity::error));
  put(out, "warnings", count(findings, Severity::warn));
  out.EndObject();
  return std::string{buffer.GetString(), buffer.GetSize()} + "\n";
}

std::string as_uri(std::string_view path) {
  std::string uri;
  for (const char c : path) {
    const bool plain_here = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                            std::string_view{"-._~/"}.contains(c);
    uri += plain_here ? std::string(1, c) : weir::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return path.starts_with('/') ? "file://" + uri : uri;
}

void put_location(Writer& out, const Finding& finding) {
  out.StartObject();
  out.Key("physicalLocation");
  out.StartObject();
  out.Key("artifactLocation");
  out.StartObject();
  put(out, "uri", as_uri(finding.file));
  out.EndObject();
  if (const auto& [begin, end] = finding.span; begin.line > 0) {
    out.Key("region");
    out.StartObject();
    put(out, "startLine", begin.line);
    put(out, "startColumn", begin.column);
    put(out, "endLine", end.line);
    put(out, "endColumn", end.column);
    put(out, "byteOffset", begin.offset);
    put(out, "byteLength", end.offset - begin.offset);
    out.EndObject();
  }
  out.EndObject();
  out.EndObject();
}

/// What a format of others calls a severity.
std::string_view level_of(Severity severity, std::string_view info) {
  if (severity == Severity::info) return info;
  return severity == Severity::warn ? "warning" : "error";
}

void put_result(Writer& out, const Finding& finding, std::size_t rule) {
  out.StartObject();
  put(out, "ruleId", finding.rule);
  put(out, "ruleIndex", rule);
  put(out, "level", level_of(finding.severity, "note"));
  out.Key("message");
  out.StartObject();
  put(out, "text", sentence(finding));
  out.EndObject();
  out.Key("locations");
  out.StartArray();
  if (!finding.file.empty()) put_location(out, finding);
  out.EndArray();
  out.EndObject();
}

std::string in_sarif(std::span<const Finding> findings) {
  std::vector<std::string> rules;
  for (const Finding& finding : findings) {
    if (!std::ranges::contains(rules, finding.rule)) rules.push_back(finding.rule);
  }
  rapidjson::StringBuffer buffer;
  Writer out{buffer};
  out.SetIndent(' ', 2);
  out.StartObject();
  put(out, "$schema", "https://json.schemastore.org/sarif-2.1.0.json");
  put(out, "version", "2.1.0");
  out.Key("runs");
  out.StartArray();
  out.StartObject();
  put(out, "columnKind", "unicodeCodePoints");
  out.Key("tool");
  out.StartObject();
  out.Key("driver");
  out.StartObject();
  put(out, "name", "weir");
  out.Key("rules");
  out.StartArray();
  for (const std::string& rule : rules) {
    out.StartObject();
    put(out, "id", rule);
    out.EndObject();
  }
  out.EndArray();
  out.EndObject();
  out.EndObject();
  out.Key("results");
  out.StartArray();
  for (const Finding& finding : findings) {
    put_result(out, finding, static_cast<std::size_t>(std::ranges::find(rules, finding.rule) - rules.begin()));
  }
  out.EndArray();
  out.EndObject();
  out.EndArray();
  out.EndObject();
  return std::string{buffer.GetString(), buffer.GetSize()} + "\n";
}

std::string github_escaped(std::string_view text, bool property) {
  std::string escaped;
  for (const char c : text) {
    const bool special = c == '%' || c == '\r' || c == '\n' || (property && (c == ':' || c == ','));
    escaped += special ? weir::format("%{:02X}", static_cast<unsigned char>(c)) : std::string(1, c);
  }
  return escaped;
}

std::string in_github(std::span<const Finding> findings) {
  std::string text;
  for (const Finding& finding : findings) {
    const auto& [begin, end] = finding.span;
    text += weir::format("::{}", level_of(finding.severity, "notice"));
    std::string separator = " ";
    const auto property = [&](std::string_view name, std::string_view value) {
      text += weir::format("{}{}={}", std::exchange(separator, ","), name, github_escaped(value, true));
    };
    if (!finding.file.empty()) property("file", finding.file);
    if (begin.line > 0) {
      property("line", std::to_string(begin.line));
      property("endLine", std::to_string(end.line));
      property("col", std::to_string(begin.column));
      if (begin.line == end.line) property("endColumn", std::to_string(end.column));
    }
    property("title", finding.rule);
    text += weir::format("::{}\n", github_escaped(sentence(finding), false));
  }
  return text;
}

}  // namespace

std::string_view to_string(Severity severity) {
  switch (severity) {
    case Severity::error:
      return "error";
    case Severity::warn:
      return "warn";
    case Severity::info:
      return "info";
  }
  std::unreachable();
}

std::optional<Format> format_named(std::string_view name) {
  if (name == "text") return Format::text;
  if (name == "json") return Format::json;
  if (name == "sarif") return Format::sarif;
  if (name == "github") return Format::github;
  return {};
}

std::string render(std::span<const Finding> findings, Format format) {
  switch (format) {
    case Format::text:
      return in_text(findings);
    case Format::json:
      return in_json(findings);
    case Format::sarif:
      return in_sarif(findings);
    case Format::github:
      return in_github(findings);
  }
  std::unreachable();
}

std::string summary(std::span<const Finding> findings) {
  if (findings.empty()) return "no findings";
  const auto counted = [](std::size_t n, std::string_view what) {
    return weir::format("{} {}{}", n, what, n == 1 ? "" : "s");
  };
  const std::size_t errors = count(findings, Severity::error);
  const std::string all = counted(findings.size(), "finding");
  return errors == 0 ? all : weir::format("{} ({})", all, counted(errors, "error"));
}

bool has_errors(std::span<const Finding> findings) { return count(findings, Severity::error) > 0; }

void sort_by_place(std::vector<Finding>& findings) {
  std::ranges::stable_sort(findings, {}, [](const Finding& finding) {
    const TextPosition& begin = finding.span.begin;
    return std::tuple{std::string_view{finding.file}, begin.line, begin.column};
  });
}

}  // namespace weir
