#include "clients/nats_stream_set.hpp"

#include <utility>

#include <weir/format.hpp>

namespace weir::nats {
namespace {

/// Whether a stream of this partition's name is one of its set, or only called so.
bool belongs(const FoundStream& there, const PartitionNames& names) {
  return there.takes(names.marker) || there.takes(names.filter);
}

/// Of partitions that it was made for; 0: weir has not made it, or for a set of another name.
std::uint32_t number_of(const FoundStream& there, const PartitionNames& names) {
  return there.takes(names.marker) ? there.partitions : 0;
}

std::string made_for(const std::string& stream, std::uint32_t partitions) {
  return weir::format("stream {} was made for {} partition{}", stream, partitions, partitions == 1 ? "" : "s");
}

std::string say(std::uint32_t partitions) { return weir::format("say \"partitions\": {}, or ", partitions); }

}  // namespace

StreamSet::StreamSet(const Settings& settings, const SubjectPattern& pattern, StreamUse use,
                     std::optional<Duration> dedupe)
    : base_{settings.text("stream")},
      partitions_{static_cast<std::uint32_t>(settings.integer("partitions"))},
      pattern_{pattern},
      like_{StreamConfig::from(settings, {}, {})},
      use_{use} {
  like_.dedupe = dedupe;
  like_.partitions = partitions_;
}

Result<StreamState> StreamSet::ensure(JetStream& jetstream, Partition k) const {
  const auto there = jetstream.find(name(k));
  if (!there) return std::unexpected(there.error());
  if (!*there && like_.create) return make(jetstream, k);
  if (*there) {
    if (auto same = agree(jetstream, k, **there); !same) return std::unexpected(same.error());
  }
  return jetstream.ensure(config(k));
}

Result<void> StreamSet::check(JetStream& jetstream) const {
  const auto first = jetstream.find(name(0));
  if (!first) return std::unexpected(first.error());
  return *first ? agree(jetstream, 0, **first) : nothing_else(jetstream);
}

PartitionNames StreamSet::names(Partition k) const { return {base_, partitions_, k, pattern_}; }
std::string StreamSet::name(Partition k) const { return names(k).stream; }

StreamConfig StreamSet::config(Partition k) const {
  StreamConfig out = like_;
  out.name = name(k);
  out.subjects = {names(k).filter};
  out.replayed = use_ != StreamUse::once;
  (use_ == StreamUse::replayed_marked ? out.subjects : out.also).push_back(names(k).marker);
  return out;
}

/// The first stream stands for the set: the server makes it for one of those who want it, whatever number they have in
/// mind, and all others of the set are made after a look at it.
Result<StreamState> StreamSet::make(JetStream& jetstream, Partition k) const {
  if (k == 0) return make_first(jetstream);
  const auto first = jetstream.find(name(0));
  if (!first) return std::unexpected(first.error());
  std::string news;
  if (*first) {
    if (auto same = agree(jetstream, 0, **first); !same) return std::unexpected(same.error());
  } else {
    const auto made = make_first(jetstream);
    if (!made) return made;
    if (!made->news.empty()) news = made->news + "; ";
  }
  return jetstream.ensure(config(k)).transform([&](StreamState made) {
    if (!made.news.empty()) made.news.insert(0, news);
    return made;
  });
}

Result<StreamState> StreamSet::make_first(JetStream& jetstream) const {
  if (auto alone = nothing_else(jetstream); !alone) return std::unexpected(alone.error());
  const auto made = jetstream.ensure(config(0));
  if (!made) return made;
  // Another worker may have been faster, with another number in mind.
  const auto there = jetstream.find(name(0));
  if (!there) return std::unexpected(there.error());
  if (!*there) return fail(Error::Kind::unreachable, "stream " + name(0) + " is gone as soon as it was made", "stream");
  if (auto same = agree(jetstream, 0, **there); !same) return std::unexpected(same.error());
  // The server does not see that subjects overlap while both streams are being made.
  auto alone = nothing_else(jetstream);
  if (alone) return made;
  if (!made->news.empty() && (*there)->state.messages == 0) jetstream.remove(name(0));
  return std::unexpected(std::move(alone).error());
}

/// Whether no stream belongs to a set of this name and another number.
Result<void> StreamSet::nothing_else(JetStream& jetstream) const {
  const bool one = partitions_ == 1;
  const PartitionNames other{base_, one ? 2u : 1u, 0, pattern_};
  const auto there = jetstream.find(other.stream);
  if (!there) return std::unexpected(there.error());
  if (*there && belongs(**there, other)) {
    const std::uint32_t number = number_of(**there, other);
    if (number != 0) return other_number(made_for(other.stream, number), say(number), number);
    return other_number("there is a stream " + other.stream, one ? "say how many there are, or " : say(1), one ? 0 : 1);
  }
  if (one) return {};
  // The first may have been deleted while the others are still there.
  const auto next = jetstream.find(name(1));
  if (!next) return std::unexpected(next.error());
  return *next && number_of(**next, names(1)) != 0 ? agree(jetstream, 1, **next) : Result<void>{};
}

Result<void> StreamSet::agree(JetStream& jetstream, Partition k, const FoundStream& there) const {
  const std::string stream = name(k);
  const std::uint32_t number = number_of(there, names(k));
  if (number == partitions_) return {};
  if (number != 0) return other_number(made_for(stream, number), say(number), number);
  if (partitions_ == 1) return {};
  // Somebody else made it, so count.
  const auto last = jetstream.find(name(partitions_ - 1));
  if (!last) return std::unexpected(last.error());
  if (!*last) {
    return other_number(
        weir::format("there is a stream {}, which weir did not make, and no {}", stream, name(partitions_ - 1)),
        "make all of them, or ", 0);
  }
  const PartitionNames beyond{base_, partitions_ + 1, partitions_, pattern_};
  const auto more = jetstream.find(beyond.stream);
  if (!more) return std::unexpected(more.error());
  if (!*more || !belongs(**more, beyond)) return {};
  return other_number(weir::format("there is a stream {}, and weir did not make {}", beyond.stream, stream),
                      "say how many there are, or ", 0);
}

std::unexpected<Error> StreamSet::other_number(const std::string& there, const std::string& way,
                                               std::uint32_t number) const {
  const bool apart = partitions_ == 1 || number == 1;  // subjects with and without p.<k>. are never the same
  return fail(
      Error::Kind::changed,
      weir::format("{}, but the pipeline says {}: the number of a set can't be changed in place, as the messages, "
                   "rows and state of a vehicle would be in two partitions; {}go over to a new set with another "
                   "\"stream\"{} and another pipeline \"name\": `weir nats mapping` tells what the server must "
                   "know then, and a pipeline like pipelines/route.json copies what is stored",
                   there, partitions_, way, apart ? "" : " and \"subject\" (streams can't share one)"),
      "partitions");
}

}  // namespace weir::nats
