#include "property/random_pipeline.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <ostream>
#include <random>
#include <utility>

#include <weir/format.hpp>
#include <weir/shapes.hpp>

#include "core/config/text.hpp"
#include "property/faulty_stream.hpp"

namespace weir::property {
namespace {

using Draws = std::mt19937_64;
using Texts = std::vector<std::string>;

constexpr std::string_view any_source = R"({ "id": "signals", "source": "simulate", "encoding": "flatbuffers" })";

std::size_t below(Draws& draws, std::size_t count) {
  return std::uniform_int_distribution<std::size_t>{0, count - 1}(draws);
}
bool coin(Draws& draws, double probability = 0.5) { return std::bernoulli_distribution{probability}(draws); }
template <typename List>
auto one_of(Draws& draws, const List& all) {
  return all[below(draws, std::size(all))];
}
std::string quoted_text(std::string_view text) { return weir::format("\"{}\"", text); }

/// One of those that lie within a field's bounds.
template <typename T>
std::optional<T> within(Draws& draws, const Field& field, std::vector<T> all) {
  std::erase_if(all, [&](T one) {
    const auto value = static_cast<double>(one);
    return (field.least && value < *field.least) || (field.most && value > *field.most);
  });
  if (all.empty()) return {};
  return one_of(draws, all);
}

/// Of samples: some true or false, some not. Whatever does not fit where it is put is refused by the check.
std::string any_expression(Draws& draws) {
  const std::array all{"x < 5 or text is not null",
                       "field <> 'speed' or x between 1 and 8",
                       "field in ('speed', 'power', 'position')",
                       "time > '2027-01-15T08:00:01Z' or x > 3",
                       "arrival - time < 100ms",
                       "length(key) = 2 and not (x = 0)",
                       "field = 'speed'",
                       "coalesce(x <> previous(x), true)",
                       "elapsed() > 0.02 or previous(text) is null",
                       "y is null"};
  return one_of(draws, all);
}

std::string any_changes(Draws& draws) {
  const std::array<std::pair<std::string_view, std::string_view>, 10> all{
      {{"x", "x * 3 + 1"},
       {"x", "sqrt(x - 3)"},
       {"time", "time - 20ms"},
       {"field", "if(field = 'charge', 'speed', field)"},
       {"y", "y + 0.001"},
       {"text", "upper(text)"},
       {"text", "previous(concat(text, x))"},
       {"x", "coalesce(x - previous(x), 0)"},
       {"z", "elapsed()"},
       {"x", "if(field = 'power', x, x / 7)"}}};
  const auto [first, value] = one_of(draws, all);
  std::string out = weir::format(R"({{ "{}": "{}")", first, value);
  if (const auto [second, another] = one_of(draws, all); second != first)
    out += weir::format(R"(, "{}": "{}")", second, another);
  return out + " }";
}

std::string some_fields(Draws& draws) {
  std::string out;
  for (const std::string& name : field_names()) {
    if (coin(draws, 0.7)) out += (out.empty() ? "" : ", ") + quoted_text(name);
  }
  return "[" + (out.empty() ? quoted_text("speed") : out) + "]";
}

/// A value as a text has it; nothing: of such a field nobody can draw one that means anything.
std::optional<std::string> any_value(Draws& draws, const Field& field);

std::string any_object(Draws& draws, const std::vector<Field>& fields) {
  std::string out;
  for (const Field& field : fields) {
    // A text in an object names a field of samples.
    auto value = field.kind.tag == Kind::Tag::text ? std::optional{quoted_text(coin(draws, 0.9) ? "power" : "speed")}
                                                   : any_value(draws, field);
    if (value && (field.required || coin(draws, 0.7)))
      out += weir::format("{}\"{}\": {}", out.empty() ? "" : ", ", field.name, *value);
  }
  return "{ " + out + " }";
}

std::optional<std::string> any_value(Draws& draws, const Field& field) {
  using Tag = Kind::Tag;
  const auto number = [](auto any) { return any.transform([](auto value) { return weir::format("{}", value); }); };
  switch (field.kind.tag) {
    case Tag::boolean:
      return coin(draws) ? "true" : "false";
    case Tag::choice:
      return quoted_text(one_of(draws, field.kind.choices));
    case Tag::expression:
      return quoted_text(any_expression(draws));
    case Tag::map:
      return any_changes(draws);
    case Tag::texts:
      return some_fields(draws);
    case Tag::object:
      return any_object(draws, field.kind.fields);
    case Tag::integer:
      return number(within<std::int64_t>(draws, field, {0, 1, 2, 5, 10, 1000, 65536}));
    case Tag::number:
      return number(within<double>(draws, field, {0, 0.5, 1, 2}));
    case Tag::duration: {
      constexpr Duration ms = millisecond;
      return within<Duration>(draws, field,
                              {0, 10 * ms, 20 * ms, 50 * ms, 70 * ms, 200 * ms, 500 * ms, 3 * second, minute})
          .transform([](Duration value) { return weir::format("\"{}ms\"", value / millisecond); });
    }
    default:
      return {};
  }
}

/// Of a setting that names columns; nothing if it is none.
std::optional<std::string> other_columns(Draws& draws, const Field& field) {
  const std::array<std::string_view, 2> renamed{R"({ "x": "reading" })", R"({ "x": "y", "y": "x" })"};
  const std::array<std::string_view, 2> dropped{R"(["z"])", R"(["y", "z"])"};
  const std::array<std::string_view, 2> kept{R"(["field", "x"])", R"(["x", "text"])"};
  if (field.name == "rename") return std::string{one_of(draws, renamed)};
  if (field.name == "drop") return std::string{one_of(draws, dropped)};
  if (field.name == "keep") return std::string{one_of(draws, kept)};
  return {};
}

std::string source_of(std::string_view text, const Span& span) {
  return std::string{text.substr(span.begin.offset, span.end.offset - span.begin.offset)};
}

/// A node of an example's settings, some of which are others.
std::string any_node(Draws& draws, const Spec& spec, const std::string& id, std::string_view name,
                     const std::string& from) {
  const std::string& example = one_of(draws, spec.examples);
  const Document document = read_text(example, "example");
  std::string out = weir::format(R"({{ "id": "{}", "transform": "{}", "from": {})", id, name, from);
  for (const Field& field : spec.fields) {
    const Value* said = document.root.find(field.name);
    std::optional<std::string> value;
    if (const auto columns = other_columns(draws, field)) {
      // What samples become by that, most transforms don't take.
      if (coin(draws, 0.1)) value = columns;
    } else if (coin(draws)) {
      value = any_value(draws, field);
    }
    if (!value && said != nullptr) value = source_of(example, said->span);
    if (value) out += weir::format(R"(, "{}": {})", field.name, *value);
  }
  return out + " }";
}

/// What rows are made of brackets by. `node`: that makes those; where it says which fields, no others can be asked for.
std::string any_columns(Draws& draws, const std::string& node) {
  const Document document = read_text(node, "node");
  const Value* named = document.root.find("fields");
  const std::array gaps{"20ms", "100ms", "5s", "10m"};
  std::string out;
  for (const std::string& field : field_names()) {
    if (named != nullptr && !std::ranges::contains(named->items, field, &Value::text)) continue;
    const std::array fills{"linear", "angle", "step"};
    const std::string fill = field == "position" ? "geo" : field == "mode" ? "step" : one_of(draws, fills);
    if (coin(draws, 0.8))
      out += weir::format(R"({}"{}": {{ "fill": "{}", "max_gap": "{}" }})", out.empty() ? "" : ", ", field, fill,
                          one_of(draws, gaps));
  }
  return weir::format(R"(, "columns": {{ {} }})", out);
}

std::string witness(const std::string& from, const std::string& more = {}) {
  std::string id = "of_" + from;
  std::ranges::replace(id, '.', '_');
  return weir::format(R"({{ "id": "{}", "sink": "witness", "from": "{}"{} }})", id, from, more);
}

/// One port, or several different ones.
std::string any_inputs(Draws& draws, Texts ports) {
  std::ranges::shuffle(ports, draws);
  ports.resize(coin(draws, 0.6) ? 1 : 1 + below(draws, std::min<std::size_t>(ports.size(), 3)));
  std::string out;
  for (const std::string& port : ports) out += (out.empty() ? "" : ", ") + quoted_text(port);
  return weir::format("[{}]", out);
}

class Drawing {
 public:
  Drawing(const Registry& registry, Draws& draws) : registry_{registry}, draws_{draws} {}

