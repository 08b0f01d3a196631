/// A TCP proxy on loopback between weir and its servers: it cuts, holds up and changes what passes.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <weir/types.hpp>

namespace weir::fakes {

/// The port in a URL.
std::uint16_t port_of(const std::string& url);
/// Where nobody listens on 127.0.0.1, and nobody is given a place for outgoing connections.
std::uint16_t free_port();

/// Threads   any; the bytes are carried by one of its own.
/// Errors    std::runtime_error from the constructor; a server that does not answer is a client's reset.
class Proxy {
 public:
  /// To these ports of 127.0.0.1: each new connection to the next one in turn that takes it.
  explicit Proxy(std::vector<std::uint16_t> servers);
  explicit Proxy(std::uint16_t server) : Proxy{std::vector{server}} {}
  ~Proxy();
  Proxy(const Proxy&) = delete;
  Proxy& operator=(const Proxy&) = delete;

  /// Where it listens.
  std::uint16_t port() const { return port_; }
  /// A URL of the first of them, with the proxy's port instead.
  std::string in_place_of(const std::string& url) const;

  /// Resets all connections; they are closed when it returns. What a client had received by then it may still read.
  void cut();
  /// While true, new connections are reset.
  void refuse(bool yes);
  /// While true, nothing passes; connections stay.
  void hold(bool yes);
  /// What comes from now on passes so much later.
  void delay(Duration by);
  /// At most so many bytes a second of what comes from now on pass from a client to its server; 0: as many as come.
  void narrow(double bytes_a_second);

  /// What to do with the next bytes of a client that contain a text: cut before the server has them; cut when the
  /// server has answered, before the client has the answer; or let them pass later.
  enum class Trap : std::uint8_t { cut_before, cut_after, late };
  void set_trap(Trap trap, std::string text, Duration later = 0);
  /// Whether something went into it.
  bool trapped() const;
  void take_trap();

  /// From now on the next messages from a NATS server to a client whose head contains a text do not arrive, or arrive
  /// twice. Only of connections that are made after follow_messages().
  enum class Spoil : std::uint8_t { skip, repeat };
  void follow_messages();
  void spoil_messages(Spoil how, std::string text, std::size_t count);
  /// How many of these there are still to come.
  std::size_t to_spoil() const;

  /// While true, a NATS client that reconnects is told that it may not.
  void expel(bool yes);

  /// Replaces a text by another one of the same length in all that clients send, or where it comes first.
  void rewrite(std::string text, std::string by, std::size_t most = SIZE_MAX);
  /// How often that was done.
  std::uint64_t rewritten() const { return rewritten_; }

  /// Bytes that servers have sent so far.
  std::uint64_t answered() const { return answered_; }

 private:
  struct Chunk {
    Timestamp due = 0;
    std::string bytes;
    std::size_t sent = 0;
  };
  struct Flow {
    int from = -1, to = -1;
    std::deque<Chunk> chunks;
    Timestamp free_at = 0;  // when the narrow link has passed all of them
    bool ended = false;
  };
  struct Pair {
    Flow up, down;
    bool answer_cuts = false, reset = false, follows = false, expelled = false;
    std::string half;  // of a message to the client
  };

  /// Tells the thread.
  void set(bool& what, bool yes);
  /// The cuts that are asked for by now are done.
  void note_cuts(std::uint64_t cuts);
  void carry();
  void wake() const;
  void accept_one();
  void close_over();
  /// Milliseconds that poll() may wait.
  int patience(Timestamp now) const;
  void receive(Pair& pair, Flow& flow);
  void change(Pair& pair, Chunk& chunk);
  void spoil(Pair& pair, Chunk& chunk);
  static void send(Pair& pair, Flow& flow, Timestamp now);

  /// A new connection to a server; negative: none takes one.
  int connect_one();

  const std::vector<std::uint16_t> servers_;
  std::size_t turn_ = 0;
  std::uint16_t port_ = 0;
  int listener_ = -1, wake_[2] = {-1, -1};
  std::list<Pair> pairs_;  // the thread's

  mutable std::mutex mutex_;
  bool stop_ = false, refuse_ = false, hold_ = false;
  std::uint64_t cuts_asked_ = 0, cuts_done_ = 0;
  std::condition_variable cut_done_;
  Duration delay_ = 0;
  double rate_ = 0;
  struct SetTrap {
    Trap what;
    std::string text;
    Duration later;
  };
  std::optional<SetTrap> trap_;
  struct Spoiled {
    Spoil how = Spoil::skip;
    std::string text;
    std::size_t left = 0;
  };
  Spoiled spoiled_;
  bool follow_ = false, expel_ = false;
  bool trapped_ = false;
  struct Rewrite {
    std::string text, by;
    std::size_t left = 0;
  };
  std::vector<Rewrite> rewrites_;
  std::atomic<std::uint64_t> rewritten_{0}, answered_{0};
  std::thread thread_;
};

}  // namespace weir::fakes
