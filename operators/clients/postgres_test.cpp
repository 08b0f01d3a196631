/// What a Connection makes of a server that breaks off or talks nonsense; the rest is tested with a real one.
#include "clients/postgres.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <thread>

namespace {
using namespace weir;
using namespace std::string_literals;

std::string message(char type, const std::string& body) {
  std::string out(1, type);
  const std::uint32_t length = htonl(static_cast<std::uint32_t>(body.size() + 4));
  out.append(reinterpret_cast<const char*>(&length), sizeof length);
  return out + body;
}

const std::string ready_message = message('Z', "I");
const std::string done_message = message('C', "SELECT 1\0"s);

/// Lets one client in, takes its first statement, and gives these bytes to the second; then it hangs up.
class OneAnswer {
 public:
  explicit OneAnswer(std::string answer) : answer_{std::move(answer)}, listener_{::socket(AF_INET, SOCK_STREAM, 0)} {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* any = reinterpret_cast<sockaddr*>(&address);
    EXPECT_EQ(::bind(listener_, any, size), 0);
    EXPECT_EQ(::listen(listener_, 1), 0);
    EXPECT_EQ(::getsockname(listener_, any, &size), 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::jthread{[this] { serve(); }};
  }
  ~OneAnswer() {
    ::shutdown(listener_, SHUT_RDWR);
    thread_.join();
    ::close(listener_);
  }
  OneAnswer(const OneAnswer&) = delete;
  OneAnswer& operator=(const OneAnswer&) = delete;

  std::string url() const {
    return "postgresql://u@127.0.0.1:" + std::to_string(port_) + "/d?sslmode=disable&gssencmode=disable";
  }

 private:
  void serve() const {
    const int client = ::accept(listener_, nullptr, nullptr);
    char buffer[4096];
    for (const std::string& answer :
         {message('R', "\0\0\0\0"s) + ready_message, done_message + ready_message, answer_}) {
      if (::recv(client, buffer, sizeof buffer, 0) <= 0) break;
      ::send(client, answer.data(), answer.size(), MSG_NOSIGNAL);
    }
    ::close(client);
  }

  std::string answer_;
  int listener_;
  std::uint16_t port_ = 0;
  std::jthread thread_;
};

struct Said {
  Error error;
  std::string state;
};

Said ask(const std::string& answer) {
  const OneAnswer server{answer};
  auto connection = postgres::Connection::open({.url = server.url(), .application = "test", .limit = 5 * second});
  EXPECT_TRUE(connection.has_value()) << connection.error().message;
  if (!connection) return {};
  const auto rows = connection->run("SELECT 1");
  EXPECT_FALSE(rows.has_value());
  if (rows) return {};
  return {rows.error(), connection->state()};
}

std::string refusal(const std::string& severity) {
  return message('E', "S" + severity + "\0V"s + severity + "\0C22003\0Mout of range\0\0"s);
}

TEST(PostgresConnection, an_error_of_the_server_is_refused) {
  const Said said = ask(refusal("ERROR") + ready_message);
  EXPECT_EQ(said.error.kind, Error::Kind::refused) << said.error.message;
  EXPECT_EQ(said.state, "22003");
}

TEST(PostgresConnection, an_error_is_one_line_with_detail_and_hint) {
  const Said said = ask(message('E',
                                "SERROR\0VERROR\0C23505\0Mno\r\nroom\0DKey (\x1B[31m\tvehicle)\n\nis there.\0"
                                "HTry\n\tanother.\n\0WPL/pgSQL\nline 1\0\0"s) +
                        ready_message);
  EXPECT_EQ(said.error.message, "no room: Key ( [31m vehicle) is there.; Try another. (SQLSTATE 23505)");
}

/// libpq's own message of a server that hangs up has three.
TEST(PostgresConnection, a_lost_connection_is_one_line) {
  const std::string said = ask("").error.message;
  EXPECT_EQ(std::ranges::count_if(said, [](char c) { return static_cast<unsigned char>(c) < ' '; }), 0) << said;
  EXPECT_FALSE(said.contains("  ")) << said;
}

TEST(PostgresConnection, an_error_that_the_server_did_not_make_is_unreachable) {
  const Said said = ask(message('x', "") + ready_message);  // no message begins with x
  EXPECT_EQ(said.error.kind, Error::Kind::unreachable) << said.error.message;
  EXPECT_EQ(said.state, "");
}

TEST(PostgresConnection, an_error_behind_which_the_connection_breaks_is_unreachable) {
  const Said said = ask(refusal("FATAL"));
  EXPECT_EQ(said.error.kind, Error::Kind::unreachable) << said.error.message;
  EXPECT_EQ(said.state, "");
}

}  // namespace
