#include <algorithm>
#include <array>

#include <weir/format.hpp>
#include <weir/spelling.hpp>
#include <weir/units.hpp>

#include "core/case_feed.hpp"
#include "core/cases.hpp"

namespace weir {
namespace {

/// Reads a file of cases, collecting what is wrong with it.
class CaseReader {
 public:
  CaseReader(std::string_view text, std::string_view file, const Registry& registry, const Environment& environment)
      : document_{read_text(text, file)}, registry_{registry} {
    options_.variable = environment;
  }

  ReadCases read(const std::function<std::optional<std::string>(const std::string&)>& beside) {
    findings_ = document_.findings;
    ReadCases out;
    CaseFile cases;
    const Value& root = document_.root;
    if (root.find("nodes") != nullptr && root.find("tests") == nullptr) {
      error(root.span, "no-tests", "this is a pipeline, not a file of tests",
            "its tests are in a file beside it (fleet.json: fleet.test.json); see weir describe test");
    } else if (findings_.empty() && expect_object(root, {"pipeline", "tests", "$schema"}, {"pipeline", "tests"})) {
      read_pipeline(*root.find("pipeline"), beside, cases);
      if (!has_errors(findings_)) {
        pipeline_ = &cases.pipeline;
        each(*root.find("tests"), [&](const Value& test) { read_case(test, cases.cases); });
      }
    }
    if (!has_errors(findings_)) out.file = std::move(cases);
    sort_by_place(findings_);
    out.findings = std::move(findings_);
    return out;
  }

 private:
  void error(const Span& span, std::string rule, std::string message, std::string suggestion = {}) {
    findings_.push_back(
        {Severity::error, document_.file, span, std::move(rule), std::move(message), std::move(suggestion)});
  }

  // --- Shapes of values
  // --------------------------------------------------------------------------------------------------

  bool expect(const Value& value, Value::Kind kind, std::string_view what) {
    if (value.is(kind)) return true;
    if (!value.is(Value::Kind::invalid))
      error(value.span, "wrong-type",
            weir::format("{} must be {}, not {}", what, to_string(kind), to_string(value.kind)));
    return false;
  }

  /// Checks that it is an object of these members only.
  bool expect_object(const Value& value, const std::vector<std::string>& allowed,
                     const std::vector<std::string>& required) {
    if (!expect(value, Value::Kind::object, "this")) return false;
    const std::size_t before = findings_.size();
    for (const Member& member : value.members) {
      if (!std::ranges::contains(allowed, member.key)) {
        error(member.key_span, "unknown-field", weir::format("unknown field {}", quoted(member.key)),
              did_you_mean(member.key, allowed));
      }
    }
    for (const std::string& name : required) {
      if (value.find(name) == nullptr) error(value.span, "missing-field", weir::format("{} is missing", quoted(name)));
    }
    return findings_.size() == before;
  }

  template <typename Read>
  void each(const Value& list, const Read& read) {
    if (!expect(list, Value::Kind::array, "this")) return;
    for (const Value& item : list.items) read(item);
  }

  std::optional<Table> read_lines(const Value& list, std::vector<Span>& places) {
    if (!expect(list, Value::Kind::array, "a table")) return {};
    std::vector<std::string> lines;
    for (const Value& line : list.items) {
      if (!expect(line, Value::Kind::string, "a line of a table")) return {};
      lines.push_back(line.text);
      places.push_back(line.span);
    }
    auto table = read_table(lines);
    if (table) return *std::move(table);
    const Value& line = list.items[table.error().line];
    const Place place = place_inside(document_.text, line, table.error().offset);
    error({place, line.span.end}, "bad-table", table.error().message);
    return {};
  }

  // --- Parts of the file
  // -------------------------------------------------------------------------------------------------

