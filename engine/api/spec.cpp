#include <weir/spec.hpp>

#include <algorithm>
#include <cassert>

namespace weir {

std::string_view to_string(Role role) {
  switch (role) {
    case Role::source:
      return "source";
    case Role::transform:
      return "transform";
    case Role::sink:
      return "sink";
    case Role::store:
      return "store";
    case Role::codec:
      return "codec";
  }
  return "?";
}

namespace kind {

Kind choice(std::vector<std::string> choices) {
  Kind kind{Kind::Tag::choice};
  kind.choices = std::move(choices);
  return kind;
}
Kind object(std::vector<Field> fields) {
  Kind kind{Kind::Tag::object};
  kind.fields = std::move(fields);
  return kind;
}
Kind objects(std::vector<Field> fields) {
  Kind kind{Kind::Tag::objects};
  kind.fields = std::move(fields);
  return kind;
}

}  // namespace kind

Spec& Spec::field(std::string name, Kind kind, std::string doc) {
  fields.push_back({.name = std::move(name), .kind = std::move(kind), .doc = std::move(doc), .required = true});
  return *this;
}

Spec& Spec::optional(std::string name, Kind kind, std::string doc) {
  fields.push_back({.name = std::move(name), .kind = std::move(kind), .doc = std::move(doc), .required = false});
  return *this;
}

Spec& Spec::field(std::string name, Kind kind, std::string doc, std::string fallback) {
  fields.push_back({.name = std::move(name),
                    .kind = std::move(kind),
                    .doc = std::move(doc),
                    .required = false,
                    .fallback = std::move(fallback)});
  return *this;
}

Spec& Spec::free_to_change(std::initializer_list<std::string_view> names) {
  for (const std::string_view name : names) {
    const auto field = std::ranges::find(fields, name, &Field::name);
    assert(field != fields.end());
    field->free_to_change = true;
  }
  return *this;
}

Spec& Spec::between(double least, double most) {
  assert(!fields.empty() && "between() bounds the setting declared before it");
  fields.back().least = least;
  fields.back().most = most;
  return *this;
}

Spec& Spec::or_none() {
  assert(!fields.empty() && fields.back().kind.tag == Kind::Tag::duration);
  fields.back().or_none = true;
  return *this;
}

Spec& Spec::port(std::string name, std::string doc) {
  ports.push_back({std::move(name), std::move(doc)});
  return *this;
}

Spec& Spec::counter(std::string name, std::string doc, std::vector<std::string> reasons) {
  counters.push_back({std::move(name), std::move(doc), std::move(reasons)});
  return *this;
}

Spec& Spec::accepts(std::vector<Shape> shapes) {
  inputs = std::move(shapes);
  return *this;
}

Spec& Spec::example(std::string node_json) {
  examples.push_back(std::move(node_json));
  return *this;
}

Spec& Spec::details(std::string text) {
  if (!paragraph.empty()) paragraph += "\n\n";
  paragraph += text;
  return *this;
}

Spec& Spec::version(int number) {
  state_version = number;
  return *this;
}

Spec& Spec::claims(std::function<Claims(const Settings&)> function) {
  claims_of = std::move(function);
  return *this;
}

Spec& Spec::subjects(std::function<void(const Settings&, Message&)> function) {
  dissect = std::move(function);
  return *this;
}

Spec& Spec::state(std::function<std::string(const Settings&)> function) {
  state_of = std::move(function);
  return *this;
}

Spec& Spec::check(std::function<std::vector<Error>(const Settings&)> function) {
  problems_of = std::move(function);
  return *this;
}

Spec& Spec::setup(std::string name, std::string doc, std::function<Result<std::string>(const Settings&)> text) {
  setups.push_back({std::move(name), std::move(doc), std::move(text)});
  return *this;
}

Spec& Spec::keeps_rows(KeptRows rows) {
  kept_rows = std::move(rows);
  return *this;
}

Spec& Spec::needs_whole_keys() {
  whole_keys = true;
  return *this;
}

Spec& Spec::encodes() {
  has_encoding = true;
  return *this;
}

Spec& Spec::takes_messages() {
  of_messages = true;
  return *this;
}

Spec& Spec::keyed_state() {
  bounded_by_keys = true;
  return *this;
}

Spec& Spec::remembers_keys(std::function<bool(const Settings&)> with) {
  remembers_with = std::move(with);
  return *this;
}

}  // namespace weir
