/// From the text of a node to its Settings: every field of the Spec looked at, every mistake reported at its place.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <weir/spec.hpp>

#include "core/config/findings.hpp"
#include "core/config/text.hpp"

namespace weir {

/// Collects the findings of one file.
class Reporter {
 public:
  explicit Reporter(std::string file) : file_{std::move(file)} {}

  void error(const Span& span, std::string rule, std::string message, std::string suggestion = {}) {
    add(Severity::error, span, std::move(rule), std::move(message), std::move(suggestion));
  }
  void warn(const Span& span, std::string rule, std::string message, std::string suggestion = {}) {
    add(Severity::warn, span, std::move(rule), std::move(message), std::move(suggestion));
  }
  void add(Severity severity, const Span& span, std::string rule, std::string message, std::string suggestion);
  void take(std::vector<Finding> findings);
  /// A place for values that were given on the command line: what is found there names the option (`-s rows.every`)
  /// instead of a line.
  Span place_of_option(std::string option);
  std::size_t errors() const { return errors_; }
  /// Settings whose value nobody knows: a mistake in it has been reported, or a required variable, of which lint only
  /// warns, is not set. Nothing that depends on them can be said.
  void leave_open() { ++left_open_; }
  std::size_t left_open() const { return left_open_; }
  std::vector<Finding>& findings() { return findings_; }

 private:
  void name_option(Finding& finding) const;

  std::string file_;
  std::vector<std::string> options_;  // the column of a place without a line counts them from 1
  std::vector<Finding> findings_;
  std::size_t errors_ = 0;
  std::size_t left_open_ = 0;
};

/// What settings_of() needs beside the text.
struct SettingsContext {
  std::string_view source;  ///< the whole text, to place mistakes inside strings
  std::function<std::optional<std::string>(const std::string&)> read_file;  ///< for secrets; may be null
  bool to_run = false;  ///< an unreadable secret is an error, not a warning
};

/// The settings of an object, with defaults filled in. `reserved` are members that belong to somebody else (id, from,
/// …). `what` names the owner in messages: `sink "timescale"`.
Settings settings_of(const Value& object, const std::vector<Field>& fields, const std::vector<std::string>& reserved,
                     std::string_view what, std::string id, const SettingsContext& context, Reporter& report);

/// Marks the values of secret settings in the text of an object, so that shown() hides them.
void mark_secrets(Value& object, const std::vector<Field>& fields);

/// The place of a setting given as a path ("columns.speed.fill") in a node's object, as deep as the text goes; with an
/// offset into the text of an expression, the place inside it.
Span place_of(const Value& object, std::string_view path, std::size_t offset, std::string_view source);

}  // namespace weir