  void read_pipeline(const Value& value, const std::function<std::optional<std::string>(const std::string&)>& beside,
                     CaseFile& out) {
    std::string text, file = document_.file;
    if (value.is(Value::Kind::string)) {
      const std::size_t slash = file.rfind('/');
      file = (slash == std::string::npos ? "" : file.substr(0, slash + 1)) + value.text;
      auto found = beside ? beside(file) : std::nullopt;
      if (!found) return error(value.span, "no-file", weir::format("can't read {}", quoted(file)));
      text = *std::move(found);
    } else if (expect(value, Value::Kind::object, "\"pipeline\"")) {
      text = alone(value);
    } else {
      return;
    }
    Checked checked = check_pipeline(text, file, registry_, options_);
    for (Finding& finding : checked.findings) {
      if (finding.severity == Severity::error) findings_.push_back(std::move(finding));
    }
    if (checked.pipeline) out.pipeline = *std::move(checked.pipeline);
  }

  /// The text of a pipeline inside this file by itself, at the place where it stands; it needs no name of its own.
  std::string alone(const Value& value) const {
    const std::size_t begin = value.span.begin.offset;
    std::string text = document_.text.substr(0, value.span.end.offset);
    for (std::size_t i = 0; i < begin; ++i) {
      if (text[i] != '\n') text[i] = ' ';
    }
    if (value.find("name") != nullptr || value.members.empty()) return text;
    constexpr std::string_view name = R"({"name":"case",)";
    const std::size_t line = text.rfind('\n', begin) + 1;  // 0 if there is none
    const std::size_t room = std::min(begin + 1 - line, name.size());
    return text.replace(begin + 1 - room, room, name);
  }

  void read_case(const Value& value, std::vector<Case>& out) {
    if (!expect_object(value, {"name", "script", "expect"}, {"name", "script", "expect"})) return;
    Case one;
    one.place = value.span;
    if (expect(*value.find("name"), Value::Kind::string, "a name")) one.name = value.find("name")->text;
    Timestamp now = 0;
    each(*value.find("script"), [&](const Value& step) { read_step(step, now, one.script); });
    each(*value.find("expect"), [&](const Value& expectation) { read_expectation(expectation, one.expect); });
    if (value.find("expect")->items.empty())
      error(value.find("expect")->span, "expects-nothing", "a test that expects nothing can't fail");
    out.push_back(std::move(one));
  }

  void read_step(const Value& value, Timestamp& now, std::vector<CaseStep>& out) {
    if (!expect_object(value, {"at", "advance", "node", "samples", "messages"}, {})) return;
    const Value *at = value.find("at"), *advance = value.find("advance");
    if ((at == nullptr) == (advance == nullptr))
      return error(value.span, "when", "a step needs either \"at\" or \"advance\"");
    const Value& when = at != nullptr ? *at : *advance;
    if (!expect(when, Value::Kind::string, "an instant")) return;
    const auto instant = parse_instant(when.text);
    if (!instant)
      return error(when.span, "when", weir::format("{} is no instant", quoted(when.text)),
                   "write for example \"1.5s\"");
    const Timestamp next = at != nullptr ? *instant : now + *instant;
    if (next < now)
      return error(when.span, "when",
                   weir::format("arrival time was {} before; it does not go back", format_instant(now)));
    now = next;
    if (const Value* node = value.find("node"); node != nullptr && expect(*node, Value::Kind::string, "\"node\"")) {
      const std::string& source = pipeline_->nodes[pipeline_->source()].id;
      if (node->text != source)
        error(
            node->span, "no-source",
            weir::format("{} is not the source of the pipeline; samples go to {}", quoted(node->text), quoted(source)));
    }
    CaseStep step;
    step.at = now;
    const Value *samples = value.find("samples"), *messages = value.find("messages");
    if (samples != nullptr && messages != nullptr)
      return error(value.span, "two-feeds", "a step has samples or messages, not both", "write two steps");
    if (samples != nullptr) read_samples(*samples, step);
    if (messages != nullptr) read_messages(*messages, step);
    out.push_back(std::move(step));
  }

