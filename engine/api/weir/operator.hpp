/// Everything that an operator's file includes.
#pragma once

#include <functional>
#include <memory>
#include <type_traits>

#include <weir/codec.hpp>
#include <weir/context.hpp>
#include <weir/sink.hpp>
#include <weir/source.hpp>
#include <weir/spec.hpp>
#include <weir/store.hpp>
#include <weir/transform.hpp>

namespace weir {

/// An operator as the registry holds it: what it says of itself and how to make one. Exactly one maker is set.
struct Operator {
  Spec spec;
  std::function<std::unique_ptr<Source>(const Settings&, Context&)> make_source = {};
  std::function<std::unique_ptr<Transform>(const Settings&, Context&)> make_transform = {};
  std::function<std::unique_ptr<Sink>(const Settings&, Context&)> make_sink = {};
  std::function<std::unique_ptr<Store>(const Settings&, Context&)> make_store = {};
  std::function<std::unique_ptr<Codec>(const Settings&, Context&)> make_codec = {};
};

/// Builds an Operator from a class with a constructor (const Settings&, Context&) or (const Settings&).
/// Constructors connect to nothing and do not fail.
template <typename T>
Operator make_operator(Spec spec) {
  auto make = [](const Settings& settings, Context& context) {
    if constexpr (std::is_constructible_v<T, const Settings&, Context&>) {
      return std::make_unique<T>(settings, context);
    } else {
      (void)context;
      return std::make_unique<T>(settings);
    }
  };
  Operator op{std::move(spec)};
  if constexpr (std::is_base_of_v<Source, T>) op.make_source = make;
  if constexpr (std::is_base_of_v<Transform, T>) op.make_transform = make;
  if constexpr (std::is_base_of_v<Sink, T>) op.make_sink = make;
  if constexpr (std::is_base_of_v<Store, T>) op.make_store = make;
  if constexpr (std::is_base_of_v<Codec, T>) op.make_codec = make;
  return op;
}

}  // namespace weir

/// The one exported name of an operator's file. `folder` and `ident` are the file's folder and name (`-` as `_`), so
/// that a misnamed operator fails at link.
#define WEIR_OPERATOR(folder, ident, Class, spec)                                    \
  namespace weir {                                                                   \
  Operator weir_operator_##folder##_##ident();                                       \
  Operator weir_operator_##folder##_##ident() { return make_operator<Class>(spec); } \
  }
