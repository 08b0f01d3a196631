/// A database in memory as the commit protocol sees it: transactions, row locks, fences, leases in virtual time, and
/// connections that break at any point of a COMMIT.
#pragma once

#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <vector>

#include <weir/sink.hpp>

namespace weir::faults {

/// Chance, reproducible from its seed.
class Dice {
 public:
  explicit Dice(std::uint64_t seed) : random_{seed} {}
  /// 0 … below - 1.
  std::uint64_t roll(std::uint64_t below) { return random_() % below; }
  bool chance(unsigned percent) { return roll(100) < percent; }

 private:
  std::mt19937_64 random_;
};

/// What protects the rows. A simulation without one of them must be seen to fail.
struct Safeguards {
  bool fence = true;            ///< a commit by a former owner is refused
  bool one_transaction = true;  ///< rows and progress change together
};

class SimulatedDatabase {
 public:
  static constexpr Duration lease = 100;

  SimulatedDatabase(Dice& dice, Safeguards safeguards) : dice_{dice}, safeguards_{safeguards} {}

  /// Time passes; commits whose connection is gone come to an end, one way or the other.
  void pass(Duration time);
  /// From now on nothing breaks, and what hangs ends.
  void calm();
  /// The rows of a partition in the order in which they were committed.
  std::vector<std::string> rows(Partition partition) const;
  Position position(Partition partition) const;

 private:
  friend class SimulatedSink;
  struct Place {
    Progress progress;
    std::uint64_t fence = 0;
    int owner = 0;  ///< 0: nobody
    Timestamp lease_until = 0;
    bool locked = false;
  };
  /// What a COMMIT brings.
  struct Transaction {
    struct Lane {
      LaneCommit commit;
      std::uint64_t fence = 0;
      Position follows = 0;
    };
    std::vector<Lane> lanes;
    std::vector<std::pair<Partition, std::string>> rows;
    bool holds_locks = false;  ///< it had got as far as the progress before the connection broke
    Timestamp ends = 0;
  };

  bool fits(const Transaction::Lane& lane) const;
  std::vector<Partition> apply(const Transaction& transaction);
  void end(const Transaction& transaction, bool commits);

  Dice& dice_;
  Safeguards safeguards_;
  bool calm_ = false;
  Timestamp now_ = 0;
  std::uint64_t fences_ = 0;
  std::map<Partition, Place> places_;
  std::vector<std::pair<Partition, std::string>> rows_;
  std::vector<Transaction> hanging_;
};

/// A worker's transactional sink over a SimulatedDatabase; each of an Encoded's bytes' lines is a row.
class SimulatedSink final : public Sink {
 public:
  SimulatedSink(SimulatedDatabase& database, int worker) : database_{database}, worker_{worker} {}
  Result<void> settle(const SchemaPtr&) override { return {}; }
  Result<void> open() override;
  Result<void> write(const Encoded& rows) override;
  Result<Committed> commit(std::span<const LaneCommit> lanes) override;
  Result<Progress> claim(Partition partition) override;
  Result<std::vector<Partition>> renew() override;
  void release(Partition partition) override;
  Duration lease() const override { return SimulatedDatabase::lease; }

 private:
  struct Claimed {
    std::uint64_t fence = 0;
    Position position = 0;
  };
  std::unexpected<Error> broken();

  SimulatedDatabase& database_;
  int worker_;
  bool connected_ = false;
  std::map<Partition, Claimed> claimed_;
  std::vector<std::pair<Partition, std::string>> written_;
};

}  // namespace weir::faults
