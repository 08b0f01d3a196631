#include "cli/conformance.hpp"

#include <algorithm>
#include <array>
#include <exception>
#include <filesystem>
#include <memory>
#include <optional>

#include <weir/format.hpp>
#include <weir/spelling.hpp>

#include "cli/example.hpp"
#include "core/plan/node_context.hpp"
#include "core/plan/settings_check.hpp"
#include "core/testing/cases.hpp"

namespace weir::cli {
namespace {

using Broken = std::vector<std::string>;

/// One operator under examination.
struct Examined {
  const Registry& registry;
  const OperatorName& name;
  const Operator& op;
  const Spec& spec = op.spec;
};

// --- Documentation and defaults
// ----------------------------------------------------------------------------------------------

void want_sentence(const std::string& text, const std::string& of, Broken& broken) {
  if (text.empty()) broken.push_back(of + " is not documented");
  if (text.ends_with('.')) broken.push_back(weir::format("{}: no full stop: {}", of, text));
}

void want_documented(const std::vector<Field>& fields, const std::string& path, Broken& broken) {
  for (const Field& field : fields) {
    want_sentence(field.doc, "setting " + path + field.name, broken);
    want_documented(field.kind.fields, path + field.name + ".", broken);
  }
}

Broken documented(const Examined& one) {
  Broken broken;
  want_sentence(one.spec.summary, "the operator", broken);
  want_documented(one.spec.fields, "", broken);
  for (const PortSpec& port : one.spec.ports) want_sentence(port.doc, "port " + port.name, broken);
  for (const CounterSpec& counter : one.spec.counters) want_sentence(counter.doc, "counter " + counter.name, broken);
  for (const SetupSpec& setup : one.spec.setups) want_sentence(setup.doc, "setup " + setup.name, broken);
  return broken;
}

bool has_maker(const Operator& op, Role role) {
  switch (role) {
    case Role::source:
      return op.make_source != nullptr;
    case Role::transform:
      return op.make_transform != nullptr;
    case Role::sink:
      return op.make_sink != nullptr;
    case Role::store:
      return op.make_store != nullptr;
    case Role::codec:
      return op.make_codec != nullptr;
  }
  return false;
}

Broken one_maker(const Examined& one) {
  const auto makers = std::ranges::count_if(all_roles, [&](Role role) { return has_maker(one.op, role); });
  if (makers == 1 && has_maker(one.op, one.name.role)) return {};
  return {weir::format("its class makes {}, and should make a {}: does it derive from that alone?",
                       makers == 0 ? "nothing" : "something else or more", to_string(one.name.role))};
}

void want_defaults(const std::vector<Field>& fields, Broken& broken) {
  for (const Field& field : fields) {
    want_defaults(field.kind.fields, broken);
    if (field.fallback.empty()) continue;
    const Document empty = read_text("{}", "defaults");
    Reporter report{"defaults"};
    const Settings settings = settings_of(empty.root, {field}, {}, "this", "", {empty.text, nullptr, true}, report);
    if (report.errors() != 0) {
      broken.push_back(weir::format("{}: {}", field.name, render(report.findings(), Format::text)));
    } else if (!settings.has(field.name)) {
      broken.push_back(weir::format("{} has a default that is not read: {}", field.name, field.fallback));
    }
  }
}

Broken defaults_parse(const Examined& one) {
  Broken broken;
  want_defaults(one.spec.fields, broken);
  return broken;
}

// --- Examples
// ----------------------------------------------------------------------------------------------------------------

std::size_t open_files() {
  std::size_t n = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator{"/proc/self/fd"}) ++n;
  return n;
}

/// Notes the counters that no Spec declares.
class StrictContext final : public NodeContext {
 public:
  StrictContext(const Shared& shared, const Node& node, Broken& broken)
      : NodeContext{shared, node}, declared_{node.op->spec.counters}, broken_{broken} {}

