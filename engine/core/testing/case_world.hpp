/// What a case's worker writes to: twins in memory of its sinks and its file of dead letters, which outlive it.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include <weir/sink.hpp>
#include <weir/spec.hpp>

#include "core/checkpoint/dead_letters.hpp"
#include "core/testing/case_table.hpp"

namespace weir {

/// What came out of one place: every column of every row, as text that tells all doubles apart.
struct CaseRows {
  using Cells = std::vector<TableCell>;
  std::vector<std::string> columns;
  std::vector<Type> types;
  std::vector<Cells> rows;
  std::vector<Position> positions;  ///< of what made each row

  /// For rows of this schema, and beside its columns `arrival` and, of samples, `value`.
  static CaseRows of(const Schema& schema);
  void add(const Batch& batch, std::size_t row);
  void add(const Batch& batch);
  /// Forgets what was made behind a position.
  void cut(Position after);
};

/// What a sink has.
struct CaseSinkState {
  Claims claims;
  CaseRows rows;
  Progress progress = {};
  std::vector<Sink::DeadLetter> dead_letters = {};
  std::map<std::pair<std::uint32_t, std::uint64_t>, Timestamp> ids = {};  ///< of rows, if it is idempotent, and when
  std::size_t failures = 0;                                               ///< so many of the next commits fail, …
  bool answer_lost = false;                                               ///< … though they are done
};

/// A sink as it claims to be: of one that is transactional nothing is there before its commit, one that is idempotent
/// has no row twice, another has again what it is given again.
class CaseSink final : public Sink, public Ledger {
 public:
  /// `state` must outlive it.
  explicit CaseSink(CaseSinkState& state) : state_{state} {}

  Result<void> bind_schema(const SchemaPtr&) override { return {}; }
  Result<void> open() override {
    forget();
    return {};
  }
  Result<void> write(const Encoded& rows) override {
    written_.push_back(rows);
    return {};
  }
  Result<Committed> commit(std::span<const LaneCommit> lanes) override;
  Ledger* ledger() override { return state_.claims.transactional ? this : nullptr; }
  Result<Progress> acquire(Partition) override { return state_.progress; }
  void release(Partition) override {}
  Result<std::vector<ProgressLine>> progress() override { return std::vector<ProgressLine>{}; }
  Result<std::size_t> reset(std::optional<Partition>) override { return 0; }
  bool write_dead_letter(const DeadLetter& letter) override;

 private:
  void forget() {
    written_.clear();
    letters_.clear();
  }
  void keep(const Encoded& rows, Timestamp now);

  CaseSinkState& state_;
  std::vector<Encoded> written_;
  std::vector<DeadLetter> letters_;
};

/// Dead letters where no sink takes them.
class CaseLetters final : public DeadLetterBox {
 public:
  explicit CaseLetters(std::vector<Sink::DeadLetter>& letters) : letters_{letters} {}
  void resume(Partition, Position) override {}
  void committed(Partition, Position) override {}
  Result<std::vector<std::size_t>> keep(const std::vector<Sink::DeadLetter>& letters) override;

 private:
  std::vector<Sink::DeadLetter>& letters_;
};

}  // namespace weir
