#include "faults/harness/store_watch.hpp"

#include <nats/nats.h>

#include <memory>
#include <optional>
#include <utility>

#include <weir/clock.hpp>
#include <weir/format.hpp>

#include "clients/postgres.hpp"
#include "fakes/nats_fixture.hpp"
#include "faults/harness/stage.hpp"

namespace weir::faults {
namespace {

constexpr Duration every = 20 * millisecond;
constexpr std::int64_t answer_wait_ms = 1000;

/// The databases; one that does not answer is asked by another connection the next time.
class Databases {
 public:
  explicit Databases(const std::vector<std::string>& urls) : urls_{urls}, connections_(urls.size()) {}

  /// Names of the snapshots in their progress.
  std::set<std::string> named() {
    std::set<std::string> out;
    for (std::size_t i = 0; i < urls_.size(); ++i) {
      auto& connection = connections_[i];
      if (!connection || !connection->alive()) {
        connection.reset();
        if (auto opened = postgres::Connection::open({urls_[i], "store watch"})) connection = *std::move(opened);
      }
      if (!connection) continue;
      const auto rows = connection->run(
          weir::format("SELECT snapshot FROM weir_progress WHERE pipeline = '{}' AND snapshot <> ''", pipeline_name));
      for (const auto& row : rows.value_or({})) out.insert(*row[0]);
    }
    return out;
  }

 private:
  const std::vector<std::string>& urls_;
  std::vector<std::optional<postgres::Connection>> connections_;
};

}  // namespace

/// The databases, and the store as a bare nats.c client sees it, asking the stream's leader.
struct StoreWatch::Services {
  Services(const std::vector<std::string>& urls, std::string server) : databases{urls}, url{std::move(server)} {}

  /// False only where the server says so.
  bool has(const std::string& name) {
    if (!peer) peer = std::make_unique<fakes::NatsPeer>(url);  // throws
    for (const char* part : {"/manifest", "/0"}) {
      const std::string subject = weir::format("$KV.{}.{}{}", bucket_name, name, part);
      jsOptions options;
      jsOptions_Init(&options);
      options.Wait = answer_wait_ms;
      natsMsg* message = nullptr;
      const natsStatus status =
          js_GetLastMsg(&message, peer->jetstream->handle(), weir::format("KV_{}", bucket_name).c_str(),
                        subject.c_str(), &options, nullptr);
      const char* operation = nullptr;
      const bool removed = status == NATS_OK && natsMsgHeader_Get(message, "KV-Operation", &operation) == NATS_OK;
      natsMsg_Destroy(message);
      if (status == NATS_NOT_FOUND || removed) return false;
    }
    return true;
  }

  Databases databases;
  const std::string url;
  std::unique_ptr<fakes::NatsPeer> peer;
};

StoreWatch::StoreWatch(std::vector<std::string> databases, std::string nats)
    : databases_{std::move(databases)},
      nats_{std::move(nats)},
      thread_{[this](const std::stop_token& stop) { watch(stop); }} {}

void StoreWatch::suspend() {
  const std::scoped_lock lock{mutex_};
  ++suspensions_;
}

void StoreWatch::resume() {
  const auto now = Databases{databases_}.named();
  const std::scoped_lock lock{mutex_};
  excused_.insert_range(now);
  ++suspensions_;
}

std::string StoreWatch::missing() const {
  const std::scoped_lock lock{mutex_};
  return missing_;
}

std::uint64_t StoreWatch::looks() const {
  const std::scoped_lock lock{mutex_};
  return looks_;
}

void StoreWatch::watch(const std::stop_token& stop) {
  Services services{databases_, nats_};
  do {
    try {
      look(services);
    } catch (const std::exception&) {  // the server is down
    }
  } while (system_clock().wait(every, stop));
}

/// A name that was replaced between the two questions may be gone rightly; one that the database still has may not, as
/// none comes back.
void StoreWatch::look(Services& services) {
  std::uint64_t before = 0;
  std::set<std::string> excused;
  {
    const std::scoped_lock lock{mutex_};
    before = suspensions_;
    excused = excused_;
  }
  if (before % 2 != 0) return;
  for (const std::string& name : services.databases.named()) {
    if (excused.contains(name)) continue;
    const bool lost = !services.has(name) && services.databases.named().contains(name);
    const std::scoped_lock lock{mutex_};
    if (suspensions_ != before) return;
    ++looks_;
    if (lost && missing_.empty()) missing_ = name;
  }
}

}  // namespace weir::faults
