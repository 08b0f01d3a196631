/// Test cases as data: a script of samples under virtual time, and what must come out of a pipeline.
///
///   { "pipeline": "fleet.json",                 a file beside this one, or the pipeline itself as an object
///     "tests": [
///       { "name": "what it shows",
///         "script": [
///           { "at": "0.5s", "samples": ["key field time value",       a compact table, see case_table.hpp
///                                       "145 speed 0.5s 0",
///                                       "145 position 0.5s 52.5/13.4/30", ...] },   lat/lon[/alt]; time - is arrival
///           { "at": "0.7s", "messages": [                             as devices send them, through "subject" and
///               { "subject": "vehicle.145.speed", "payload": {"time": 500000000, "value": 0} },      "encoding"
///               { "subject": "vehicle.145.speed", "hex": "00 ff" } ] },   a payload that is a text stands for itself
///           { "advance": "10s" }, { "at": "60s" } ],                  arrival time moves on without samples
///         "expect": [
///           { "node": "db", "rows": ["key tick speed", "145 1s..9s/1s 0.5..9.5"] },
///           { "node": "rows.late", "rows": ["key field time value"] },
///           { "counter": "rows.late", "is": 0 },                      with "reason" only those of that reason
///           { "dead_letters": ["node reason", ...] } ] } ] }
///
/// The script takes the place of the pipeline's source, whatever that is ("node" may name it). A table of an
/// expectation names the columns that it compares (`arrival` is one too) and has all rows of that sink or port, in
/// order. A port of samples also has `value`. Dead letters that no expectation names fail a test. A reason is compared
/// up to its ':'.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/case_table.hpp"
#include "core/findings.hpp"
#include "core/pipeline.hpp"
#include "core/registry.hpp"
#include "core/text.hpp"
#include "core/variables.hpp"

namespace weir {

/// A table in the text, with the place of each of its lines.
struct PlacedTable {
  Table table;
  std::vector<Span> places;  ///< of the texts: [0] is the header's
};

/// One sample of a script.
struct CaseSample {
  std::string key, field;
  std::optional<Timestamp> time;  ///< none: arrival
  Sample::Kind kind = Sample::Kind::number;
  double x = 0, y = 0, z = 0;  ///< z is NaN when unknown
  std::string text;
};

/// One message of a script.
struct CaseMessage {
  std::string subject;
  std::string payload;
};

/// One entry of a script: samples, or messages, or neither if time passes and nothing else.
struct CaseStep {
  Timestamp at = 0;  ///< arrival time
  std::vector<CaseSample> samples;
  std::vector<CaseMessage> messages;
};

/// One entry of what is expected.
struct CaseExpectation {
  enum class What : std::uint8_t { rows, counter, dead_letters };
  What what = What::rows;
  std::size_t node = 0;
  Port port = 0;        ///< of rows of a source or transform
  std::string name;     ///< as written: node, node.port or node.counter
  std::string counter;  ///< its own name
  std::string reason;   ///< of a counter; empty: all reasons together
  PlacedTable rows;     ///< of rows and dead_letters
  std::uint64_t count = 0;
  Span place;
};

struct Case {
  std::string name;
  std::vector<CaseStep> script;
  std::vector<CaseExpectation> expect;
  Span place;
};

/// A file of cases, read and checked as far as the text alone allows.
struct CaseFile {
  Pipeline pipeline;
  std::vector<Case> cases;
};
struct ReadCases {
  std::optional<CaseFile> file;   ///< there if no finding is an error
  std::vector<Finding> findings;  ///< the pipeline's too
};

/// `beside` gives the text of a file that "pipeline" names, relative to `file`; `environment` its variables. Pure
/// otherwise.
ReadCases read_cases(std::string_view text, std::string_view file, const Registry& registry,
                     const std::function<std::optional<std::string>(const std::string&)>& beside,
                     const Environment& environment = {});

/// What became of one case.
struct CaseResult {
  std::string name;
  Span place;
  /// What differs, each with the place of the expectation; empty if the case passed. Messages of several lines.
  struct Failure {
    Span place;
    std::string message;
  };
  std::vector<Failure> failures;
};

struct CaseOptions {
  /// Runs each case again with the script's samples cut into batches of 1, 2 and 7, and with all state saved and loaded
  /// into new instances after each batch. Any difference is a failure.
  bool vary = true;
};

/// Runs one case. Touches nothing outside: sources, sinks and stores are never made.
CaseResult run_case(const CaseFile& file, const Case& one, const Registry& registry, const CaseOptions& options = {});

/// `file:line:col: failed: name`, then each failure indented; empty if it passed.
std::string render(const CaseResult& result, std::string_view file);

}  // namespace weir
