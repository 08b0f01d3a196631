#include <mutex>
#include <string>

#include <weir/format.hpp>

#include "clients/table.hpp"
#include "sinks/timescale/progress_table.hpp"

namespace weir::postgres {

std::string ProgressTable::create(const std::string& schema) {
  const std::scoped_lock lock{mutex_};
  table_ = weir::format("{}.weir_progress", sql::quoted(schema));
  workers_ = weir::format("{}.weir_workers", sql::quoted(schema));
  // Room in the pages keeps the updates of every commit in place.
  return weir::format(
      R"(CREATE TABLE IF NOT EXISTS {0} (
  pipeline text, node text, partition integer,
  position bigint NOT NULL DEFAULT 0, arrival bigint, snapshot text NOT NULL DEFAULT '',
  fingerprint text NOT NULL DEFAULT '', stream text NOT NULL DEFAULT '', stream_created bigint,
  stamp bigint, consumed bigint NOT NULL DEFAULT 0, sinks text NOT NULL DEFAULT '', target text NOT NULL DEFAULT '',
  resets integer NOT NULL DEFAULT 0, latest_tick bigint, numbering bigint NOT NULL DEFAULT 0,
  emitted bigint NOT NULL DEFAULT 0,
  owner text, instance text NOT NULL DEFAULT '', since timestamptz, fence bigint NOT NULL DEFAULT 0, lease_until timestamptz, lease interval,
  updated timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (pipeline, node, partition)) WITH (fillfactor = 40);
ALTER TABLE {0} ADD COLUMN IF NOT EXISTS emitted bigint NOT NULL DEFAULT 0;
ALTER TABLE {0} ADD COLUMN IF NOT EXISTS latest_tick bigint;
ALTER TABLE {0} ADD COLUMN IF NOT EXISTS numbering bigint NOT NULL DEFAULT 0;
ALTER TABLE {0} ADD COLUMN IF NOT EXISTS instance text NOT NULL DEFAULT '';
ALTER TABLE {0} ADD COLUMN IF NOT EXISTS lease interval;
COMMENT ON COLUMN {0}.arrival IS 'ns since 1970';
COMMENT ON COLUMN {0}.stream_created IS 'ns since 1970';
COMMENT ON COLUMN {0}.emitted IS 'rows behind position that are committed too';
COMMENT ON COLUMN {0}.latest_tick IS 'ns since 1970: the greatest tick written, where the source can not replay';
COMMENT ON COLUMN {0}.numbering IS 'of the ids of rows: pipeline/node/partition/numbering/number';
COMMENT ON COLUMN {0}.stamp IS 'ns since 1970: the timestamp of the message at position';
CREATE TABLE IF NOT EXISTS {1} (
  pipeline text, node text, name text, lease_until timestamptz NOT NULL, lease interval NOT NULL,
  since timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (pipeline, node, name));
ALTER TABLE {1} ADD COLUMN IF NOT EXISTS lease interval NOT NULL DEFAULT interval '30 seconds')",
      table_, workers_);
}

std::string ProgressTable::prepare() const {
  return weir::format(
      R"(PREPARE weir_advance (text, text, integer[], bigint[], bigint[], bigint[], bigint[], text[], text[], text[],
                       bigint[], bigint[], bigint[], text[], integer[], bigint[], bigint[], bigint[], bigint[]) AS
UPDATE {0} p
   SET position = n.next, arrival = coalesce(n.arrival, p.arrival), snapshot = n.snapshot,
       fingerprint = n.fingerprint, stream = n.stream, stream_created = n.created,
       stamp = n.stamp, consumed = n.consumed, sinks = n.sinks,
       resets = greatest(p.resets, n.resets), latest_tick = greatest(p.latest_tick, n.latest_tick),
       numbering = n.numbering, emitted = n.emitted, updated = clock_timestamp(),
       lease_until = clock_timestamp() + p.lease
  FROM unnest($3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)
    AS n (partition, fence, last, next, arrival, snapshot, fingerprint, stream, created, stamp, consumed,
       sinks, resets, latest_tick, numbering, had_emitted, emitted)
 WHERE p.pipeline = $1 AND p.node = $2 AND p.partition = n.partition AND p.fence = n.fence AND p.position = n.last
   AND p.emitted = n.had_emitted AND p.fence <> 0
RETURNING p.partition;)",
      table());
}

}  // namespace weir::postgres
