#include "sinks/timescale/transaction.hpp"

#include <algorithm>
#include <utility>

#include <weir/dead_letter.hpp>
#include <weir/format.hpp>
#include <weir/utf8.hpp>

#include "sinks/timescale/copy.hpp"
#include "sinks/timescale/hypertable.hpp"

namespace weir::postgres {
namespace {

// Searching may take longer than a transaction otherwise may; it holds no lane's progress meanwhile.
constexpr std::string_view begin_careful =
    "BEGIN; SET CONSTRAINTS ALL IMMEDIATE; SELECT set_config(name, '0', true) FROM pg_settings WHERE name = "
    "'transaction_timeout'";

class Transaction {
 public:
  Transaction(Connection& connection, ProgressTable& progress_table, const Destination& to, RejectedRowQuota& quota,
              Work work)
      : connection_{connection}, progress_{progress_table}, to_{to}, quota_{quota}, work_{std::move(work)} {}

  /// The fast way first; if data is refused, once more with care. If lanes are refused, the others once more.
  Result<Outcome> run() {
    for (const LaneCommit& lane : work_.lanes) {
      if (!progress_.holds(lane.partition)) outcome_.refused.push_back(lane.partition);
    }
    for (bool careful = false;;) {
      drop_refused();
      // What an attempt has done before it was rolled back is no part of the outcome.
      outcome_.left_out.clear();
      outcome_.rows = outcome_.over_limit = 0;
      if (work_.empty()) return finish();
      const std::size_t refused = outcome_.refused.size();
      copied_before_ = connection_.copied();
      const auto done = careful ? attempt_carefully() : attempt(work_.handed.rows);
      if (done && outcome_.refused.size() == refused) return finish();
      if (done) continue;
      const bool data_refused = connection_.data_refused();
      const bool other_table = data_refused || connection_.state().starts_with("42");
      if (connection_.alive()) (void)connection_.run("ROLLBACK");
      // Rows must not be blamed for what somebody did to their table.
      if (other_table) {
        if (auto same = to_.check(connection_); !same) return give_up(same.error());
      }
      if (!data_refused || careful) return give_up(done.error());
      careful = true;
    }
  }

 private:
  void drop_refused() {
    std::erase_if(work_.lanes,
                  [&](const LaneCommit& lane) { return std::ranges::contains(outcome_.refused, lane.partition); });
    work_.handed.leave_out(outcome_.refused);
  }

  Result<void> attempt(std::span<const Encoded* const> rows) {
    if (rows.empty()) return conclude("BEGIN;", {});
    return conclude(weir::format("BEGIN;{};{}", to_.copy_rows, confirm_columns), {pieces_of(rows)});
  }

  Result<void> attempt_carefully() {
    if (auto begun = connection_.run(std::string{begin_careful}); !begun) return std::unexpected(begun.error());
    auto loaded = load_what_fits(connection_, to_.copy_rows, work_.handed.rows);
    if (!loaded) return std::unexpected(loaded.error());
    outcome_.left_out = *std::move(loaded);
    return conclude(std::string{confirm_columns}, {});
  }

  /// Sends what was begun with dead letters and, last, progress behind it. Commits only if every lane stood where it
  /// was left; otherwise rolls back and adds those that did not to the refused.
  Result<void> conclude(std::string sql, std::vector<Pieces> copies) {
    RejectedRowQuota quota = quota_;
    const auto [tuples, letters] = dead_tuples(quota);
    if (!tuples.empty()) {
      sql += to_.copy_dead + ";";
      copies.push_back({copy::header(), tuples, copy::trailer()});
    }
    if (!work_.lanes.empty()) sql += progress_.advance(work_.lanes);
    const auto advanced = connection_.run(sql, copies);
    if (!advanced) return std::unexpected(advanced.error());
    const std::size_t copied = connection_.copied() - copied_before_;
    outcome_.rows = copied - std::min(copied, letters);
    outcome_.over_limit = work_.handed.dead.size() + outcome_.left_out.size() - letters;
    const bool all = work_.lanes.empty() || advanced->size() == work_.lanes.size();
    if (!all) {
      for (const LaneCommit& lane : work_.lanes) {
        const std::string number = std::to_string(lane.partition);
        const bool moved = std::ranges::any_of(*advanced, [&](const Row& row) { return row[0] == number; });
        if (!moved) outcome_.refused.push_back(lane.partition);
      }
    }
    return connection_.run(all ? "COMMIT" : "ROLLBACK").transform([&](const Rows&) {
      if (all) quota_ = std::move(quota);
    });
  }

  /// Of the letters that the quota takes, and how many these are.
  std::pair<std::string, std::size_t> dead_tuples(RejectedRowQuota& quota) const {
    copy::Tuples tuples;
    std::size_t letters = 0;
    for (const Sink::DeadLetter& letter : work_.handed.dead) {
      if (!quota.takes(letter)) continue;
      add_letter(tuples, letter);
      ++letters;
    }
    for (const LeftOut& bad : outcome_.left_out) {
      const Sink::DeadLetter letter = dead_letter_of(*bad.rows, bad.row, to_.node, bad.reason);
      if (!quota.takes(letter)) continue;
      add_letter(tuples, letter);
      ++letters;
    }
    return {tuples.bytes(), letters};
  }

  void add_letter(copy::Tuples& tuples, const Sink::DeadLetter& letter) const {
    const auto number = [&](bool there, std::uint64_t n) {
      there ? tuples.int64(static_cast<std::int64_t>(n)) : tuples.null();
    };
    tuples.begin(dead_letter_column_count).text(to_.pipeline).text(letter.node);
    tuples.int32(static_cast<std::int32_t>(letter.partition)).int64(static_cast<std::int64_t>(letter.position));
    number(!letter.row, letter.ordinal);
    number(letter.row.has_value(), letter.row.value_or(0));
    tuples.timestamp(letter.arrival);
    number(letter.arrival != no_time, static_cast<std::uint64_t>(letter.arrival));
    tuples.text(storable_utf8(letter.reason.code)).text(storable_utf8(letter.reason.detail));
    tuples.text(storable_utf8(letter.subject)).text(letter.payload);
  }

  Result<Outcome> finish() {
    progress_.advanced(work_.lanes);
    for (const Partition partition : outcome_.refused) progress_.lose(partition);
    const std::size_t due = work_.handed.row_count() - outcome_.left_out.size();
    outcome_.rows = std::min(outcome_.rows, due);
    outcome_.swallowed = due - outcome_.rows;
    for (const Encoded* rows : work_.handed.rows) outcome_.bytes += rows->bytes.size();
    return std::move(outcome_);
  }

  std::unexpected<Error> give_up(const Error& error) {
    if (error.kind == Error::Kind::unreachable) progress_.doubt();
    return std::unexpected(error);
  }

  Connection& connection_;
  ProgressTable& progress_;
  const Destination& to_;
  RejectedRowQuota& quota_;
  Work work_;
  Outcome outcome_;
  std::size_t copied_before_ = 0;
};

}  // namespace

Result<Outcome> commit(Connection& connection, ProgressTable& progress_table, const Destination& to,
                       RejectedRowQuota& quota, Work work) {
  return Transaction{connection, progress_table, to, quota, std::move(work)}.run();
}

}  // namespace weir::postgres
