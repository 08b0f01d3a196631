#include "console/server.hpp"

#include <gtest/gtest.h>
#include <httplib.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <future>
#include <memory>
#include <thread>

namespace {
using namespace weir;

ConsoleViews views() {
  return {.troubles = [] { return std::vector<std::string>{}; },
          .metrics = [] { return std::string{}; },
          .lag = [] { return Result<std::string>{"{}"}; },
          .pipeline = [] { return std::string{"{}"}; },
          .tap = [](const std::string&) { return Result<std::unique_ptr<Tap>>{fail(Error::Kind::unreachable, "")}; },
          .elsewhere = [](const TapWish&) { return std::string{}; },
          .tap_from = TapFrom::loopback,
          .pipeline_name = "p",
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
  for (const char* bad : {"localhost", "localhost:", "localhost:http", "localhost:70000"})
    EXPECT_EQ(Console::serve(bad, views()).error().kind, Error::Kind::invalid) << bad;
}

TEST(Console, answers_while_others_connect_and_say_nothing) {
  const auto console = Console::serve("127.0.0.1:0", views());
  ASSERT_TRUE(console.has_value()) << console.error().message;
  const int port = (*console)->port();
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  std::array<int, 24> silent{};
  for (int& socket : silent) {
    socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ASSERT_EQ(::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  }
  httplib::Client client{"127.0.0.1", port};
  client.set_read_timeout(std::chrono::seconds{1});
  EXPECT_TRUE(client.Get("/ping")) << "a probe would end this worker";
  for (const int socket : silent) ::close(socket);
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
