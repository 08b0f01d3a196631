#include "core/checkpoint/snapshot.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

#include <weir/format.hpp>
#include <weir/state.hpp>

#include "core/plan/fingerprint.hpp"

namespace weir {
namespace {

constexpr std::uint32_t newest_format = 6;
constexpr std::string_view resets_name = ".resets";

std::string chunk_name(std::string_view name, std::size_t number) {
  return std::string{name} + "/" + std::to_string(number);
}

/// What a snapshot's name says of its age: "<pipeline>.<partition>.<resets>.<position>-<fence>_<numbering>".
std::pair<std::uint32_t, Position> age_in(std::string_view name) {
  for (int tokens = 0; tokens < 2; ++tokens) name.remove_prefix(name.find('.') + 1);
  std::pair<std::uint32_t, Position> age;
  const char* end = name.data() + name.size();
  const auto [dot, error] = std::from_chars(name.data(), end, age.first);
  if (error == std::errc{} && dot != end) std::from_chars(dot + 1, end, age.second);
  return age;
}

std::string_view fence_in(std::string_view name) {
  for (int tokens = 0; tokens < 3; ++tokens) name.remove_prefix(name.find('.') + 1);
  return name.substr(name.find('-') + 1);
}

void put_place(const Progress& at, StateWriter& out) {
  out.put(at.place.position);
  out.put(at.place.arrival);
  out.put(at.place.stamp);
  out.put(at.place.consumed);
  out.put(at.place.latest_tick);
  out.put(at.resets);
  out.put_text(at.fingerprint);
  out.put_text(at.stream.stream);
  out.put(at.stream.created);
  out.put(at.numbering);
}

Progress get_place(StateReader& in) {
  Progress at;
  at.place.position = in.get<Position>();
  at.place.arrival = in.get<Timestamp>();
  at.place.stamp = in.get<Timestamp>();
  at.place.consumed = in.get<std::uint64_t>();
  at.place.latest_tick = in.get<Timestamp>();
  at.resets = in.get<std::uint32_t>();
  at.fingerprint = in.get_text();
  at.stream.stream = in.get_text();
  at.stream.created = in.get<Timestamp>();
  at.numbering = in.get<std::uint32_t>();
  return at;
}

/// No name of a snapshot holds a blank.
Snapshots::Latest latest_in(std::string_view value) {
  const std::size_t blank = std::min(value.find(' '), value.size());
  return {std::string{value.substr(0, blank)}, std::string{value.substr(std::min(blank + 1, value.size()))}};
}

std::unexpected<Error> cut_short(std::string_view name) {
  return fail(Error::Kind::changed, "the manifest of snapshot " + std::string{name} + " is cut short");
}

/// What a manifest says before it comes to the chunks.
Result<Snapshot> head_of(StateReader& manifest, std::string_view name) {
  const auto written_as = manifest.get<std::uint32_t>();
  if (written_as != newest_format) {
    return fail(Error::Kind::changed, "snapshot " + std::string{name} + " has a format that this build does not know");
  }
  Snapshot out;
  out.at = get_place(manifest);
  if (!manifest.ok()) return cut_short(name);
  return out;
}

}  // namespace

std::string storable(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool plain =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
    out += plain ? c : '_';
  }
  return out;
}

Snapshots::Snapshots(Store& store, std::string_view pipeline, bool shared)
    : store_{store}, pipeline_{storable(pipeline)}, shared_{shared} {}

/// Whole tokens, so that a server lists these names alone.
std::string Snapshots::prefix(Partition partition) const { return pipeline_ + "." + std::to_string(partition) + "."; }

Result<std::string> Snapshots::write(Partition partition, std::string_view fence, const Snapshot& snapshot) {
  const Progress& at = snapshot.at;
  const std::string numbering = at.numbering == 0 ? "" : weir::format("_{:08x}", at.numbering);
  const std::string name =
      prefix(partition) + weir::format("{}.{}-{}{}", at.resets, at.place.position, storable(fence), numbering);
  StateWriter manifest;
  manifest.put(newest_format);
  put_place(at, manifest);
  const std::string_view state = snapshot.state;
  const auto chunks = static_cast<std::uint32_t>((state.size() + Store::largest_value - 1) / Store::largest_value);
  manifest.put(chunks);
  for (std::uint32_t i = 0; i < chunks; ++i) {
    const auto chunk = state.substr(i * Store::largest_value, Store::largest_value);
    manifest.put(static_cast<std::uint64_t>(chunk.size()));
    manifest.put(checksum(chunk));
    if (auto put = store_.put(chunk_name(name, i), chunk); !put) return std::unexpected(put.error());
  }
  if (auto put = store_.put(name + "/manifest", manifest.bytes()); !put) return std::unexpected(put.error());
  return name;
}

Result<std::string> Snapshots::manifest(std::string_view name) {
  auto text = store_.get(std::string{name} + "/manifest");
  if (!text) return std::unexpected(text.error());
  if (!*text) return fail(Error::Kind::changed, "snapshot " + std::string{name} + " is not in the store");
  return **std::move(text);
}