  std::size_t counter(std::string_view name) const override { return StrictContext::reason_counter(name, {}); }
  std::size_t reason_counter(std::string_view name, std::string_view reason) const override {
    const auto declared = std::ranges::find(declared_, name, &CounterSpec::name);
    const bool any = reason.empty() && declared != declared_.end() && declared->reasons.empty();
    if (any || (declared != declared_.end() && std::ranges::contains(declared->reasons, reason)))
      return NodeContext::reason_counter(name, reason);
    const std::string what = reason.empty() ? std::string{name} : weir::format("{} by {}", name, reason);
    broken_.push_back(weir::format("counts \"{}\", which its Spec does not declare", what));
    return 0;
  }

 private:
  const std::vector<CounterSpec>& declared_;
  Broken& broken_;
};

using Made = std::shared_ptr<void>;  // of any role

Made made(const Operator& op, const Settings& settings, Context& context) {
  if (op.make_source) return op.make_source(settings, context);
  if (op.make_transform) return op.make_transform(settings, context);
  if (op.make_sink) return op.make_sink(settings, context);
  if (op.make_store) return op.make_store(settings, context);
  return nullptr;
}

/// Makes every operator of the pipeline, looks what that has opened, and throws them away again.
void make_all(const Pipeline& pipeline, const Registry& registry, Broken& broken) {
  Counters counters;
  const NodeContext::Shared shared{pipeline, registry, counters, system_clock()};
  const std::size_t before = open_files();
  std::vector<std::unique_ptr<Context>> contexts;
  std::vector<Made> all;
  const auto context_of = [&](const Node& node) -> Context& {
    return *contexts.emplace_back(std::make_unique<StrictContext>(shared, node, broken));
  };
  const auto want = [&](bool is_made, const std::string& what) {
    if (!is_made) broken.push_back(what + " was not made");
  };
  counters.declare("", "", "");  // what an undeclared counter adds to
  for (const Node& node : pipeline.nodes) {
    Context& context = context_of(node);
    if (!node.codec.empty()) want(context.codec("") != nullptr, "the encoding of " + node.id);
    want(all.emplace_back(made(*node.op, node.settings, context)) != nullptr, node.id);
  }
  if (!pipeline.store.empty()) {
    const Operator& store = *registry.find(Role::store, pipeline.store);
    Context& context = context_of(pipeline.nodes.front());
    want(all.emplace_back(made(store, pipeline.store_settings, context)) != nullptr, "the store");
  }
  if (open_files() != before) broken.emplace_back("making it opens a file or a connection");
}

Broken examples_hold(const Examined& one) {
  Broken broken;
  if (one.spec.examples.empty()) broken.emplace_back("there is no example");
  for (const std::string& text : one.spec.examples) {
    const auto [whole, checked] = pipeline_of(one.spec, text, one.registry);
    const auto is_note = [](const Finding& finding) { return finding.severity == Severity::info; };
    if (!std::ranges::all_of(checked.findings, is_note)) {
      broken.push_back(weir::format("{}\nin {}\n", render(checked.findings, Format::text), whole));
    }
    if (!checked.pipeline) continue;
    if (!uses(*checked.pipeline, one.name)) broken.push_back("is another operator's: " + text);
    const std::size_t before = open_files();
    make_all(*checked.pipeline, one.registry, broken);
    if (open_files() != before) broken.push_back("making it left something open: " + text);
  }
  return broken;
}

// --- What transforms emit
// -----------------------------------------------------------------------------------------------------

/// Half a minute of three vehicles: numbers, points and texts, some late, some out of order, some twice, a silence.
Case half_a_minute() {
  Case out;
  out.name = "its example";
  for (int tick = 0; tick < 30; ++tick) {
    CaseStep& step = out.script.emplace_back();
    step.at = (tick + (tick >= 15 ? 20 : 0)) * second;
    for (int vehicle = 0; vehicle < 3; ++vehicle) {
      const std::string key{static_cast<char>('a' + vehicle)};
      const Timestamp late = (tick * 7 + vehicle * 3) % 5 == 0 ? 3 * second : 0;
      const Timestamp time = step.at - late - vehicle * 100 * millisecond;
      const double value = (tick * 37 + vehicle * 11) % 160;
      const auto add = [&](const char* field, Sample::Kind kind, double x, const char* words) {
        step.samples.push_back({key, field, time, kind, x, kind == Sample::Kind::point ? 13.4 : 0, 30, words});
      };
      add("speed", Sample::Kind::number, value, "");
      if (tick % 3 == vehicle) add("charge", Sample::Kind::number, 80 - tick, "");
      if (tick % 4 == 0) add("position", Sample::Kind::point, 52.5 + tick * 0.001, "");
      if (tick % 10 == 0) add("power", Sample::Kind::number, tick < 20 ? 1 : 0, "");
      if (tick % 6 == 5) add("state", Sample::Kind::text, 0, tick % 12 == 5 ? "open" : "shut");
      if (tick % 8 == 7) add("speed", Sample::Kind::number, value, "");
    }
  }
  out.script.emplace_back().at = 100 * second;
  return out;
}

/// Whether a case has rows come out of an operator, or dead letters: else there is nothing that could differ.
bool shows_something(const Case& script, const CaseResult& result, const Examined& one) {
  for (const Node& node : script.pipeline->nodes) {
    if (node.op != &one.op) continue;
    for (const CasePassage& passage : result.passages) {
      const bool its_own = passage.port == node.id || passage.port.starts_with(node.id + ".");
      if (its_own && passage.rows != 0) return true;
    }
  }
  return !run_case(script, one.registry, {.vary = false}).failures.empty();  // letters that nobody expects
}

Broken same_however_cut(const Examined& one) {
  Broken broken;
  Case script = half_a_minute();
  bool shown = false, any = false;
  for (const std::string& text : one.spec.examples) {
    auto [whole, checked] = pipeline_of(one.spec, text, one.registry);
    if (!checked.pipeline) continue;  // another rule's
    script.pipeline = std::make_shared<const Pipeline>(*std::move(checked.pipeline));
    const CaseResult result = run_case(script, one.registry, {.vary = true, .letters = true});
    for (const auto& failure : result.failures) broken.push_back(weir::format("{}in {}", failure.message, text));
    any = true;
    shown = shown || !result.failures.empty() || shows_something(script, result, one);
  }
  if (any && !shown) {
    broken.emplace_back(
        "no example lets a row through, so nothing is shown; one of them must, of the numbers speed (0 to 159), charge "
        "(50 to 80) and power (0 or 1), the points position and the texts state (\"open\" or \"shut\")");
  }
  return broken;
}

// --- What codecs take
// -------------------------------------------------------------------------------------------------------

/// Keeps what a codec says, in words.
class Heard final : public SampleSink {
 public:
  void add(const Sample& s) override {
    said += weir::format("{} {} {} {} {} {} {} {}\n", s.key, s.field, s.time.value_or(no_time), s.x, s.y, s.z, s.text,
                         static_cast<int>(s.kind));
    nameless |= s.field.empty();
    ++heard;
  }
  void refuse(Reason reason) override {
    unreasoned |= !is_code(reason.code);
    said += reason.text() + "\n";
    ++heard;
  }

