#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>
#include <vector>

#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>
#include <weir/format.hpp>
#include <weir/operator.hpp>
#include <weir/rfc3339.hpp>
#include <weir/spelling.hpp>

#include "codecs/json/absence.hpp"
#include "codecs/json/replacing.hpp"
#include "codecs/json/scalars.hpp"
#include "codecs/json/tree.hpp"

namespace {
using namespace weir;
using json::Path;
using json::Tree;
using json::Value;
using Taken = std::expected<void, Reason>;

std::unexpected<Reason> no(std::string_view code, std::string detail = {}) {
  return std::unexpected(Reason{code, std::move(detail)});
}

/// Where one field's value is: one path, or the paths of a point's parts.
struct FieldPath {
  std::string field;
  std::vector<Path> parts;
};

/// One message on its way to samples.
struct Decoding {
  const Tree& tree;
  SampleSink& out;
  bool text_numbers;        ///< a text may be a number
  const Path &key, &field;  ///< where the payload names them
  Sample sample;
  const Value* named_by;  ///< where key and field were looked for last
};

class Json final : public Codec {
 public:
  explicit Json(const Settings& settings)
      : each_{settings.has("each") ? settings.text("each") : ""},
        time_{settings.text("time")},
        value_{settings.text("value")},
        key_{settings.text("key")},
        field_{settings.text("field")},
        unit_{json::unit_of(settings.text("time_unit"))},
        text_numbers_{settings.boolean("text_numbers")} {
    if (!settings.has("fields")) return;
    for (const auto& [field, path] : settings.object("fields").entries()) {
      FieldPath& entry = fields_.emplace_back(field);
      std::string_view rest = std::get<std::string>(path);
      while (!rest.empty()) {
        const auto end = std::min(rest.find(','), rest.size());
        std::string_view part = rest.substr(0, end);
        part.remove_prefix(std::min(part.find_first_not_of(' '), part.size()));
        part = part.substr(0, part.find_last_not_of(' ') + 1);
        entry.parts.emplace_back(part);
        rest.remove_prefix(std::min(end + 1, rest.size()));
      }
    }
  }

  Taken decode(const Message& message, SampleSink& out) const override;
  std::string explain(const Message& message, Lack lack) const override;
  std::expected<std::string, std::string> renamed(const Message& message, const Renaming& renaming) const override;
  std::expected<std::string, std::string> encode(std::span<const Sample> samples, bool key_outside,
                                                 bool field_outside) const override;

 private:
  Taken item(Decoding& in, const Value& value) const;
  Taken one(Decoding& in, const Value& value) const;
  Taken head(Decoding& in, const Value& value) const;
  Taken object(Decoding& in, const Value& value) const;
  Taken members(Decoding& in, const Value& value) const;
  Taken named(Decoding& in, const Value& value) const;
  Taken time(Decoding& in, const Value& value) const;

  bool find_keys(const Tree& tree, const Value& value, std::vector<const Value*>& out) const;
  std::string no_time(const Tree& tree, const Value& value) const;
  std::string no_sample(const Tree& tree, const Value& value) const;

