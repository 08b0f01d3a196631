#include "core/observe/log.hpp"

#include <spdlog/spdlog.h>

namespace weir::log {

void write(Level level, std::string_view line) {
  constexpr spdlog::level::level_enum levels[] = {spdlog::level::info, spdlog::level::warn, spdlog::level::err};
  spdlog::log(levels[std::to_underlying(level)], line);
}

}  // namespace weir::log
