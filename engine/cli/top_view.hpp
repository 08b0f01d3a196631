/// Draws what `weir top` shows. Only top_view.cpp knows the library that draws.
#pragma once

#include <functional>
#include <string>

#include "cli/top_model.hpp"

namespace weir::cli {

/// As plain text, as wide and as high as it is; lines end without blanks.
std::string drawn(const TopFrame& frame);

/// Fills the terminal until q, Esc or Ctrl-C. `look` answers the next frame, as often as asked; it is called from a
/// thread of its own, a second after its last answer.
void show_live(const std::function<TopFrame()>& look);

}  // namespace weir::cli
