#include "sources/nats/backlog.hpp"

#include <algorithm>

#include <weir/format.hpp>

namespace weir::nats {
namespace {

/// The position before the first message to be read, of a lane that has done nothing yet.
Result<Position> before_first(JetStream& jetstream, const std::string& stream, const StreamState& state,
                              const Beginning& beginning) {
  if (beginning.only_new) return state.last;
  if (!beginning.time) return 0;
  const auto reader = jetstream.add_reader(stream, {.time = beginning.time});
  if (!reader) return std::unexpected(reader.error());
  jetstream.forget_consumer(stream, reader->name);
  return reader->before;
}

Result<void> check_same(const StreamState& state, const std::string& stream, const PartitionPlace& place) {
  if (place.position == 0) return {};
  const bool recreated = place.stream.created != no_time && place.stream.created != state.created;
  if (!recreated && place.position <= state.last) return {};
  return fail(Error::Kind::changed,
              weir::format("stream {} was recreated or lost its end: it ends at {}, and {} was committed of the one "
                           "before",
                           stream, state.last, place.position),
              "stream");
}

}  // namespace

Result<Backlog> backlog_beyond(JetStream& jetstream, const std::string& stream, const PartitionPlace& place,
                               const Beginning& beginning) {
  const auto state = jetstream.state(stream);
  if (!state) {
    if (place.position == 0 && state.error().kind == Error::Kind::changed) return Backlog{};
    return std::unexpected(state.error());
  }
  if (auto same = check_same(*state, stream, place); !same) return std::unexpected(same.error());
  Position done = place.position;
  if (done == 0) {
    const auto before = before_first(jetstream, stream, *state, beginning);
    if (!before) return std::unexpected(before.error());
    done = *before;
  }
  if (done >= state->last) return Backlog{};
  const auto next = jetstream.next_message(stream, done + 1);
  if (!next) return std::unexpected(next.error());
  if (!*next) return Backlog{};
  const Stored& first = **next;
  const std::uint64_t span = std::max(state->last, first.sequence) - first.sequence + 1;
  return Backlog{std::min(span, std::max<std::uint64_t>(state->messages, 1)), first.time};
}

}  // namespace weir::nats
