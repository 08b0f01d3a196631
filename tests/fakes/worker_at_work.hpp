/// A worker that runs on a thread of its own while the test changes the world around it.
#pragma once

#include <gtest/gtest.h>

#include <iostream>
#include <memory>
#include <optional>
#include <string_view>
#include <thread>

#include "fakes/log.hpp"
#include "fakes/world.hpp"

namespace weir::fakes {

class WorkerAtWork : public WorldTest {
 public:
  ~WorkerAtWork() override {
    (void)drain();
    if (HasFailure()) std::cerr << log_.text();
  }

 protected:
  WorkerAtWork() { world_.endless = true; }

  void start(std::string_view sum_settings = "", std::string_view root_settings = "") {
    pipeline_.emplace(pipeline(sum_settings, root_settings));
    start_pipeline();
  }
  /// As it is.
  void start_pipeline() {
    worker_ = std::make_unique<Worker>(*pipeline_, registry_, counters_, system_clock());
    stop_ = {};
    thread_ = std::thread{[this] { result_ = worker_->run(stop_.get_token()); }};
  }
  /// Of a pipeline in which these nodes stand behind the source.
  void start_edited(const std::string& nodes) {
    auto edited = check_pipeline(R"({ "name": "p", "state": { "store": "world" }, "nodes": [
      { "id": "in", "source": "stream", "encoding": "number" }, )" +
                                     nodes + " ] }",
                                 "p.json", registry_, {});
    ASSERT_TRUE(edited.pipeline) << render(edited.findings, Format::text);
    pipeline_ = std::move(edited.pipeline);
    start_pipeline();
  }
  void ask_to_drain() { stop_.request_stop(); }
  Result<void> drain() {
    ask_to_drain();
    if (thread_.joinable()) thread_.join();
    return result_;
  }

  /// Changes the world between two calls of it, or looks at it.
  template <typename F>
  auto in_world(F&& what) {
    const std::scoped_lock lock{world_.mutex};
    return what(world_);
  }
  void send(Position messages) {
    in_world([&](World& all) { all.messages += messages; });
  }
  Position position() {
    return in_world([](World& all) { return all.progress.place.position; });
  }

  /// Waits until it is so; false if it does not come.
  template <typename F>
  static bool wait_for(F&& so) {
    for (int i = 0; i < 10'000; ++i) {
      if (so()) return true;
      system_clock().wait(millisecond, {});
    }
    return false;
  }
  bool wait_until_committed(Position messages) {
    return wait_for([&] { return position() == messages; });
  }
  bool wait_until_stepped(Position messages) {
    return wait_for([&] {
      const auto status = worker_->status();
      return status.lanes.size() == 1 && status.lanes.front().stepped == messages;
    });
  }

  const Log log_;
  std::optional<Pipeline> pipeline_;
  std::unique_ptr<Worker> worker_;
  std::stop_source stop_;
  Result<void> result_;
  std::thread thread_;
};

}  // namespace weir::fakes
