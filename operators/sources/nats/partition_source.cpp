#include <algorithm>
#include <random>

#include <weir/format.hpp>
#include <weir/rfc3339.hpp>

#include "clients/nats_pull.hpp"
#include "clients/nats_stream_set.hpp"
#include "sources/nats/backlog.hpp"
#include "sources/nats/endpoint.hpp"
#include "sources/nats/sources.hpp"

namespace weir::nats {
namespace {

constexpr Duration marker_patience = 250 * millisecond;
constexpr Duration longest_unanswered = 3 * second;
constexpr Duration marker_wait = second;

/// A partition's stream, in order and without acknowledgements.
class PartitionSource final : public SourceBase {
 public:
  PartitionSource(const Settings& settings, Context& context)
      : SourceBase{settings, context},
        deleted_{context, "deleted"},
        restarts_{context, "restarts"},
        dropped_{context, "dropped"},
        until_{settings.has("until") ? parse_rfc3339(settings.text("until")).value_or(end_of_time) : end_of_time} {}

  Result<void> check() override {
    if (auto done = connect(); !done) return done;
    const auto jetstream = JetStream::open(*connection_);
    if (!jetstream) return std::unexpected(jetstream.error());
    return StreamSet{settings_, endpoint_.pattern, use()}.check(**jetstream);
  }

  Result<Position> open(Position after) override {
    return find_stream(after).and_then([&](const StreamState& state) {
      ReadFrom from{.sequence = 0, .time = start_time(settings_)};
      if (settings_.text("start") == "new") from.sequence = state.last + 1;
      if (after > 0) from = {.sequence = after + 1};
      return start(from, state);
    });
  }

  Result<std::optional<Timestamp>> arrival_at(Position position) override {
    if (auto there = check_end(position); !there) return std::unexpected(there.error());
    return jetstream_->time_of(endpoint_.names.stream, position);
  }

  Result<Pulled> pull(const Budget& budget, std::stop_token stop) override {
    if (!reader_ || connection_->closed()) {
      if (auto again = go_on(); !again) return std::unexpected(again.error());
    }
    if (ended_) return Pulled{Pulled::State::end, nullptr};
    auto received = std::make_shared<ReceivedBatch>();
    deliveries_.clear();
    const auto read = reader_->read(received->batch, deliveries_, {budget.messages, budget.bytes, budget.wait}, stop);
    deleted_.reach(reader_->deleted());
    restarts_.reach(reader_->restarts());
    dropped_.reach(reader_->dropped());
    reconnects_.reach(connection_->reconnects());
    complaints_.hear(*connection_);
    if (!read) {
      asked_ = no_time;
      return std::unexpected(read.error());
    }
    if (deliveries_.empty() && !endless()) {
      if (auto looked = look_for_end(); !looked) return std::unexpected(looked.error());
      return Pulled{ended_ ? Pulled::State::end : Pulled::State::idle, nullptr};
    }
    cut(received->batch);
    auto& items = received->messages.items;
    items.resize(deliveries_.size());
    for (std::size_t i = 0; i < items.size(); ++i) {
      arrival_ = std::max(arrival_, deliveries_[i].time);
      items[i].sequence = deliveries_[i].sequence;
      items[i].arrival = deliveries_[i].time;
      if (received->batch[i].subject == endpoint_.names.marker) {
        items[i].subject = received->batch[i].subject;
        items[i].marker = true;
        items[i].own_marker = received->batch[i].payload.ends_with(life_);
        if (items[i].own_marker) marked_ = asked_ = no_time;
        if (items[i].own_marker) unanswered_.reset();
      } else {
        translate(*received, i);
      }
    }
    if (!items.empty()) behind_ = deliveries_.back().pending;
    if (!items.empty()) given_ = deliveries_.back().sequence;
    if (!items.empty()) given_time_ = deliveries_.back().time;
    count("received", items.size());
    if (items.empty() && ended_) return Pulled{Pulled::State::end, nullptr};
    return ReceivedBatch::give(std::move(received));
  }

  Result<void> mark(Timestamp due) override {
    // The server's clock decides; a marker that it stamps too early is followed by another.
    if (context_.clock().now() < due || arrival_ >= due) return {};
    const Timestamp now = context_.clock().steady();
    if (arrival_ >= asked_due_) asked_ = no_time;
    if (marked_ == no_time || now - marked_ >= marker_patience) {
      marked_ = now;
      if (auto sent = connection_->publish(endpoint_.names.marker, marker_text(due)); !sent) return sent;
      if (asked_ == no_time) {
        asked_ = now;
        asked_due_ = due;
      }
    }
    if (asked_ == no_time || now - asked_ < longest_unanswered) return {};
    if (!unanswered_ || now - wondered_ >= longest_unanswered) {
      unanswered_ = unanswered(due);
      wondered_ = now;
    }
    return std::unexpected(*unanswered_);
  }

  StreamIdentity identity() const override { return identity_; }

  Result<std::vector<Backlog>> backlogs(std::span<const PartitionPlace> places) override {
    std::vector<Backlog> out;
    if (places.empty()) return out;
    if (auto done = connect(); !done) return std::unexpected(done.error());
    const auto jetstream = JetStream::open(*connection_);
    if (!jetstream) return std::unexpected(jetstream.error());
    const Beginning beginning{settings_.text("start") == "new", start_time(settings_)};
    for (const PartitionPlace& place : places) {
      const PartitionNames names{settings_.text("stream"), endpoint_.partitions, place.partition, endpoint_.pattern};
      const auto beyond = backlog_beyond(**jetstream, names.stream, place, beginning);
      if (!beyond) return std::unexpected(beyond.error());
      out.push_back(*beyond);
    }
    return out;
  }

