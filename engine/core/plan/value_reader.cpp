#include "core/plan/value_reader.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>

#include <weir/secrets.hpp>
#include <weir/units.hpp>

#include "core/plan/pipeline_fields.hpp"

namespace weir {
namespace {

using Tag = Kind::Tag;

/// What a kind looks like in the text, for "must be …".
std::string looks_like(const Kind& kind) {
  switch (kind.tag) {
    case Tag::text:
    case Tag::node:
      return "a text";
    case Tag::integer:
      return "a whole number";
    case Tag::number:
      return "a number";
    case Tag::boolean:
      return "true or false";
    case Tag::duration:
      return "a duration such as \"1s\"";
    case Tag::size:
      return "a size such as \"64MB\"";
    case Tag::rate:
      return "a rate such as \"5/s\"";
    case Tag::choice:
      return "one of its choices";
    case Tag::texts:
      return "a list of texts";
    case Tag::object:
      return "an object";
    case Tag::objects:
      return "a list of objects";
    case Tag::map:
      return "an object";
    case Tag::columns:
      return "an object of columns";
    case Tag::expression:
      return "an expression in quotes";
    case Tag::secret:
      return "a text, or \"file:/path\"";
  }
  return "something else";
}

/// Reads one value of a declared kind.
class ValueReader {
 public:
  ValueReader(const SettingsContext& context, Reporter& report) : context_{context}, report_{report} {}

  std::optional<Setting> read(const Field& field, const Value& value) {
    if (value.is(Value::Kind::invalid)) return open();
    const bool wordy = field.kind.tag == Tag::text || field.kind.tag == Tag::secret || field.kind.tag == Tag::texts;
    if (!wordy && !context_.to_run && value.from_variable && value.text.empty() && value.written.contains(":?")) {
      return open();  // lint has warned that it is not set
    }
    switch (field.kind.tag) {
      case Tag::text:
      case Tag::node:
        return text(field, value);
      case Tag::integer:
        return integer(field, value);
      case Tag::number:
        return number(field, value);
      case Tag::boolean:
        return boolean(field, value);
      case Tag::duration:
        if (field.or_none && value.is(Value::Kind::string) && value.text == "none") return Setting{unlimited};
        return unit(field, value, "s", "ms", [](std::string_view t) { return parse_duration(t); });
      case Tag::size:
        return unit(field, value, "MB", "kB", [](std::string_view t) { return parse_size(t); });
      case Tag::rate:
        return unit(field, value, "/s", "/m", [](std::string_view t) { return parse_rate(t); });
      case Tag::choice:
        return choice(field, value);
      case Tag::texts:
        return texts(field, value);
      case Tag::object:
        return object(field, value);
      case Tag::objects:
        return objects(field, value);
      case Tag::map:
        return map(field, value);
      case Tag::columns:
        return columns(field, value);
      case Tag::expression:
        return expression(field, value);
      case Tag::secret:
        return secret(field, value);
    }
    return {};
  }

  /// A default, written as in the text.
  std::optional<Setting> fallback(const Field& field) {
    Value value;
    const std::string& text = field.fallback;
    value.kind = Value::Kind::string;
    value.text = text;
    value.from_variable = true;  // "10" and "true" stand without quotes
    if (field.kind.tag == Tag::texts && !text.empty()) return Setting{std::vector<std::string>{text}};
    if (text.empty()) return {};
    return read(field, value);
  }

 private:
  /// The mistake has been reported; what was meant is not known.
  std::nullopt_t open() {
    report_.leave_open();
    return std::nullopt;
  }

  std::nullopt_t wrong(const Field& field, const Value& value) {
    if (value.is(Value::Kind::invalid)) return open();
    std::string instead;
    const bool whole = value.is(Value::Kind::number) && value.number == std::floor(value.number);
    if (field.kind.tag == Tag::integer && whole && std::abs(value.number) < 1e15)
      instead = "write " + std::to_string(static_cast<std::int64_t>(value.number));
    report_.error(
        value.span, "wrong-type",
        quoted(field.name) + " must be " + looks_like(field.kind) + ", not " + std::string{to_string(value.kind)},
        std::move(instead));
    return std::nullopt;
  }

  bool in_bounds(const Field& field, const Value& value, double number) {
    const bool low = field.least && number < *field.least;
    const bool high = field.most && number > *field.most;
    if (!low && !high) return true;
    const double bound = low ? *field.least : *field.most;
    std::string shown = field.kind.tag == Tag::duration ? format_duration(static_cast<Duration>(bound))
                                                        : std::to_string(static_cast<std::int64_t>(bound));
    if (bound != std::floor(bound) && field.kind.tag != Tag::duration) shown = std::to_string(bound);
    report_.error(value.span, "out-of-bounds",
                  quoted(field.name) + " must be at " + (low ? "least " : "most ") + shown);
    return false;
  }

