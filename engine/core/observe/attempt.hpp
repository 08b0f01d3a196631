/// Where exceptions of operators and of third parties end: they are not to leave a thread.
#pragma once

#include <exception>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <weir/types.hpp>

namespace weir {

/// Calls what answers a Result, or nothing: that becomes a Result<void>. An exception that comes out of it is answered
/// as Error::internal, "whose: …"; `whose`: the node's id, or what was being done.
template <typename Call>
auto attempt(std::string_view whose, Call&& call) {
  using Answer = std::invoke_result_t<Call>;
  using Answered = std::conditional_t<std::is_void_v<Answer>, Result<void>, Answer>;
  const auto broken = [whose](std::string_view what) {
    return Answered{fail(Error::Kind::internal, std::string{whose} + ": " + std::string{what})};
  };
  try {
    if constexpr (std::is_void_v<Answer>) {
      std::forward<Call>(call)();
      return Answered{};
    } else {
      return std::forward<Call>(call)();
    }
  } catch (const std::exception& problem) {
    return broken(problem.what());
  } catch (...) {
    return broken("an exception of an unknown type");
  }
}

}  // namespace weir
