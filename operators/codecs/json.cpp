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

#include "clients/json_tree.hpp"

namespace {
using namespace weir;
using json::Path;
using json::Tree;
using json::Value;
using Reason = std::expected<void, std::string>;

std::unexpected<std::string> no(std::string reason) { return std::unexpected(std::move(reason)); }

/// Where one field's value is: one path, or the paths of a point's parts.
struct FieldPath {
  std::string field;
  std::vector<Path> parts;
};

Duration unit_of(std::string_view name) {
  if (name == "s") return second;
  if (name == "ms") return millisecond;
  if (name == "us") return microsecond;
  return name == "ns" ? 1 : 0;
}

/// Decimal text times a unit, exactly; digits below a nanosecond are cut off.
std::optional<Timestamp> scaled(std::string_view text, Duration unit) {
  const char* const end = text.data() + text.size();
  if (text.find_first_of("eE") != std::string_view::npos) {
    double value = 0;
    const auto [at, error] = std::from_chars(text.data(), end, value);
    value *= static_cast<double>(unit);
    if (error != std::errc{} || at != end || !(std::abs(value) < 9.2e18)) return {};
    return static_cast<Timestamp>(value);
  }
  std::int64_t whole = 0;
  Timestamp time = 0;
  auto [at, error] = std::from_chars(text.data(), end, whole);
  if (error != std::errc{} || __builtin_mul_overflow(whole, unit, &time)) return {};
  if (at == end) return time;
  if (*at != '.') return {};
  std::int64_t fraction = 0;
  for (++at; at != end; ++at) {
    if (*at < '0' || *at > '9') return {};
    unit /= 10;
    fraction += (*at - '0') * unit;
  }
  const bool negative = text.front() == '-';
  if (__builtin_add_overflow(time, negative ? -fraction : fraction, &time)) return {};
  return time;
}

/// What to do about a time that is too large in its unit, or has none: the largest unit in which it is of this
/// millennium.
std::string advice(std::string_view text) {
  constexpr Timestamp millennium = 946'684'800 * second;
  for (const std::string_view unit : {"s", "ms", "us", "ns"}) {
    if (const auto time = scaled(text, unit_of(unit)); time && *time > millennium)
      return weir::format("; with \"time_unit\": \"{}\" it would be {}", unit, format_rfc3339(*time));
  }
  return {};
}

class Json final : public Codec {
 public:
  explicit Json(const Settings& settings)
      : time_{settings.text("time")},
        value_{settings.text("value")},
        key_{settings.text("key")},
        field_{settings.text("field")},
        unit_{unit_of(settings.text("time_unit"))} {
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

  std::expected<void, std::string> decode(const Message& message, SampleSink& out) const override;
  std::expected<std::string, std::string> encode(std::span<const Sample> samples, bool key_outside,
                                                 bool field_outside) const override;

 private:
  /// One message on its way to samples.
  struct Decoding {
    const Tree& tree;
    SampleSink& out;
    Sample sample;
  };

  Reason item(Decoding& in, const Value& value) const;
  Reason object(Decoding& in, const Value& value) const;
  Reason members(Decoding& in, const Value& value) const;
  Reason named(Decoding& in, const Value& value) const;
  Reason time(Decoding& in, const Value& value) const;
  std::string time_text(Timestamp time) const;

  Path time_, value_, key_, field_;
  Duration unit_;  ///< of times written as numbers; 0: they must be RFC 3339
  std::vector<FieldPath> fields_;
};

std::expected<double, std::string> number(const Value& value) {
  double result = 0;
  const char* const end = value.text.data() + value.text.size();
  const auto [at, error] = std::from_chars(value.text.data(), end, result);
  if (error == std::errc::result_out_of_range) {
    long double wider = HUGE_VALL;  // tells the too small, which are 0, from the too large
    std::from_chars(value.text.data(), end, wider);
    if (std::abs(wider) < 1) return 0;
    return no("a number is out of range: " + std::string{value.text.substr(0, 64)});
  }
  if (error != std::errc{} || at != end) return no("a value is not a number");
  return result;
}

/// Adds latitude, longitude and, if it is there, altitude as one sample.
Reason add_point(Sample& sample, SampleSink& out, const Value* latitude, const Value* longitude,
                 const Value* altitude) {
  double parts[3] = {0, 0, std::nan("")};
  const Value* const values[3] = {latitude, longitude, altitude};
  for (std::size_t i = 0; i < 3; ++i) {
    if (i == 2 && (values[i] == nullptr || values[i]->kind == Value::Kind::null)) break;
    if (values[i] == nullptr || values[i]->kind != Value::Kind::number) return no("a point's part is not a number");
    const auto part = number(*values[i]);
    if (!part) return no(part.error());
    parts[i] = *part;
  }
  sample.kind = Sample::Kind::point;
  sample.x = parts[0];
  sample.y = parts[1];
  sample.z = parts[2];
  out.add(sample);
  return {};
}

/// Adds one value; a null is no sample.
Reason add(Sample& sample, SampleSink& out, const Tree& tree, const Value& value) {
  switch (value.kind) {
    case Value::Kind::null:
      return {};
    case Value::Kind::array:
      return no("a value is an array: " + std::string{sample.field});
    case Value::Kind::object: {
      const Value* latitude = tree.member(value, "lat");
      const Value* longitude = tree.member(value, "lon");
      if (latitude == nullptr || longitude == nullptr)
        return no("a value is an object without lat and lon: " + std::string{sample.field});
      return add_point(sample, out, latitude, longitude, tree.member(value, "alt"));
    }
    case Value::Kind::text:
      sample.kind = Sample::Kind::text;
      sample.text = value.text;
      break;
    case Value::Kind::boolean:
      sample.kind = Sample::Kind::number;
      sample.x = value.text == "true" ? 1 : 0;
      break;
    case Value::Kind::number: {
      const auto x = number(value);
      if (!x) return no(x.error());
      sample.kind = Sample::Kind::number;
      sample.x = *x;
    }
  }
  out.add(sample);
  return {};
}

Reason Json::decode(const Message& message, SampleSink& out) const {
  if (message.payload.empty()) return no("empty payload");
  static thread_local Tree tree;
  std::string text{message.payload};  // read in place
  if (auto read = tree.read(text); !read) return read;
  Decoding in{tree, out, {.key = message.key, .field = message.field}};
  if (tree.root().kind != Value::Kind::array) return item(in, tree.root());
  for (const Value* value = tree.child(tree.root()); value != nullptr; value = tree.next(*value)) {
    in.sample = {.key = message.key, .field = message.field};
    if (auto added = item(in, *value); !added) return added;
  }
  return {};
}

Reason Json::item(Decoding& in, const Value& value) const {
  return value.kind == Value::Kind::object ? object(in, value) : add(in.sample, in.out, in.tree, value);
}

Reason Json::object(Decoding& in, const Value& value) const {
  if (const Value* at = time_.find(in.tree, value); at != nullptr && at->kind != Value::Kind::null) {
    if (auto read = time(in, *at); !read) return read;
  }
  for (const auto& [path, name] : {std::pair{&key_, &Sample::key}, std::pair{&field_, &Sample::field}}) {
    const Value* at = path->find(in.tree, value);
    if (at == nullptr || at->kind == Value::Kind::null) continue;
    if (at->kind != Value::Kind::text && at->kind != Value::Kind::number) return no("a key or field is not a text");
    in.sample.*name = at->text;
  }
  if (!fields_.empty()) return named(in, value);
  if (const Value* at = value_.find(in.tree, value)) return add(in.sample, in.out, in.tree, *at);
  if (in.sample.field.empty()) return members(in, value);
  if (in.tree.member(value, "lat") != nullptr) return add(in.sample, in.out, in.tree, value);
  return no("no value: the object has none where the setting \"value\" says");
}

Reason Json::members(Decoding& in, const Value& value) const {
  for (const Value* member = in.tree.child(value); member != nullptr; member = in.tree.next(*member)) {
    if (time_.starts_with(member->name) || key_.starts_with(member->name)) continue;
    in.sample.field = member->name;
    if (auto added = add(in.sample, in.out, in.tree, *member); !added) return added;
  }
  return {};
}

Reason Json::named(Decoding& in, const Value& value) const {
  for (const FieldPath& entry : fields_) {
    in.sample.field = entry.field;
    const Value* at = entry.parts.front().find(in.tree, value);
    if (at == nullptr) continue;
    const auto part = [&](std::size_t i) {
      return i < entry.parts.size() ? entry.parts[i].find(in.tree, value) : nullptr;
    };
    const bool point = entry.parts.size() > 1;
    auto added = point ? add_point(in.sample, in.out, at, part(1), part(2)) : add(in.sample, in.out, in.tree, *at);
    if (!added) return added;
  }
  return {};
}

Reason Json::time(Decoding& in, const Value& value) const {
  std::optional<Timestamp> time;
  const bool text = value.kind == Value::Kind::text;
  if (unit_ != 0 && (text || value.kind == Value::Kind::number)) time = scaled(value.text, unit_);
  if (!time && text) time = parse_rfc3339(value.text);
  if (!time) return no(weir::format("not a time: {}{}", value.text.substr(0, 64), advice(value.text)));
  in.sample.time = time;
  return {};
}

std::string Json::time_text(Timestamp time) const {
  if (unit_ == 0) return '"' + format_rfc3339(time) + '"';
  std::string text = std::to_string(time / unit_);
  if (time % unit_ == 0) return text;
  if (time < 0 && time / unit_ == 0) text.insert(0, "-");
  std::string fraction = std::to_string(unit_ + std::abs(time % unit_));
  fraction.front() = '.';
  fraction.erase(fraction.find_last_not_of('0') + 1);
  return text + fraction;
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
  if (!fields_.empty() || !time_.plain() || !value_.plain() || !key_.plain() || !field_.plain()) {
    return no("nested paths and \"fields\" are for reading only");
  }
  rapidjson::StringBuffer buffer;
  Writer out{buffer};
  if (samples.size() != 1) out.StartArray();
  for (const Sample& sample : samples) {
    const bool finite = std::isfinite(sample.x) && std::isfinite(sample.y) && !std::isinf(sample.z);
    if (sample.kind != Sample::Kind::text && !finite) return no("JSON has no NaN and no infinity");
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
      const std::string text = time_text(*sample.time);
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

std::vector<Error> check(const Settings& settings) {
  std::vector<Error> problems;
  if (!settings.has("fields")) return problems;
  for (const auto& [field, path] : settings.object("fields").entries()) {
    const auto* text = std::get_if<std::string>(&path);
    const auto parts = text == nullptr ? 0 : 1 + std::count(text->begin(), text->end(), ',');
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
        .field("time", kind::text(), "path of the event time; where a payload has none, arrival stands in", "time")
        .field("time_unit", kind::choice({"ns", "us", "ms", "s", "rfc3339"}),
               "what a time written as a number counts since 1970; a text may be RFC 3339 whatever the unit", "ns")
        .field("value", kind::text(), "path of the value in an object that holds one sample", "value")
        .field("key", kind::text(), "path of the key, where the payload names it", "key")
        .field("field", kind::text(), "path of the field, where the payload names it", "field")
        .optional("fields", kind::map(),
                  "names of fields and where their values are, for objects with many; the rest is ignored")
        .check(check)
        .details(
            "A value is a number, true or false (1, 0), a text, or a point {\"lat\", \"lon\", \"alt\"}; null is no "
            "sample. An object with a member at `value` is one sample. Another object, if neither subject nor payload "
            "says a field, is a sample per member. A path is member names and element numbers with dots between: "
            "\"gps.fix.0\". In `fields` two or three paths with commas between make a point: "
            "{\"position\": \"gps.latitude, gps.longitude\"}. Numbers keep their full precision; one beyond a float64 "
            "sends the message to the dead letters. When written, a sample is an object with plain names, or only its "
            "value if the subject says key and field and it has no time.")
        .example(R"({ "codec": "json", "time": "ts", "time_unit": "ms" })")
        .example(
            R"({ "codec": "json", "time": "gps.at", "time_unit": "rfc3339", "fields": { "speed": "obd.speed", "position": "gps.lat, gps.lon" } })");
}  // namespace

WEIR_OPERATOR(codecs, json, Json, spec)
