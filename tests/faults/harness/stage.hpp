/// Where a run plays: servers, and workers that reach them through proxies of their own.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "fakes/postgres_server.hpp"
#include "fakes/proxy.hpp"
#include "fakes/temporary_directory.hpp"
#include "fakes/weir_process.hpp"
#include "faults/harness/nats_servers.hpp"

namespace weir::faults {

using fakes::Proxy;

inline constexpr const char* pipeline_name = "faults";
inline constexpr const char* stream_name = "FLEET";
inline constexpr const char* copies_name = "COPIES";  ///< stream of a third sink, with the rows as JSON objects
inline constexpr const char* bucket_name = "faults-state";
inline constexpr const char* current_name = "faults-now";  ///< bucket of the current values of one field
inline constexpr const char* current_field = "charge";
inline constexpr Duration lease = 1500 * millisecond;
inline constexpr std::size_t sink_count = 2;  ///< "db" with the rows and "trips" with the sessions

void pause(Duration length);
/// This thread's next pause() begins with this, once: so that a fault comes while another is at work. Empty: nothing.
void at_next_pause(std::function<void()> what);

/// A safeguard, and the bytes on the way from weir to a server that switch it off.
struct Sabotage {
  std::string text;      ///< empty: none
  std::string by;        ///< not longer; blanks fill it
  bool at_nats = false;  ///< else PostgreSQL
};

/// One `weir run`, and its ways to the servers.
struct Worker {
  /// `second` may be null.
  Worker(const NatsServers& nats, const fakes::PostgresServer& database, const fakes::PostgresServer* second);

  Proxy nats, database;
  std::unique_ptr<Proxy> second;
  std::string file, log, clock;  ///< files; the last sets its wall clock
  std::unique_ptr<fakes::WeirProcess> process;
  /// What its log says so many times.
  std::size_t said(const std::string& text) const;
};

/// Threads   one: a worker ends with the thread that started it.
class Stage {
 public:
  /// `databases`: one, or two with the same rows.
  Stage(std::uint32_t partitions, std::size_t workers, Sabotage sabotage, std::size_t nats_servers,
        std::size_t databases);

  /// Starts one more.
  Worker& add_worker();
  /// Starts it, as its file says now.
  void start(Worker& worker) const;
  /// SIGTERM; notes how it ended.
  void stop(Worker& worker);
  /// kill -9.
  void kill(Worker& worker);
  /// SIGSTOP.
  void put_to_sleep(const Worker& worker);
  /// Of one that has ended: there is one less.
  void forget(Worker& worker);
  /// SIGTERM, and forgotten.
  void remove_worker(Worker& worker);
  /// Starts those again that ended by themselves, and notes how they ended.
  void attend();
  /// Ends all of them.
  void stop_all();

  /// Writes every worker's file with another transform, or without it; rows are the same.
  void edit(bool changed);
  bool edited() const { return edited_; }
  /// Writes every worker's file so that it says something else, but no rows or state are others.
  void touch();
  /// Writes every worker's file so that rows would have no speed, or as it was.
  void lose_speed(bool yes);

  /// Of each partition's stream the last sequence; 0 where it can't be told.
  std::vector<std::uint64_t> last_sequences() const;
  /// Waits until all streams are there, which the workers make; those that end before are started again.
  void wait_for_streams();
  std::string stream(Partition partition) const;
  /// Those that there are.
  std::vector<const fakes::PostgresServer*> databases() const;
  std::vector<std::string> database_urls() const;
  /// Versions of servers and of this checkout.
  std::string versions() const;

  const std::uint32_t partitions;
  const std::size_t usual_workers;
  NatsServers nats;
  std::unique_ptr<fakes::PostgresServer> database;
  std::unique_ptr<fakes::PostgresServer> second;  ///< may be null
  std::vector<std::unique_ptr<Worker>> workers;
  /// What a fault calls as soon as its harm is done.
  std::function<void()> struck = [] {};
  /// How often workers ended by themselves, or by SIGTERM and not with 0, by exit code.
  std::map<int, std::size_t> exits;
  /// How often each thing was done to a worker.
  std::map<std::string, std::size_t> deeds;
  /// How many messages of a partition's stream a fault has deleted for good, before anybody read them.
  std::map<Partition, std::size_t> deleted;
  /// Undoes what a break did to what no table keeps.
  std::function<void()> mend = [] {};
  std::uint64_t sabotaged() const;
  /// The end of every worker's log.
  std::string logs() const;

 private:
  void write(Worker& worker) const;
  /// Waits for it.
  void note_end(Worker& worker);

  const Sabotage sabotage_;
  fakes::TemporaryDirectory directory_;
  std::size_t made_ = 0;
  std::uint64_t sabotaged_ = 0;  ///< for workers that are no more
  bool edited_ = false, touched_ = false, without_speed_ = false;
};

}  // namespace weir::faults
