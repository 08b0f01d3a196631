#include <algorithm>

#include "clients/nats_pull.hpp"
#include "sources/nats/endpoint.hpp"
#include "sources/nats/sources.hpp"

namespace weir::nats {
namespace {

/// The library does not say when a message came, so that arrival is the moment it leaves this queue: a long one would
/// make it wrong by as much as a stalled output lasts, a full one is counted.
constexpr Subscription::Limits limits{.messages = 131'072, .bytes = 64 << 20};

/// While messages come one upon the other, a short wait gathers them: each batch has its cost, however small.
constexpr std::size_t large_enough = 512;
constexpr Duration gather_for = 2 * millisecond;

/// Core NATS: what comes while we listen.
class CoreSource final : public SourceBase {
 public:
  CoreSource(const Settings& settings, Context& context)
      : SourceBase{settings, context}, dropped_{context, "dropped"} {}

  Result<Position> open(Position after) override {
    subscription_.reset();
    counter_ = after;
    if (auto done = connect(); !done) return std::unexpected(done.error());
    const std::string group = settings_.has("queue") ? settings_.text("queue") : "";
    auto made = Subscription::open(*connection_, endpoint_.names.filter, group, limits);
    if (!made) return std::unexpected(made.error());
    if (auto answered = connection_->flush(answer_wait); !answered) return std::unexpected(answered.error());
    if (const auto why = connection_->denied(); !why.empty()) {
      complaints_.hear(*connection_);
      return fail(Error::Kind::unreachable, "NATS does not let this user receive: " + why, "subject");
    }
    subscription_ = std::move(*made);
    return after;
  }

  Result<Pulled> pull(const Budget& budget, std::stop_token stop) override {
    // All that this connection asks for is its subscription.
    if (!subscription_ || connection_->closed() || !connection_->denied().empty())
      return open(counter_).transform([](Position) { return Pulled{}; });
    auto received = std::make_shared<ReceivedBatch>();
    subscription_->take(received->batch, budget.messages, budget.bytes, budget.wait, stop);
    const std::size_t got = received->batch.size();
    if (got > 0 && got < large_enough && context_.clock().steady() - gave_ < gather_for) {
      context_.clock().wait(gather_for, stop);
      subscription_->take(received->batch, budget.messages - std::min(got, budget.messages), budget.bytes, 0, stop);
    }
    if (got > 0) gave_ = context_.clock().steady();
    dropped_.reach(subscription_->dropped());
    reconnects_.reach(connection_->reconnects());
    complaints_.hear(*connection_);
    if (received->batch.empty() && !connection_->connected()) return std::unexpected(connection_->down());
    arrival_ = std::max(arrival_, context_.clock().now());
    auto& items = received->messages.items;
    items.resize(received->batch.size());
    for (std::size_t i = 0; i < items.size(); ++i) {
      items[i].sequence = ++counter_;
      items[i].arrival = arrival_;
      translate(*received, i);
    }
    count("received", items.size());
    if (items.empty() && arrival_ >= due_)
      items.push_back({.sequence = ++counter_, .arrival = arrival_, .marker = true});
    if (!items.empty()) due_ = end_of_time;
    return ReceivedBatch::give(std::move(received));
  }

  /// The worker's clock is what tells the arrival here, so that it may also tell that time has passed.
  Result<void> mark(Timestamp due) override {
    due_ = due;
    return {};
  }

 private:
  std::unique_ptr<Subscription> subscription_;
  Position counter_ = 0;
  Timestamp due_ = end_of_time;  ///< instant at which a marker is wanted
  Timestamp gave_ = 0;           ///< steady time at which messages came last
  Growth dropped_;
};

}  // namespace

std::unique_ptr<Source> core_source(const Settings& settings, Context& context) {
  return std::make_unique<CoreSource>(settings, context);
}

}  // namespace weir::nats
