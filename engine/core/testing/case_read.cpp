#include <algorithm>
#include <array>

#include <weir/format.hpp>
#include <weir/rfc3339.hpp>
#include <weir/spelling.hpp>
#include <weir/units.hpp>

#include "core/testing/case_expectations.hpp"
#include "core/testing/case_feed.hpp"
#include "core/testing/case_shapes.hpp"
#include "core/testing/cases.hpp"

namespace weir {
namespace {

/// Reads a file of cases, collecting what is wrong with it.
class CaseReader {
 public:
  CaseReader(std::string_view text, std::string_view file, const Registry& registry, const CaseSurroundings& around)
      : document_{read_text(text, file)}, registry_{registry}, around_{around}, shapes_{document_, findings_} {}

  ReadCases read() {
    findings_ = document_.findings;
    ReadCases out;
    CaseFile cases;
    const Value& root = document_.root;
    if (root.find("nodes") != nullptr && root.find("tests") == nullptr) {
      shapes_.error(root.span, "no-tests", "this is a pipeline, not a file of tests",
                    "its tests are in a file beside it (fleet.json: fleet.test.json); see weir describe test");
    } else if (findings_.empty() && shapes_.expect_object(root, {"pipeline", "set", "variables", "tests", "$schema"},
                                                          {"pipeline", "tests"})) {
      read_pipeline(root, cases.pipeline);
      if (pipeline_) shapes_.each(*root.find("tests"), [&](const Value& test) { read_case(test, cases.cases); });
    }
    if (!has_errors(findings_)) out.file = std::move(cases);
    sort_by_place(findings_);
    out.findings = std::move(findings_);
    return out;
  }

 private:
  // --- The pipeline
  // ------------------------------------------------------------------------------------------------------

  void read_pipeline(const Value& root, std::string& file) {
    const Value& value = *root.find("pipeline");
    pipeline_file_ = document_.file;
    if (value.is(Value::Kind::string)) {
      pipeline_file_ = shapes_.beside(value.text);
      auto found = around_.text ? around_.text(pipeline_file_) : std::nullopt;
      if (!found) return shapes_.error(value.span, "no-file", weir::format("can't read {}", quoted(pipeline_file_)));
      pipeline_text_ = *std::move(found);
    } else if (shapes_.expect(value, Value::Kind::object, "\"pipeline\"")) {
      pipeline_text_ = alone(value);
    } else {
      return;
    }
    file = pipeline_file_;
    Checked checked = check_pipeline(pipeline_text_, pipeline_file_, registry_, with({&root}));
    if (checked.pipeline) {
      pipeline_ = std::make_shared<const Pipeline>(*std::move(checked.pipeline));
      return;
    }
    note(checked.findings, {&root});
  }

  /// A mistake that the pipeline has is shown there; one that "set" brings, at its place.
  void note(std::vector<Finding>& found, const std::vector<const Value*>& objects) {
    const Value* set = objects.front()->find("set");
    const Checked without = check_pipeline(pipeline_text_, pipeline_file_, registry_, with({}));
    const bool own = set == nullptr || !without.pipeline;
    for (Finding& finding : found) {
      if (finding.severity != Severity::error || note_of_member(finding, objects)) continue;
      if (own) {
        findings_.push_back(std::move(finding));
      } else {
        shapes_.error(set->span, finding.rule, finding.message, finding.suggestion);
      }
    }
  }

  /// The same of what is wrong with one member, which check_pipeline() takes for an option.
  bool note_of_member(const Finding& finding, const std::vector<const Value*>& objects) {
    for (const Value* object : objects) {
      const Value* set = object->find("set");
      if (set == nullptr || !set->is(Value::Kind::object)) continue;
      for (const Member& member : set->members) {
        const std::string option = "-s " + member.key + ": ";
        if (!finding.message.starts_with(option)) continue;
        shapes_.error(member.key_span, finding.rule, "\"set\": " + finding.message.substr(option.size()),
                      finding.suggestion);
        return true;
      }
    }
    return false;
  }

  /// How the pipeline is checked with what these objects set, the later ones before the earlier.
  CheckOptions with(const std::vector<const Value*>& objects) {
    CheckOptions out;
    std::map<std::string, std::string, std::less<>> variables;
    for (const Value* object : objects) {
      each_member(*object, "set",
                  [&](const Member& member) { out.overrides.emplace_back(member.key, shapes_.written(member.value)); });
      each_member(*object, "variables", [&](const Member& member) {
        if (shapes_.expect(member.value, Value::Kind::string, "a variable")) variables[member.key] = member.value.text;
      });
    }
    out.variable = [variables, this](std::string_view name) {
      const auto found = variables.find(name);
      if (found != variables.end()) return std::optional{found->second};
      return around_.environment ? around_.environment(name) : std::nullopt;
    };
    return out;
  }

