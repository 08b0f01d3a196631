#include "faults/harness/breaks.hpp"

#include <nats/nats.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include <weir/format.hpp>

#include "fakes/nats_fixture.hpp"
#include "faults/harness/faults.hpp"
#include "faults/harness/pasts.hpp"
#include "integration/stream_reading.hpp"

namespace weir::faults {
namespace {

/// One row from the middle of those that have a later one of their vehicle: the newest may be committed at any time.
constexpr const char* one_row =
    "(key, time) = (SELECT key, time FROM vehicle_second AS r WHERE EXISTS (SELECT FROM vehicle_second AS l WHERE "
    "l.key = r.key AND l.time > r.time) ORDER BY key, time OFFSET (SELECT count(*) / 2 FROM vehicle_second) "
    "- (SELECT count(DISTINCT key) FROM vehicle_second) / 2 LIMIT 1)";

constexpr std::array tables{"vehicle_second", "session", "weir_dead_letters", "weir_progress"};

/// A statement that changes one row; a break that breaks nothing can't be noticed.
template <auto sql>
void run(Stage& stage, const Traffic&) {
  const std::string rows =
      stage.database->ask(weir::format("WITH changed AS ({} RETURNING 1) SELECT count(*) FROM changed", sql()));
  if (rows != "1") throw Stuck{weir::format("{} rows were changed, not 1, by: {}", rows, sql())};
}

std::string lose() { return weir::format("DELETE FROM vehicle_second WHERE {}", one_row); }
std::string change() {
  return weir::format("UPDATE vehicle_second SET charge = coalesce(charge, 0) + 0.001 WHERE {}", one_row);
}
std::string put_null() {
  return weir::format("UPDATE vehicle_second SET position_lat = NULL, speed = NULL, heading = 1 WHERE {}", one_row);
}
std::string double_it() {
  return weir::format("INSERT INTO vehicle_second SELECT * FROM vehicle_second WHERE {}", one_row);
}
std::string commit_again() { return weir::format("UPDATE vehicle_second SET speed = speed WHERE {}", one_row); }
std::string lose_session() {
  return "DELETE FROM session WHERE (key, time, event) = (SELECT key, time, event FROM session LIMIT 1)";
}
std::string add_letter() {
  return "INSERT INTO weir_dead_letters (pipeline, node, partition, position, reason, subject, payload) "
         "VALUES ('faults', 'signals', 0, 1, 'r', 's', '')";
}

std::string change_letter() {
  return "UPDATE weir_dead_letters SET payload = payload || '\\x00' WHERE ctid = (SELECT ctid FROM weir_dead_letters LIMIT 1)";
}
std::string change_reason() {
  return "UPDATE weir_dead_letters SET reason = reason || ' ' WHERE ctid = (SELECT ctid FROM weir_dead_letters LIMIT 1)";
}
std::string repeat_letter() { return "INSERT INTO weir_dead_letters SELECT * FROM weir_dead_letters LIMIT 1"; }
std::string miscount() {
  return "UPDATE weir_progress SET consumed = consumed + 1 WHERE partition = 0 AND node = 'db'";
}

/// As if a worker had written a value over a newer one.
void put_old_value(Stage& stage, const Traffic&) {
  const std::string bucket = weir::format("KV_{}", current_name);
  std::string subject, newest;
  integration::StreamReading{stage.nats.nats(), bucket}.read_rest([&](const auto& value) {
    subject = value.subject;
    newest = value.payload;
  });
  const auto put = [url = stage.nats.nats(), subject](const std::string& value) {
    const fakes::NatsPeer peer{url};
    if (js_Publish(nullptr, peer.jetstream->handle(), subject.c_str(), value.data(), static_cast<int>(value.size()),
                   nullptr, nullptr) != NATS_OK)
      throw Stuck{"no value can be put into the bucket"};
  };
  put(R"({"time":1,"value":1})");
  stage.mend = [put, newest] { put(newest); };
}

/// As if a worker had counted something twice.
void count_twice(Stage& stage, const Traffic&) {
  const std::string log = stage.workers.front()->log;
  const auto before = std::filesystem::file_size(log);
  std::ofstream{log, std::ios::app} << "2026-01-01T00:00:00Z info rows.late 1\n";
  stage.mend = [log, before] { std::filesystem::resize_file(log, before); };
}

void delete_message(Stage& stage, const Traffic& traffic) {
  const Acknowledged& one = traffic.acknowledged()[traffic.acknowledged().size() / 2];
  const fakes::NatsPeer peer{stage.nats.nats()};
  js_DeleteMsg(peer.jetstream->handle(), stage.stream(one.partition).c_str(), one.sequence, nullptr, nullptr);
}

/// As if the database had been put back to an older state, but for the rows.
void set_back(Stage& stage, const Traffic&) {
  kill_all(stage);
  stage.database->ask("CREATE TABLE kept_progress AS TABLE weir_progress");
  start_all(stage);
  pause(4 * second);
  kill_all(stage);
  stage.database->ask(
      "UPDATE weir_progress p SET position = k.position, arrival = k.arrival, snapshot = k.snapshot, stamp = k.stamp, "
      "consumed = k.consumed, fingerprint = k.fingerprint FROM kept_progress k WHERE (p.pipeline, p.node, p.partition) "
      "= (k.pipeline, k.node, k.partition)");
  start_all(stage);
}

/// Names of a partition's snapshots, as far as one is of a place beyond this.
std::vector<std::string> snapshots_beyond(jsCtx* jetstream, const Kept& kept) {
  const std::string before = weir::format("$KV.{}.", bucket_name), behind = "/manifest";
  const std::string filter = weir::format("{}{}.{}.0.*", before, pipeline_name, kept.partition);
  jsOptions options;
  jsOptions_Init(&options);
  options.Stream.Info.SubjectsFilter = filter.c_str();
  jsStreamInfo* info = nullptr;
  std::vector<std::string> out;
  if (js_GetStreamInfo(&info, jetstream, weir::format("KV_{}", bucket_name).c_str(), &options, nullptr) != NATS_OK)
    return out;
  const jsStreamStateSubjects* there = info->State.Subjects;
  for (int i = 0; there != nullptr && i < there->Count; ++i) {
    const std::string subject = there->List[i].Subject;
    if (!subject.ends_with(behind) || std::stoull(subject.substr(filter.size() - 1)) <= kept.position) continue;
    out.push_back(subject.substr(before.size(), subject.size() - before.size() - behind.size()));
  }
  jsStreamInfo_Destroy(info);
  return out;
}

/// Rewrites a snapshot's manifest to say that the state is of the place that progress is at. False: it was deleted.
bool forge(jsCtx* jetstream, const std::string& name, const Kept& kept) {
  constexpr std::size_t position_at = 4, consumed_at = 28;  // see put_place() in core/snapshot.cpp
  const std::string subject = weir::format("$KV.{}.{}/manifest", bucket_name, name);
  natsMsg* message = nullptr;
  if (js_GetLastMsg(&message, jetstream, weir::format("KV_{}", bucket_name).c_str(), subject.c_str(), nullptr,
                    nullptr) != NATS_OK)
    return false;
  std::string manifest{natsMsg_GetData(message), static_cast<std::size_t>(natsMsg_GetDataLength(message))};
  natsMsg_Destroy(message);
  if (manifest.size() < consumed_at + sizeof kept.consumed) return false;
  std::memcpy(manifest.data() + position_at, &kept.position, sizeof kept.position);
  std::memcpy(manifest.data() + consumed_at, &kept.consumed, sizeof kept.consumed);
  return js_Publish(nullptr, jetstream, subject.c_str(), manifest.data(), static_cast<int>(manifest.size()), nullptr,
                    nullptr) == NATS_OK;
}

/// As if commits named whatever snapshot is there. Recovery refuses one that says itself that it is ahead, which is a
/// safeguard of its own; so it is made to lie.
void run_ahead(Stage& stage, const Traffic&) {
  const fakes::NatsPeer peer{stage.nats.nats()};
  for (int tries = 0; tries < 5; ++tries) {
    // Each worker's commit waits until it is given up, then a snapshot is taken of what came meanwhile, and it waits
    // again.
    for (auto& worker : stage.workers) worker->database.hold(true);
    pause(lease + 1200 * millisecond);
    for (auto& worker : stage.workers) {
      worker->database.refuse(true);
      worker->database.cut();  // what was held up must not arrive
    }
    pause(100 * millisecond);
    for (auto& worker : stage.workers) worker->database.hold(false);
    kill_all(stage);
    for (auto& worker : stage.workers) worker->database.refuse(false);
    std::size_t forged = 0;
    const auto now = all_kept(stage);
    for (Partition k = 0; k < stage.partitions; ++k) {
      auto sinks = now;
      std::erase_if(sinks, [k](const Kept& one) { return one.partition != k; });
      if (sinks.empty()) continue;
      const Kept least = std::ranges::min(sinks, {}, &Kept::position);
      const auto names = snapshots_beyond(peer.jetstream->handle(), least);
      if (names.empty() || !forge(peer.jetstream->handle(), names.front(), least)) continue;
      stage.database->ask(
          weir::format("UPDATE weir_progress SET snapshot = '{}' WHERE partition = {}", names.front(), k));
      ++forged;
    }
    start_all(stage);
    if (forged > 0) return;
    pause(lease + 500 * millisecond);  // they have to come to work again
  }
}

// Of the safeguards of a commit, `fence` alone can't be seen to be missing in what is compared here: the compare of
// positions stands in for it. A former owner that commits where the partition still stands where it left it writes the
// rows that the new owner would, as a lane is a function of its stream, and with them moves the position, so that the
// new owner is refused in its turn, and acquires again. Where it no longer stands there, the former owner is refused.
// So what is lost without the fence is that a former owner disturbs nobody. It would take two epochs of a stream that
// stand at the same position to see more. Taken out together with the compare (`compare`), both are seen to be
// missing; and the compare alone (`position`) as soon as the database goes back under its workers, as then the fence is
// still that of the acquisition.
//
// `stream` takes out all by which a stream is known: its name and creation, and the time of the message at the
// position. Each stands in for the other where a stream was recreated; only the time tells one that lost its end.
using enum Break::When;
const std::array all{
    Break{"lose-row", finished, {}, run<lose>, "a row deleted"},
    Break{"change-row", finished, {}, run<change>, "a number of a row changed a little"},
    Break{"null-row", finished, {}, run<put_null>, "values of a row set to NULL"},
    Break{"double-row", finished, {}, run<double_it>, "a row there twice"},
    Break{"late-row", finished, {}, run<commit_again>, "a row committed behind later ones of its vehicle"},
    Break{"lose-session", finished, {}, run<lose_session>, "a line of the second sink deleted"},
    Break{"add-letter", finished, {}, run<add_letter>, "a dead letter of a good message"},
    Break{"letter-bytes", finished, {}, run<change_letter>, "a byte more in a dead letter"},
    Break{"letter-reason", finished, {}, run<change_reason>, "another reason in a dead letter"},
    Break{"double-letter", finished, {}, run<repeat_letter>, "a dead letter there twice"},
    Break{"miscount", finished, {}, run<miscount>, "a sink's count of messages one too high"},
    Break{.name = "late-count",
          .when = finished,
          .apply = count_twice,
          .what = "the workers' count of late samples one too high",
          .of_counts = true},
    Break{"old-value", finished, {}, put_old_value, "a current value older than what is committed"},
    Break{"lose-message", finished, {}, delete_message, "an acknowledged message deleted from its stream"},
    Break{"set-back", between, {}, set_back, "weir_progress as it was four seconds before, the rows as they are"},
    Break{"ahead", between, {}, run_ahead, "a commit names a snapshot of a later state"},
    Break{"prune",
          always,
          {"snapshot = n.snapshot,\n       fingerprint = n.fingerprint,",
           "snapshot=coalesce(nullif(p.snapshot,''),n.snapshot),"},
          nullptr,
          "a commit names no new snapshot, and the one it names is deleted",
          "burst",
          2,
          true},
    Break{"fence", always, {" AND p.fence = n.fence", ""}, nullptr, "former owners commit, where the position fits"},
    Break{"position",
          always,
          {" AND p.position = n.last", ""},
          nullptr,
          "progress moves on wherever it stands, by its owner",
          "commits-lost"},
    Break{"compare",
          always,
          {" AND p.fence = n.fence AND p.position = n.last", ""},
          nullptr,
          "progress moves on wherever it stands, whoever owns it",
          "worker-stop",
          12},
    Break{"transaction",
          always,
          {"BEGIN;COPY", ";COPY"},
          nullptr,
          "rows are committed though their lane is refused",
          "worker-stop",
          12},
    Break{
        "replay-output",
        always,
        {"SET since = CASE WHEN owner = $4 AND lease_until BETWEEN clock_timestamp() AND clock_timestamp() + lease THEN "
         "since ELSE clock_timestamp() END,",
         "SET position = coalesce(substring(snapshot, '\\.(\\d+)-')::bigint, 0), stamp = NULL, consumed = 0,"},
        nullptr,
        "what is replayed after the snapshot is written again",
        "worker-kill",
        2},
    Break{"fingerprint",
          always,
          {"fingerprint = n.fingerprint", "fingerprint = ''"},
          nullptr,
          "another pipeline goes on with what this one kept",
          "other-file"},
    Break{"stream",
          always,
          {"stream = n.stream, stream_created = n.created,\n       stamp = n.stamp,", "stream = '',"},
          nullptr,
          "a lane goes on in another stream of the same name",
          "stream-recreated"},
    Break{"markers",
          always,
          {"PUB p.0.clock.", "PUB q.0.clock.", true},
          nullptr,
          "nothing says in an idle stream that time goes by",
          "repeat"}};

}  // namespace

std::span<const Break> breaks() { return all; }

const Break* break_called(std::string_view name) {
  const auto found = std::ranges::find(all, name, &Break::name);
  return found == all.end() ? nullptr : &*found;
}

void keep_tables(const Stage& stage) {
  for (const char* table : tables) stage.database->ask(weir::format("CREATE TABLE kept_{0} AS TABLE {0}", table));
}

void restore_tables(Stage& stage) {
  std::exchange(stage.mend, [] {})();
  for (const char* table : tables)
    stage.database->ask(weir::format("TRUNCATE {0}; INSERT INTO {0} SELECT * FROM kept_{0}", table));
}

}  // namespace weir::faults
