/// A partition's stream loses messages: weir must stop that lane and say why, or, where it may go on, count them. What
/// stops a lane is put right again in the end; so the comparison tells too whether anything was done wrongly meanwhile.
#include <nats/nats.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <initializer_list>
#include <map>
#include <sstream>
#include <string>
#include <string_view>

#include <weir/clock.hpp>
#include <weir/format.hpp>
#include <weir/partition.hpp>

#include "fakes/nats_fixture.hpp"
#include "fakes/temporary_directory.hpp"
#include "faults/harness/faults.hpp"
#include "faults/harness/pasts.hpp"

namespace weir::faults {
namespace {

namespace fs = std::filesystem;

constexpr Duration patience = 45 * second;
constexpr std::uint64_t least_unread = 20;

void duplicate(const fs::path& from, const fs::path& to) {
  fs::remove_all(to);
  fs::copy(from, to, fs::copy_options::recursive);
}

/// One partition's stream, from before it is harmed until it is healed.
class Patient {
 public:
  Patient(Stage& stage, Traffic& traffic, Chance& chance)
      : stage_{stage}, traffic_{traffic}, partition_{static_cast<Partition>(chance.below(stage.partitions))} {}

  Partition partition() const { return partition_; }
  std::string stream() const { return stage_.stream(partition_); }
  std::uint64_t last() const { return stage_.last_sequences()[partition_]; }
  /// What all sinks have of a partition.
  std::uint64_t committed(Partition k) const {
    return std::stoull(
        stage_.database->ask(weir::format("SELECT coalesce(min(position), 0) FROM weir_progress WHERE "
                                          "pipeline = '{}' AND partition = {}",
                                          pipeline_name, k)));
  }
  std::uint64_t committed() const { return committed(partition_); }
  /// Where the last snapshot was taken that one of them names.
  std::uint64_t saved() const {
    constexpr const char* position = "substring(snapshot, '\\.(\\d+)-')::bigint";
    return std::stoull(stage_.database->ask(
        weir::format("SELECT coalesce(max({}), 0) FROM weir_progress WHERE pipeline = '{}' AND partition = {}",
                     position, pipeline_name, partition_)));
  }

  /// The workers reach no NATS any more, or (`dead`) are killed.
  void part(bool dead) {
    dead_ = dead;
    for (auto& worker : stage_.workers) {
      heard_[worker->log] = worker->process->log().size();
      worker->nats.refuse(true);
      worker->nats.cut();
      if (dead) stage_.kill(*worker);
    }
    stage_.struck();
  }
  /// Messages come that nobody can read.
  void fall_behind() {
    const std::uint64_t end = std::max(last(), committed()) + least_unread;
    until([&] { return last() >= end; }, "no messages come");
  }
  /// No more messages come, and the files are kept; then something is done to them.
  template <typename Harm>
  void operate(Harm harm) {
    traffic_.hold_back(partition_);
    end_ = last();
    stage_.nats.kill();
    duplicate(files(), kept_.file("whole"));
    harm(files());
    stage_.nats.start();
  }
  void meet_again() {
    for (auto& worker : stage_.workers) {
      worker->nats.refuse(false);
      if (dead_) stage_.start(*worker);
    }
    dead_ = false;
  }
  /// Somebody says one of these of this stream, and the other partitions' lanes go on.
  void expect(std::initializer_list<std::string_view> reasons) {
    until(
        [&] {
          if (said(reasons)) return true;
          if (const Position at = furthest(); at > end_)
            throw WentOn{weir::format("{} went on to {} beyond its end, {}", stream(), at, end_)};
          return false;
        },
        "nobody says what became of it");
    const auto ends = stage_.last_sequences();
    for (Partition k = 0; k < stage_.partitions; ++k) {
      if (k != partition_) until([&] { return committed(k) > ends[k]; }, "so does " + stage_.stream(k));
    }
  }
  /// The stream is what it was before it was harmed.
  void heal() {
    for (auto& worker : stage_.workers) stage_.kill(*worker);
    stage_.nats.kill();
    duplicate(kept_.file("whole"), files());
    stage_.nats.start();
    for (auto& worker : stage_.workers) stage_.start(*worker);
    traffic_.hold_back({});
  }

  /// As it lies on the disk now, though the server writes there: stands for what it would find after a power failure
  /// had taken what was not yet synced.
  fs::path image() const {
    for (int i = 0;; ++i) {
      try {
        duplicate(files(), kept_.file("image"));
        return kept_.file("image");
      } catch (const fs::filesystem_error&) {  // a file was removed meanwhile
        if (i == 20) throw;
      }
    }
  }

  /// How many messages the workers say that they missed, who have ended since part().
  std::size_t counted_deleted() const {
    constexpr std::string_view counter = ".deleted ";
    std::size_t out = 0;
    for (const auto& worker : stage_.workers) {
      const std::string said = since_parting(*worker);
      for (std::size_t at = 0; (at = said.find(counter, at)) != std::string::npos;)
        out += std::stoul(said.substr(at += counter.size()));
    }
    return out;
  }