  std::optional<Setting> text(const Field& field, const Value& value) {
    if (!value.is(Value::Kind::string)) return wrong(field, value);
    return value.text;
  }

  std::optional<Setting> integer(const Field& field, const Value& value) {
    std::int64_t number = value.integer;
    if (value.from_variable) {
      const char* end = value.text.data() + value.text.size();
      const auto [stop, error] = std::from_chars(value.text.data(), end, number);
      if (error != std::errc{} || stop != end) return wrong(field, value);
    } else if (!value.is(Value::Kind::integer)) {
      return wrong(field, value);
    }
    if (!in_bounds(field, value, static_cast<double>(number))) return {};
    return number;
  }

  std::optional<Setting> number(const Field& field, const Value& value) {
    double number = value.number;
    if (value.from_variable) {
      const char* end = value.text.data() + value.text.size();
      const auto [stop, error] = std::from_chars(value.text.data(), end, number);
      if (error != std::errc{} || stop != end) return wrong(field, value);
    } else if (!value.is(Value::Kind::integer) && !value.is(Value::Kind::number)) {
      return wrong(field, value);
    }
    if (!in_bounds(field, value, number)) return {};
    return number;
  }

  std::optional<Setting> boolean(const Field& field, const Value& value) {
    if (value.is(Value::Kind::boolean)) return value.boolean;
    if (value.from_variable && (value.text == "true" || value.text == "false")) return value.text == "true";
    return wrong(field, value);
  }

  std::optional<Setting> unit(const Field& field, const Value& value, const char* one, const char* other, auto parse) {
    if (value.is(Value::Kind::integer) || value.is(Value::Kind::number)) {
      const std::string written{
          context_.source.substr(value.span.begin.offset, value.span.end.offset - value.span.begin.offset)};
      report_.error(value.span, "missing-unit", quoted(field.name) + ": " + written + " has no unit",
                    "write " + quoted(written + one) + " or " + quoted(written + other));
      return {};
    }
    if (!value.is(Value::Kind::string)) return wrong(field, value);
    auto parsed = parse(value.text);
    if (!parsed) {
      report_.error(value.span, "wrong-unit", quoted(field.name) + ": " + parsed.error());
      return {};
    }
    if (!in_bounds(field, value, static_cast<double>(*parsed))) return {};
    if constexpr (std::is_floating_point_v<std::remove_cvref_t<decltype(*parsed)>>)
      return static_cast<double>(*parsed);
    else
      return static_cast<std::int64_t>(*parsed);
  }

  std::optional<Setting> choice(const Field& field, const Value& value) {
    if (!value.is(Value::Kind::string)) return wrong(field, value);
    if (!std::ranges::contains(field.kind.choices, value.text)) {
      const std::string near = did_you_mean(value.text, field.kind.choices);
      report_.error(value.span, "unknown-choice", quoted(field.name) + " can't be " + quoted(value.text),
                    near.empty() ? "choose one of " + listed(field.kind.choices) : near);
      return {};
    }
    return value.text;
  }

  std::optional<Setting> texts(const Field& field, const Value& value) {
    if (value.is(Value::Kind::string)) return std::vector<std::string>{value.text};
    if (!value.is(Value::Kind::array)) return wrong(field, value);
    std::vector<std::string> out;
    for (const Value& item : value.items) {
      if (!item.is(Value::Kind::string)) return wrong(field, item);
      out.push_back(item.text);
    }
    return out;
  }

  std::optional<Setting> object(const Field& field, const Value& value) {
    if (!value.is(Value::Kind::object)) return wrong(field, value);
    return std::make_shared<const Settings>(
        settings_of(value, field.kind.fields, {}, quoted(field.name), {}, context_, report_));
  }

  std::optional<Setting> objects(const Field& field, const Value& value) {
    if (!value.is(Value::Kind::array)) return wrong(field, value);
    std::vector<std::shared_ptr<const Settings>> out;
    for (const Value& item : value.items) {
      if (!item.is(Value::Kind::object)) return wrong(field, item);
      out.push_back(std::make_shared<const Settings>(
          settings_of(item, field.kind.fields, {}, quoted(field.name), {}, context_, report_)));
    }
    return out;
  }

