#include "clients/nats_pull.hpp"

#include <algorithm>
#include <charconv>

#include <weir/format.hpp>

namespace weir::nats {
namespace {

constexpr Duration heartbeat = 2 * second;
constexpr Duration silence = 3 * heartbeat;
constexpr std::size_t asked_at_once = 4096;
/// While the server has more to send, small catches are worth a short wait: the engine works better on large batches.
constexpr std::size_t worthwhile = 2048;
constexpr Duration linger = 2 * millisecond;
constexpr int most_lingers = 5;
constexpr std::size_t most_waiting = 4096;
constexpr std::size_t most_waiting_bytes = 64u << 20;
constexpr Duration least_backoff = 50 * millisecond;
constexpr Duration most_backoff = 2 * second;
constexpr std::string_view over_a_limit = "409 Exceeded";

std::int64_t number_or_zero(std::string_view text) {
  std::int64_t out = 0;
  std::from_chars(text.data(), text.data() + text.size(), out);
  return out;
}

bool more_behind(const MessageBatch& batch) {
  Delivery last;
  return parse_delivery(batch[batch.size() - 1].reply, last) && last.pending > 0;
}

}  // namespace

std::size_t request_bytes(const Connection& connection) {
  constexpr std::size_t enough = 8u << 20;
  return std::max(enough, connection.max_payload() + (64u << 10));
}

Result<void> PullReader::bind(const std::string& stream, const std::string& consumer, std::size_t request_messages) {
  subscription_.reset();
  fruitless_ = std::exchange(heard_since_, false) ? 0 : fruitless_ + 1;
  inbox_ = Connection::inbox();
  stream_ = stream;
  request_subject_ = "$JS.API.CONSUMER.MSG.NEXT." + stream + "." + consumer;
  request_messages_ = request_messages;
  outstanding_ = 0;
  reconnects_ = connection_.reconnects();
  heard_ = clock_.steady();
  auto subscription = Subscription::open(connection_, inbox_, {}, {}, true);
  if (!subscription) return std::unexpected(subscription.error());
  subscription_ = std::move(*subscription);
  return {};
}

Error PullReader::condition() const {
  const std::string requests = "$JS.API.CONSUMER.MSG.NEXT." + stream_ + ".";
  std::string said = connection_.last_error();
  // A consumer's name, which is another each time, would make it another error each time.
  if (const auto at = said.find(requests); at != said.npos) said = said.substr(0, at + requests.size()) + ">\"";
  const std::string what_to_do =
      condition_.starts_with(over_a_limit)
          ? "; raise that limit of the consumer, or of the server (jetstream { limits })"
          : weir::format("; may this user publish to {}>, and receive the answers?", requests);
  return {Error::Kind::unreachable, weir::format("nothing comes from stream {}: {}{}{}", stream_, condition_,
                                                 said.empty() ? "" : " (" + said + ")", what_to_do)};
}

bool PullReader::give_up(std::string why) {
  condition_ = std::move(why);
  subscription_.reset();
  return false;
}

bool PullReader::request_more() {
  const auto batch = static_cast<std::int64_t>(request_messages_);
  if (outstanding_ > batch) return true;
  const auto request = weir::format(R"({{"batch":{},"max_bytes":{},"expires":{},"idle_heartbeat":{}}})", batch,
                                    request_bytes(connection_), request_expires, heartbeat);
  if (!connection_.publish(request_subject_, request, inbox_)) return false;
  outstanding_ += batch;
  return true;
}

bool PullReader::handle_status(const MessageBatch& batch) {
  std::vector<MessageBatch::Header> headers;
  batch.headers(batch.size() - 1, headers);
  std::string_view code;
  std::string_view description;
  for (const auto& [name, value] : headers) {
    if (name == "Status") code = value;
    if (name == "Description") description = value;
    if (name == "Nats-Pending-Messages") outstanding_ -= number_or_zero(value);
  }
  outstanding_ = std::max<std::int64_t>(outstanding_, 0);
  if (code == "100" || code == "408" || code == "404") return true;
  if (code == "409") {
    // A request that ended for its bytes is normal, or one too many beside those that wait; one beyond another limit
    // brings nothing, and nor will the next; and a consumer that is gone or moves is not normal either.
    const bool normal = description.starts_with("Message Size Exceeds MaxBytes") ||
                        description.starts_with("Batch Completed") || description.starts_with("Exceeded MaxWaiting");
    if (normal) return true;
  }
  condition_ = weir::format("{} {}", code, description);
  return false;
}

bool PullReader::read(MessageBatch& into, const ReadBudget& budget, const std::stop_token& stop) {
  if (!bound()) return give_up("not bound");
  if (connection_.reconnects() != reconnects_) return give_up("the connection was replaced");
  const std::size_t most = into.size() + budget.messages;
  const std::size_t most_bytes = into.bytes() + budget.bytes;
  Duration wait = budget.wait;
  int lingers = most_lingers;
  while (into.size() < most && into.bytes() < most_bytes) {
    if (!request_more()) return give_up("can't send a request");
    // No more than one request's worth at a time, so that the next request leaves before the last one is used up.
    const std::size_t part = std::min(most - into.size(), request_messages_ / 2);
    const std::size_t before = into.size();
    const Timestamp began = clock_.steady();
    const auto end = subscription_->take(into, part, most_bytes - into.bytes(), wait, stop);
    const Timestamp now = clock_.steady();
    std::size_t came = into.size() - before;
    if (came > 0) heard_ = now;
    bool fine = true;
    if (end == Subscription::End::status) {
      fine = handle_status(into);
      into.drop_last();
      --came;
    }
    outstanding_ = std::max<std::int64_t>(outstanding_ - static_cast<std::int64_t>(came), 0);
    heard_since_ = heard_since_ || came > 0 || (end == Subscription::End::status && fine);
    if (!fine) return give_up(condition_);
    if (end == Subscription::End::no_responders) return give_up("no JetStream or consumer answers");
    if (end == Subscription::End::closed) return give_up("the subscription is closed");
    if (into.empty()) {
      wait -= std::max<Duration>(now - began, 1);
      if (end == Subscription::End::empty || wait <= 0) break;
    } else if (end == Subscription::End::empty) {
      if (into.size() >= std::min(worthwhile, budget.messages) || came == 0 || !more_behind(into)) break;
      // Not in the library: it would wake up for each message that comes.
      if (--lingers == 0 || !clock_.wait(linger, stop)) break;
      wait = 0;
    } else {
      wait = 0;
    }
  }
  if (into.empty() && !connection_.connected()) return give_up("not connected");
  if (into.empty() && clock_.steady() - heard_ > silence) return give_up("no sign of life");
  return true;
}

void PullReader::drain(MessageBatch& into) {
  if (!bound()) return;
  while (true) {
    const auto end = subscription_->take(into, most_waiting, most_waiting_bytes, 0, {});
    heard_since_ = heard_since_ || !into.empty();
    if (end == Subscription::End::status)
      into.drop_last();
    else if (end != Subscription::End::budget)
      return;
  }
}

OrderedReader::OrderedReader(JetStream& jetstream, std::string stream, const Clock& clock, Holes holes)
    : jetstream_{jetstream},
      stream_{std::move(stream)},
      clock_{clock},
      holes_{holes},
      pull_{jetstream.connection(), clock} {}

OrderedReader::~OrderedReader() {
  pull_.unbind();
  jetstream_.forget_consumer(stream_, consumer_);
}

Result<std::uint64_t> OrderedReader::start(const ReadFrom& from, Timestamp stored) {
  auto state = jetstream_.state(stream_);
  if (!state) return std::unexpected(state.error());
  opened_ = *state;
  from_ = from;
  next_ = from.sequence;
  last_time_ = stored;
  if (auto same = check_last(); !same) return std::unexpected(same.error());
  if (stored == no_time && next_ > 1) {
    const auto found = jetstream_.time_of(stream_, next_ - 1);
    if (!found) return std::unexpected(found.error());
    last_time_ = found->value_or(no_time);
  }
  return begin_consumer().transform([&] { return next_ - 1; });
}

Result<void> OrderedReader::begin_consumer() {
  pull_.unbind();
  jetstream_.forget_consumer(stream_, consumer_);
  consumer_.clear();
  auto consumer = jetstream_.add_reader(stream_, next_ > 0 ? ReadFrom{next_} : from_);
  if (!consumer) return std::unexpected(consumer.error());
  consumer_ = std::move(consumer->name);
  if (next_ == 0) next_ = consumer->before + 1;
  consumer_next_ = 1;
  return pull_.bind(stream_, consumer_, asked_at_once);
}

Result<void> OrderedReader::restart(const std::stop_token& stop, Duration wait) {
  if (!jetstream_.connection().connected()) {
    clock_.wait(wait, stop);
    if (!jetstream_.connection().connected()) return std::unexpected(jetstream_.connection().down());
  }
  if (backoff_ > 0) clock_.wait(std::min(backoff_, std::max(wait, least_backoff)), stop);
  backoff_ = std::clamp(backoff_ * 2, least_backoff, most_backoff);
  ++restarts_;
  if (auto same = check(); !same) return same;
  return begin_consumer();
}

Result<void> OrderedReader::check() const {
  auto state = jetstream_.state(stream_);
  if (!state) return std::unexpected(state.error());
  if (state->created != opened_.created) {
    return fail(Error::Kind::changed, "stream " + stream_ + " was deleted and recreated while it was read", "stream");
  }
  if (state->last + 1 < next_) {
    return fail(
        Error::Kind::changed,
        weir::format("stream {} ends at {} but {} was already read: the server lost messages that it had acknowledged",
                     stream_, state->last, next_ - 1),
        "stream");
  }
  return check_last();
}

Result<void> OrderedReader::check_last() const {
  if (last_time_ == no_time) return {};
  const auto stored = jetstream_.time_of(stream_, next_ - 1);
  if (!stored) return std::unexpected(stored.error());
  if (!stored->has_value() || **stored == last_time_) return {};
  return fail(Error::Kind::changed,
              weir::format("message {} of stream {} is not the one that was read: the server lost messages that it had "
                           "acknowledged and gave their numbers to others",
                           next_ - 1, stream_),
              "stream");
}

Result<void> OrderedReader::check_reach() const {
  if (from_.sequence == 0 && last_time_ == no_time) return {};
  const auto state = jetstream_.state(stream_);
  if (!state) return std::unexpected(state.error());
  return state->first > next_ ? std::unexpected(cut_off(stream_, state->first, next_ - 1)) : Result<void>{};
}

Error cut_off(const std::string& stream, std::uint64_t first, std::uint64_t after) {
  return {Error::Kind::changed,
          weir::format(
              "stream {} begins at {}, but the lane must read from {} on: {} messages in between were deleted; let "
              "the stream keep more (max_age, max_bytes), and see weir progress",
              stream, first, after + 1, first - after - 1),
          "stream"};
}

Result<bool> OrderedReader::accept(const Delivery& delivery) {
  if (delivery.consumer_sequence != consumer_next_) return false;  // something was lost on the way
  ++consumer_next_;
  if (delivery.sequence < next_) return false;
  if (delivery.sequence > next_ && holes_ == Holes::confirmed) {
    auto first = jetstream_.next_message(stream_, next_);
    if (!first) return std::unexpected(first.error());
    if (first->has_value() && (*first)->sequence < delivery.sequence) return false;
    if (auto reaches = check_reach(); !reaches) return std::unexpected(reaches.error());
    deleted_ += delivery.sequence - next_;
  }
  next_ = delivery.sequence + 1;
  last_time_ = delivery.time;
  return true;
}

Result<void> OrderedReader::read(MessageBatch& into, std::vector<Delivery>& deliveries, const ReadBudget& budget,
                                 const std::stop_token& stop) {
  const std::size_t begin = into.size();
  const bool alive = pull_.read(into, budget, stop);
  std::size_t good = begin;
  Result<bool> fits = true;
  for (; good < into.size(); ++good) {
    Delivery delivery;
    fits = parse_delivery(into[good].reply, delivery) && true;
    if (fits) fits = accept(delivery);
    if (!fits || !*fits) break;
    deliveries.push_back(delivery);
  }
  while (into.size() > good) into.drop_last();
  if (good > begin) backoff_ = 0;
  const auto unless_silent = [&]() -> Result<void> {
    if (pull_.unanswered()) return std::unexpected(pull_.condition());
    return {};
  };
  if (alive && fits && *fits) return good > begin ? Result<void>{} : unless_silent();
  pull_.unbind();
  if (good > begin) return {};  // the next read() starts again
  if (!fits) return std::unexpected(fits.error());
  return restart(stop, budget.wait).and_then(unless_silent);
}

}  // namespace weir::nats