  Path each_, time_, value_, key_, field_;
  Duration unit_;  ///< of times written as numbers; 0: they must be RFC 3339
  bool text_numbers_;
  std::vector<FieldPath> fields_;
};

/// Adds the sample if its key and field are known.
Taken give(Decoding& in) {
  for (const bool key : {true, false}) {
    if (!(key ? in.sample.key : in.sample.field).empty()) continue;
    const std::string_view what = in.named_by == &in.tree.root() ? "the payload" : "the entry";
    return no(key ? "no_key" : "no_field",
              json::nameless(key ? "key" : "field", in.tree, *in.named_by, key ? in.key : in.field, what));
  }
  in.out.add(in.sample);
  return {};
}

/// Whether it is a number, or a text that may be one and is.
bool is_number(const Decoding& in, const Value& value) {
  if (value.kind == Value::Kind::text) return in.text_numbers && json::is_decimal(value.text);
  return value.kind == Value::Kind::number;
}

bool is_null(const Value* value) { return value != nullptr && value->kind == Value::Kind::null; }

/// What is refused alone, so that the other samples of its message are not lost with it.
void take(const Decoding& in, Taken added) {
  if (!added) in.out.refuse(std::move(added.error()));
}

/// Adds latitude, longitude and, if it is there, altitude as one sample; where one of the first two is null, as long as
/// a receiver has no fix, there is none.
Taken add_point(Decoding& in, const Value* latitude, const Value* longitude, const Value* altitude) {
  double parts[3] = {0, 0, std::nan("")};
  const Value* const values[3] = {latitude, longitude, altitude};
  const char* const names[3] = {"latitude", "longitude", "altitude"};
  if (is_null(latitude) || is_null(longitude)) return {};
  for (std::size_t i = 0; i < 3; ++i) {
    if (i == 2 && (values[i] == nullptr || is_null(values[i]))) break;
    if (values[i] == nullptr || !is_number(in, *values[i]))
      return no("not_a_point",
                quoted(in.sample.field) + (values[i] == nullptr ? " has no " : " has a non-numeric ") + names[i]);
    const auto part = json::number(values[i]->text);
    if (!part) return std::unexpected(part.error());
    parts[i] = *part;
  }
  in.sample.kind = Sample::Kind::point;
  in.sample.x = parts[0];
  in.sample.y = parts[1];
  in.sample.z = parts[2];
  return give(in);
}

/// Adds one value; a null is no sample.
Taken add(Decoding& in, const Value& value) {
  Sample& sample = in.sample;
  sample.kind = Sample::Kind::number;
  if (is_number(in, value)) {
    const auto x = json::number(value.text);
    if (!x) return std::unexpected(x.error());
    sample.x = *x;
  } else if (value.kind == Value::Kind::null) {
    return {};
  } else if (value.kind == Value::Kind::array) {
    return no("value_is_array", quoted(sample.field));
  } else if (value.kind == Value::Kind::object) {
    const Value* latitude = in.tree.member(value, "lat");
    const Value* longitude = in.tree.member(value, "lon");
    if (latitude == nullptr || longitude == nullptr)
      return no("value_is_object", quoted(sample.field) + " has no lat and lon");
    return add_point(in, latitude, longitude, in.tree.member(value, "alt"));
  } else if (value.kind == Value::Kind::text) {
    sample.kind = Sample::Kind::text;
    sample.text = value.text;
  } else {
    sample.x = value.text == "true" ? 1 : 0;
  }
  return give(in);
}

Taken Json::decode(const Message& message, SampleSink& out) const {
  if (message.payload.empty()) return no("empty_payload");
  static thread_local Tree tree;
  std::string text{message.payload};  // read in place
  if (auto read = tree.read(text); !read) return read;
  Decoding in{tree, out, text_numbers_, key_, field_, {.key = message.key, .field = message.field}, &tree.root()};
  if (tree.root().kind != Value::Kind::array) return item(in, tree.root());
  for (const Value* value = tree.child(tree.root()); value != nullptr; value = tree.next(*value)) {
    in.sample = {.key = message.key, .field = message.field};
    in.named_by = &tree.root();
    take(in, item(in, *value));
  }
  return {};
}

Taken Json::item(Decoding& in, const Value& value) const {
  if (each_.empty()) return one(in, value);
  if (auto read = head(in, value); !read) return read;
  const Value* list = each_.find(in.tree, value);
  if (list == nullptr || list->kind == Value::Kind::null) return {};
  if (list->kind != Value::Kind::array) return one(in, *list);
  const Sample around = in.sample;
  for (const Value* element = in.tree.child(*list); element != nullptr; element = in.tree.next(*element)) {
    in.sample = around;
    take(in, one(in, *element));
  }
  return {};
}

Taken Json::one(Decoding& in, const Value& value) const {
  return value.kind == Value::Kind::object ? object(in, value) : add(in, value);
}

/// What an object says of all its samples.
Taken Json::head(Decoding& in, const Value& value) const {
  in.named_by = &value;
  if (const Value* at = time_.find(in.tree, value); at != nullptr && at->kind != Value::Kind::null) {
    if (auto read = time(in, *at); !read) return read;
  }
  for (const auto& [path, name] : {std::pair{&key_, &Sample::key}, std::pair{&field_, &Sample::field}}) {
    const Value* at = path->find(in.tree, value);
    if (at == nullptr || at->kind == Value::Kind::null) continue;
    if (at->kind != Value::Kind::text && at->kind != Value::Kind::number) return no("name_not_text");
    in.sample.*name = at->text;
  }
  return {};
}

Taken Json::object(Decoding& in, const Value& value) const {
  if (auto read = head(in, value); !read) return read;
  if (!fields_.empty()) return named(in, value);
  if (const Value* at = value_.find(in.tree, value)) return add(in, *at);
  if (in.sample.field.empty()) return members(in, value);
  if (in.tree.member(value, "lat") != nullptr) return add(in, value);
  return no("no_value", json::absence(in.tree, value, value_, "the object"));
}

Taken Json::members(Decoding& in, const Value& value) const {
  for (const Value* member = in.tree.child(value); member != nullptr; member = in.tree.next(*member)) {
    if (time_.starts_with(member->name) || key_.starts_with(member->name)) continue;
    in.sample.field = member->name;
    take(in, add(in, *member).transform_error([&](Reason why) {
      why.detail += json::ways_into(in.tree, *member, each_.empty());
      return why;
    }));
  }
  return {};
}

Taken Json::named(Decoding& in, const Value& value) const {
  for (const FieldPath& entry : fields_) {
    in.sample.field = entry.field;
    const Value* at = entry.parts.front().find(in.tree, value);
    const auto part = [&](std::size_t i) {
      return i < entry.parts.size() ? entry.parts[i].find(in.tree, value) : nullptr;
    };
    const bool point = entry.parts.size() > 1;
    if (at == nullptr && !(point && part(1) != nullptr)) continue;
    take(in, point ? add_point(in, at, part(1), part(2)) : add(in, *at));
  }
  return {};
}

Taken Json::time(Decoding& in, const Value& value) const {
  std::optional<Timestamp> time;
  const bool text = value.kind == Value::Kind::text;
  if (unit_ != 0 && (text || value.kind == Value::Kind::number)) time = json::scaled(value.text, unit_);
  if (!time && text) time = parse_rfc3339(value.text);
  if (!time) return no("not_a_time", weir::format("{}{}", quoted(value.text), json::time_advice(value.text)));
  in.sample.time = time;
  return {};
}

std::expected<std::string, std::string> Json::renamed(const Message& message, const Renaming& renaming) const {
  Tree tree;
  std::string text{message.payload};
  if (auto read = tree.read(text); !read) return std::unexpected(read.error().text());
  std::vector<const Value*> keys;
  const bool list = tree.root().kind == Value::Kind::array;
  for (const Value* at = list ? tree.child(tree.root()) : &tree.root(); at != nullptr; at = tree.next(*at))
    if (!find_keys(tree, *at, keys)) return std::unexpected("a member on the way to the key stands there twice");
  return json::replaced(message.payload, text, std::move(keys), renaming);
}

/// What item() takes for a key. False if there may be one more, which it does not see.
bool Json::find_keys(const Tree& tree, const Value& value, std::vector<const Value*>& out) const {
  bool once = true;
  const auto look = [&](const Value& in) {
    once = once && !json::is_repeated(tree, in, key_);
    const Value* at = key_.find(tree, in);
    if (at != nullptr && (at->kind == Value::Kind::text || at->kind == Value::Kind::number)) out.push_back(at);
  };
  if (value.kind == Value::Kind::object || !each_.empty()) look(value);
  const Value* entries = each_.empty() ? nullptr : each_.find(tree, value);
  if (entries == nullptr) return once;
  once = once && !json::is_repeated(tree, value, each_);
  const bool list = entries->kind == Value::Kind::array;
  for (const Value* at = list ? tree.child(*entries) : entries; at != nullptr; at = list ? tree.next(*at) : nullptr) {
    if (at->kind == Value::Kind::object) look(*at);
  }
  return once;
}

std::string Json::explain(const Message& message, Lack lack) const {
  Tree tree;
  std::string text{message.payload};
  if (!tree.read(text)) return {};
  const bool list = tree.root().kind == Value::Kind::array;
  for (const Value* at = list ? tree.child(tree.root()) : &tree.root(); at != nullptr; at = tree.next(*at)) {
    if (std::string why = lack == Lack::time ? no_time(tree, *at) : no_sample(tree, *at); !why.empty()) return why;
  }
  return {};
}

/// Nothing if the time is there, or nowhere by intent.
std::string Json::no_time(const Tree& tree, const Value& value) const {
  const auto timed = [&](const Value& of) {
    const Value* at = time_.find(tree, of);
    return at != nullptr && at->kind != Value::Kind::null;
  };
  if (time_.empty() || timed(value)) return {};
  std::string why = json::absence(tree, value, time_);
  if (each_.empty()) return why;
  const Value* element = each_.find(tree, value);
  if (element != nullptr && element->kind == Value::Kind::array) element = tree.child(*element);
  while (element != nullptr && timed(*element)) element = tree.next(*element);
  return element == nullptr ? "" : why + "; " + json::absence(tree, *element, time_, "an entry of " + each_.text());
}

/// Nothing if there need not be one.
std::string Json::no_sample(const Tree& tree, const Value& value) const {
  const Value* at = each_.empty() ? &value : each_.find(tree, value);
  if (at == nullptr) return json::absence(tree, value, each_);
  if (!each_.empty() && at->kind == Value::Kind::array) at = tree.child(*at);
  if (at == nullptr || fields_.empty()) return {};
  return json::absence(tree, *at, fields_.front().parts.front(), each_.empty() ? "the payload" : "an entry");
}

using Writer = rapidjson::Writer<rapidjson::StringBuffer>;

void write(Writer& out, double value) {
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, value).ptr;
  out.RawValue(text, static_cast<std::size_t>(end - text), rapidjson::kNumberType);
}
void write(Writer& out, std::string_view text) {
  out.String(text.data(), static_cast<rapidjson::SizeType>(text.size()));
}

