#include "bench/sync.hpp"

#include <nats/nats.h>

#include <cstdlib>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <weir/format.hpp>

#include "bench/fleet_traffic.hpp"
#include "bench/run.hpp"
#include "clients/nats_publisher.hpp"
#include "fakes/nats_fixture.hpp"
#include "fakes/servers.hpp"

namespace weir::bench {
namespace {

constexpr double length = 3;          // seconds, of each way
constexpr std::size_t together = 50;  // samples of a frame, and messages of a batch
constexpr const char* subject = "sync.v1.telemetry";

/// Somebody who publishes to a server of its own.
class Fleet {
 public:
  explicit Fleet(bool always) {
    if (always) {
      server_.stop("nats");
      server_.configure_nats(
          weir::format("jetstream {{ store_dir: \"{}\", sync_interval: always }}\n", server_.nats_data().string()));
      server_.start("nats");
    }
    peer_.emplace(server_.nats());
    publisher_ = must(nats::Publisher::open(*peer_->connection, system_clock(), 4096));
    fakes::ForeignStream stream{"SYNC", "sync.>"};
    stream.config.AllowAtomic = true;
    if (stream.add(*peer_) != NATS_OK) give_up("the stream can't be made");
  }

  /// Messages a second, thousands of them under way at once.
  double messages(const std::string& payload) {
    return rate([&] {
      must(publisher_->publish(subject, payload, {}));
      return 1;
    });
  }
  /// The same, in batches that are stored whole or not at all, one after the other.
  double batches(const std::string& payload) {
    return rate([&] {
      publish_batch(payload);
      return static_cast<int>(together);
    });
  }
  /// Milliseconds until one message is acknowledged, in the middle.
  double acknowledged(const std::string& payload) const {
    std::vector<double> took;
    for (int i = 0; i < 200; ++i) {
      const double begin = now_seconds();
      if (js_Publish(nullptr, peer_->jetstream->handle(), subject, payload.data(), static_cast<int>(payload.size()),
                     nullptr, nullptr) != NATS_OK)
        give_up("a message is not acknowledged");
      took.push_back(now_seconds() - begin);
    }
    return median(std::move(took)) * 1e3;
  }

 private:
  double rate(const std::function<int()>& publish) {
    const double begin = now_seconds();
    double count = 0;
    while (now_seconds() - begin < length) count += publish();
    must(publisher_->complete(60 * second));
    return count / (now_seconds() - begin);
  }

  void publish_batch(const std::string& payload) const {
    jsAtomicBatchCtx* batch = nullptr;
    natsStatus status = NATS_OK;
    for (std::size_t i = 0; i < together && status == NATS_OK; ++i) {
      natsMsg* message = nullptr;
      status = natsMsg_Create(&message, subject, nullptr, payload.data(), static_cast<int>(payload.size()));
      if (status != NATS_OK) break;
      jsPubAck* acknowledged = nullptr;
      if (i == 0) {
        status = js_BatchPublishStart(&batch, nullptr, peer_->jetstream->handle(), message, nullptr, nullptr);
      } else if (i + 1 < together) {
        status = js_BatchPublishAdd(nullptr, batch, message, nullptr, nullptr);
      } else {
        status = js_BatchPublishCommit(&acknowledged, batch, message, nullptr, nullptr);
      }
      jsPubAck_Destroy(acknowledged);
      natsMsg_Destroy(message);
    }
    jsAtomicBatchCtx_Destroy(batch);
    if (status != NATS_OK) give_up(weir::format("a batch is not stored: {}", natsStatus_GetText(status)));
  }

  fakes::Servers server_{"nats"};
  std::optional<fakes::NatsPeer> peer_;
  std::unique_ptr<nats::Publisher> publisher_;
};

struct Rates {
  double singles = 0, frames = 0, batches = 0;  ///< samples a second
  double acknowledged = 0;                      ///< ms
};

Rates measure(bool always, const std::string& single, const std::string& frame) {
  Fleet fleet{always};
  return {.singles = fleet.messages(single),
          .frames = fleet.messages(frame) * together,
          .batches = fleet.batches(single),
          .acknowledged = fleet.acknowledged(single)};
}

}  // namespace

void measure_sync(Show show) {
  // On a disk: what is in /tmp may be in memory, where syncing costs nothing.
  const char* before = std::getenv("TMPDIR");
  const std::string kept = before != nullptr ? before : "";
  setenv("TMPDIR", WEIR_BUILD_DIR, 1);
  const std::vector<std::string_view> fields(together, "speed");
  Frames frames{fields};
  const std::string single = frames.single(0, system_clock().now(), 1), frame = frames.frame(system_clock().now(), 1);
  const Rates usual = measure(false, single, frame), always = measure(true, single, frame);
  before != nullptr ? setenv("TMPDIR", kept.c_str(), 1) : unsetenv("TMPDIR");
  const auto line = [&](const std::string& what, double synced, double other, std::string note) {
    show({.what = "samples/s stored, synced always, against each 2 min: " + what,
          .weir = scaled(synced),
          .other = scaled(other),
          .value = synced / other,
          .shown = fixed(synced / other, 3),
          .note = std::move(note)});
  };
  line("one a message", always.singles, usual.singles,
       weir::format("one publish is acknowledged after {:.2f} ms, else after {:.2f} ms", always.acknowledged,
                    usual.acknowledged));
  line(weir::format("{} a frame", together), always.frames, usual.frames, {});
  line(weir::format("{} messages in an atomic batch", together), always.batches, usual.batches, "one batch at a time");
}

}  // namespace weir::bench
