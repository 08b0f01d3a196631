/// The sinks of a pipeline in the order in which they commit, and whose the partitions are in them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <weir/ledger.hpp>
#include <weir/sink.hpp>
#include <weir/spec.hpp>

namespace weir {

/// One sink, and what it says of itself.
struct CommitSink {
  std::size_t node = 0;  ///< number in Pipeline::nodes
  Sink* sink = nullptr;
  Claims claims;
  std::string id = {};  ///< of the node; an exception of the sink is an internal error that names it

  /// Whether it keeps progress, and with it who owns a partition.
  bool keeps() const { return claims.transactional; }
};

/// Threads   one; acquire(), give_back(), renew() and heartbeat() from any at the same time, renew() of one sink from
///           one.
/// Errors    after an unreachable one the sink is in doubt: nobody knows what it has until it is opened and acquired
///           again.
class CommitSinks {
 public:
  /// Those that keep progress come to stand last: a position may be committed only when every other output is durable
  /// up to it. `store` is the ledger where none of them keeps progress. All must outlive this.
  CommitSinks(std::vector<CommitSink> sinks, Ledger& store);

  std::size_t size() const { return sinks_.size(); }
  const CommitSink& operator[](std::size_t i) const { return sinks_[i]; }
  auto begin() const { return sinks_.begin(); }
  auto end() const { return sinks_.end(); }
  /// How many of them keep progress: the last ones. 0: the store does, for all of them.
  std::size_t transactional() const;

  Result<void> open();

  /// Becomes the owner of a partition in every ledger; answers what each sink has. held: another owns it. After an
  /// error it may be the owner in some: give_back() the partition, as half an owner keeps everybody else from becoming
  /// a whole one.
  Result<std::vector<Progress>> acquire(Partition partition);
  /// Gives a partition back. One that is in doubt may not come to know, but renews it no more.
  void give_back(Partition partition);

  bool in_doubt(std::size_t i) const { return in_doubt_[i]; }
  void doubt(std::size_t i) { in_doubt_[i] = true; }
  void trust(std::size_t i) { in_doubt_[i] = false; }

  /// The ledgers that have leases. Each is renewed by itself: one that does not answer must not let the others' run
  /// out.
  std::vector<std::size_t> leased() const;
  Duration lease(std::size_t i) const { return ledgers_[i].ledger->lease(); }
  /// Extends a ledger's leases; answers the partitions that were lost.
  Result<std::vector<Partition>> renew(std::size_t i);

  /// Who shares the partitions, by the first that has leases: all workers of a pipeline ask the same one. Alone if none
  /// has.
  Result<Members> heartbeat();
  /// The sink whose ledger that is; nothing: the store's, or none.
  std::optional<std::size_t> of_members() const;
  void leave();

 private:
  std::vector<CommitSink> sinks_;
  std::size_t opened_ = 0;  // so many, from the first
  std::vector<bool> in_doubt_;
  struct NamedLedger {
    std::string id;  // of its sink; "state" is the store's
    Ledger* ledger = nullptr;
    std::optional<std::size_t> sink = {};  // nothing: of all
  };
  std::vector<NamedLedger> ledgers_;
};

}  // namespace weir