void write_value(Writer& out, const Sample& sample) {
  if (sample.kind == Sample::Kind::text) return write(out, sample.text);
  if (sample.kind == Sample::Kind::number) return write(out, sample.x);
  out.StartObject();
  out.Key("lat");
  write(out, sample.x);
  out.Key("lon");
  write(out, sample.y);
  if (!std::isnan(sample.z)) {
    out.Key("alt");
    write(out, sample.z);
  }
  out.EndObject();
}

std::expected<std::string, std::string> Json::encode(std::span<const Sample> samples, bool key_outside,
                                                     bool field_outside) const {
  if (!fields_.empty() || !each_.empty() || !time_.plain() || !value_.plain() || !key_.plain() || !field_.plain()) {
    return std::unexpected("nested paths, \"each\" and \"fields\" are for reading only");
  }
  rapidjson::StringBuffer buffer;
  Writer out{buffer};
  if (samples.size() != 1) out.StartArray();
  for (const Sample& sample : samples) {
    const bool finite = std::isfinite(sample.x) && std::isfinite(sample.y) && !std::isinf(sample.z);
    if (sample.kind != Sample::Kind::text && !finite) return std::unexpected("JSON has no NaN and no infinity");
    const bool bare = key_outside && field_outside && !sample.time;
    if (!bare) out.StartObject();
    if (!key_outside) {
      write(out, key_.name());
      write(out, sample.key);
    }
    if (!field_outside) {
      write(out, field_.name());
      write(out, sample.field);
    }
    if (sample.time) {
      const std::string text = json::time_text(*sample.time, unit_);
      write(out, time_.name());
      out.RawValue(text.data(), text.size(), rapidjson::kNumberType);
    }
    if (!bare) write(out, value_.name());
    write_value(out, sample);
    if (!bare) out.EndObject();
  }
  if (samples.size() != 1) out.EndArray();
  return std::string{buffer.GetString(), buffer.GetSize()};
}

