#include "core/testing/case_expectations.hpp"

#include <algorithm>
#include <ranges>

#include <weir/format.hpp>
#include <weir/spelling.hpp>

#include "core/observe/counted.hpp"

namespace weir {

void CaseExpectations::read(const Value& value, std::vector<CaseExpectation>& out) {
  CaseExpectation expectation;
  expectation.place = value.span;
  const std::size_t before = shapes_.errors();
  read_one(value, expectation);
  if (shapes_.errors() == before) out.push_back(std::move(expectation));
}

void CaseExpectations::read_one(const Value& value, CaseExpectation& out) {
  if (const Value* letters = value.find("dead_letters"); letters != nullptr) {
    if (!shapes_.expect_object(value, {"dead_letters"}, {})) return;
    out.what = What::dead_letters;
    read_rows(*letters, {"node", "reason", "subject", "payload", "arrival"}, out);
  } else if (value.find("counter") != nullptr) {
    if (shapes_.expect_object(value, {"counter", "is", "reason"}, {"is"})) read_counter(value, out);
  } else if (value.find("state") != nullptr) {
    if (shapes_.expect_object(value, {"state", "keys"}, {"keys"})) read_state(value, out);
  } else if (const Value* acknowledged = value.find("acknowledged"); acknowledged != nullptr) {
    if (!shapes_.expect_object(value, {"acknowledged"}, {})) return;
    out.what = What::acknowledged;
    out.count = shapes_.number(*acknowledged, "\"acknowledged\"", SIZE_MAX).value_or(0);
  } else if (value.find("contains") != nullptr) {
    if (!shapes_.expect_object(value, {"node", "contains"}, {"node"})) return;
    out.what = What::contains;
    read_rows_of_port(value, "contains", out);
    if (out.rows.table.rows.empty())
      shapes_.error(value.span, "expects-nothing", "rows that are to be among others, but none are named",
                    "that nothing came says \"rows\" with a header alone");
  } else if (shapes_.expect_object(value,
                                   {"node", "rows", "contains", "counter", "state", "acknowledged", "dead_letters"},
                                   {"node", "rows"})) {
    read_rows_of_port(value, "rows", out);
  }
}

void CaseExpectations::read_rows_of_port(const Value& value, std::string_view member, CaseExpectation& out) {
  const Value& node = *value.find("node");
  if (shapes_.expect(node, Value::Kind::string, "\"node\"") && find_port(node, out))
    read_rows(*value.find(member), columns_of_port(out), out);
}

void CaseExpectations::read_rows(const Value& value, const std::vector<std::string>& known, CaseExpectation& out) {
  auto table = table_of(value, out);
  if (!table) return;
  for (const std::string& name : table->columns) {
    if (!std::ranges::contains(known, name)) {
      const Span& place = out.rows.places.empty() ? value.span : out.rows.places[0];
      shapes_.error(place, "unknown-column", weir::format("unknown column {}", quoted(name)),
                    did_you_mean(name, known));
    }
  }
  out.rows.table = *std::move(table);
}

std::optional<Table> CaseExpectations::table_of(const Value& value, CaseExpectation& out) {
  const bool in_file = value.is(Value::Kind::string) && out.what == What::rows;
  return in_file ? table_in_file(value, out) : shapes_.table(value, out.rows.places);
}

/// Its lines are those that would stand in a list.
std::optional<Table> CaseExpectations::table_in_file(const Value& value, CaseExpectation& out) {
  out.file = shapes_.beside(value.text);
  const auto text = around_.text ? around_.text(out.file) : std::nullopt;
  if (!text && around_.update) return Table{};
  if (!text) {
    shapes_.error(value.span, "no-file", weir::format("can't read {}", quoted(out.file)),
                  "weir test --update writes what comes out");
    return {};
  }
  std::vector<std::string> lines;
  for (const auto line : *text | std::views::split('\n')) {
    const std::string_view there{line};
    if (there.find_first_not_of(" \t\r") != there.npos) lines.emplace_back(there.substr(0, there.find('\r')));
  }
  auto table = read_table(lines);
  if (table) return *std::move(table);
  shapes_.error(value.span, "bad-table",
                weir::format("{}: line {}: {}", out.file, table.error().line + 1, table.error().message));
  return {};
}

void CaseExpectations::read_state(const Value& value, CaseExpectation& out) {
  out.what = What::state;
  const Value& name = *value.find("state");
  out.count = shapes_.number(*value.find("keys"), "\"keys\"", SIZE_MAX).value_or(0);
  if (!shapes_.expect(name, Value::Kind::string, "\"state\"")) return;
  const auto node = find_node(name, name.text);
  if (!node) return;
  if (!pipeline_.nodes[*node].keeps_state)
    shapes_.error(name.span, "no-state", weir::format("{} keeps no state", quoted(name.text)));
  out.node = *node;
  out.name = name.text;
}

void CaseExpectations::read_counter(const Value& value, CaseExpectation& out) {
  out.what = What::counter;
  const Value& name = *value.find("counter");
  if (!shapes_.expect(name, Value::Kind::string, "\"counter\"")) return;
  const std::size_t dot = name.text.rfind('.');
  const auto node = find_node(name, name.text.substr(0, dot));
  if (!node) return;
  std::vector<std::string> known;
  for (const CounterSpec& counter : counted::of(pipeline_.nodes[*node].role)) known.push_back(counter.name);
  for (const CounterSpec& counter : pipeline_.nodes[*node].op->spec.counters) known.push_back(counter.name);
  out.node = *node;
  out.name = name.text;
  out.counter = dot == std::string::npos ? "" : name.text.substr(dot + 1);
  out.count = shapes_.number(*value.find("is"), "\"is\"", SIZE_MAX).value_or(0);
  if (!std::ranges::contains(known, out.counter)) {
    shapes_.error(name.span, "unknown-counter",
                  weir::format("{} has no counter {}", quoted(pipeline_.nodes[*node].id), quoted(out.counter)),
                  did_you_mean(out.counter, known));
  }
  if (const Value* reason = value.find("reason");
      reason != nullptr && shapes_.expect(*reason, Value::Kind::string, "\"reason\""))
    out.reason = reason->text;
}

std::optional<std::size_t> CaseExpectations::find_node(const Value& name, const std::string& id) {
  std::vector<std::string> ids;
  for (std::size_t i = 0; i < pipeline_.nodes.size(); ++i) {
    ids.push_back(pipeline_.nodes[i].id);
    if (ids.back() == id) return i;
  }
  shapes_.error(name.span, "unknown-node", weir::format("the pipeline has no node {}", quoted(id)), suggest(id, ids));
  return {};
}

bool CaseExpectations::find_port(const Value& name, CaseExpectation& out) {
  out.name = name.text;
  const std::size_t dot = name.text.find('.');
  const auto node = find_node(name, name.text.substr(0, dot));
  if (!node) return false;
  out.node = *node;
  if (dot == std::string::npos) return true;
  std::vector<std::string> ports;
  for (const PortSpec& port : pipeline_.nodes[*node].op->spec.ports) ports.push_back(port.name);
  const std::string port = name.text.substr(dot + 1);
  const auto found = std::ranges::find(ports, port);
  if (found == ports.end()) {
    shapes_.error(name.span, "unknown-port",
                  weir::format("{} has no port {}", quoted(pipeline_.nodes[*node].id), quoted(port)),
                  did_you_mean(port, ports));
    return false;
  }
  out.port = static_cast<Port>(found - ports.begin()) + 1;
  return true;
}

std::vector<std::string> CaseExpectations::columns_of_port(const CaseExpectation& expectation) const {
  std::vector<std::string> out{"arrival"};
  const Node& node = pipeline_.nodes[expectation.node];
  const SchemaPtr& schema = node.role == Role::sink ? node.input : node.outputs[expectation.port];
  for (const ColumnType& column : schema->columns) out.push_back(column.name);
  if (schema->shape == Shape::samples) out.emplace_back("value");
  return out;
}

}  // namespace weir