 private:
  Result<StreamState> find_stream(Position after) {
    reader_.reset();
    auto state = connect_stream(use());
    if (!state) return state;
    identity_ = {endpoint_.names.stream, state->created};
    last_ = state->last;
    ended_ = false;
    if (auto fits = check_reach(after, *state); !fits) return std::unexpected(fits.error());
    return state;
  }

  Result<Position> start(const ReadFrom& from, const StreamState& state, Timestamp stored = no_time) {
    reader_ = std::make_unique<OrderedReader>(*jetstream_, endpoint_.names.stream, context_.clock());
    given_time_ = stored;
    return reader_->start(from, stored).and_then([&](Position before) -> Result<Position> {
      // What was checked and what is read must be one stream.
      if (reader_->opened().created != identity_.created) {
        return fail(Error::Kind::changed,
                    "stream " + identity_.stream + " was deleted and recreated while it was opened", "stream");
      }
      behind_ = state.last > before ? state.last - before : 0;
      given_ = before;
      return before;
    });
  }

  bool endless() const { return until_ == end_of_time; }

  /// Also a source that ends is read again after a crash.
  StreamUse use() const { return endless() ? StreamUse::replayed_marked : StreamUse::replayed; }

  /// Leaves out what arrived at `until` or after something that did: the rest of the stream.
  void cut(MessageBatch& batch) {
    const auto beyond = std::ranges::find_if(deliveries_, [&](const Delivery& one) { return one.time >= until_; });
    if (beyond == deliveries_.end()) return;
    ended_ = true;
    deliveries_.erase(beyond, deliveries_.end());
    while (batch.size() > deliveries_.size()) batch.drop_last();
  }

  /// Nothing came: once it is `until`, that is the end if the stream has nothing more.
  Result<void> look_for_end() {
    if (context_.clock().now() < until_) return {};
    return jetstream_->next_message(endpoint_.names.stream, given_ + 1).transform([&](const auto& next) {
      ended_ = !next || next->time >= until_;
    });
  }

  /// The same stream over another connection.
  Result<void> go_on() {
    const StreamIdentity was = identity_;
    const auto state = find_stream(given_);
    const bool same = identity_ == was;
    identity_ = was;
    if (!state) return std::unexpected(state.error());
    if (!same) {
      return fail(Error::Kind::changed,
                  "stream " + was.stream + " was deleted and recreated while the connection was lost", "stream");
    }
    return start({.sequence = given_ + 1}, *state, given_time_).transform([](Position) {});
  }

  /// The server refuses a publish by a message of its own, later: only what does not come back tells of it. A stream
  /// says why to one who wants an answer.
  Error unanswered(Timestamp due) const {
    const auto answer = connection_->request(endpoint_.names.marker, marker_text(due), marker_wait);
    if (const std::string refused = answer ? JetStream::refusal_in(*answer) : ""; !refused.empty()) {
      return {Error::Kind::unreachable,
              weir::format("stream {} does not store the markers that are published to {}: {}; until it does, time "
                           "stands still while no message comes",
                           endpoint_.names.stream, endpoint_.names.marker, refused)};
    }
    const std::string why = connection_->last_error();
    return {Error::Kind::unreachable,
            weir::format("markers published to {} do not come back by stream {}{}; may this user publish there? Until "
                         "they do, time stands still while no message comes",
                         endpoint_.names.marker, endpoint_.names.stream, why.empty() ? "" : " (" + why + ")")};
  }

  std::string marker_text(Timestamp due) const { return std::to_string(due) + life_; }

  Result<void> check_end(Position position) const {
    if (position <= last_) return {};
    return fail(Error::Kind::changed,
                weir::format("stream {} ends at {}, but it was read up to {}: it was recreated, or lost its end",
                             endpoint_.names.stream, last_, position),
                "stream");
  }

  /// Whether the stream still has what follows `after`.
  Result<void> check_reach(Position after, const StreamState& state) const {
    if (after == 0) return {};
    if (auto there = check_end(after); !there) return there;
    if (state.first <= after + 1) return {};
    return std::unexpected(cut_off(endpoint_.names.stream, state.first, after));
  }

  std::unique_ptr<OrderedReader> reader_;
  std::vector<Delivery> deliveries_;
  StreamIdentity identity_;
  Position given_ = 0;              ///< the last one given out, or where it began
  Timestamp given_time_ = no_time;  ///< when the stream stored it; no_time: it was given out by none before this
  Position last_ = 0;               ///< of the stream when it was opened
  /// Tells this instance's markers from those of others, and of those before it, that may still be to read.
  const std::string life_ = weir::format(" {:08x}{:08x}", std::random_device{}(), std::random_device{}());
  Timestamp marked_ = no_time;       ///< steady time of the marker that is under way
  Timestamp asked_ = no_time;        ///< steady time of the first marker since one came back
  Timestamp asked_due_ = no_time;    ///< what that one was for
  std::optional<Error> unanswered_;  ///< why none comes back, as far as known
  Timestamp wondered_ = no_time;     ///< steady time at which that was found out
  Growth deleted_, restarts_, dropped_;
  Timestamp until_;     ///< end_of_time: it has no end
  bool ended_ = false;  ///< what comes next arrived then or later
};

}  // namespace

std::unique_ptr<Source> partition_source(const Settings& settings, Context& context) {
  return std::make_unique<PartitionSource>(settings, context);
}

}  // namespace weir::nats
