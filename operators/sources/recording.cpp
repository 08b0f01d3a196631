/// Messages out of a recording, with the arrival that they had.
#include "recording/recording.hpp"
#include <weir/format.hpp>
#include <weir/operator.hpp>

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "clients/arrival_span.hpp"
#include "clients/pace.hpp"

namespace {
using namespace weir;

class RecordingSource final : public Source {
 public:
  RecordingSource(const Settings& settings, Context& context)
      : context_{context},
        path_{settings.text("path")},
        partitions_{static_cast<std::uint32_t>(settings.integer("partitions"))},
        flush_{settings.boolean("flush")},
        span_{ArrivalSpan::of(settings)},
        pace_{*Pace::parse(settings.text("speed"))} {}

  Result<void> check() override {
    return recording::Reader::open(path_).and_then([&](const recording::Reader& file) { return fits(file); });
  }

  Result<Position> open(Position after) override {
    auto file = recording::Reader::open(path_, context_.partition());
    if (!file) return std::unexpected(std::move(file.error()));
    if (auto fine = fits(*file); !fine) return std::unexpected(std::move(fine.error()));
    file_ = std::move(*file);
    blocks_.clear();
    read_to_ = 0;
    for (const recording::Block& block : file_->blocks()) {
      if (block.last > after && block.reached >= span_.since) {
        blocks_.push_back(&block);
      } else {
        read_to_ = block.at + block.bytes;
      }
    }
    left_ = 0;
    for (const recording::Block* block : blocks_) left_ += block->messages;
    last_ = after;
    arrival_ = no_time;
    messages_.reset();
    next_block_ = 0;
    ended_ = skipped_ = false;
    if (file_->unfinished() != 0) {
      context_.warn(weir::format("{}: {} bytes at its end don't count: {}", path_, file_->unfinished(),
                                 file_->cut() ? "its last commit is not whole" : "they are not committed"));
    }
    if (const std::uint64_t missing = missing_between(); missing != 0) {
      context_.warn(weir::format("{}: {} messages between those of partition {} are not in it; weir info tells which",
                                 path_, missing, context_.partition()));
    }
    pace_.begin(std::max(file_->begins(), span_.since), context_.clock());
    return after;
  }

  Result<std::optional<Timestamp>> arrival_at(Position position) override {
    for (const recording::Block& block : file_->blocks()) {
      if (position < block.first || position > block.last) continue;
      const auto messages = file_->read(block);
      if (!messages) return std::unexpected(messages.error());
      const auto found = std::ranges::find((*messages)->items, position, &Message::sequence);
      if (found != (*messages)->items.end()) return found->arrival;
    }
    return std::nullopt;
  }

  Result<Pulled> pull(const Budget& budget, std::stop_token stop) override;

  StreamIdentity identity() const override { return {path_, file_ ? file_->beginning().made_at : no_time}; }
  std::uint64_t waiting() const override { return left_; }

 private:
  /// What a pull gives out, and the block that its views point into.
  struct Given {
    Messages messages;
    std::shared_ptr<const Messages> block;
  };

  Result<void> fits(const recording::Reader& file) const {
    const Partition greatest = file.reached().empty() ? 0 : file.reached().rbegin()->first;
    if (greatest < partitions_) return {};
    return fail(
        Error::Kind::invalid,
        weir::format("{0} has messages of partitions up to {1}: write \"partitions\": {2}, or -s {3}.partitions={2}",
                     path_, greatest, greatest + 1, context_.node()),
        "partitions");
  }

  /// Those that other workers had, or that the stream had no more. What a selection leaves out is not missing.
  std::uint64_t missing_between() const {
    if (!file_->beginning().selection.empty() || blocks_.empty()) return 0;
    std::uint64_t there = 0;
    for (const recording::Block* block : blocks_) there += block->messages;
    return blocks_.back()->last - blocks_.front()->first + 1 - there;
  }

  /// Whether nothing is lost between what was read and a place in the file. Of another partition, perhaps: nobody
  /// knows.
  Result<void> intact(std::uint64_t to) const {
    for (const recording::Damage& damage : file_->damages()) {
      if (damage.from < read_to_ || damage.from >= to) continue;
      return fail(Error::Kind::refused, weir::format("{}: bytes {} to {} are damaged, and the messages there are lost",
                                                     path_, damage.from, damage.to));
    }
    return {};
  }

  /// The next message, or null at the end.
  Result<const Message*> peek();
  void pass() {
    last_ = messages_->items[index_].sequence;
    arrival_ = messages_->items[index_].arrival;
    ++index_;
    --left_;
  }
  /// What time had come to behind the last message, and what `flush` adds; empty if that is nothing new.
  std::vector<Message> closing();

  Context& context_;
  std::string path_;
  std::uint32_t partitions_;
  bool flush_;
  ArrivalSpan span_;
  Pace pace_;