  void read_messages(const Value& list, CaseStep& step) {
    const Node& source = pipeline_->nodes[pipeline_->source()];
    if (!source.op->spec.dissect) {
      return error(list.span, "no-messages",
                   weir::format("nobody sends messages to source {}, it makes them itself", quoted(source.name)),
                   "write \"samples\"");
    }
    each(list, [&](const Value& item) {
      if (!expect_object(item, {"subject", "payload", "hex"}, {"subject"})) return;
      const Value &subject = *item.find("subject"), *payload = item.find("payload"), *hex = item.find("hex");
      if (!expect(subject, Value::Kind::string, "\"subject\"")) return;
      if ((payload == nullptr) == (hex == nullptr))
        return error(item.span, "no-payload", "a message has either \"payload\" or \"hex\"");
      auto bytes = payload != nullptr ? payload_in(*payload) : bytes_in(*hex);
      if (bytes) step.messages.push_back({subject.text, *std::move(bytes)});
    });
  }

  /// A text is the payload itself; any other value the JSON that is written there.
  std::optional<std::string> payload_in(const Value& value) const {
    if (value.is(Value::Kind::invalid)) return {};
    if (value.is(Value::Kind::string)) return value.text;
    const std::size_t begin = value.span.begin.offset;
    return document_.text.substr(begin, value.span.end.offset - begin);
  }

  std::optional<std::string> bytes_in(const Value& hex) {
    if (!expect(hex, Value::Kind::string, "\"hex\"")) return {};
    if (auto bytes = bytes_of(hex.text)) return bytes;
    error(hex.span, "bad-hex", "\"hex\" must be pairs of hexadecimal digits", "write for example \"0a ff\"");
    return {};
  }

  void read_samples(const Value& list, CaseStep& step) {
    std::vector<Span> places;
    const auto table = read_lines(list, places);
    if (!table || list.items.empty()) return;
    static const std::vector<std::string> names{"key", "field", "time", "value"};
    std::array<std::size_t, 4> column{};
    for (std::size_t i = 0; i < names.size(); ++i) {
      column[i] = static_cast<std::size_t>(std::ranges::find(table->columns, names[i]) - table->columns.begin());
      if (column[i] == table->columns.size() && names[i] != "time")
        error(places[0], "no-column", weir::format("column {} is missing", names[i]));
    }
    for (const std::string& name : table->columns) {
      if (!std::ranges::contains(names, name))
        error(places[0], "unknown-column",
              weir::format("unknown column {}; samples have key, field, time and value", quoted(name)));
    }
    if (has_errors(findings_)) return;
    for (const TableRow& row : table->rows) {
      CaseSample sample{.key = row.cells[column[0]].text, .field = row.cells[column[1]].text, .time = {}, .text = {}};
      if (column[2] < row.cells.size() && !row.cells[column[2]].null) {
        sample.time = parse_instant(row.cells[column[2]].text);
        if (!sample.time)
          return error(places[row.line], "no-instant",
                       weir::format("{} is no instant", quoted(row.cells[column[2]].text)));
      }
      read_value(row.cells[column[3]], sample);
      step.samples.push_back(std::move(sample));
    }
  }

  // --- What is expected
  // --------------------------------------------------------------------------------------------------

  void read_expectation(const Value& value, std::vector<CaseExpectation>& out) {
    CaseExpectation expectation;
    expectation.place = value.span;
    const std::size_t before = findings_.size();
    if (value.find("dead_letters") != nullptr) {
      if (!expect_object(value, {"dead_letters"}, {})) return;
      expectation.what = CaseExpectation::What::dead_letters;
      read_rows(*value.find("dead_letters"), {"node", "reason", "subject", "payload", "arrival"}, expectation);
    } else if (value.find("counter") != nullptr) {
      if (!expect_object(value, {"counter", "is", "reason"}, {"is"})) return;
      expectation.what = CaseExpectation::What::counter;
      read_counter(value, expectation);
    } else if (expect_object(value, {"node", "rows", "counter", "dead_letters"}, {"node", "rows"})) {
      const Value& node = *value.find("node");
      if (expect(node, Value::Kind::string, "\"node\"") && find_port(node, expectation)) {
        read_rows(*value.find("rows"), columns_of_port(expectation), expectation);
      }
    }
    if (findings_.size() == before) out.push_back(std::move(expectation));
  }

