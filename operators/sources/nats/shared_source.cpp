#include <algorithm>
#include <utility>

#include <weir/format.hpp>

#include "clients/nats_pull.hpp"
#include "sources/nats/acknowledger.hpp"
#include "sources/nats/endpoint.hpp"
#include "sources/nats/sources.hpp"

namespace weir::nats {
namespace {

constexpr std::size_t request_messages = 1024;

/// A durable that several workers share: any message to any of them, until it is acknowledged.
class SharedSource final : public SourceBase {
 public:
  using SourceBase::SourceBase;

  ~SharedSource() override { close(); }

  Result<Position> open(Position after) override {
    close();
    counter_ = after;
    auto state = connect_stream(StreamUse::once);
    if (!state) return std::unexpected(state.error());
    durable_ = {.name = settings_.text("durable"),
                .filter = endpoint_.names.filter,
                .only_new = settings_.text("start") == "new",
                .time = start_time(settings_),
                .ack_wait = settings_.duration("ack_wait"),
                .max_ack_pending = settings_.integer("max_ack_pending"),
                .request_messages = request_messages,
                .request_bytes = static_cast<std::int64_t>(request_bytes(*connection_)),
                .request_expires = request_expires};
    auto answers = open_answers();
    if (!answers) return std::unexpected(answers.error());
    {
      const std::lock_guard lock{answering_};
      answers_ = std::move(*answers);
      acknowledger_ = std::make_unique<Acknowledger>(*answers_, context_.clock(), durable_.ack_wait / 3);
    }
    reader_ = std::make_unique<PullReader>(*connection_, context_.clock());
    return bind().transform([&] { return after; });
  }

  Result<Pulled> pull(const Budget& budget, std::stop_token stop) override {
    if (!reader_ || connection_->closed()) {
      if (auto again = open(counter_); !again) return std::unexpected(again.error());
    }
    if (auto heard = check_answers(); !heard) return std::unexpected(heard.error());
    if (pulled_ != no_time && context_.clock().steady() - pulled_ > durable_.ack_wait / 2) {
      if (auto done = leave_waiting(); !done) return std::unexpected(done.error());
    }
    auto received = std::make_shared<ReceivedBatch>();
    const bool alive = reader_->read(received->batch, {budget.messages, budget.bytes, budget.wait}, stop);
    pulled_ = context_.clock().steady();
    reconnects_.reach(connection_->reconnects());
    complaints_.hear(*connection_);
    if (!alive && received->batch.empty()) {
      if (!connection_->connected()) context_.clock().wait(budget.wait, stop);
      if (!connection_->connected()) return std::unexpected(connection_->down());
      if (auto bound = bind(); !bound) return std::unexpected(bound.error());
    }
    if (received->batch.empty() && reader_->unanswered()) return std::unexpected(reader_->condition());
    auto& items = received->messages.items;
    items.resize(received->batch.size());
    std::uint64_t redelivered = 0;
    for (std::size_t i = 0; i < items.size(); ++i) {
      Delivery delivery;
      const bool delivered = parse_delivery(received->batch[i].reply, delivery);
      redelivered += delivery.delivered > 1 ? 1 : 0;
      arrival_ = std::max(arrival_, delivered ? delivery.time : context_.clock().now());
      items[i].sequence = ++counter_;
      items[i].arrival = arrival_;
      translate(*received, i);
      if (delivered)
        behind_ = delivery.pending;
      else
        items[i].refused = "not_from_durable";
    }
    if (!items.empty()) acknowledger_->hold(received->batch, counter_);
    count("received", items.size());
    count("redelivered", redelivered);
    return ReceivedBatch::give(std::move(received));
  }

  void committed(Position position) override {
    const std::lock_guard lock{answering_};
    if (acknowledger_) acknowledger_->acknowledge(position);
  }

 private:
  Result<void> bind() {
    return jetstream_->ensure_durable(endpoint_.names.stream, durable_).and_then([&](bool made) {
      if (std::exchange(bound_, true) && made) tell_of_loss();
      return reader_->bind(endpoint_.names.stream, durable_.name, request_messages);
    });
  }

  void tell_of_loss() {
    count("restarts", 1);
    context_.warn(weir::format(
        "durable {} of stream {} was gone; it is recreated and starts {}", durable_.name, endpoint_.names.stream,
        durable_.only_new ? "with new messages: those not delivered yet are skipped"
                          : "at the stream's beginning: acknowledged messages are delivered again"));
  }

  Result<std::unique_ptr<Connection>> open_answers() const {
    return Connection::open(endpoint_.access, endpoint_.connection + " acks", Connection::Use::publish);
  }

  /// While no acknowledgement arrives there is no use in reading on: the server would give out everything again.
  Result<void> check_answers() {
    if (answers_->denied().empty() && !answers_->closed()) return {};
    auto made = open_answers();
    if (!made) return std::unexpected(made.error());
    if (const auto reply = acknowledger_->last_reply(); !reply.empty()) {
      if (auto asked = (*made)->publish(reply, "+WPI"); !asked) return asked;
      if (auto answered = (*made)->flush(answer_wait); !answered) return answered;
    }
    if (const auto why = (*made)->denied(); !why.empty()) {
      return fail(Error::Kind::unreachable,
                  "NATS refuses acknowledgements: " + why + "; let this user publish to $JS.ACK.>", "durable");
    }
    const std::lock_guard lock{answering_};
    acknowledger_->use(**made);
    answers_ = std::move(*made);
    return {};
  }

  /// Nobody pulled for so long that what waits in the client is, or soon will be, another worker's: nothing told the
  /// server that it was in progress. Gives back what still is ours.
  Result<void> leave_waiting() {
    MessageBatch waiting;
    reader_->drain(waiting);
    if (context_.clock().steady() - pulled_ < durable_.ack_wait) {
      for (std::size_t i = 0; i < waiting.size(); ++i) (void)answers_->publish(waiting[i].reply, "-NAK");
    }
    pulled_ = no_time;
    return bind();
  }

  void close() {
    pulled_ = no_time;
    reader_.reset();
    const std::lock_guard lock{answering_};
    if (acknowledger_) acknowledger_->give_back();
    if (answers_) (void)answers_->flush(second);
    acknowledger_.reset();
  }

  DurableConfig durable_;
  std::mutex answering_;  ///< for what committed() uses, and changes to it
  std::unique_ptr<Connection> answers_;
  std::unique_ptr<Acknowledger> acknowledger_;
  std::unique_ptr<PullReader> reader_;
  bool bound_ = false;  ///< the durable was there since this source was made
  Position counter_ = 0;
  Timestamp pulled_ = no_time;  ///< steady time at which what waited was taken last
};

}  // namespace

std::unique_ptr<Source> shared_source(const Settings& settings, Context& context) {
  return std::make_unique<SharedSource>(settings, context);
}

}  // namespace weir::nats
