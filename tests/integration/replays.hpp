/// What tests of `weir replay` begin with.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fakes/temporary_directory.hpp"
#include "fakes/weir_process.hpp"

namespace weir::integration {

/// A recorded fleet, and commands on it.
class Replays : public testing::Test {
 protected:
  struct Said {
    int exit = 0;
    std::string text;
    bool has(std::string_view part) const { return text.contains(part); }
  };

  Said weir(std::vector<std::string> arguments) {
    const std::string log = directory_.file("log" + std::to_string(++runs_));
    if (arguments[0] != "info") arguments.insert(arguments.end(), {"-q", "--log-level", "error"});
    fakes::WeirProcess process{std::move(arguments), log};
    const int exit = process.wait();
    return {exit, process.log()};
  }
  Said replay(std::vector<std::string> options) {
    options.insert(options.begin(), {"replay", tape(), pipeline()});
    return weir(std::move(options));
  }

  std::string pipeline(const std::string& sinks = "") const {
    return directory_.write("fleet.json", R"({
      "name": "fleet", "limits": { "keys": 1000 }, "dead_letters": ")" +
                                              directory_.file("dead.jsonl") + R"(",
      "nodes": [
        { "id": "signals", "source": "simulate", "vehicles": 20, "for": "60s", "faults": {} },
        { "id": "rows", "transform": "window-join", "from": "signals", "every": "1s" },
        { "id": "db", "sink": "stdout", "from": "rows", "columns": { "speed": {}, "charge": { "max_gap": "30s" } } })" +
                                              sinks + " ] }");
  }
  std::string tape() {
    const std::string path = directory_.file("tape.weir");
    if (!std::filesystem::exists(path)) {
      const Said made = weir({"record", "--pipeline", pipeline(), "-o", path, "--follow"});
      EXPECT_EQ(made.exit, 0) << made.text;
    }
    return path;
  }

  fakes::TemporaryDirectory directory_;

 private:
  int runs_ = 0;
};

}  // namespace weir::integration