/// Whether somebody meant a JSON pointer or JSONPath.
bool other_notation(std::string_view path) { return path.starts_with('/') || path.starts_with("$."); }

std::vector<Error> check(const Settings& settings) {
  std::vector<Error> problems;
  const auto other = [&](std::string_view path, std::string setting) {
    if (!other_notation(path)) return false;
    problems.push_back({Error::Kind::invalid,
                        "a path is names with dots between (\"gps.fix.0\"), no JSON pointer and no JSONPath",
                        std::move(setting)});
    return true;
  };
  for (const char* name : {"each", "time", "value", "key", "field"}) {
    if (settings.has(name)) other(settings.text(name), name);
  }
  if (!settings.has("fields")) return problems;
  for (const auto& [field, path] : settings.object("fields").entries()) {
    const auto* text = std::get_if<std::string>(&path);
    const auto parts = text == nullptr ? 0 : 1 + std::count(text->begin(), text->end(), ',');
    if (text != nullptr && other(*text, "fields." + field)) continue;
    if (text != nullptr && !text->empty() && parts <= 3) continue;
    problems.push_back({Error::Kind::invalid,
                        "write the path of the value, or of latitude, longitude and altitude with commas between: "
                        "\"gps.lat, gps.lon\"",
                        "fields." + field});
  }
  return problems;
}

