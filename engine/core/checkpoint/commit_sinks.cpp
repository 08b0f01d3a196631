#include "core/checkpoint/commit_sinks.hpp"

#include <algorithm>
#include <utility>

#include "core/observe/attempt.hpp"
#include "core/observe/log.hpp"

namespace weir {

CommitSinks::CommitSinks(std::vector<CommitSink> sinks, Ledger& store)
    : sinks_{std::move(sinks)}, in_doubt_(sinks_.size(), false) {
  std::ranges::stable_partition(sinks_, [](const CommitSink& one) { return !one.keeps(); });
  for (std::size_t i = 0; i < size(); ++i) {
    if (sinks_[i].keeps()) ledgers_.push_back({sinks_[i].id, sinks_[i].sink->ledger(), i});
  }
  if (ledgers_.empty()) ledgers_.push_back({"state", &store, {}});
}

std::size_t CommitSinks::transactional() const {
  return static_cast<std::size_t>(std::ranges::count_if(sinks_, &CommitSink::keeps));
}

Result<void> CommitSinks::open() {
  for (const CommitSink& one : sinks_) {
    if (one.keeps() != (one.sink->ledger() != nullptr))
      return fail(Error::Kind::internal, one.id + ": a transactional operator has a ledger(), no other has");
  }
  for (; opened_ < sinks_.size(); ++opened_) {
    const CommitSink& one = sinks_[opened_];
    auto opened = attempt(one.id, [&] { return one.sink->open(); });
    if (opened) continue;
    // What keeps a worker from its start must say where; of an exception attempt() has.
    if (opened.error().kind != Error::Kind::internal) opened.error().message.insert(0, one.id + ": ");
    return opened;
  }
  return {};
}

Result<std::vector<Progress>> CommitSinks::acquire(Partition partition) {
  std::vector<Progress> out(size());
  for (const auto& [id, ledger, sink] : ledgers_) {
    auto progress = attempt(id, [&] { return ledger->acquire(partition); });
    if (!progress) return std::unexpected(progress.error());
    if (sink) {
      out[*sink] = *std::move(progress);
    } else {
      std::ranges::fill(out, *progress);
    }
  }
  return out;
}

void CommitSinks::give_back(Partition partition) {
  for (const auto& [id, ledger, sink] : ledgers_) {
    const auto released = attempt(id, [&] { ledger->release(partition); });
    if (!released) log::warn("partition {}: not given back: {}", partition, released.error().message);
  }
}

std::vector<std::size_t> CommitSinks::leased() const {
  std::vector<std::size_t> out;
  for (std::size_t i = 0; i < ledgers_.size(); ++i) {
    if (lease(i) != 0) out.push_back(i);
  }
  return out;
}

Result<std::vector<Partition>> CommitSinks::renew(std::size_t i) {
  return attempt(ledgers_[i].id, [&] { return ledgers_[i].ledger->renew(); });
}

Result<Members> CommitSinks::heartbeat() {
  const auto those = leased();
  if (those.empty()) return Members{};
  const NamedLedger& first = ledgers_[those.front()];
  return attempt(first.id, [&] { return first.ledger->heartbeat(); });
}

std::optional<std::size_t> CommitSinks::of_members() const {
  const auto those = leased();
  return those.empty() ? std::nullopt : ledgers_[those.front()].sink;
}

void CommitSinks::leave() {
  const auto those = leased();
  if (those.empty()) return;
  const NamedLedger& first = ledgers_[those.front()];
  if (first.sink && in_doubt_[*first.sink]) return;
  const auto left = attempt("leave", [&] { first.ledger->leave(); });
  if (!left) log::warn("{}; the others wait until the lease has run out", left.error().message);
}

}  // namespace weir
