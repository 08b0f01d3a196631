#include "core/coordination/worker_name.hpp"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
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

/// Whether the socket has the name now, which no other of this network namespace can have meanwhile; see unix(7).
bool bind_abstract(int socket, std::string_view name) {
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  std::ranges::copy(name, address.sun_path + 1);
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  return ::bind(socket, reinterpret_cast<const sockaddr*>(&address), length) == 0;
}

}  // namespace

WorkerName::WorkerName(std::string_view pipeline, std::string wanted) : text_{std::move(wanted)} {
  if (!text_.empty()) return;
  const std::string host = host_name();
  socket_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  for (int number = 1; number <= most_workers; ++number) {
    text_ = weir::format("{}-{}", host, number);
    const std::string name = weir::format("weir/{}/{:016x}-{}", ::getuid(), checksum(pipeline), number);
    if (bind_abstract(socket_, name) || errno != EADDRINUSE) return;
  }
}

WorkerName::~WorkerName() {
  if (socket_ >= 0) ::close(socket_);
}

}  // namespace weir