  template <typename Condition>
  void until(Condition condition, const std::string& what) {
    const Timestamp end = system_clock().steady() + patience;
    while (!condition()) {
      if (!dead_) stage_.attend();
      if (system_clock().steady() > end) throw Stuck{weir::format("{}: {}", stream(), what)};
      pause(20 * millisecond);
    }
  }

 private:
  /// What any sink has of it.
  Position furthest() const {
    Position out = 0;
    for (const Kept& one : all_kept(stage_)) out = one.partition == partition_ ? std::max(out, one.position) : out;
    return out;
  }

  fs::path files() const { return stage_.nats.data() / "jetstream/$G/streams" / stream(); }

  std::string since_parting(const Worker& worker) const {
    const auto heard = heard_.find(worker.log);
    return worker.process->log().substr(heard == heard_.end() ? 0 : heard->second);
  }

  bool said(std::initializer_list<std::string_view> reasons) const {
    const std::string of = weir::format("partition {}", partition_);
    for (const auto& worker : stage_.workers) {
      std::istringstream lines{since_parting(*worker)};
      for (std::string line; std::getline(lines, line);) {
        if (!line.contains(of) && !line.contains(stream())) continue;
        if (std::ranges::any_of(reasons, [&](std::string_view reason) { return line.contains(reason); })) return true;
      }
    }
    return false;
  }

