#include "console/listener.hpp"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <deque>
#include <thread>
#include <utility>

#include <weir/clock.hpp>
#include <weir/format.hpp>

namespace weir {
namespace {

constexpr int backlog = 128;
constexpr std::size_t most_waiting = 512;
constexpr std::size_t longest_head = 8192;

class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_{fd} {}
  Descriptor(Descriptor&& other) noexcept : fd_{std::exchange(other.fd_, -1)} {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

struct Waiting {
  Descriptor socket;
  Connection from;
  Timestamp until = 0;
};

/// The numeric host and the port of a socket address.
std::pair<std::string, int> name_of(const sockaddr* address, socklen_t size) {
  char host[NI_MAXHOST] = "";
  char port[NI_MAXSERV] = "0";
  (void)::getnameinfo(address, size, host, sizeof host, port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV);
  return {host, std::atoi(port)};
}

std::string place(const std::string& host, int port) {
  return host.contains(':') ? weir::format("[{}]:{}", host, port) : weir::format("{}:{}", host, port);
}

bool is_loopback(const std::string& host) { return host == "::1" || host.starts_with("127."); }

/// Where a machine has no IPv6, or no IPv4, the names of both still have addresses of both.
bool is_absent(int error) { return error == EADDRNOTAVAIL || error == EAFNOSUPPORT; }

struct AddressList {
  addrinfo* first = nullptr;
  AddressList() = default;
  AddressList(const AddressList&) = delete;
  AddressList& operator=(const AddressList&) = delete;
  ~AddressList() {
    if (first != nullptr) ::freeaddrinfo(first);
  }
};

void set_port(sockaddr* address, int port) {
  const auto number = htons(static_cast<std::uint16_t>(port));
  if (address->sa_family == AF_INET6) reinterpret_cast<sockaddr_in6*>(address)->sin6_port = number;
  if (address->sa_family == AF_INET) reinterpret_cast<sockaddr_in*>(address)->sin_port = number;
}

/// A socket that listens; else errno says why.
Descriptor listen_on(const addrinfo& at, bool both_families) {
  Descriptor socket{::socket(at.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  if (socket.get() < 0) return Descriptor{};
  const int yes = 1;
  const int v6_only = both_families ? 0 : 1;
  (void)::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  if (at.ai_family == AF_INET6) (void)::setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &v6_only, sizeof v6_only);
  if (::bind(socket.get(), at.ai_addr, at.ai_addrlen) != 0 || ::listen(socket.get(), backlog) != 0) return Descriptor{};
  return socket;
}

int port_of(int socket) {
  sockaddr_storage bound{};
  socklen_t size = sizeof bound;
  (void)::getsockname(socket, reinterpret_cast<sockaddr*>(&bound), &size);
  return name_of(reinterpret_cast<const sockaddr*>(&bound), size).second;
}

}  // namespace

struct Listener::Impl {
  Result<void> listen(const Address& at) {
    const std::string host = at.host.empty() ? "localhost" : at.host;
    addrinfo wanted{};
    wanted.ai_flags = AI_PASSIVE;
    wanted.ai_socktype = SOCK_STREAM;
    AddressList found;
    if (const int error = ::getaddrinfo(host.c_str(), "0", &wanted, &found.first); error != 0)
      return fail(Error::Kind::unreachable,
                  weir::format("can't listen on {}: {}", place(host, at.port), ::gai_strerror(error)));
    port = at.port;
    std::string absent;
    for (const addrinfo* one = found.first; one != nullptr; one = one->ai_next) {
      const std::string numeric = name_of(one->ai_addr, one->ai_addrlen).first;
      if (std::ranges::contains(hosts, numeric)) continue;
      set_port(one->ai_addr, port);
      Descriptor socket = listen_on(*one, numeric == "::");
      if (socket.get() < 0) {
        const int error = errno;
        const std::string why =
            weir::format("can't listen on {}: {}", place(numeric, port),
                         error == EADDRINUSE ? "another process uses the port" : std::strerror(error));
        if (!is_absent(error)) return fail(Error::Kind::unreachable, why);
        absent = why;
        continue;
      }
      if (port == 0) port = port_of(socket.get());
      hosts.push_back(numeric);
      listening.push_back(std::move(socket));
    }
    if (listening.empty()) return fail(Error::Kind::unreachable, absent);
    return {};
  }

  void run(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      wait();
      const Timestamp now = system_clock().steady();
      for (const Descriptor& one : listening) accept_all(one.get(), now);
      std::deque<Waiting> rest;
      for (Waiting& one : waiting) {
        if (is_whole(one)) {
          one.from.socket = one.socket.release();
          arrived(std::move(one.from));
        } else if (one.socket.get() >= 0 && one.until > now) {
          rest.push_back(std::move(one));
        }
      }
      while (rest.size() > most_waiting) rest.pop_front();
      waiting = std::move(rest);
    }
  }

  /// Until something may have come, or the first connection has waited for as long as it may.
  void wait() {
    std::vector<pollfd> all{{wake.get(), POLLIN, 0}};
    for (const Descriptor& one : listening) all.push_back({one.get(), POLLIN, 0});
    for (const Waiting& one : waiting) all.push_back({one.socket.get(), POLLIN, 0});
    Duration patient = -1;
    if (!waiting.empty())
      patient = std::max<Duration>(0, waiting.front().until - system_clock().steady()) / millisecond + 1;
    (void)::poll(all.data(), all.size(), static_cast<int>(patient));
  }

  void accept_all(int socket, Timestamp now) {
    for (;;) {
      sockaddr_storage remote{};
      socklen_t size = sizeof remote;
      Descriptor accepted{::accept4(socket, reinterpret_cast<sockaddr*>(&remote), &size, SOCK_CLOEXEC)};
      if (accepted.get() < 0) {
        // Those that wait hold what is missing.
        if ((errno == EMFILE || errno == ENFILE) && !waiting.empty()) {
          waiting.pop_front();
          continue;
        }
        return;
      }
      auto [host, from] = name_of(reinterpret_cast<const sockaddr*>(&remote), size);
      waiting.push_back({std::move(accepted), {-1, std::move(host), from, {}}, now + patience});
    }
  }

  /// Looks at what has come without taking it. A connection that ended, or whose head is too long, is closed.
  static bool is_whole(Waiting& one) {
    char head[longest_head];
    const ssize_t size = ::recv(one.socket.get(), head, sizeof head, MSG_PEEK | MSG_DONTWAIT);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) return false;
    const std::string_view text{head, static_cast<std::size_t>(std::max<ssize_t>(size, 0))};
    if (text.contains("\r\n\r\n")) {
      one.from.line = text.substr(0, text.find("\r\n"));
      const int any = 1;
      (void)::setsockopt(one.socket.get(), SOL_SOCKET, SO_RCVLOWAT, &any, sizeof any);
      return true;
    }
    if (size <= 0 || text.size() == sizeof head || is_over(one.socket.get())) {
      one.socket = Descriptor{};
      return false;
    }
    // What was looked at must not wake the thread again.
    const int more = static_cast<int>(text.size()) + 1;
    (void)::setsockopt(one.socket.get(), SOL_SOCKET, SO_RCVLOWAT, &more, sizeof more);
    return false;
  }