  template <typename Read>
  void each_member(const Value& object, std::string_view name, const Read& read) {
    const Value* value = object.find(name);
    if (value == nullptr || !shapes_.expect(*value, Value::Kind::object, quoted(name))) return;
    for (const Member& member : value->members) read(member);
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

  // --- Tests
  // -------------------------------------------------------------------------------------------------------------

  void read_case(const Value& value, std::vector<Case>& out) {
    if (!shapes_.expect_object(value, {"name", "set", "variables", "script", "expect"}, {"name", "script"})) return;
    Case one;
    one.place = value.span;
    one.pipeline = pipeline_of(value);
    if (!one.pipeline) return;
    if (shapes_.expect(*value.find("name"), Value::Kind::string, "a name")) one.name = value.find("name")->text;
    Timestamp now = 0;
    shapes_.each(*value.find("script"), [&](const Value& step) { read_step(step, *one.pipeline, now, one.script); });
    if (const Value* expect = value.find("expect"); expect != nullptr)
      read_expectations(*expect, *one.pipeline, one.expect);
    const bool expects = !one.expect.empty() || std::ranges::any_of(one.script, [](const CaseStep& step) {
      return step.what == CaseStep::What::expect;
    });
    if (!expects && !has_errors(findings_))
      shapes_.error(value.span, "expects-nothing", "a test that expects nothing can't fail");
    out.push_back(std::move(one));
  }

  /// The file's, but for what the test sets by itself.
  std::shared_ptr<const Pipeline> pipeline_of(const Value& test) {
    if (test.find("set") == nullptr && test.find("variables") == nullptr) return pipeline_;
    Checked checked = check_pipeline(pipeline_text_, pipeline_file_, registry_, with({&document_.root, &test}));
    if (!checked.pipeline) note(checked.findings, {&test, &document_.root});
    return checked.pipeline ? std::make_shared<const Pipeline>(*std::move(checked.pipeline)) : nullptr;
  }

  void read_expectations(const Value& list, const Pipeline& pipeline, std::vector<CaseExpectation>& out) {
    CaseExpectations reader{shapes_, pipeline, around_};
    if (list.is(Value::Kind::array) && list.items.empty())
      shapes_.error(list.span, "expects-nothing", "a test that expects nothing can't fail");
    shapes_.each(list, [&](const Value& expectation) { reader.read(expectation, out); });
  }

  // --- Steps of a script
  // -------------------------------------------------------------------------------------------------

  void read_step(const Value& value, const Pipeline& pipeline, Timestamp& now, std::vector<CaseStep>& out) {
    CaseStep step;
    step.place = value.span;
    step.at = now;
    const std::size_t before = shapes_.errors();
    if (does_two_things(value)) return;
    if (value.find("replay") != nullptr) {
      read_recording(value, now, step);
    } else if (value.find("fail") != nullptr) {
      read_failure(value, pipeline, step);
    } else if (const Value* expect = value.find("expect"); expect != nullptr) {
      step.what = CaseStep::What::expect;
      if (shapes_.expect_object(value, {"expect"}, {})) read_expectations(*expect, pipeline, step.expect);
    } else if (!read_deed(value, step)) {
      read_arrivals(value, pipeline, now, step);
    }
    if (shapes_.errors() == before) out.push_back(std::move(step));
  }

  /// Reports it if so. Samples and messages come at a time, which is one thing.
  bool does_two_things(const Value& value) {
    std::string_view first;
    const auto arrives = [](std::string_view name) { return std::ranges::contains(arrival_members, name); };
    for (const Member& member : value.members) {
      const std::string_view name = member.key;
      if (!arrives(name) && !std::ranges::contains(deeds, name)) continue;
      if (first.empty()) first = name;
      if (first == name || (arrives(first) && arrives(name))) continue;
      shapes_.error(member.key_span, "two-deeds",
                    weir::format("a step does one thing, and this has {} and {}", quoted(first), quoted(name)),
                    "write a step for each, in their order");
      return true;
    }
    return false;
  }

  /// { "commit": true } and the like.
  bool read_deed(const Value& value, CaseStep& step) {
    using What = CaseStep::What;
    constexpr std::array kinds{std::pair{"commit", What::commit}, std::pair{"snapshot", What::snapshot},
                               std::pair{"crash", What::crash}};
    for (const auto& [name, what] : kinds) {
      const Value* deed = value.find(name);
      if (deed == nullptr) continue;
      step.what = what;
      if (shapes_.expect_object(value, {name}, {}) && shapes_.expect(*deed, Value::Kind::boolean, quoted(name)) &&
          !deed->boolean)
        shapes_.error(deed->span, "no-deed", weir::format("{} must be true", quoted(name)), "else leave the step out");
      return true;
    }
    return false;
  }

  void read_failure(const Value& value, const Pipeline& pipeline, CaseStep& step) {
    step.what = CaseStep::What::fail;
    if (!shapes_.expect_object(value, {"fail", "times", "answer"}, {})) return;
    const Value &sink = *value.find("fail"), *times = value.find("times"), *answer = value.find("answer");
    step.times = times == nullptr ? 1 : shapes_.number(*times, "\"times\"", most_failures).value_or(1);
    if (step.times == 0)
      shapes_.error(times->span, "out-of-bounds", "\"times\" is at least 1", "else leave the step out");
    if (answer != nullptr && shapes_.expect(*answer, Value::Kind::string, "\"answer\"") && answer->text != "lost")
      shapes_.error(answer->span, "wrong-answer",
                    "\"answer\" can only be \"lost\": the commit is done, and nobody hears",
                    "without it the commit is not done");
    step.answer_lost = answer != nullptr;
    if (!shapes_.expect(sink, Value::Kind::string, "\"fail\"")) return;
    const auto node = CaseExpectations{shapes_, pipeline, around_}.find_node(sink, sink.text);
    if (!node) return;
    if (pipeline.nodes[*node].role != Role::sink)
      shapes_.error(sink.span, "no-sink", weir::format("{} is no sink; commits are theirs", quoted(sink.text)));
    step.sink = *node;
  }

  void read_recording(const Value& value, Timestamp& now, CaseStep& step) {
    if (!shapes_.expect_object(value, {"replay", "from", "until"}, {})) return;
    const Value& path = *value.find("replay");
    const auto from = instant_in(value.find("from"), no_time), until = instant_in(value.find("until"), end_of_time);
    if (!shapes_.expect(path, Value::Kind::string, "\"replay\"") || !from || !until) return;
    if (!around_.messages) return shapes_.error(path.span, "no-file", "recordings can't be read here");
    auto messages = around_.messages(shapes_.beside(path.text), *from, *until);
    if (!messages) return shapes_.error(path.span, "no-file", messages.error().message);
    if (messages->empty()) return shapes_.error(path.span, "no-messages", "nothing arrived there in that time");
    if (const Timestamp first = *messages->front().at; first < now) {
      return shapes_.error(path.span, "when",
                           weir::format("its first message arrived at {}, but arrival time was {} before",
                                        format_instant(first), format_instant(now)));
    }
    now = *messages->back().at;
    step.messages = *std::move(messages);
  }

  std::optional<Timestamp> instant_in(const Value* value, Timestamp without) {
    if (value == nullptr) return without;
    if (!shapes_.expect(*value, Value::Kind::string, "an instant")) return {};
    const auto instant = parse_instant(value->text);
    if (!instant) shapes_.error(value->span, "when", no_instant(value->text), for_example);
    return instant;
  }

  void read_arrivals(const Value& value, const Pipeline& pipeline, Timestamp& now, CaseStep& step) {
    std::vector<std::string> known{"node"};
    known.insert(known.end(), arrival_members.begin(), arrival_members.end());
    known.insert(known.end(), deeds.begin(), deeds.end());  // which it has none of, but may mean
    if (!shapes_.expect_object(value, known, {})) return;
    const Value *at = value.find("at"), *advance = value.find("advance");
    if ((at == nullptr) == (advance == nullptr)) {
      return shapes_.error(value.span, "when",
                           "a step needs either \"at\" or \"advance\"; or it has one of \"replay\", \"commit\", "
                           "\"snapshot\", \"crash\", \"fail\", \"expect\"");
    }
    const Value& when = at != nullptr ? *at : *advance;
    const auto instant = instant_in(&when, 0);
    if (!instant) return;
    const Timestamp next = at != nullptr ? *instant : now + *instant;
    if (next < now)
      return shapes_.error(when.span, "when",
                           weir::format("arrival time was {} before; it does not go back", format_instant(now)));
    step.at = now = next;
    const Node& source = pipeline.nodes[pipeline.source()];
    if (const Value* node = value.find("node");
        node != nullptr && shapes_.expect(*node, Value::Kind::string, "\"node\"") && node->text != source.id) {
      shapes_.error(node->span, "no-source",
                    weir::format("{} is not the source of the pipeline; samples go to {}", quoted(node->text),
                                 quoted(source.id)));
    }
    const Value *samples = value.find("samples"), *messages = value.find("messages");
    if (samples != nullptr && messages != nullptr)
      return shapes_.error(value.span, "two-feeds", "a step has samples or messages, not both", "write two steps");
    if (samples != nullptr) read_samples(*samples, step);
    if (messages != nullptr) read_messages(*messages, source, step);
  }

  void read_messages(const Value& list, const Node& source, CaseStep& step) {
    if (!source.op->spec.dissect) {
      return shapes_.error(
          list.span, "no-messages",
          weir::format("nobody sends messages to source {}, it makes them itself", quoted(source.name)),
          "write \"samples\"");
    }
    shapes_.each(list, [&](const Value& item) {
      if (!shapes_.expect_object(item, {"subject", "payload", "hex"}, {"subject"})) return;
      const Value &subject = *item.find("subject"), *payload = item.find("payload"), *hex = item.find("hex");
      if (!shapes_.expect(subject, Value::Kind::string, "\"subject\"")) return;
      if ((payload == nullptr) == (hex == nullptr))
        return shapes_.error(item.span, "no-payload", "a message has either \"payload\" or \"hex\"");
      auto bytes = payload != nullptr ? payload_in(*payload) : bytes_in(*hex);
      if (bytes) step.messages.push_back({.subject = subject.text, .payload = *std::move(bytes), .at = {}});
    });
  }

  /// A text is the payload itself; any other value the JSON that is written there.
  std::optional<std::string> payload_in(const Value& value) const {
    if (value.is(Value::Kind::invalid)) return {};
    if (value.is(Value::Kind::string)) return value.text;
    return shapes_.written(value);
  }

  std::optional<std::string> bytes_in(const Value& hex) {
    if (!shapes_.expect(hex, Value::Kind::string, "\"hex\"")) return {};
    if (auto bytes = bytes_of(hex.text)) return bytes;
    shapes_.error(hex.span, "bad-hex", "\"hex\" must be pairs of hexadecimal digits", "write for example \"0a ff\"");
    return {};
  }

  void read_samples(const Value& list, CaseStep& step) {
    std::vector<Span> places;
    const auto table = shapes_.table(list, places);
    if (!table || list.items.empty()) return;
    static const std::vector<std::string> names{"key", "field", "time", "value"};
    std::array<std::size_t, 4> column{};
    for (std::size_t i = 0; i < names.size(); ++i) {
      column[i] = static_cast<std::size_t>(std::ranges::find(table->columns, names[i]) - table->columns.begin());
      if (column[i] == table->columns.size() && names[i] != "time")
        shapes_.error(places[0], "no-column", weir::format("column {} is missing", names[i]));
    }
    for (const std::string& name : table->columns) {
      if (!std::ranges::contains(names, name))
        shapes_.error(places[0], "unknown-column",
                      weir::format("unknown column {}; samples have key, field, time and value", quoted(name)));
    }
    if (has_errors(findings_)) return;
    for (const TableRow& row : table->rows) {
      CaseSample sample{.key = row.cells[column[0]].text, .field = row.cells[column[1]].text, .time = {}, .text = {}};
      if (column[2] < row.cells.size() && !row.cells[column[2]].null) {
        sample.time = parse_instant(row.cells[column[2]].text);
        if (!sample.time)
          return shapes_.error(places[row.line], "no-instant", no_instant(row.cells[column[2]].text), for_example);
      }
      read_value(row.cells[column[3]], sample);
      step.samples.push_back(std::move(sample));
    }
  }

  static std::string no_instant(std::string_view text) { return weir::format("{} is no instant", quoted(text)); }

  static constexpr std::uint64_t most_failures = 100;
  static constexpr auto for_example = "write for example \"1.5s\"";
  static constexpr std::array<std::string_view, 4> arrival_members{"at", "advance", "samples", "messages"};
  static constexpr std::array<std::string_view, 6> deeds{"replay", "commit", "snapshot", "crash", "fail", "expect"};

  Document document_;
  const Registry& registry_;
  const CaseSurroundings& around_;
  std::vector<Finding> findings_;
  CaseShapes shapes_;
  std::string pipeline_file_, pipeline_text_;
  std::shared_ptr<const Pipeline> pipeline_;
};

}  // namespace

ReadCases read_cases(std::string_view text, std::string_view file, const Registry& registry,
                     const CaseSurroundings& around) {
  return CaseReader{text, file, registry, around}.read();
}

}  // namespace weir
