/// Settings of an operator as the engine hands them over.
#pragma once

#include <map>
#include <string>

#include <weir/operator.hpp>
#include <weir/units.hpp>

namespace weir::fakes {

/// These values, and the Spec's defaults for the rest. Unchecked.
inline Settings settings_of(const Operator& op, const std::map<std::string, Setting>& values) {
  Settings out{"node"};
  for (const Field& field : op.spec.fields) {
    if (const auto it = values.find(field.name); it != values.end()) {
      out.set(field.name, it->second);
    } else if (!field.fallback.empty()) {
      switch (field.kind.tag) {
        case Kind::Tag::integer:
          out.set(field.name, std::int64_t{std::stoll(field.fallback)});
          break;
        case Kind::Tag::boolean:
          out.set(field.name, field.fallback == "true");
          break;
        case Kind::Tag::duration:
          out.set(field.name, std::int64_t{parse_duration(field.fallback).value()});
          break;
        case Kind::Tag::size:
          out.set(field.name, static_cast<std::int64_t>(parse_size(field.fallback).value()));
          break;
        default:
          out.set(field.name, field.fallback);
          break;
      }
    }
  }
  return out;
}

}  // namespace weir::fakes
