/// Test cases as data: a script under virtual time, and what must come out of a pipeline.
///
///   { "pipeline": "fleet.json",                 a file beside this one, or the pipeline itself as an object
///     "set": { "rows.wait": "5s" },             as -s; of the file, and of a test
///     "variables": { "FLEET": "north" },        for ${FLEET}; else the environment's
///     "tests": [
///       { "name": "what it shows",
///         "script": [
///           { "at": "0.5s", "samples": ["key field time value",       a compact table, see case_table.hpp
///                                       "145 speed 0.5s 0",
///                                       "145 position 0.5s 52.5/13.4/30", ...] },   lat/lon[/alt]; time - is arrival
///           { "at": "0.7s", "messages": [                             as devices send them, through "subject" and
///               { "subject": "vehicle.145.speed", "payload": {"time": 500000000, "value": 0} },      "encoding"
///               { "subject": "vehicle.145.speed", "hex": "00 ff" } ] },   a payload that is a text stands for itself
///           { "replay": "day.weir", "from": "2026-…", "until": "2026-…" },    its messages, when they arrived
///           { "advance": "10s" }, { "at": "60s" },                    arrival time moves on without samples
///           { "fail": "db", "times": 2, "answer": "lost" },           the next commits of a sink
///           { "commit": true }, { "snapshot": true }, { "crash": true },
///           { "expect": [ … ] } ],                                    what holds so far
///         "expect": [
///           { "node": "db", "rows": ["key tick speed", "145 1s..9s/1s 0.5..9.5"] },   or a file beside this one
///           { "node": "db", "contains": ["key tick speed", "145 3s 2.5"] },
///           { "node": "rows.late", "rows": ["key field time value"] },
///           { "counter": "rows.late", "is": 0 },                      with "reason" only those of that reason
///           { "state": "rows", "keys": 1 },                           what a transform holds
///           { "acknowledged": 2 },                                    of what arrived: committed
///           { "dead_letters": ["node reason", ...] } ] } ] }
///
/// The script takes the place of the pipeline's source, whatever that is ("node" may name it). A table of an
/// expectation names the columns that it compares (`arrival` is one too) and has all rows of that sink or port, in
/// order; `contains` those of them that must be there, in order. A port of samples also has `value`. Dead letters that
/// no expectation names fail a test. A reason is compared up to its ':'.
///
/// Rows of a sink are those committed. Nothing is committed but by `commit` and, as a drain does it, at the end of the
/// script. A crash loses what was not: the next worker goes on as the source, the sinks and the store promise, which
/// twins in memory stand for. Where the source gives everything again, rows of a port and counters are then those that
/// led to what was committed.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/config/findings.hpp"
#include "core/config/text.hpp"
#include "core/config/variables.hpp"
#include "core/plan/pipeline.hpp"
#include "core/plan/registry.hpp"
#include "core/testing/case_table.hpp"

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
  std::optional<Timestamp> at;  ///< arrival; none: the step's
  bool marker = false;          ///< says only that time passed
  // Of a recorded one; else what the source makes of the subject.
  std::string key = {}, field = {};
  std::string refused = {};  ///< why the source would not take it
  std::vector<std::pair<std::string, std::string>> headers = {};
};

/// One entry of what is expected.
struct CaseExpectation {
  enum class What : std::uint8_t { rows, contains, counter, state, acknowledged, dead_letters };
  What what = What::rows;
  std::size_t node = 0;
  Port port = 0;        ///< of rows of a source or transform
  std::string name;     ///< as written: node, node.port or node.counter
  std::string counter;  ///< its own name
  std::string reason;   ///< of a counter; empty: all reasons together
  PlacedTable rows;     ///< of rows, contains and dead_letters
  std::string file;     ///< that has them; empty: they stand in the text
  std::uint64_t count = 0;
  Span place;
};

/// One entry of a script: what arrives (samples, or messages, or neither if time passes and nothing else), or what is
/// done.
struct CaseStep {
  enum class What : std::uint8_t { arrive, commit, snapshot, crash, fail, expect };
  What what = What::arrive;
  Timestamp at = 0;  ///< arrival time
  std::vector<CaseSample> samples;
  std::vector<CaseMessage> messages;
  std::size_t sink = 0;                 ///< number of the node whose next commits fail, …
  std::size_t times = 0;                ///< … so many of them,
  bool answer_lost = false;             ///< though they are done: only their answers don't come
  std::vector<CaseExpectation> expect;  ///< what holds so far
  Span place;
};

struct Case {
  std::string name;
  std::shared_ptr<const Pipeline> pipeline;  ///< with the settings of this case
  std::vector<CaseStep> script;
  std::vector<CaseExpectation> expect;
  Span place;
};

/// A file of cases, read and checked as far as the text alone allows.
struct CaseFile {
  std::string pipeline;  ///< its file; of one that stands in the text, that
  std::vector<Case> cases;
};
struct ReadCases {
  std::optional<CaseFile> file;   ///< there if no finding is an error
  std::vector<Finding> findings;  ///< the pipeline's too
};

/// What stands beside a file of cases; paths are as that file's.
struct CaseSurroundings {
  std::function<std::optional<std::string>(const std::string& path)> text = nullptr;  ///< of a file
  /// The messages of a recording that arrived from an instant on and before another.
  std::function<Result<std::vector<CaseMessage>>(const std::string& path, Timestamp from, Timestamp until)> messages =
      nullptr;
  Environment environment = nullptr;
  bool update = false;  ///< expected files may be missing: they will be written
};

/// Pure but for what it asks of the surroundings.
ReadCases read_cases(std::string_view text, std::string_view file, const Registry& registry,
                     const CaseSurroundings& around = {});

/// What passed a port in a case, or came to a sink.
struct CasePassage {
  std::string port;  ///< node, or node.port
  std::uint64_t rows = 0;
  bool expected = false;  ///< an expectation says which rows
};

/// What became of one case.
struct CaseResult {
  std::string name;
  Span place;
  /// What differs, each with the place of the expectation; empty if the case passed. Messages of several lines.
  struct Failure {
    Span place;
    std::string message;
    bool rows_in_text = false;  ///< it is of rows that stand in the text itself, which no update writes
  };
  std::vector<Failure> failures;
  std::vector<CasePassage> passages;  ///< by node and port
  /// What the files of expected rows that differ would have to hold.
  struct Update {
    std::string file;
    std::string text;
  };
  std::vector<Update> updates;
};

struct CaseOptions {
  /// Runs each case again with the script's samples cut into batches of 1, 2 and 7, with all state saved and loaded
  /// into new instances after each batch, and, where the script has no commits of its own, with a crash after every
  /// third sample. Any difference is a failure.
  bool vary = true;
  bool letters = false;  ///< dead letters that no expectation names fail nothing
};

/// Runs one case. Touches nothing outside: sources and sinks are never made, and no store is opened.
CaseResult run_case(const Case& one, const Registry& registry, const CaseOptions& options = {});

/// `file:line:col: failed: name`, then each failure indented; empty if it passed.
std::string render(const CaseResult& result, std::string_view file);

}  // namespace weir
