#include "core/coordination/worker_name.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <utility>

#include <weir/checksum.hpp>
#include <weir/format.hpp>

namespace weir {
namespace {

constexpr int most_workers = 1000;  // of a host, by numbers

std::string host_name() {
  char host[65] = "weir";
  (void)gethostname(host, sizeof host - 1);
  return host;
}

}  // namespace

std::string WorkerName::default_folder() {
  const char* runtime = std::getenv("XDG_RUNTIME_DIR");
  return weir::format("{}/weir-{}", runtime != nullptr && *runtime != '\0' ? runtime : "/tmp", ::getuid());
}

WorkerName::WorkerName(std::string_view pipeline, std::string wanted, const std::string& folder)
    : text_{std::move(wanted)} {
  if (!text_.empty()) return;
  const std::string host = host_name();
  (void)::mkdir(folder.c_str(), 0700);
  for (int number = 1; number <= most_workers; ++number) {
    text_ = weir::format("{}-{}", host, number);
    const std::string path = weir::format("{}/{:016x}-{}.lock", folder, checksum(pipeline), number);
    file_ = ::open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (file_ < 0) break;  // nowhere to write: a container has a host name of its own
    if (::flock(file_, LOCK_EX | LOCK_NB) == 0) return;
    ::close(std::exchange(file_, -1));
  }
  if (file_ < 0) text_ = host + "-1";
}

WorkerName::~WorkerName() {
  if (file_ >= 0) ::close(file_);
}

}  // namespace weir
