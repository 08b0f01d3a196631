// Faults after which what was kept does not fit any more: the pipeline is another one, or the database has gone back.
#include <algorithm>

#include <weir/format.hpp>

#include "faults/harness/faults.hpp"
#include "faults/harness/pasts.hpp"

namespace weir::faults {

/// Snapshots are of places before the last commit, so another pipeline would have to read again what this one has
/// written rows of.
void start_another_pipeline(Stage& stage, Traffic&, Chance& chance) {
  for (int tries = 0; tries < 10; ++tries) {
    kill_all(stage);
    const auto kept = all_kept(stage);
    const bool behind = kept.size() == (sink_count + (stage.second ? 1 : 0)) * stage.partitions &&
                        std::ranges::all_of(kept, [](const Kept& one) { return one.state < one.position; });
    if (behind) {
      const std::string refusal = "the pipeline was changed since its commit";
      const std::size_t before = said(stage, refusal);
      stage.lose_speed(true);
      start_all(stage);
      wait_for_refusal(stage, kept, refusal, before);
      kill_all(stage);
      stage.lose_speed(false);
    }
    stage.struck();
    start_all(stage);
    if (behind) return;
    pause(lease + chance.between(500 * millisecond, 1500 * millisecond));  // those who died still have theirs
  }
}

/// Of all tables at once, as if another server had taken over that had not heard of the last commits. Claims stay.
void lose_commits(Stage& stage, Traffic&, Chance& chance) {
  const auto& database = *stage.database;
  database.ask("DROP TABLE IF EXISTS earlier");
  database.ask("CREATE TABLE earlier AS SELECT *, pg_current_snapshot() AS seen FROM weir_progress");
  pause(chance.between(500 * millisecond, 1500 * millisecond));
  std::string sql = "LOCK TABLE vehicle_second, session, weir_dead_letters, weir_progress IN EXCLUSIVE MODE; ";
  for (const char* table : {"vehicle_second", "session", "weir_dead_letters"}) {
    sql += weir::format(
        "DELETE FROM {} WHERE NOT pg_visible_in_snapshot(xmin::text::xid8, (SELECT seen FROM earlier LIMIT 1)); ",
        table);
  }
  database.ask(sql +
               "UPDATE weir_progress p SET position = e.position, arrival = e.arrival, snapshot = e.snapshot, "
               "fingerprint = e.fingerprint, stream = e.stream, stream_created = e.stream_created, stamp = e.stamp, "
               "consumed = e.consumed FROM earlier e WHERE (p.pipeline, p.node, "
               "p.partition) = (e.pipeline, e.node, e.partition)");
  stage.struck();
}

}  // namespace weir::faults
