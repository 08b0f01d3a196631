/// Logins and encryption against real servers: what works, and what each mistake is answered.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include <weir/format.hpp>

#include "clients/nats_jetstream.hpp"
#include "fakes/certificates.hpp"
#include "fakes/nkeys.hpp"
#include "fakes/servers.hpp"

namespace weir::nats {
namespace {

using fakes::Certificates;
using fakes::TemporaryDirectory;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

Result<std::unique_ptr<Connection>> connect(const Access& access) {
  return Connection::open(access, "test", Connection::Use::consume);
}

/// What open() objects to; fails the test if it does not, or names another kind.
std::string objection(const Access& access, Error::Kind kind) {
  const auto opened = connect(access);
  if (opened) {
    ADD_FAILURE() << "let in";
    return {};
  }
  EXPECT_EQ(opened.error().kind, kind) << opened.error().message;
  return opened.error().message;
}

auto refuses_login() {
  return AllOf(HasSubstr("refuses the login"), HasSubstr("check user, password, token, nkey or credentials"));
}

TEST(NatsAccess, takes_user_and_password) {
  fakes::Servers servers{"nats", "authorization { user: weir, password: \"s3cret/@:x\" }\n"};
  EXPECT_TRUE(connect({.url = servers.nats(), .user = "weir", .password = "s3cret/@:x"}));
  const Access wrong{.url = servers.nats(), .user = "weir", .password = "gue55ed"};
  EXPECT_THAT(objection(wrong, Error::Kind::unreachable), AllOf(refuses_login(), Not(HasSubstr("gue55ed"))));
  EXPECT_THAT(objection({.url = servers.nats()}, Error::Kind::unreachable), refuses_login());
}

/// A generic -ERR on a connection that stands; by default it is the last thing that the library does with it.
TEST(NatsConnection, survives_what_a_server_says_against_it) {
  fakes::Servers servers{"nats", "max_control_line: 512\n"};
  const auto connection = connect({.url = servers.nats()}).value();
  ASSERT_TRUE(connection->publish(std::string(2'000, 'x'), ""));  // "maximum control line exceeded"
  const Timestamp end = system_clock().steady() + 10 * second;
  while (connection->reconnects() == 0 && system_clock().steady() < end) system_clock().wait(10 * millisecond, {});
  while (!connection->connected() && system_clock().steady() < end) system_clock().wait(10 * millisecond, {});
  EXPECT_TRUE(connection->connected());
  EXPECT_FALSE(connection->closed());
  EXPECT_TRUE(connection->publish("a", "b"));
  EXPECT_TRUE(connection->flush(5 * second));
}

TEST(NatsAccess, takes_a_token) {
  fakes::Servers servers{"nats", "authorization { token: s3cret }\n"};
  EXPECT_TRUE(connect({.url = servers.nats(), .token = "s3cret"}));
  EXPECT_THAT(objection({.url = servers.nats(), .token = "gue55ed"}, Error::Kind::unreachable),
              AllOf(refuses_login(), Not(HasSubstr("gue55ed"))));
}

TEST(NatsAccess, takes_an_nkey) {
  const TemporaryDirectory files;
  const fakes::NKey key{files, 'U'}, stranger{files, 'U'};
  fakes::Servers servers{"nats", "authorization { users: [ { nkey: " + key.id() + " } ] }\n"};
  const Access good{.url = servers.nats(), .nkey = key.id(), .nkey_seed = files.write("seed", key.seed() + "\n")};
  const auto opened = connect(good);
  EXPECT_TRUE(opened) << opened.error().message;
  Access other = good;
  other.nkey = stranger.id();
  other.nkey_seed = files.write("stranger", stranger.seed() + "\n");
  EXPECT_THAT(objection(other, Error::Kind::unreachable), AllOf(refuses_login(), Not(HasSubstr(stranger.seed()))));
  Access mixed = good;
  mixed.nkey_seed = other.nkey_seed;
  EXPECT_THAT(objection(mixed, Error::Kind::unreachable), refuses_login());
  Access absent = good;
  absent.nkey_seed = files.file("absent");
  EXPECT_THAT(objection(absent, Error::Kind::invalid), AllOf(HasSubstr("nkey_seed"), HasSubstr(files.file("absent"))));
  Access garbage = good;
  garbage.nkey_seed = files.write("garbage", "SUAnoseedatall\n");
  EXPECT_THAT(objection(garbage, Error::Kind::invalid),
              AllOf(HasSubstr("nkey_seed"), HasSubstr("garbage"), Not(HasSubstr("SUAnoseed"))));
}

TEST(NatsAccess, takes_a_credentials_file) {
  const TemporaryDirectory files, others;
  const fakes::Credentials credentials{files}, foreign{others};
  fakes::Servers servers{"nats", credentials.server_conf};
  const auto opened = connect({.url = servers.nats(), .credentials = credentials.file});
  EXPECT_TRUE(opened) << opened.error().message;
  EXPECT_THAT(objection({.url = servers.nats(), .credentials = foreign.file}, Error::Kind::unreachable),
              AllOf(refuses_login(), Not(HasSubstr(foreign.seed))));
  EXPECT_THAT(objection({.url = servers.nats(), .credentials = files.file("absent")}, Error::Kind::invalid),
              AllOf(HasSubstr("credentials"), HasSubstr(files.file("absent"))));
  EXPECT_THAT(objection({.url = servers.nats(), .credentials = files.write("empty", "")}, Error::Kind::invalid),
              AllOf(HasSubstr("credentials"), HasSubstr(files.file("empty"))));
}

auto names_tls() { return AllOf(HasSubstr("TLS"), HasSubstr("check the settings in tls")); }

TEST(NatsAccess, encrypts_and_checks_the_servers_certificate) {
  const Certificates certificates;
  fakes::Servers servers{"nats", certificates.server("server", false)};
  const Access good{.url = servers.nats(), .ca = certificates.certificate("ca"), .tls = true};
  const auto opened = connect(good);
  EXPECT_TRUE(opened) << opened.error().message;
  Access untrusted = good;
  untrusted.ca = certificates.certificate("stranger");
  EXPECT_THAT(objection(untrusted, Error::Kind::unreachable), names_tls());
  Access system = good;
  system.ca = "";
  EXPECT_THAT(objection(system, Error::Kind::unreachable), names_tls());
  Access absent = good;
  absent.ca = certificates.files().file("absent.pem");
  EXPECT_THAT(objection(absent, Error::Kind::invalid), AllOf(HasSubstr("tls.ca"), HasSubstr("absent.pem")));
  Access no_certificate = good;
  no_certificate.ca = certificates.key("ca");
  EXPECT_THAT(objection(no_certificate, Error::Kind::invalid), AllOf(HasSubstr("tls.ca"), HasSubstr("ca.key")));
}

TEST(NatsAccess, encrypts_without_being_told_if_the_server_wants_it_and_never_without_trust) {
  const Certificates certificates;
  fakes::Servers servers{"nats", certificates.server("server", false)};
  EXPECT_THAT(objection({.url = servers.nats()}, Error::Kind::unreachable), names_tls());
  fakes::Servers plain{"nats"};
  EXPECT_THAT(
      objection({.url = plain.nats(), .ca = certificates.certificate("ca"), .tls = true}, Error::Kind::unreachable),
      HasSubstr("does not offer TLS"));
}

TEST(NatsAccess, refuses_a_certificate_of_another_host) {
  const Certificates certificates;
  fakes::Servers servers{"nats", certificates.server("elsewhere", false)};
  EXPECT_THAT(
      objection({.url = servers.nats(), .ca = certificates.certificate("ca"), .tls = true}, Error::Kind::unreachable),
      names_tls());
}

TEST(NatsAccess, shows_its_own_certificate) {
  const Certificates certificates;
  fakes::Servers servers{"nats",
                         certificates.server("server", true) + "authorization { user: weir, password: secret }\n"};
  const Access good{.url = servers.nats(),
                    .ca = certificates.certificate("ca"),
                    .cert = certificates.certificate("client"),
                    .key = certificates.key("client"),
                    .tls = true,
                    .user = "weir",
                    .password = "secret"};
  const auto opened = connect(good);
  EXPECT_TRUE(opened) << opened.error().message;
  Access bare = good;
  bare.cert = bare.key = "";
  EXPECT_THAT(objection(bare, Error::Kind::unreachable), names_tls());
  Access stranger = good;
  stranger.cert = certificates.certificate("stranger");
  stranger.key = certificates.key("stranger");
  EXPECT_THAT(objection(stranger, Error::Kind::unreachable), names_tls());
  Access mixed = good;
  mixed.key = certificates.key("stranger");
  EXPECT_THAT(objection(mixed, Error::Kind::invalid), AllOf(HasSubstr("tls.cert"), HasSubstr("client.pem")));
  Access wrong = good;
  wrong.password = "gue55ed";
  EXPECT_THAT(objection(wrong, Error::Kind::unreachable), AllOf(refuses_login(), Not(HasSubstr("gue55ed"))));
}

/// What the server says of a subscription; empty: nothing against it.
std::string denial(const Access& access, const std::string& subject) {
  const auto connection = connect(access).value();
  const auto subscription = Subscription::open(*connection, subject, {}, {}).value();
  connection->flush(5 * second).value();
  return connection->denied();
}

/// By the example configuration, one stolen password of a device shows nothing but answers to devices.
TEST(NatsAccess, lets_a_device_publish_and_read_the_answers_and_nothing_else) {
  std::ifstream file{WEIR_SOURCE_DIR "/deploy/nats/accounts.conf"};
  const std::string accounts{std::istreambuf_iterator<char>{file}, {}};
  const std::string passwords = "WEIR_PASSWORD: w0rker\nDEVICE_PASSWORD: dev1ce\nADMIN_PASSWORD: adm1n\n";
  fakes::Servers servers{"nats", passwords + accounts};
  const Access weir{.url = servers.nats(), .user = "weir", .password = "w0rker"};
  const Access device{.url = servers.nats(), .user = "device", .password = "dev1ce"};
  EXPECT_EQ(denial(weir, Connection::inbox()), "");
  for (const char* subject : {"_INBOX.>", "*.>", ">", "p.>", "vehicle.>", "$JS.>", "$KV.>"})
    EXPECT_THAT(denial(device, subject), HasSubstr("ermissions")) << subject;

  const auto worker = connect(weir).value();
  const auto jetstream = JetStream::open(*worker).value();
  StreamConfig stream;
  stream.name = "T";
  stream.subjects = {"p.*.vehicle.>"};
  jetstream->ensure(stream).value();
  const auto sender = connect(device).value();
  const auto answers = Subscription::open(*sender, "_INBOX_device.a", {}, {}).value();
  sender->publish("vehicle.v1.speed", "50", "_INBOX_device.a").value();
  MessageBatch got;
  answers->take(got, 1, 1 << 20, 5 * second, {});
  ASSERT_EQ(got.size(), 1) << sender->last_error();
  EXPECT_THAT(got[0].payload, HasSubstr("\"seq\":1"));
}

TEST(NatsAccess, says_which_server_does_not_answer_and_no_password) {
  EXPECT_THAT(objection({.url = "nats://user:pa55@127.0.0.1:1"}, Error::Kind::unreachable),
              AllOf(HasSubstr("127.0.0.1:1 does not answer"), Not(HasSubstr("pa55"))));
  EXPECT_THAT(
      objection({.url = "nats://user:pa55@127.0.0.1:1, nats://t0ken@127.0.0.1:2"}, Error::Kind::unreachable),
      AllOf(HasSubstr("127.0.0.1:1,"), HasSubstr("127.0.0.1:2"), Not(HasSubstr("pa55")), Not(HasSubstr("t0ken"))));
  EXPECT_THAT(objection({.url = "nats://user:pa55@no-such-host.invalid:4222"}, Error::Kind::unreachable),
              AllOf(HasSubstr("no-such-host.invalid"), Not(HasSubstr("pa55"))));
  for (const char* url :
       {"nats://user:pa55@127.0.0.1:port", "http://user:pa55@127.0.0.1", "nats://user:pa55@127.0.0.1:99999"}) {
    EXPECT_THAT(objection({.url = url}, Error::Kind::invalid), AllOf(HasSubstr("127.0.0.1"), Not(HasSubstr("pa55"))));
  }
  EXPECT_THAT(objection({.url = " , "}, Error::Kind::invalid), HasSubstr("nats://host:4222"));
}

}  // namespace
}  // namespace weir::nats
