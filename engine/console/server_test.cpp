#include "console/server.hpp"

#include <gtest/gtest.h>
#include <httplib.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace {
using namespace weir;

ConsoleViews views() {
  return {.ready = [] { return Readiness{true, "ready"}; },
          .metrics = [] { return std::string{}; },
          .lag = [] { return Result<std::string>{"{}"}; },
          .progress = {},
          .pipeline = [] { return std::string{"{}"}; },
          .tap = [](const std::string&) { return Result<std::unique_ptr<Tap>>{fail(Error::Kind::unreachable, "")}; },
          .elsewhere = [](const TapSelection&) { return std::string{}; },
          .tap_from = TapFrom::loopback,
          .pipeline_name = [] { return std::string{"p"}; },
          .version = "0"};
}

TEST(Console, ends_at_once_even_if_it_has_only_just_begun) {
  // One that never ends would hold the test up for ever, so it is left behind.
  std::promise<std::string> ended;
  auto outcome = ended.get_future();
  std::thread{[ended = std::move(ended)]() mutable {
    for (int i = 0; i < 200; ++i) {
      const auto console = Console::serve("127.0.0.1:0", views());
      if (!console) return ended.set_value(console.error().message);
    }
    ended.set_value("");
  }}.detach();
  ASSERT_EQ(outcome.wait_for(std::chrono::seconds{60}), std::future_status::ready) << "still listening";
  EXPECT_EQ(outcome.get(), "");
}

TEST(Console, says_what_is_wrong_with_an_address) {
  const auto first = Console::serve("127.0.0.1:0", views());
  ASSERT_TRUE(first.has_value()) << first.error().message;
  const auto second = Console::serve("127.0.0.1:" + std::to_string((*first)->port()), views());
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error().kind, Error::Kind::unreachable);
  for (const char* bad : {"localhost", "localhost:", "localhost:http", "localhost:70000", "8080"})
    EXPECT_EQ(Console::serve(bad, views()).error().kind, Error::Kind::invalid) << bad;
  EXPECT_EQ(Console::serve("8080", views()).error().message,
            "\"8080\" is not [host]:port; write localhost:8080, or :8080");
}

TEST(Console, listens_on_every_address_of_a_name_or_not_at_all) {
  const auto both = Console::serve("localhost:0", views());
  ASSERT_TRUE(both.has_value()) << both.error().message;
  const int port = (*both)->port();
  EXPECT_FALSE((*both)->is_public());
  EXPECT_TRUE(httplib::Client("127.0.0.1", port).Get("/ping"));
  const bool has_ipv6 = Console::serve("[::1]:0", views()).has_value();
  EXPECT_EQ(httplib::Client("::1", port).Get("/ping") != nullptr, has_ipv6);
  EXPECT_EQ((*both)->address(),
            "port " + std::to_string(port) + (has_ipv6 ? " of ::1 and 127.0.0.1" : " of 127.0.0.1"));

  const auto one = Console::serve("127.0.0.1:0", views());
  ASSERT_TRUE(one.has_value());
  const auto half = Console::serve("localhost:" + std::to_string((*one)->port()), views());
  ASSERT_FALSE(half.has_value()) << "two workers would share a name";
  EXPECT_EQ(half.error().message,
            "can't listen on 127.0.0.1:" + std::to_string((*one)->port()) + ": another process uses the port");
}

TEST(Console, is_for_this_machine_alone_unless_the_address_says_otherwise) {
  const auto by_default = Console::serve(":0", views());
  ASSERT_TRUE(by_default.has_value()) << by_default.error().message;
  EXPECT_FALSE((*by_default)->is_public());
  const auto any = Console::serve("0.0.0.0:0", views());
  ASSERT_TRUE(any.has_value());
  EXPECT_TRUE((*any)->is_public());
}

/// A connection that behaves as it likes.
class Raw {
 public:
  explicit Raw(int port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  }
  Raw(const Raw&) = delete;
  Raw& operator=(const Raw&) = delete;
  ~Raw() { ::close(socket_); }