  /// Whether the client will say no more.
  static bool is_over(int socket) {
    pollfd ended{socket, POLLRDHUP, 0};
    return ::poll(&ended, 1, 0) > 0;
  }

  std::vector<Descriptor> listening;
  std::vector<std::string> hosts;
  int port = 0;
  std::function<void(Connection)> arrived;
  Descriptor wake{::eventfd(0, EFD_CLOEXEC)};
  std::deque<Waiting> waiting;  // in order of `until`
  std::jthread thread;
};

Listener::Listener(std::unique_ptr<Impl> impl) : impl_{std::move(impl)} {}

Listener::~Listener() {
  impl_->thread.request_stop();
  const std::uint64_t one = 1;
  (void)!::write(impl_->wake.get(), &one, sizeof one);
}

Result<std::unique_ptr<Listener>> Listener::bind(const Address& at) {
  auto impl = std::make_unique<Impl>();
  if (auto listens = impl->listen(at); !listens) return std::unexpected(listens.error());
  return std::unique_ptr<Listener>{new Listener{std::move(impl)}};
}

void Listener::start(std::function<void(Connection)> arrived) {
  impl_->arrived = std::move(arrived);
  impl_->thread = std::jthread{[impl = impl_.get()](const std::stop_token& stop) { impl->run(stop); }};
}

int Listener::port() const { return impl_->port; }
const std::vector<std::string>& Listener::hosts() const { return impl_->hosts; }
bool Listener::is_public() const { return !std::ranges::all_of(impl_->hosts, is_loopback); }

}  // namespace weir
