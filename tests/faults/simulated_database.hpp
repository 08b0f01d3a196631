/// A database in memory as the commit protocol sees it: transactions, row locks, fences, leases in its own time, the
/// table of workers, and connections that break in the midst of any statement.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <weir/sink.hpp>

#include "fakes/bare_ledger.hpp"
#include "faults/misfortune.hpp"
#include "faults/simulated_pipeline.hpp"
#include "faults/simulated_store.hpp"

namespace weir::faults {

class SimulatedDatabase {
 public:
  /// `stored` must outlive it.
  SimulatedDatabase(Dice& dice, Safeguards safeguards, const Stored& stored)
      : dice_{dice}, safeguards_{safeguards}, stored_{stored} {}

  /// What time it is; commits whose connection is gone come to an end, one way or the other.
  void pass(Timestamp now);
  /// Its clock, which leases go by, is so much ahead from now on.
  void set_clock(Duration ahead) { ahead_ = ahead; }
  /// From now on nothing breaks, and what hangs ends.
  void calm();
  /// The rows of a partition in the order in which they were committed.
  std::vector<std::string> rows(Partition partition) const { return of(rows_, partition); }
  /// The same of dead letters.
  std::vector<std::string> letters(Partition partition) const { return of(letters_, partition); }
  const Progress& progress(Partition partition) { return places_[partition].progress; }
  int owner(Partition partition) { return places_[partition].owner; }
  /// Whether a partition's progress names this snapshot.
  bool names(std::string_view snapshot) const;
  /// What must never happen but did: a commit by one who is not the last that acquired, or of a snapshot that is not in
  /// the store. Empty if nothing.
  const std::string& violation() const { return violation_; }

 private:
  friend class SimulatedSink;
  using Lines = std::vector<std::pair<Partition, std::string>>;
  struct Place {
    Progress progress;
    std::uint64_t fence = 0;
    std::uint64_t acquisitions = 0;  ///< how many there were
    int owner = 0;                   ///< 0: nobody
    Timestamp lease_until = 0;
    bool locked = false;
  };
  struct Ownership {
    std::uint64_t fence = 0;  ///< 0: lost, or given back
    Position position = 0;
    std::uint64_t emitted = 0;
    bool held = false;
    std::uint64_t number = 0;  ///< among the partition's acquisitions
  };
  /// What a COMMIT brings.
  struct Transaction {
    struct Lane {
      LaneCommit commit;
      Ownership ownership;
    };
    std::vector<Lane> lanes;
    Lines rows, letters;
    bool holds_locks = false;  ///< it had got as far as the progress before the connection broke
    Timestamp ends = 0;
  };

  static std::vector<std::string> of(const Lines& lines, Partition partition);
  bool fits(const Transaction::Lane& lane) const;
  std::vector<Partition> apply(const Transaction& transaction);
  void end(const Transaction& transaction, bool commits);
  Timestamp clock() const { return now_ + ahead_; }
  /// Whether a lease runs: one that ends later than it can is of before the clock was set back.
  bool runs(Timestamp lease_until) const;

  Dice& dice_;
  Safeguards safeguards_;
  const Stored& stored_;
  bool calm_ = false;
  Timestamp now_ = 0;
  Duration ahead_ = 0;
  std::uint64_t fences_ = 1;
  std::map<Partition, Place> places_;
  std::map<int, Timestamp> workers_;  // until when their leases run
  Lines rows_, letters_;
  std::vector<Transaction> hanging_;
  std::string violation_;
};

/// A worker's transactional sink over a SimulatedDatabase.
class SimulatedSink final : public Sink, public fakes::BareLedger {
 public:
  /// `worker` is above 0. All must outlive it.
  SimulatedSink(SimulatedDatabase& database, int worker, Wire& wire)
      : database_{database}, worker_{worker}, wire_{wire} {}
  Result<void> bind_schema(const SchemaPtr&) override { return {}; }
  Result<void> open() override;
  Encoded encode(const BatchPtr& batch) const override { return encode_simulated(batch); }
  Result<void> write(const Encoded& rows) override;
  bool write_dead_letter(const DeadLetter& letter) override;
  Result<Committed> commit(std::span<const LaneCommit> lanes) override;
  Ledger* ledger() override { return this; }
  Result<Progress> acquire(Partition partition) override;
  Result<std::vector<Partition>> renew() override;
  void release(Partition partition) override;
  Duration lease() const override { return lease_length; }
  Result<Members> heartbeat() override;
  void leave() override;

 private:
  std::unexpected<Error> broken();
  Result<Committed> finish(SimulatedDatabase::Transaction transaction);

  SimulatedDatabase& database_;
  int worker_;
  Wire& wire_;
  bool connected_ = false;
  std::map<Partition, SimulatedDatabase::Ownership> owned_;
  SimulatedDatabase::Lines written_, buried_;
};

}  // namespace weir::faults