  void say(std::string_view text) const { (void)::send(socket_, text.data(), text.size(), MSG_NOSIGNAL); }
  /// All that comes until the other side closes, or for so long.
  std::string hear(std::chrono::seconds patience) const {
    const timeval limit{patience.count(), 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    std::string out;
    char bytes[4096];
    for (ssize_t size = 0; (size = ::recv(socket_, bytes, sizeof bytes, 0)) > 0;)
      out.append(bytes, static_cast<std::size_t>(size));
    return out;
  }

 private:
  int socket_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
};

TEST(Console, answers_probes_whatever_slow_clients_do) {
  ConsoleViews with = views();
  with.metrics = [] { return std::string(32u << 20, 'm'); };  // more than a socket takes at once
  const auto console = Console::serve("127.0.0.1:0", std::move(with));
  ASSERT_TRUE(console.has_value()) << console.error().message;
  const int port = (*console)->port();
  std::vector<std::unique_ptr<Raw>> slow;
  for (int i = 0; i < 200; ++i) {
    const auto& one = slow.emplace_back(std::make_unique<Raw>(port));
    if (i % 3 == 1) one->say("GET /ping HTTP/1.1\r\nHost: local");
    if (i % 3 == 2) one->say("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");  // and never reads it
  }
  for (int i = 0; i < 30; ++i) {
    httplib::Client client{"127.0.0.1", port};
    client.set_read_timeout(std::chrono::seconds{1});
    EXPECT_TRUE(client.Get(i % 2 == 0 ? "/ping" : "/ready")) << "probe " << i << " would end this worker";
  }
}

TEST(Console, gives_a_request_a_time_as_a_whole) {
  const auto console = Console::serve("127.0.0.1:0", views());
  ASSERT_TRUE(console.has_value()) << console.error().message;
  const Raw slow{(*console)->port()};
  const auto began = std::chrono::steady_clock::now();
  std::jthread drips{[&](const std::stop_token& stop) {
    for (int i = 0; i < 100 && !stop.stop_requested(); ++i) {
      slow.say("G");
      std::this_thread::sleep_for(std::chrono::milliseconds{100});
    }
  }};
  EXPECT_EQ(slow.hear(std::chrono::seconds{8}), "");
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds{6}) << "each byte would win it more time";
}

TEST(Console, closes_a_connection_whose_head_has_no_end) {
  const auto console = Console::serve("127.0.0.1:0", views());
  ASSERT_TRUE(console.has_value()) << console.error().message;
  const Raw long_winded{(*console)->port()};
  long_winded.say("GET /ping HTTP/1.1\r\nX: " + std::string(9000, 'x'));
  EXPECT_EQ(long_winded.hear(std::chrono::seconds{1}), "");
  EXPECT_TRUE(httplib::Client("127.0.0.1", (*console)->port()).Get("/ping"));
}

TEST(Console, says_the_lag_or_why_it_is_not_known) {
  Result<std::string> lag{"{\"messages\":3}"};
  ConsoleViews with = views();
  with.lag = [&] { return lag; };
  const auto console = Console::serve("127.0.0.1:0", std::move(with));
  ASSERT_TRUE(console.has_value()) << console.error().message;
  httplib::Client client{"127.0.0.1", (*console)->port()};
  const auto known = client.Get("/lag");
  ASSERT_TRUE(known);
  EXPECT_EQ(known->status, 200);
  EXPECT_EQ(known->get_header_value("Content-Type"), "application/json");
  EXPECT_EQ(known->body, "{\"messages\":3}\n");
  lag = fail(Error::Kind::unreachable, "no server");
  const auto unknown = client.Get("/lag");
  ASSERT_TRUE(unknown);
  EXPECT_EQ(unknown->status, 503);
  EXPECT_EQ(unknown->body, "no server\n");
}

}  // namespace
