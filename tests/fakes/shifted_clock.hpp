/// Wall clocks of programs that a test starts, each of which may be set: see tests/shim/shifted_clock.cpp.
#pragma once

#include <fstream>
#include <string>
#include <vector>

#include <weir/format.hpp>
#include <weir/types.hpp>

namespace weir::fakes {

/// From now on the clocks that go by this file are so much ahead. It is written in place: programs have it mapped.
inline void set_clock(const std::string& file, Duration ahead) {
  if (!std::ifstream{file}) std::ofstream{file} << std::string(sizeof ahead, '\0');
  std::fstream{file, std::ios::in | std::ios::out | std::ios::binary}.write(reinterpret_cast<const char*>(&ahead),
                                                                            sizeof ahead);
}

/// What stands before a command so that its clock goes by this file, which must be there.
inline std::vector<std::string> with_clock(const std::string& file) {
  return {"env", weir::format("LD_PRELOAD={}/libweir_shifted_clock.so", WEIR_BUILD_DIR), "WEIR_SHIFTED_CLOCK=" + file};
}

}  // namespace weir::fakes