  RandomPipeline run() {
    const std::array limits{R"("keys": 1000)", R"("keys": 1000, "forget": "1s")", R"("keys": 1000, "forget": "2s")",
                            R"("keys": 1000, "forget": "1h")", R"("keys": 2)"};
    out_.limits = one_of(draws_, limits);
    for (std::size_t length = below(draws_, 5); length > 0; --length) {
      const auto name = any_transform();
      // What was drawn may not fit: other settings then.
      for (int tries = 0; tries < 20 && !add(name); ++tries) continue;
    }
    return std::move(out_);
  }

 private:
  /// Those of many ports more often, as there is more to them.
  std::string_view any_transform() {
    std::vector<std::string_view> names;
    for (const auto name : registry_.names(Role::transform))
      names.insert(names.end(), 1 + registry_.find(Role::transform, name)->spec.ports.size(), name);
    return one_of(draws_, names);
  }

  bool add(std::string_view name) {
    const Spec& spec = registry_.find(Role::transform, name)->spec;
    const std::string id = weir::format("n{}", out_.links.size());
    RandomPipeline::Link link{any_node(draws_, spec, id, name, any_inputs(draws_, ports_)), {}};
    Texts ports{id};
    for (const PortSpec& port : spec.ports) ports.push_back(id + "." + port.name);
    for (const std::string& port : ports) link.sinks.push_back(witness(port));
    out_.links.push_back(link);
    if (!fits()) {
      // Brackets need somebody who makes rows of them.
      out_.links.back().sinks.front() = witness(id, any_columns(draws_, link.transform));
      if (!fits()) {
        out_.links.pop_back();
        return false;
      }
    }
    ports_.append_range(ports);
    add_union(id);
    return true;
  }

