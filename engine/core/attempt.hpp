/// Where exceptions of operators and of third parties end: they are not to leave a thread.
#pragma once

#include <exception>
#include <string>
#include <string_view>
#include <utility>

#include <weir/types.hpp>

namespace weir {

/// Calls what answers a Result. An exception that comes out of it is answered as Error::internal, "whose: …"; `whose`:
/// the node's id, or what was being done.
template <typename Call>
auto attempt(std::string_view whose, Call&& call) -> decltype(std::forward<Call>(call)()) {
  const auto broken = [whose](std::string_view what) {
    return fail(Error::Kind::internal, std::string{whose} + ": " + std::string{what});
  };
  try {
    return std::forward<Call>(call)();
  } catch (const std::exception& problem) {
    return broken(problem.what());
  } catch (...) {
    return broken("an exception of an unknown type");
  }
}

}  // namespace weir
