/// The database runs out of disk, or is followed by a replica that has not got its last commits.
#include <sched.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <utility>

#include <weir/clock.hpp>
#include <weir/format.hpp>

#include "faults/harness/faults.hpp"

namespace weir::faults {
namespace {

namespace fs = std::filesystem;

void shell(const std::string& command) {
  if (std::system(command.c_str()) != 0) throw Stuck{"failed: " + command};
}

std::string answer(const Stage& stage, const std::string& sql) {
  try {
    return stage.database->ask(sql);
  } catch (const std::exception&) {
    return {};
  }
}

// --- Disk full

/// From now on this thread and the processes that it starts see mounts below a place that nobody else does, and that
/// end with them.
void have_own_mounts(fs::path place) {
  thread_local const bool have = ::unshare(CLONE_NEWNS) == 0;
  if (!have) throw LeftOut{"it needs to mount a disk"};
  // What is mounted where it lies; that may be far below the root, which need not be a mount where it was changed.
  while (::mount("none", place.c_str(), nullptr, MS_PRIVATE, nullptr) != 0) {
    if (errno != EINVAL || place == place.root_path()) throw LeftOut{"a mount would be seen by others"};
    place = place.parent_path();
  }
}

/// While it lives, a stopped server's data lie on a disk of their own.
class SmallDisk {
 public:
  explicit SmallDisk(fs::path data) : data_{std::move(data)} {
    const fs::path aside = data_.string() + ".aside";
    fs::rename(data_, aside);
    fs::create_directory(data_);
    if (::mount("weir-faults", data_.c_str(), "tmpfs", 0, "size=8g") != 0) throw Stuck{"no disk can be mounted"};
    move(aside, data_);
  }
  ~SmallDisk() {
    try {
      const fs::path aside = data_.string() + ".aside";
      fs::create_directory(aside);
      shell(weir::format("cp -a {}/. {}/", data_.string(), aside.string()));
      ::umount2(data_.c_str(), MNT_DETACH);
      fs::remove(data_);
      fs::rename(aside, data_);
    } catch (const std::exception& error) {  // then the server does not start again, which is told
      std::fprintf(stderr, "weir_faults: %s\n", error.what());
    }
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;

  /// So many bytes are left.
  void shrink(std::size_t left) const {
    struct statvfs disk{};
    ::statvfs(data_.c_str(), &disk);
    resize(std::to_string((disk.f_blocks - disk.f_bfree) * disk.f_frsize + left));
  }
  void grow() const { resize("8g"); }

 private:
  static void move(const fs::path& from, const fs::path& to) {
    // The directory's own owner and mode as well, which PostgreSQL insists on.
    shell(weir::format("cp -a {}/. {}/ && rm -rf {}", from.string(), to.string(), from.string()));
  }
  void resize(const std::string& size) const {
    if (::mount("weir-faults", data_.c_str(), "tmpfs", MS_REMOUNT, ("size=" + size).c_str()) != 0)
      throw Stuck{"the database's disk can't be made of another size"};
  }

  const fs::path data_;
};

void fill_disk(Stage& stage, Traffic&, Chance& chance) {
  const fs::path directory = stage.database->directory();
  have_own_mounts(directory);
  const auto full = [&] {
    std::ifstream log{directory / "log"};
    return std::string{std::istreambuf_iterator<char>{log}, {}}.contains("No space left on device");
  };
  stage.database->stop();
  {
    const SmallDisk disk{directory / "data"};
    stage.database->start();
    wait_for([&] { return answer(stage, "SELECT 1 FROM weir_progress LIMIT 1") == "1"; }, "the database does not come");
    pause(chance.between(500 * millisecond, 1500 * millisecond));
    disk.shrink(chance.below(64 << 10));
    stage.struck();
    wait_for(full, "the database's disk does not become full");
    pause(chance.between(0, 2 * second));
    disk.grow();
    pause(chance.between(0, 500 * millisecond));
    stage.database->stop();  // it may have ended by itself
  }
  stage.database->start();
}

// --- Fail-over

/// A copy of the database that follows it until it is cut off.
class Replica {
 public:
  explicit Replica(const Stage& stage)
      : directory_{stage.database->directory()},
        data_{directory_ / "replica"},
        link_{fakes::port_of(stage.database->url())},
        spare_{fakes::free_port()} {
    as_postgres(weir::format("pg_basebackup -N -c fast -X stream -R -D {} -d '{}'", data_.string(),
                             link_.in_place_of(stage.database->url())));
    control(weir::format("-l {}/replica.log -o '-c port={}' start", directory_.string(), spare_));
    runs_ = true;
  }
  ~Replica() {
    try {
      if (runs_) control("-m immediate stop");
    } catch (const std::exception& error) {
      std::fprintf(stderr, "weir_faults: %s\n", error.what());
    }
  }
  Replica(const Replica&) = delete;
  Replica& operator=(const Replica&) = delete;

  /// From now on it gets no more commits.
  void lose_touch() {
    link_.refuse(true);
    link_.cut();
  }
  /// Takes the place of the one that it followed, which has ended.
  void replace() {
    control("promote");
    control("-m fast stop");
    runs_ = false;
    fs::remove_all(directory_ / "data");
    fs::rename(data_, directory_ / "data");
  }

 private:
  void control(const std::string& what) const {
    as_postgres(weir::format("pg_ctl -w -s -D {} {}", data_.string(), what));
  }
  /// PostgreSQL refuses to run as root.
  static void as_postgres(const std::string& command) {
    const std::string bin = "$(find /usr/lib/postgresql -maxdepth 2 -name bin | sort -V | tail -1)/";
    shell(weir::format("{} env LC_ALL=C.UTF-8 HOME=/tmp {}{} >/dev/null </dev/null",
                       ::geteuid() == 0 ? "setpriv --reuid postgres --regid postgres --clear-groups" : "", bin,
                       command));
  }

  const fs::path directory_, data_;
  Proxy link_;
  const std::uint16_t spare_;
  bool runs_ = false;
};

void fail_over(Stage& stage, Traffic&, Chance& chance) {
  constexpr const char *streaming = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'",
                       *positions = "SELECT sum(position) FROM weir_progress";
  Replica replica{stage};
  wait_for([&] { return answer(stage, streaming) == "1"; }, "the replica does not follow");
  pause(chance.between(0, second));
  replica.lose_touch();
  const std::string before = answer(stage, positions);
  wait_for([&] { return answer(stage, positions) != before; }, "nothing is committed that the replica could miss");
  pause(chance.between(0, 2500 * millisecond));
  stage.database->kill();
  stage.struck();
  replica.replace();
  stage.database->start();
}

constexpr std::array kinds{Fault{.name = "disk-full",
                                 .inject = fill_disk,
                                 .alone = true,
                                 .what = "no space left on the disk of PostgreSQL, then some again",
                                 .harms = "database"},
                           Fault{.name = "fail-over",
                                 .inject = fail_over,
                                 .alone = true,
                                 .what = "PostgreSQL killed, and a replica without its last commits instead",
                                 .unnames = true,
                                 .harms = "database"}};

}  // namespace

std::span<const Fault> database_faults() { return kinds; }

}  // namespace weir::faults
