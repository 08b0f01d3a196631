#include "core/plan/settings_check.hpp"

#include <algorithm>

#include "core/plan/pipeline.hpp"
#include "core/plan/value_reader.hpp"

namespace weir {
namespace {

/// What of a given value is known: nothing as long as anything about it is wrong.
std::optional<Setting> whole_value(const Field& field, const Value& value, const SettingsContext& context,
                                   Reporter& report) {
  const std::size_t errors = report.errors();
  auto setting = read_value(field, value, context, report);
  if (setting && report.errors() == errors) return setting;
  report.leave_open();
  return {};
}

}  // namespace

void Reporter::add(Severity severity, const Span& span, std::string rule, std::string message, std::string suggestion) {
  take({{severity, file_, span, std::move(rule), std::move(message), std::move(suggestion)}});
}

void Reporter::take(std::vector<Finding> findings) {
  for (Finding& finding : findings) {
    errors_ += finding.severity == Severity::error ? 1 : 0;
    name_option(finding);
    findings_.push_back(std::move(finding));
  }
}

Span Reporter::place_of_option(std::string option) {
  options_.push_back(std::move(option));
  const TextPosition place{0, static_cast<std::uint32_t>(options_.size()), 0};
  return {place, place};
}

void Reporter::name_option(Finding& finding) const {
  const TextPosition& at = finding.span.begin;
  if (at.line != 0 || at.column == 0 || at.column > options_.size()) return;
  finding.message = options_[at.column - 1] + ": " + finding.message;
  finding.span = {};
}

Settings settings_of(const Value& object, const std::vector<Field>& fields, const std::vector<std::string>& reserved,
                     std::string_view what, std::string id, const SettingsContext& context, Reporter& report) {
  Settings out{std::move(id), std::string{what}};
  for (const Field& field : fields) {
    const Value* value = object.find(field.name);
    if (value != nullptr) {
      if (auto setting = whole_value(field, *value, context, report)) out.set(field.name, std::move(*setting));
    } else if (field.required) {
      report.leave_open();
      report.error(object.span, "missing-setting",
                   std::string{what} + " needs " + quoted(field.name) + ": " + field.doc);
    } else if (auto setting = read_fallback(field, report)) {
      out.set(field.name, std::move(*setting));
    }
  }
  std::vector<std::string> known;
  for (const Field& field : fields) known.push_back(field.name);
  known.insert(known.end(), reserved.begin(), reserved.end());
  for (const Member& member : object.members) {
    if (std::ranges::contains(known, member.key)) continue;
    const auto near = nearest(member.key, known);
    if (near && object.find(*near) == nullptr) report.leave_open();  // it is most likely meant
    report.error(member.key_span, "unknown-setting", std::string{what} + " has no setting " + quoted(member.key),
                 near ? "did you mean " + quoted(*near) + "?" : "it has " + listed(known));
  }
  return out;
}

void mark_secrets(Value& object, const std::vector<Field>& fields) {
  for (const Field& field : fields) {
    Value* value = object.find(field.name);
    if (value == nullptr) continue;
    value->secret = field.kind.tag == Kind::Tag::secret;
    if (field.kind.tag == Kind::Tag::object) mark_secrets(*value, field.kind.fields);
    for (Value& item : value->items) {
      if (field.kind.tag == Kind::Tag::objects) mark_secrets(item, field.kind.fields);
    }
  }
}

Span place_of(const Value& object, std::string_view path, std::size_t offset, std::string_view source) {
  const Value* value = &object;
  while (!path.empty()) {
    const auto dot = path.find('.');
    const Value* next = value->find(path.substr(0, dot));
    if (next == nullptr) break;
    value = next;
    path = dot == std::string_view::npos ? std::string_view{} : path.substr(dot + 1);
  }
  if (offset == 0 || !value->is(Value::Kind::string)) return value->span;
  const TextPosition place = place_inside(source, *value, offset);
  return {place, place};
}

Settings default_settings(const Spec& spec, std::string_view id) {
  Reporter nowhere{""};
  Settings out{std::string{id}};
  for (const Field& field : spec.fields) {
    if (field.required) continue;
    if (auto setting = read_fallback(field, nowhere)) out.set(field.name, std::move(*setting));
  }
  return out;
}

}  // namespace weir
