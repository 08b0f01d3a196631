#include "fakes/proxy.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>

#include <weir/clock.hpp>

namespace weir::fakes {
namespace {

constexpr std::size_t most_waiting = 64;  // chunks of a direction; then its sender has to wait
constexpr int never = -1;

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in out{};
  out.sin_family = AF_INET;
  out.sin_port = htons(port);
  out.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return out;
}

void make_lively(int socket) {
  const int yes = 1;
  ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  ::fcntl(socket, F_SETFL, ::fcntl(socket, F_GETFL) | O_NONBLOCK);
}

void close_by(int socket, bool reset) {
  const linger now{1, 0};
  if (reset) ::setsockopt(socket, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  ::close(socket);
}

}  // namespace

std::uint16_t port_of(const std::string& url) {
  const std::size_t at = url.find_first_of("0123456789", url.rfind(':'));
  return static_cast<std::uint16_t>(std::stoul(url.substr(at)));
}

std::uint16_t free_port() {
  constexpr std::uint16_t least = 12000, most = 20000;
  std::random_device random;
  for (int i = 0; i < 200; ++i) {
    const auto port = static_cast<std::uint16_t>(least + random() % (most - least));
    const sockaddr_in address = loopback(port);
    const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const bool free = ::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    ::close(socket);
    if (free) return port;
  }
  throw std::runtime_error{"no port is free"};
}

Proxy::Proxy(std::vector<std::uint16_t> servers) : servers_{std::move(servers)} {
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = loopback(0);
  socklen_t size = sizeof address;
  auto* raw = reinterpret_cast<sockaddr*>(&address);
  if (listener_ < 0 || ::bind(listener_, raw, size) != 0 || ::listen(listener_, 128) != 0 ||
      ::getsockname(listener_, raw, &size) != 0 || ::pipe2(wake_, O_CLOEXEC | O_NONBLOCK) != 0)
    throw std::runtime_error{"the proxy can't listen"};
  port_ = ntohs(address.sin_port);
  thread_ = std::thread{[this] { carry(); }};
}

Proxy::~Proxy() {
  set(stop_, true);
  thread_.join();
  for (const int one : {listener_, wake_[0], wake_[1]}) ::close(one);
}

std::string Proxy::in_place_of(const std::string& url) const {
  const std::string from = ":" + std::to_string(servers_.front());
  const std::size_t at = url.rfind(from);
  if (at == std::string::npos) throw std::runtime_error{"no port " + from + " in " + url};
  return url.substr(0, at) + ":" + std::to_string(port_) + url.substr(at + from.size());
}

void Proxy::cut() {
  std::unique_lock lock{mutex_};
  const std::uint64_t mine = ++cuts_asked_;
  wake();
  cut_done_.wait(lock, [&] { return cuts_done_ >= mine; });
}
void Proxy::note_cuts(std::uint64_t cuts) {
  {
    const std::scoped_lock lock{mutex_};
    cuts_done_ = cuts;
  }
  cut_done_.notify_all();
}
void Proxy::refuse(bool yes) { set(refuse_, yes); }
void Proxy::hold(bool yes) { set(hold_, yes); }

void Proxy::set(bool& what, bool yes) {
  {
    const std::scoped_lock lock{mutex_};
    what = yes;
  }
  wake();
}

void Proxy::delay(Duration by) {
  const std::scoped_lock lock{mutex_};
  delay_ = by;
}

void Proxy::narrow(double bytes_a_second) {
  const std::scoped_lock lock{mutex_};
  rate_ = bytes_a_second;
}

void Proxy::set_trap(Trap trap, std::string text, Duration later) {
  const std::scoped_lock lock{mutex_};
  trap_ = SetTrap{trap, std::move(text), later};
  trapped_ = false;
}

bool Proxy::trapped() const {
  const std::scoped_lock lock{mutex_};
  return trapped_;
}

void Proxy::take_trap() {
  const std::scoped_lock lock{mutex_};
  trap_.reset();
}

void Proxy::follow_messages() { set(follow_, true); }
void Proxy::expel(bool yes) { set(expel_, yes); }

void Proxy::spoil_messages(Spoil how, std::string text, std::size_t count) {
  const std::scoped_lock lock{mutex_};
  spoiled_ = {how, std::move(text), count};
}

std::size_t Proxy::to_spoil() const {
  const std::scoped_lock lock{mutex_};
  return spoiled_.left;
}

void Proxy::rewrite(std::string text, std::string by, std::size_t most) {
  if (text.size() != by.size()) throw std::runtime_error{"not of the same length: " + text};
  const std::scoped_lock lock{mutex_};
  rewrites_.push_back({std::move(text), std::move(by), most});
}

void Proxy::wake() const { (void)!::write(wake_[1], "", 1); }

void Proxy::carry() {
  for (;;) {
    bool hold = false, cut = false;
    std::uint64_t cuts = 0;
    {
      const std::scoped_lock lock{mutex_};
      if (stop_) break;
      hold = hold_;
      cuts = cuts_asked_;
      cut = cuts != cuts_done_;
    }
    if (cut) std::ranges::for_each(pairs_, [](Pair& pair) { pair.reset = true; });
    close_over();
    if (cut) note_cuts(cuts);
    std::vector<pollfd> wanted{{wake_[0], POLLIN, 0}, {listener_, POLLIN, 0}};
    const Timestamp now = system_clock().steady();
    const auto events = [&](const Flow& in, const Flow& out) {
      const bool room = !in.ended && in.chunks.size() < most_waiting;
      const bool due = !out.chunks.empty() && out.chunks.front().due <= now;
      return static_cast<short>((room ? POLLIN : 0) | (due ? POLLOUT : 0));
    };
    for (const Pair& pair : pairs_) {
      const short client = hold ? 0 : events(pair.up, pair.down), server = hold ? 0 : events(pair.down, pair.up);
      // A socket that nothing is wanted of must not be looked at: its end would wake us again and again.
      wanted.push_back({client != 0 ? pair.up.from : -1, client, 0});
      wanted.push_back({server != 0 ? pair.down.from : -1, server, 0});
    }
    ::poll(wanted.data(), wanted.size(), hold ? never : patience(now));
    std::array<char, 64> bytes{};
    if (wanted[0].revents != 0) (void)!::read(wake_[0], bytes.data(), bytes.size());
    std::size_t i = 2;
    for (Pair& pair : pairs_) {
      const short client = wanted[i].revents, server = wanted[i + 1].revents;
      i += 2;
      if ((client & (POLLIN | POLLHUP | POLLERR)) != 0) receive(pair, pair.up);
      if ((server & (POLLIN | POLLHUP | POLLERR)) != 0) receive(pair, pair.down);
      if (hold) continue;
      send(pair, pair.up, system_clock().steady());
      send(pair, pair.down, system_clock().steady());
    }
    if (wanted[1].revents != 0) accept_one();
  }
  std::ranges::for_each(pairs_, [](Pair& pair) { pair.reset = true; });
  close_over();
}

void Proxy::accept_one() {
  const int client = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
  if (client < 0) return;
  bool refuse = false, follow = false, expel = false;
  {
    const std::scoped_lock lock{mutex_};
    refuse = refuse_;
    follow = follow_;
    expel = expel_;
  }
  const int server = refuse ? -1 : connect_one();
  if (server < 0) return close_by(client, true);
  make_lively(client);
  make_lively(server);
  Pair& pair = pairs_.emplace_back();
  pair.follows = follow;
  pair.expelled = expel;
  pair.up = {.from = client, .to = server, .chunks = {}};
  pair.down = {.from = server, .to = client, .chunks = {}};
}

int Proxy::connect_one() {
  for (std::size_t i = 0; i < servers_.size(); ++i) {
    const int server = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const sockaddr_in address = loopback(servers_[turn_++ % servers_.size()]);
    if (::connect(server, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return server;
    ::close(server);
  }
  return -1;
}

void Proxy::close_over() {
  std::erase_if(pairs_, [](const Pair& pair) {
    const auto over = [](const Flow& flow) { return flow.ended && flow.chunks.empty(); };
    if (!pair.reset && !over(pair.up) && !over(pair.down)) return false;
    close_by(pair.up.from, pair.reset);
    close_by(pair.down.from, pair.reset);
    return true;
  });
}

int Proxy::patience(Timestamp now) const {
  Timestamp next = end_of_time;
  for (const Pair& pair : pairs_) {
    for (const Flow* flow : {&pair.up, &pair.down}) {
      if (!flow->chunks.empty() && flow->chunks.front().due > now) next = std::min(next, flow->chunks.front().due);
    }
  }
  return next == end_of_time ? never : static_cast<int>((next - now) / millisecond + 1);
}

void Proxy::receive(Pair& pair, Flow& flow) {
  std::array<char, 65536> bytes;
  const ssize_t size = ::recv(flow.from, bytes.data(), bytes.size(), 0);
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (size <= 0) {
    flow.ended = true;
    return;
  }
  const bool from_client = &flow == &pair.up;
  if (!from_client && pair.answer_cuts) {
    pair.reset = true;
    return;
  }
  if (!from_client) answered_ += static_cast<std::uint64_t>(size);
  if (from_client && pair.expelled) {
    pair.down.chunks.push_back({0, "-ERR 'Authorization Violation'\r\n"});
    pair.down.ended = true;
    return;
  }
  Chunk chunk{0, {bytes.data(), static_cast<std::size_t>(size)}};
  {
    const std::scoped_lock lock{mutex_};
    chunk.due = system_clock().steady() + delay_;
    if (from_client && rate_ > 0) {
      chunk.due = std::max(chunk.due, flow.free_at) + static_cast<Duration>(static_cast<double>(size) / rate_ * 1e9);
      flow.free_at = chunk.due;
    }
    if (from_client) change(pair, chunk);
    if (!from_client && pair.follows) spoil(pair, chunk);
  }
  if (!pair.reset && !chunk.bytes.empty()) flow.chunks.push_back(std::move(chunk));
}

void Proxy::change(Pair& pair, Chunk& chunk) {
  for (auto& [text, by, left] : rewrites_) {
    for (std::size_t at = 0; left > 0 && (at = chunk.bytes.find(text, at)) != std::string::npos; --left) {
      chunk.bytes.replace(at, text.size(), by);
      ++rewritten_;
    }
  }
  if (!trap_ || trapped_ || !chunk.bytes.contains(trap_->text)) return;
  trapped_ = true;
  pair.reset = trap_->what == Trap::cut_before;
  pair.answer_cuts = trap_->what == Trap::cut_after;
  if (trap_->what == Trap::late) chunk.due += trap_->later;
}

/// Lets whole messages pass, which are as long as their heads say.
void Proxy::spoil(Pair& pair, Chunk& chunk) {
  constexpr std::string_view end = "\r\n";
  std::string all = std::exchange(pair.half, {}) + chunk.bytes;
  chunk.bytes.clear();
  std::size_t at = 0;
  for (std::size_t line = 0; (line = all.find(end, at)) != std::string::npos;) {
    const std::string_view head{all.data() + at, line - at};
    const bool message = head.starts_with("MSG ") || head.starts_with("HMSG ");
    std::size_t size = head.size() + end.size();
    if (message) size += std::stoul(std::string{head.substr(head.rfind(' ') + 1)}) + end.size();
    if (at + size > all.size()) break;
    const bool hit = message && spoiled_.left > 0 && head.contains(spoiled_.text);
    if (hit) --spoiled_.left;
    for (int copies = !hit ? 1 : spoiled_.how == Spoil::skip ? 0 : 2; copies > 0; --copies)
      chunk.bytes.append(all, at, size);
    at += size;
  }
  pair.half = all.substr(at);
}

void Proxy::send(Pair& pair, Flow& flow, Timestamp now) {
  while (!pair.reset && !flow.chunks.empty() && flow.chunks.front().due <= now) {
    Chunk& chunk = flow.chunks.front();
    const ssize_t size =
        ::send(flow.to, chunk.bytes.data() + chunk.sent, chunk.bytes.size() - chunk.sent, MSG_NOSIGNAL);
    if (size < 0) {
      if (errno != EAGAIN && errno != EINTR) pair.reset = true;
      return;
    }
    chunk.sent += static_cast<std::size_t>(size);
    if (chunk.sent == chunk.bytes.size()) flow.chunks.pop_front();
  }
}

}  // namespace weir::fakes