Result<Progress> Snapshots::place(std::string_view name) {
  const auto text = manifest(name);
  if (!text) return std::unexpected(text.error());
  StateReader rest{*text};
  return head_of(rest, name).transform([](const Snapshot& head) { return head.at; });
}

Result<Snapshot> Snapshots::read(std::string_view name) {
  const auto text = manifest(name);
  if (!text) return std::unexpected(text.error());
  StateReader rest{*text};
  auto out = head_of(rest, name);
  if (!out) return out;
  const auto chunks = rest.get<std::uint32_t>();
  for (std::uint32_t i = 0; i < chunks && rest.ok(); ++i) {
    const auto size = rest.get<std::uint64_t>();
    const auto sum = rest.get<std::uint64_t>();
    auto chunk = store_.get(chunk_name(name, i));
    if (!chunk) return std::unexpected(chunk.error());
    if (!*chunk || (*chunk)->size() != size || checksum(**chunk) != sum) {
      return fail(Error::Kind::changed, "chunk " + std::to_string(i) + " of snapshot " + std::string{name} +
                                            (*chunk ? " is not what was written" : " is missing"));
    }
    out->state += **chunk;
  }
  if (!rest.ok()) return cut_short(name);
  return out;
}

Result<void> Snapshots::prune(Partition partition, std::string_view newest, std::string_view before) {
  auto names = this->names(partition);
  if (!names) return std::unexpected(names.error());
  for (const std::string& name : *names) {
    const std::string_view snapshot = std::string_view{name}.substr(0, name.rfind('/'));
    const bool kept = age_in(snapshot) >= age_in(fence_in(snapshot) == fence_in(newest) ? newest : before);
    if (kept || snapshot == before || name.ends_with(".latest")) continue;
    if (auto removed = store_.remove(name); !removed) return removed;
  }
  return {};
}

/// All but how often they were forgotten.
Result<std::vector<std::string>> Snapshots::names(Partition partition) {
  return store_.names(prefix(partition)).transform([](std::vector<std::string> names) {
    std::erase_if(names, [](const std::string& name) { return name.ends_with(resets_name); });
    return names;
  });
}

Result<bool> Snapshots::any(Partition partition) {
  return names(partition).transform([](const auto& names) { return !names.empty(); });
}

Result<std::uint32_t> Snapshots::resets(Partition partition) {
  return store_.get(prefix(partition).append(resets_name, 1)).transform([](const auto& text) {
    std::uint32_t resets = 0;
    if (text) std::from_chars(text->data(), text->data() + text->size(), resets);
    return resets;
  });
}

Result<void> Snapshots::forget(Partition partition) {
  // Counted first: what is made of the stream once more must not get the ids of what was made before.
  const auto before = resets(partition);
  if (!before) return std::unexpected(before.error());
  const std::string count = prefix(partition).append(resets_name, 1);
  if (auto counted = store_.put(count, std::to_string(*before + 1)); !counted) return counted;
  auto names = this->names(partition);
  if (!names) return std::unexpected(names.error());
  // What names the newest goes last: without it the others would be taken for what never was begun.
  std::ranges::stable_partition(*names, [](const std::string& name) { return !name.ends_with(".latest"); });
  for (const std::string& name : *names) {
    if (auto removed = store_.remove(name); !removed) return removed;
  }
  return {};
}

/// Nobody else asks for this partition's meanwhile.
Snapshots::Remembered& Snapshots::known_of(Partition partition) {
  const std::scoped_lock lock{mutex_};
  return remembered_[partition];
}

Result<bool> Snapshots::remember(Partition partition, const Latest& latest) {
  const std::string name = prefix(partition) + "latest", value = latest.snapshot + " " + latest.sinks;
  if (!shared_) return store_.put(name, value).transform([] { return true; });
  Remembered& known = known_of(partition);
  auto revision = store_.put_if(name, value, known.revision);
  if (revision && !*revision && !known.tried.empty()) {
    // What this worker wrote without hearing of it is no other worker's: nobody else's snapshots have its names.
    auto held = store_.newest(name);
    if (!held) return std::unexpected(held.error());
    if (*held && (*held)->value == known.tried) {
      known.revision = (*held)->revision;
      revision = store_.put_if(name, value, known.revision);
    }
  }
  known.tried = revision ? "" : value;
  if (!revision) return std::unexpected(revision.error());
  if (*revision) known.revision = **revision;
  return revision->has_value();
}

Result<Snapshots::Latest> Snapshots::remembered(Partition partition) {
  const std::string name = prefix(partition) + "latest";
  if (!shared_) return store_.get(name).transform([](const auto& value) { return latest_in(value.value_or("")); });
  return store_.newest(name).transform([&](const auto& held) {
    known_of(partition) = {held ? held->revision : 0, ""};
    return latest_in(held ? held->value : "");
  });
}

}  // namespace weir