  /// A sink of several nodes, if what is drawn gives rows of one kind.
  void add_union(const std::string& id) {
    const std::string from = any_inputs(draws_, ports_);
    if (!from.contains(',')) return;
    auto& sinks = out_.links.back().sinks;
    sinks.push_back(weir::format(R"({{ "id": "union_{}", "sink": "witness", "from": {} }})", id, from));
    if (!fits()) sinks.pop_back();
  }

  bool fits() const { return check_pipeline(out_.text(any_source), "any.json", registry_, {}).pipeline.has_value(); }

  const Registry& registry_;
  Draws& draws_;
  RandomPipeline out_;
  Texts ports_{"signals"};
};

}  // namespace

std::string RandomPipeline::text(std::string_view source) const {
  std::string nodes{source};
  nodes += ",\n  " + witness("signals");
  for (const Link& link : links) {
    nodes += ",\n  " + link.transform;
    for (const std::string& sink : link.sinks) nodes += ",\n  " + sink;
  }
  return weir::format(R"({{ "name": "any", "limits": {{ {} }}, "commit": {{ "every": "1ms" }}, "nodes": [
  {} ] }})",
                      limits, nodes);
}

rc::Gen<RandomPipeline> any_pipeline(const Registry& registry) {
  return rc::Gen<RandomPipeline>{[&registry](const rc::Random& seed, int) {
    rc::Random copy = seed;
    Draws draws{copy.next()};
    return rc::shrinkable::shrinkRecur(Drawing{registry, draws}.run(), [](const RandomPipeline& whole) {
      std::vector<RandomPipeline> shorter;
      for (std::size_t length = 0; length < whole.links.size(); ++length) {
        shorter.push_back(whole);
        shorter.back().links.resize(length);
      }
      return rc::seq::fromContainer(shorter);
    });
  }};
}

void showValue(const RandomPipeline& pipeline, std::ostream& os) { os << "\n" << pipeline.text(any_source) << "\n"; }

}  // namespace weir::property
