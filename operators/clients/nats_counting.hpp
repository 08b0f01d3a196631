/// What a NATS operator tells of its connections: counters, and warnings.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>

#include <weir/context.hpp>

#include "clients/nats.hpp"

namespace weir::nats {

/// A counter fed from a total that somebody else keeps, and begins again at 0 now and then. Threads: one at a time.
class Growth {
 public:
  Growth(Context& context, std::string_view counter) : context_{context}, counter_{context.counter(counter)} {}
  void reach(std::uint64_t total) {
    if (total < seen_) seen_ = 0;
    if (total > seen_) context_.count(counter_, total - seen_);
    seen_ = total;
  }

 private:
  Context& context_;
  std::size_t counter_;
  std::uint64_t seen_ = 0;
};

/// Warns of what servers say by themselves that is wrong: once of each. Threads: one at a time.
class Complaints {
 public:
  explicit Complaints(Context& context) : context_{context} {}

  void hear(const Connection& connection) {
    const std::uint64_t count = connection.errors();
    if (count == heard_) return;
    heard_ = count;
    const std::string text = connection.last_error();
    // The last token of a subject may be another each time.
    if (said_.size() < most && said_.insert(text.substr(0, text.rfind('.'))).second) context_.warn("NATS: " + text);
  }

 private:
  static constexpr std::size_t most = 16;
  Context& context_;
  std::uint64_t heard_ = 0;
  std::set<std::string> said_;
};

}  // namespace weir::nats
