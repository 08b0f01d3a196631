/// What lint found: where, how bad, what to do; and the forms in which it is printed.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <weir/spelling.hpp>

namespace weir {

/// A place in a text. Lines and columns count from 1, columns in Unicode code points, the offset in bytes from 0.
/// Line 0 means "no place" (a finding about a command line or a whole file).
struct TextPosition {
  std::uint32_t line = 0;
  std::uint32_t column = 0;
  std::uint32_t offset = 0;
  bool operator==(const TextPosition&) const = default;
};

/// From the first character to one beyond the last.
struct Span {
  TextPosition begin;
  TextPosition end;
  bool operator==(const Span&) const = default;
};

enum class Severity : std::uint8_t { error, warn, info };
std::string_view to_string(Severity severity);

/// One mistake, or something to look at.
struct Finding {
  Severity severity = Severity::error;
  std::string file;  ///< as the user named it; may be empty
  Span span;
  std::string rule;        ///< stable identifier in kebab case ("missing-comma"); SARIF groups by it
  std::string message;     ///< what is wrong, no full stop
  std::string suggestion;  ///< what to do (`write "1s"`, `did you mean "timescale"?`); may be empty
  bool operator==(const Finding&) const = default;
};

enum class Format : std::uint8_t { text, json, sarif, github };

/// The format that `--format` names; nothing if there is none of that name.
std::optional<Format> format_named(std::string_view name);

/// All findings in one format, in the given order.
///   text    `file:line:col: error: message; suggestion`, a line each, then the summary line
///   json    {"findings": [...], "errors": n, "warnings": n}
///   sarif   SARIF 2.1.0, one run
///   github  workflow commands (`::error file=…`), a line each
/// Text and github end with a newline and are a single line per finding whatever the message holds.
std::string render(std::span<const Finding> findings, Format format);

/// `3 findings (2 errors)`, `1 finding`, `no findings`.
std::string summary(std::span<const Finding> findings);

bool has_errors(std::span<const Finding> findings);

/// By file, then place; findings of the same place stay in order.
void sort_by_place(std::vector<Finding>& findings);

}  // namespace weir