  void read_rows(const Value& list, const std::vector<std::string>& known, CaseExpectation& out) {
    auto table = read_lines(list, out.rows.places);
    if (!table) return;
    for (const std::string& name : table->columns) {
      if (!std::ranges::contains(known, name)) {
        error(out.rows.places[0], "unknown-column", weir::format("unknown column {}", quoted(name)),
              did_you_mean(name, known));
      }
    }
    out.rows.table = *std::move(table);
  }

  void read_counter(const Value& value, CaseExpectation& out) {
    const Value& name = *value.find("counter");
    const Value& is = *value.find("is");
    if (!expect(name, Value::Kind::string, "\"counter\"") || !expect(is, Value::Kind::integer, "\"is\"")) return;
    if (is.integer < 0) return error(is.span, "negative", "a counter is never negative");
    const std::size_t dot = name.text.rfind('.');
    const auto node = find_node(name, name.text.substr(0, dot));
    if (!node) return;
    std::vector<std::string> known{"refused", "cells", "empty_rows", "unread"};
    if (*node == pipeline_->source())
      known.append_range(std::array{"messages", "bytes", "samples", "without_time", "without_samples"});
    for (const CounterSpec& counter : pipeline_->nodes[*node].op->spec.counters) known.push_back(counter.name);
    out.node = *node;
    out.name = name.text;
    out.counter = dot == std::string::npos ? "" : name.text.substr(dot + 1);
    out.count = static_cast<std::uint64_t>(is.integer);
    if (!std::ranges::contains(known, out.counter)) {
      error(name.span, "unknown-counter",
            weir::format("{} has no counter {}", quoted(pipeline_->nodes[*node].id), quoted(out.counter)),
            did_you_mean(out.counter, known));
    }
    if (const Value* reason = value.find("reason");
        reason != nullptr && expect(*reason, Value::Kind::string, "\"reason\""))
      out.reason = reason->text;
  }

  std::optional<std::size_t> find_node(const Value& name, const std::string& id) {
    std::vector<std::string> ids;
    for (std::size_t i = 0; i < pipeline_->nodes.size(); ++i) {
      ids.push_back(pipeline_->nodes[i].id);
      if (ids.back() == id) return i;
    }
    error(name.span, "unknown-node", weir::format("the pipeline has no node {}", quoted(id)), did_you_mean(id, ids));
    return {};
  }

  bool find_port(const Value& name, CaseExpectation& out) {
    out.name = name.text;
    const std::size_t dot = name.text.find('.');
    const auto node = find_node(name, name.text.substr(0, dot));
    if (!node) return false;
    out.node = *node;
    if (dot == std::string::npos) return true;
    std::vector<std::string> ports;
    for (const PortSpec& port : pipeline_->nodes[*node].op->spec.ports) ports.push_back(port.name);
    const std::string port = name.text.substr(dot + 1);
    const auto found = std::ranges::find(ports, port);
    if (found == ports.end()) {
      error(name.span, "unknown-port",
            weir::format("{} has no port {}", quoted(pipeline_->nodes[*node].id), quoted(port)),
            did_you_mean(port, ports));
      return false;
    }
    out.port = static_cast<Port>(found - ports.begin()) + 1;
    return true;
  }

  std::vector<std::string> columns_of_port(const CaseExpectation& expectation) const {
    std::vector<std::string> out{"arrival"};
    const Node& node = pipeline_->nodes[expectation.node];
    const SchemaPtr& schema = node.role == Role::sink ? node.input : node.outputs[expectation.port];
    for (const ColumnType& column : schema->columns) out.push_back(column.name);
    if (schema->shape == Shape::samples) out.emplace_back("value");
    return out;
  }

  Document document_;
  const Registry& registry_;
  CheckOptions options_;
  const Pipeline* pipeline_ = nullptr;
  std::vector<Finding> findings_;
};

}  // namespace

ReadCases read_cases(std::string_view text, std::string_view file, const Registry& registry,
                     const std::function<std::optional<std::string>(const std::string&)>& beside,
                     const Environment& environment) {
  return CaseReader{text, file, registry, environment}.read(beside);
}

}  // namespace weir