const Spec spec =
    Spec::codec("JSON: a value, an object, or an array of these")
        .optional("each", kind::text(),
                  "path of the array whose entries are the samples, or of the object that is one; time, key and field "
                  "of the object around them hold for all that say none")
        .field("time", kind::text(),
               "path of the event time; where a payload has none, arrival stands in; \"\" if none ever has", "time")
        .field("time_unit", kind::choice({"ns", "us", "ms", "s", "rfc3339"}),
               "what a time written as a number counts since 1970; a text may be RFC 3339 whatever the unit", "ns")
        .field("value", kind::text(), "path of the value in an object that holds one sample", "value")
        .field("key", kind::text(), "path of the key, where the payload names it", "key")
        .field("field", kind::text(), "path of the field, where the payload names it", "field")
        .optional("fields", kind::map(),
                  "names of fields and where their values are, for objects with many; the rest is ignored")
        .field("text_numbers", kind::boolean(), "a text that is a decimal number is that number: \"12.5\"", "false")
        .check(check)
        .details(
            "A value is a number, true or false (1, 0), a text, or a point {\"lat\", \"lon\", \"alt\"}; null is no "
            "sample. An object with a member at `value` is one sample. Another object, if neither subject nor payload "
            "says a field, is a sample per member, and each must be a value. A path is member names and element "
            "numbers with dots between: \"gps.fix.0\". In `fields` two or three paths with commas between make a point: "
            "{\"position\": \"gps.latitude, gps.longitude\"}. Numbers keep their full precision; what can't be "
            "taken (one beyond a float64, an array as a value) is refused alone: the message goes to the dead letters and its other samples on. When written, a sample is an object with plain names, or only its "
            "value if the subject says key and field and it has no time.")
        .details(
            "Payloads without a time, or without a sample, are taken and counted (untimed_samples, empty_messages); of "
            "the first the log says what stands in it instead.")
        .example(R"({ "codec": "json", "time": "ts", "time_unit": "ms" })")
        .example(
            R"({ "codec": "json", "time": "gps.at", "time_unit": "rfc3339", "fields": { "speed": "obd.speed", "position": "gps.lat, gps.lon" } })")
        .example(
            R"({ "codec": "json", "each": "readings", "time": "at", "time_unit": "ms", "field": "name", "text_numbers": true })");
}  // namespace

WEIR_OPERATOR(codecs, json, Json, spec)
