/// Tests that are data: texts go in, a text comes out. tests/README.md has the format of their files.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

namespace weir::text_tests {

/// What stands behind `>> command`: the rest of its line, and the blocks below.
struct Input {
  std::string argument;
  std::vector<std::string> blocks;

  /// The first block, else the rest of the line.
  const std::string& text() const { return blocks.empty() ? argument : blocks.front(); }
};

/// Returns what is compared with the last block; newlines at its end do not count.
using Commands = std::map<std::string, std::function<std::string(const Input&)>, std::less<>>;

/// Registers the tests of a file, whose path is from the root of the repository. Call it before main(); it ends the
/// program where the file can't be read or has no test. Returns true, to initialise a constant.
bool add(const std::string& path, Commands commands);

/// `<ff>` as the byte 0xff: what a readable file can't hold.
std::string with_bytes(std::string text);

}  // namespace weir::text_tests