  Stage& stage_;
  Traffic& traffic_;
  const Partition partition_;
  const fakes::TemporaryDirectory kept_;
  std::map<std::string, std::size_t> heard_;  ///< by worker's log: what it had said before
  std::uint64_t end_ = 0;                     ///< of the stream, before it is harmed
  bool dead_ = false;
};

/// Messages that nobody waits for: any that weir takes shows as a dead letter, and by its position.
void publish_others(const Stage& stage, const Patient& patient, std::uint64_t up_to) {
  fakes::NatsPeer peer{stage.nats.nats()};
  const std::uint64_t there = patient.last();
  if (there >= up_to) return;
  for (std::uint64_t i = there; i < up_to; ++i)
    peer.publish(weir::format("p.{}.vehicle.other.telemetry", patient.partition()), "\x07other");
  peer.wait_for(patient.stream(), up_to);
}

void lose_tail(Stage& stage, Traffic& traffic, Chance& chance) {
  Patient patient{stage, traffic, chance};
  const fs::path image = patient.image();
  const std::uint64_t end = patient.last();
  patient.until([&] { return patient.committed() > end; }, "nothing is committed");
  pause(chance.between(0, second));
  patient.part(chance.one_in(2));
  patient.operate([&](const fs::path& files) { duplicate(image, files); });
  const std::uint64_t others = chance.one_in(2) ? patient.last() : patient.committed() + 2000;
  publish_others(stage, patient, others);
  patient.meet_again();
  patient.expect({"lost messages", "lost its end"});
  patient.heal();
}

/// Workers that know the stream must see it, and such as only know what was kept.
void make_anew(Stage& stage, Traffic& traffic, Chance& chance) {
  Patient patient{stage, traffic, chance};
  const bool live = chance.one_in(2);
  patient.part(!live);
  patient.operate([](const fs::path&) {});
  const std::uint64_t others = patient.last() + 10;
  {
    const fakes::NatsPeer peer{stage.nats.nats()};
    jsCtx* jetstream = peer.jetstream->handle();
    jsStreamInfo* info = nullptr;
    if (js_GetStreamInfo(&info, jetstream, patient.stream().c_str(), nullptr, nullptr) != NATS_OK ||
        js_DeleteStream(jetstream, patient.stream().c_str(), nullptr, nullptr) != NATS_OK ||
        js_AddStream(nullptr, jetstream, info->Config, nullptr, nullptr) != NATS_OK)
      throw Stuck{patient.stream() + " can't be recreated"};
    jsStreamInfo_Destroy(info);
  }
  if (live) {
    if (chance.one_in(2)) publish_others(stage, patient, others);
    patient.meet_again();
    patient.expect({"recreated"});
    patient.part(true);
  }
  publish_others(stage, patient, others);
  patient.meet_again();
  patient.expect({"recreated"});
  patient.heal();
}

/// The stream keeps so little that what was not read yet goes as well.
void age_out(Stage& stage, Traffic& traffic, Chance& chance) {
  Patient patient{stage, traffic, chance};
  patient.part(chance.one_in(2));
  patient.fall_behind();
  patient.operate([](const fs::path&) {});
  {
    const fakes::NatsPeer peer{stage.nats.nats()};
    jsStreamInfo* info = nullptr;
    jsCtx* jetstream = peer.jetstream->handle();
    natsStatus done = js_GetStreamInfo(&info, jetstream, patient.stream().c_str(), nullptr, nullptr);
    if (done == NATS_OK) {
      info->Config->MaxMsgs = 1 + static_cast<std::int64_t>(chance.below(least_unread / 2));
      done = js_UpdateStream(nullptr, jetstream, info->Config, nullptr, nullptr);
    }
    jsStreamInfo_Destroy(info);
    if (done != NATS_OK) throw Stuck{patient.stream() + " can't be changed"};
  }
  patient.meet_again();
  patient.expect({"in between were deleted", "no longer reaches back"});
  patient.heal();
}

void purge(const Stage& stage, const Patient& patient, const std::string& subject, std::uint64_t before) {
  const fakes::NatsPeer peer{stage.nats.nats()};
  jsOptions options;
  jsOptions_Init(&options);
  options.Stream.Purge.Subject = subject.c_str();
  options.Stream.Purge.Sequence = before;
  if (js_PurgeStream(peer.jetstream->handle(), patient.stream().c_str(), &options, nullptr) != NATS_OK)
    throw Stuck{patient.stream() + " can't be purged"};
}

std::string subject_of(const Stage& stage, const Patient& patient, std::uint64_t sequence) {
  const fakes::NatsPeer peer{stage.nats.nats()};
  natsMsg* message = nullptr;
  if (js_GetMsg(&message, peer.jetstream->handle(), patient.stream().c_str(), sequence, nullptr, nullptr) != NATS_OK)
    throw Stuck{weir::format("{} has no message {}", patient.stream(), sequence)};
  std::string out = natsMsg_GetSubject(message);
  natsMsg_Destroy(message);
  return out;
}

/// What a vehicle sent goes, as far as it was read: a lane that would have to read it again can't.
void purge_read(Stage& stage, Traffic& traffic, Chance& chance) {
  Patient patient{stage, traffic, chance};
  for (;;) {
    patient.until([&] { return patient.committed() > patient.saved(); }, "nothing is committed");
    patient.part(true);
    if (patient.committed() > patient.saved()) break;  // else its next owner goes on, and nothing shows
    patient.meet_again();
  }
  patient.fall_behind();
  patient.operate([](const fs::path&) {});
  const std::uint64_t read = patient.committed();
  purge(stage, patient, subject_of(stage, patient, read), read + 1);
  patient.meet_again();
  patient.expect({"some of them are gone", "in between were deleted", "no longer reaches back"});
  patient.heal();
}

/// What came while nobody could read goes by its subject: it is counted, and the lane goes on.
void purge_unread(Stage& stage, Traffic& traffic, Chance& chance) {
  Patient patient{stage, traffic, chance};
  patient.part(chance.one_in(2));
  const std::string subject = weir::format("p.{}.vehicle.other.telemetry", patient.partition());
  const std::size_t count = 1 + chance.below(50);
  for (std::size_t i = 0; i < count; i += 10) {
    fakes::NatsPeer peer{stage.nats.nats()};
    for (std::size_t k = i; k < std::min(i + 10, count); ++k) peer.publish(subject, "\x07other");
    peer.connection->flush(10 * second).value();
    pause(chance.between(0, 100 * millisecond));
  }
  patient.fall_behind();
  purge(stage, patient, subject, 0);
  stage.deleted[patient.partition()] += count;
  const std::uint64_t end = patient.last();
  patient.meet_again();
  patient.until([&] { return patient.committed() >= end; }, "the lane does not go on");
  for (auto& worker : stage.workers) stage.stop(*worker);
  if (const std::size_t counted = patient.counted_deleted(); counted < count)
    throw Stuck{weir::format("{}: {} messages were deleted, {} of them counted", patient.stream(), count, counted)};
  for (auto& worker : stage.workers) stage.start(*worker);
}

constexpr std::size_t one = 1;  // server, whose files are what there is of a stream
constexpr std::array kinds{Fault{.name = "tail-lost",
                                 .inject = lose_tail,
                                 .alone = true,
                                 .what = "a stream without its end, others there perhaps; its lane stops; put back",
                                 .servers = one,
                                 .harms = "nats"},
                           Fault{.name = "stream-recreated",
                                 .inject = make_anew,
                                 .alone = true,
                                 .what = "a stream deleted and recreated; its lane stops; put back",
                                 .servers = one,
                                 .harms = "nats"},
                           Fault{.name = "aged-out",
                                 .inject = age_out,
                                 .alone = true,
                                 .what = "messages gone before they were read; their lane stops; put back",
                                 .servers = one,
                                 .harms = "nats"},
                           Fault{.name = "purge-read",
                                 .inject = purge_read,
                                 .alone = true,
                                 .what = "messages gone that a replay needs; their lane stops; put back",
                                 .servers = one,
                                 .harms = "nats"},
                           Fault{.name = "purge-unread",
                                 .inject = purge_unread,
                                 .alone = true,
                                 .what = "messages gone by subject before they were read; counted",
                                 .servers = one,
                                 .harms = "nats"}};

}  // namespace

std::span<const Fault> stream_faults() { return kinds; }

}  // namespace weir::faults