  std::optional<recording::Reader> file_;
  std::vector<const recording::Block*> blocks_;  // of this partition
  std::size_t next_block_ = 0;
  std::shared_ptr<const Messages> messages_;  // of the block at hand
  std::size_t index_ = 0;
  std::uint64_t left_ = 0;  // messages
  Position last_ = 0;       // given out
  Timestamp arrival_ = no_time;
  std::uint64_t read_to_ = 0;  // in the file; what is damaged before does not matter
  bool ended_ = false;
  bool skipped_ = false;  // messages before `since`
};

Result<const Message*> RecordingSource::peek() {
  for (;;) {
    while (messages_ && index_ < messages_->items.size()) {
      const Message& message = messages_->items[index_];
      if (message.arrival >= span_.until) return nullptr;
      if (message.sequence > last_ && message.arrival >= span_.since) return &message;
      if (message.arrival < span_.since && !std::exchange(skipped_, true))
        context_.warn(
            "begins in the middle of the recording: rows of a vehicle are those of then from its next session on");
      ++index_;
      --left_;
    }
    const bool at_end = next_block_ == blocks_.size();
    if (auto whole = intact(at_end ? UINT64_MAX : blocks_[next_block_]->at); !whole)
      return std::unexpected(std::move(whole.error()));
    if (at_end) return nullptr;
    const recording::Block& block = *blocks_[next_block_];
    auto messages = file_->read(block);
    if (!messages) {
      // It is the recording that it was: to begin it again would lead here again.
      if (messages.error().kind == Error::Kind::changed) messages.error().kind = Error::Kind::refused;
      return std::unexpected(std::move(messages.error()));
    }
    ++next_block_;
    read_to_ = block.at + block.bytes;
    messages_ = std::move(*messages);
    index_ = 0;
  }
}

std::vector<Message> RecordingSource::closing() {
  std::vector<Message> out;
  const auto reached = file_->reached().find(context_.partition());
  if (span_.until == end_of_time && reached != file_->reached().end() && reached->second.position > last_ &&
      reached->second.arrival > arrival_) {
    last_ = reached->second.position;
    arrival_ = reached->second.arrival;
    out.push_back({.sequence = last_, .arrival = arrival_, .marker = true});
  }
  if (flush_ && arrival_ != no_time) {
    // By then every session is over, and every tick of it closed.
    const Duration more = context_.forget() + 24 * 60 * minute;
    arrival_ = arrival_ > end_of_time - more ? end_of_time : arrival_ + more;
    out.push_back({.sequence = ++last_, .arrival = arrival_, .marker = true});
  }
  return out;
}

Result<Pulled> RecordingSource::pull(const Budget& budget, std::stop_token stop) {
  const auto given = std::make_shared<Given>();
  auto& items = given->messages.items;
  std::size_t bytes = 0;
  Duration patience = budget.wait;
  while (items.size() < budget.messages && bytes < budget.bytes) {
    const auto message = peek();
    // What came before goes out first; the next pull meets the same.
    if (!message && !items.empty()) break;
    if (!message) return std::unexpected(message.error());
    if (*message == nullptr) {
      if (!items.empty() || std::exchange(ended_, true)) break;
      items = closing();
      break;
    }
    // Views of a pull point into one block.
    if (!items.empty() && given->block != messages_) break;
    if (const Duration wait = pace_.ahead((*message)->arrival, context_.clock()); wait > 0) {
      if (!items.empty() || patience <= 0) break;
      const Duration slice = std::min(wait, patience);
      patience -= slice;
      if (!context_.clock().wait(slice, stop)) break;
      continue;
    }
    given->block = messages_;
    bytes += (*message)->payload.size() + (*message)->subject.size();
    items.push_back(**message);
    pass();
  }
  if (items.empty()) return Pulled{ended_ ? Pulled::State::end : Pulled::State::idle, nullptr};
  return Pulled{Pulled::State::messages, std::shared_ptr<const Messages>{given, &given->messages}};
}

std::vector<Error> problems(const Settings& settings) {
  std::vector<Error> out = ArrivalSpan::problems(settings);
  if (!Pace::parse(settings.text("speed"))) out.push_back({Error::Kind::invalid, Pace::mistake, "speed"});
  return out;
}

const Spec spec =
    Spec::source("messages out of a recording, as they were received")
        .details(
            "Subject, payload, position and arrival are those of the record, so rows come out as they did when it was "
            "made, at any speed. It ends where the recording does, and closes no tick that was open then, unless "
            "`flush` says so.")
        .field("path", kind::text(), "the file, which the sink `recording` has written")
        .field("partitions", kind::integer(), "how many partitions the recorded source had", "1")
        .between(1, 4096)
        .field("speed", kind::text(), Pace::doc, "max")
        .optional("since", kind::text(), "only what arrived then or later: \"2026-01-31T00:00:00Z\"")
        .optional("until", kind::text(), "only what arrived before")
        .field("flush", kind::boolean(), "at the end lets so much time pass that every tick is closed", "false")
        .free_to_change({"speed"})
        .check(problems)
        .claims([](const Settings& settings) {
          return Claims{.replayable = true,
                        .ordered = true,
                        .finite = true,
                        .partitions = static_cast<std::uint32_t>(settings.integer("partitions")),
                        .stream = settings.text("path")};
        })
        .example(R"({ "id": "signals", "source": "recording", "path": "day.weir", "encoding": "flatbuffers" })");
}  // namespace

WEIR_OPERATOR(sources, recording, RecordingSource, spec)