  std::optional<Setting> map(const Field& field, const Value& value) {
    if (!value.is(Value::Kind::object)) return wrong(field, value);
    auto out = std::make_shared<Settings>();
    for (const Member& member : value.members) {
      const Value& one = member.value;
      switch (one.kind) {
        case Value::Kind::string:
          out->set(member.key, one.text);
          break;
        case Value::Kind::integer:
          out->set(member.key, one.integer);
          break;
        case Value::Kind::number:
          out->set(member.key, one.number);
          break;
        case Value::Kind::boolean:
          out->set(member.key, one.boolean);
          break;
        case Value::Kind::invalid:
          break;
        default:
          report_.error(one.span, "wrong-type", quoted(member.key) + " must be a text, a number, true or false");
      }
    }
    return std::shared_ptr<const Settings>{std::move(out)};
  }

  std::optional<Setting> columns(const Field& field, const Value& value) {
    if (!value.is(Value::Kind::object)) return wrong(field, value);
    std::vector<RowColumn> out;
    for (const Member& member : value.members) {
      if (member.value.is(Value::Kind::invalid)) continue;
      if (!member.value.is(Value::Kind::object)) {
        report_.error(member.value.span, "wrong-type", "column " + quoted(member.key) + " must be an object",
                      R"(write { "fill": "linear" })");
        continue;
      }
      const Settings one =
          settings_of(member.value, column_fields(), {}, "column " + quoted(member.key), {}, context_, report_);
      if (!one.has("fill") || !one.has("type") || !one.has("max_gap")) continue;  // reported
      RowColumn column{member.key};
      const std::string& fill = one.text("fill");
      column.fill = fill == "geo"     ? Fill::geo
                    : fill == "angle" ? Fill::angle
                    : fill == "step"  ? Fill::step
                                      : Fill::linear;
      column.kind = fill == "geo" ? FieldKind::point : one.text("type") == "text" ? FieldKind::text : FieldKind::number;
      if (one.text("type") == "text" && fill != "step") {
        report_.error(member.value.find("fill") != nullptr ? member.value.find("fill")->span : member.value.span,
                      "bad-fill", "texts can't be interpolated", R"(write "fill": "step")");
      }
      column.max_gap = one.duration("max_gap");
      column.max_age = one.has("max_age") ? one.duration("max_age") : column.max_gap;
      column.period = one.has("period") ? one.number("period") : 360.0;
      column.quality = one.has("quality") && one.boolean("quality");
      column.unit = one.has("unit") ? one.text("unit") : "";
      out.push_back(std::move(column));
    }
    if (value.members.empty()) report_.error(value.span, "empty", "\"columns\" names no column");
    return out;
  }

  std::optional<Setting> expression(const Field& field, const Value& value) {
    if (!value.is(Value::Kind::string)) return wrong(field, value);
    auto compiled = Expression::compile(value.text);
    if (!compiled) {
      const TextPosition place = place_inside(context_.source, value, compiled.error().offset);
      report_.error({place, place}, "bad-expression", compiled.error().message);
      return {};
    }
    return std::make_shared<const Expression>(std::move(*compiled));
  }

  /// A secret that was written out on the command line, which every process of the machine can read.
  void warn_of_argv(const Field& field, const Value& value) {
    const bool written_out = value.span.begin.line == 0 && value.replaced.empty();
    const bool is_url = value.text.contains("://");
    if (!written_out || value.text.empty() || (is_url && without_secrets(value.text) == value.text)) return;
    report_.warn(value.span, "secret-in-argv",
                 quoted(field.name) + ": every user of this machine can read the command line",
                 "write '${NAME}' or file:PATH");
  }

  std::optional<Setting> secret(const Field& field, const Value& value) {
    if (!value.is(Value::Kind::string)) return wrong(field, value);
    if (!value.text.starts_with("file:")) {
      warn_of_argv(field, value);
      return value.text;
    }
    const std::string path = value.text.substr(5);
    if (auto content = context_.read_file ? context_.read_file(path) : std::nullopt) {
      while (!content->empty() && (content->back() == '\n' || content->back() == '\r')) content->pop_back();
      return *content;
    }
    report_.add(context_.to_run ? Severity::error : Severity::warn, value.span, "unreadable-secret",
                quoted(field.name) + ": can't read the file " + quoted(path), "");
    return std::string{};
  }

  const SettingsContext& context_;
  Reporter& report_;
};

}  // namespace

std::optional<Setting> read_value(const Field& field, const Value& value, const SettingsContext& context,
                                  Reporter& report) {
  return ValueReader{context, report}.read(field, value);
}

std::optional<Setting> read_fallback(const Field& field, Reporter& report) {
  const SettingsContext nowhere;
  return ValueReader{nowhere, report}.fallback(field);
}

}  // namespace weir