  std::string said;
  std::size_t heard = 0;  ///< samples and refusals
  bool nameless = false, unreasoned = false;
};

/// What devices that are broken, or no devices of ours, send.
std::vector<std::string> garbage() {
  std::vector<std::string> out{"",
                               std::string(1, '\0'),
                               "\xff\xfe",
                               "nan",
                               "-1e999",
                               "{",
                               "null",
                               "[[[[",
                               "\"",
                               std::string(1 << 16, '['),
                               std::string(1 << 16, '\xff'),
                               std::string(1 << 16, '\0')};
  std::string noise;
  std::uint32_t state = 1;
  for (int i = 0; i < 256; ++i) {
    state = state * 1'664'525u + 1'013'904'223u;
    noise += static_cast<char>(state >> 24);
    if (i % 16 == 15) out.push_back(noise);
  }
  return out;
}

/// Whether there are samples that it has a payload for. One of payloads that nobody looks into has none, and may take
/// anything.
bool holds_samples(const Codec& codec) {
  constexpr std::array kinds{Sample::Kind::number, Sample::Kind::point, Sample::Kind::text};
  return std::ranges::any_of(kinds, [&](Sample::Kind kind) {
    const Sample sample{.key = "v", .field = "f", .time = second, .x = 1, .y = 1, .z = 1, .text = "t", .kind = kind};
    return codec.encode({&sample, 1}, true, true).has_value();
  });
}

Broken refuses_garbage(const Examined& one) {
  Broken broken;
  for (const std::string& text : one.spec.examples) {
    const auto [whole, checked] = pipeline_of(one.spec, text, one.registry);
    if (!checked.pipeline) continue;  // another rule's
    Counters counters;
    const NodeContext context{{*checked.pipeline, one.registry, counters, system_clock()},
                              checked.pipeline->nodes[checked.pipeline->source()]};
    const Codec* const codec = context.codec("");
    const bool may_be_silent = codec != nullptr && !holds_samples(*codec);
    for (const std::string& payload : codec == nullptr ? std::vector<std::string>{} : garbage()) {
      Heard heard, again;
      const Message message{.subject = "vehicle.v.f", .payload = payload, .key = "v", .field = "f"};
      const auto taken = codec->decode(message, heard);
      const auto retaken = codec->decode(message, again);
      const auto tell = [&](std::string_view what) {
        broken.push_back(weir::format("of a payload of {} bytes, {}…: {}", payload.size(),
                                      weir::quoted(payload.substr(0, 16)), what));
      };
      if ((!taken && !is_code(taken.error().code)) || heard.unreasoned)
        tell("refuses it without a code: lower-case letters, digits and '_'");
      // Nothing at all, and JSON's word for it, may rightly hold nothing.
      const bool is_nothing = payload.empty() || payload == "null";
      const bool silent = taken && heard.heard == 0 && !is_nothing && !may_be_silent;
      if (silent && codec->explain(message, Lack::samples).empty())
        tell("takes it, but gives no sample, and no reason: neither by an error, nor by refuse() or explain()");
      if (heard.nameless) tell("gives a sample without a field");
      if (taken.error_or(Reason{}) != retaken.error_or(Reason{}) || heard.said != again.said)
        tell("says something else each time");
    }
  }
  return broken;
}

struct Rule {
  std::string_view name;
  std::optional<Role> role;  ///< none: every one
  Broken (*broken_by)(const Examined&);
};

constexpr Rule rules[] = {
    {"is documented", {}, documented},
    {"has one maker, of its role", {}, one_maker},
    {"has defaults that can be read", {}, defaults_parse},
    {"has examples that lint clean and are made without connecting", {}, examples_hold},
    {"gives the same however its input is cut, from saved state, and after crashes", Role::transform, same_however_cut},
    {"refuses what it can't decode with a reason", Role::codec, refuses_garbage},
};

}  // namespace

std::vector<KeptRule> conformance_of(const Registry& registry, const OperatorName& name) {
  const Examined one{registry, name, *registry.find(name.role, name.name)};
  std::vector<KeptRule> out;
  for (const Rule& rule : rules) {
    if (rule.role.value_or(name.role) != name.role) continue;
    KeptRule& kept = out.emplace_back(rule.name);
    try {
      kept.broken = rule.broken_by(one);
    } catch (const std::exception& problem) {
      kept.broken.push_back(weir::format("threw: {}", problem.what()));
    } catch (...) {
      kept.broken.emplace_back("threw an exception of an unknown type");
    }
  }
  return out;
}

}  // namespace weir::cli
