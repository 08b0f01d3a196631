/// Services that do not answer, refuse, or lack what a pipeline needs: the message says which and what to do, the exit
/// code says what kind, and no secret is shown anywhere.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>

#include <weir/format.hpp>

#include "fakes/codecs.hpp"
#include "fakes/nats_fixture.hpp"
#include "fakes/servers.hpp"
#include "fakes/sink_fixture.hpp"
#include "fakes/temporary_directory.hpp"
#include "fakes/weir_process.hpp"

namespace weir {
Operator weir_operator_sources_nats();
Operator weir_operator_sources_jetstream_kv();
Operator weir_operator_sinks_nats();
Operator weir_operator_sinks_timescale();
Operator weir_operator_stores_jetstream_kv();
Operator weir_operator_codecs_flatbuffers();

namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

using Values = std::map<std::string, Setting>;

Result<void> open(const Operator& op, const Values& values) {
  const auto codec = fakes::make_codec(weir_operator_codecs_flatbuffers());
  fakes::NatsContext context{0, codec.get()};
  const Settings settings = fakes::settings_of(op, values);
  if (op.make_source) return op.make_source(settings, context)->open(0).transform([](Position) {});
  if (op.make_store) return op.make_store(settings, context)->open();
  const auto sink = op.make_sink(settings, context);
  if (auto settled = sink->bind_schema(samples::schema()); !settled) return settled;
  return sink->open();
}

std::string objection(const Operator& op, const Values& values, Error::Kind kind) {
  const auto opened = open(op, values);
  if (opened) {
    ADD_FAILURE() << "opened";
    return {};
  }
  EXPECT_EQ(opened.error().kind, kind) << opened.error().message;
  return opened.error().message;
}

TEST(Services, that_do_not_answer_are_named) {
  const std::string nats = "nats://weir:pa55@127.0.0.1:1";
  const auto named = AllOf(HasSubstr("NATS at nats://weir:***@127.0.0.1:1 does not answer"), Not(HasSubstr("pa55")));
  const auto unreachable = Error::Kind::unreachable;
  EXPECT_THAT(objection(weir_operator_sources_nats(), {{"url", nats}}, unreachable), named);
  EXPECT_THAT(objection(weir_operator_sources_nats(), {{"url", nats}, {"stream", std::string{"S"}}}, unreachable),
              named);
  EXPECT_THAT(
      objection(
          weir_operator_sources_nats(),
          {{"url", nats}, {"mode", std::string{"shared"}}, {"stream", std::string{"S"}}, {"durable", std::string{"d"}}},
          unreachable),
      named);
  EXPECT_THAT(
      objection(weir_operator_sources_jetstream_kv(), {{"url", nats}, {"bucket", std::string{"b"}}}, unreachable),
      named);
  EXPECT_THAT(objection(weir_operator_sinks_nats(), {{"url", nats}}, unreachable), named);
  EXPECT_THAT(
      objection(weir_operator_stores_jetstream_kv(), {{"url", nats}, {"bucket", std::string{"b"}}}, unreachable),
      named);
  EXPECT_THAT(objection(weir_operator_sinks_timescale(),
                        {{"url", std::string{"postgresql://weir:pa55@127.0.0.1:1/fleet"}}, {"table", std::string{"t"}}},
                        unreachable),
              AllOf(HasSubstr("127.0.0.1:1"), HasSubstr("onnect"), Not(HasSubstr("pa55"))));
}

TEST(Services, that_lack_a_stream_or_bucket_say_so) {
  fakes::Servers servers{"nats"};
  const Values common{{"url", servers.nats()}, {"create", false}};
  const auto with = [&](Values more) {
    more.insert(common.begin(), common.end());
    return more;
  };
  const auto no_stream = AllOf(HasSubstr("there is no stream ABSENT"), HasSubstr("\"create\": true"));
  EXPECT_THAT(objection(weir_operator_sources_nats(), with({{"stream", std::string{"ABSENT"}}}), Error::Kind::changed),
              no_stream);
  EXPECT_THAT(
      objection(
          weir_operator_sources_nats(),
          with({{"mode", std::string{"shared"}}, {"stream", std::string{"ABSENT"}}, {"durable", std::string{"d"}}}),
          Error::Kind::changed),
      no_stream);
  EXPECT_THAT(objection(weir_operator_sinks_nats(), with({{"stream", std::string{"ABSENT"}}}), Error::Kind::changed),
              no_stream);
  EXPECT_THAT(
      objection(weir_operator_sources_jetstream_kv(), with({{"bucket", std::string{"absent"}}}), Error::Kind::changed),
      AllOf(HasSubstr("there is no bucket absent"), HasSubstr("\"create\": true")));
}

TEST(Services, that_were_made_and_payloads_that_lack_something_are_told_once) {
  fakes::Servers servers{"nats"};
  fakes::TemporaryDirectory directory;
  const std::string file = directory.write("p.json", weir::format(R"({{ "name": "p", "nodes": [
    {{ "id": "in", "source": "nats", "url": "{}", "stream": "TELEMETRI",
       "encoding": {{ "codec": "json", "time": "ts", "time_unit": "s" }} }},
    {{ "id": "out", "sink": "drop", "from": "in" }} ] }})",
                                                                  servers.nats()));
  fakes::WeirProcess run{{"run", "-q", file}, directory.file("log")};
  ASSERT_TRUE(run.says(
      "info in/0: stream TELEMETRI was not there; created it, for vehicle.*.*,p.0.clock.TELEMETRI; without max_age or max_bytes it keeps all it gets\n"))
      << run.log();
  fakes::NatsPeer peer{servers.nats()};
  for (int i = 0; i < 3; ++i) peer.publish("vehicle.145.speed", R"({"timestamp": 1800000000, "value": 50})");
  EXPECT_TRUE(
      run.says("warn in/0: a payload of \"vehicle.145.speed\" tells no time: nothing at \"ts\": the payload "
               "has \"timestamp\", \"value\"; "))
      << run.log();
  EXPECT_EQ(run.end(SIGTERM), 0);
  const std::string log = run.log();
  EXPECT_EQ(log.find("tells no time"), log.rfind("tells no time")) << log;
  EXPECT_TRUE(log.contains("in.untimed_samples 3\n")) << log;
}

TEST(Services, that_do_not_let_this_user_at_jetstream_say_so) {
  fakes::Servers servers{"nats",
                         "authorization { users: [ { user: weir, password: pa55, permissions: { publish: { deny: "
                         "\"$JS.API.>\" } } } ] }\n"};
  const Values login{{"url", servers.nats()}, {"user", std::string{"weir"}}, {"password", std::string{"pa55"}}};
  const auto with = [&](Values more) {
    more.insert(login.begin(), login.end());
    return more;
  };
  const auto says = HasSubstr("may this user publish to $JS.API.>");
  EXPECT_THAT(objection(weir_operator_sources_nats(), with({{"stream", std::string{"S"}}}), Error::Kind::unreachable),
              says);
  EXPECT_THAT(
      objection(weir_operator_sources_jetstream_kv(), with({{"bucket", std::string{"b"}}}), Error::Kind::unreachable),
      says);
}

/// A pipeline that logs in to NATS by a password, and to PostgreSQL by one in the URL.
class ServicesWithLogins : public testing::Test {
 protected:
  fakes::Servers servers_{"nats timescale", "authorization { user: weir, password: \"n8s-pa55\" }\n"};
  const std::string& database_ = servers_.url("PG_URL");
  const std::size_t at_ = database_.find('@'), colon_ = database_.rfind(':', at_);
  const std::string text_ = weir::format(R"({{ "name": "core", "limits": {{ "keys": 100 }}, "nodes": [
    {{ "id": "signals", "source": "nats", "url": "{}", "user": "weir", "password": "${{NATS_PASSWORD}}", "encoding": "json" }},
    {{ "id": "db", "sink": "timescale", "from": "signals", "url": "${{DB_URL}}", "table": "samples" }} ] }})",
                                         servers_.nats());
  const fakes::TemporaryDirectory files_;
  const std::string pipeline_ = files_.write("core.json", text_);
};

TEST_F(ServicesWithLogins, that_refuse_them_end_the_run_with_69_and_no_secret) {
  const std::string wrong_database = database_.substr(0, colon_) + ":gue55ed" + database_.substr(at_);
  {
    const auto env = files_.write("env", "NATS_PASSWORD=gue55ed\nDB_URL=" + database_ + "\n");
    fakes::WeirProcess run{{"run", pipeline_, "--fail-fast", "-e", env}, files_.file("nats.log")};
    EXPECT_EQ(run.wait(), 69) << run.log();
    EXPECT_THAT(run.log(), AllOf(HasSubstr("refuses the login"), Not(HasSubstr("gue55ed"))));
  }
  {
    const auto env = files_.write("env", "NATS_PASSWORD=n8s-pa55\nDB_URL=" + wrong_database + "\n");
    fakes::WeirProcess run{{"run", pipeline_, "--fail-fast", "-e", env}, files_.file("db.log")};
    EXPECT_EQ(run.wait(), 69) << run.log();
    EXPECT_THAT(run.log(), AllOf(HasSubstr("password authentication failed"), Not(HasSubstr("gue55ed")),
                                 Not(HasSubstr("n8s-pa55"))));
  }
}

TEST_F(ServicesWithLogins, never_see_a_secret_shown) {
  const std::string db_password = database_.substr(colon_ + 1, at_ - colon_ - 1);
  const auto env =
      files_.write("env", "NATS_PASSWORD=file:" + files_.write("nats", "n8s-pa55\n") + "\nDB_URL=" + database_ + "\n");
  const auto shows_none = AllOf(Not(HasSubstr("n8s-pa55")), Not(HasSubstr(db_password)));
  ASSERT_GT(db_password.size(), 8u);

  fakes::WeirProcess run{{"run", pipeline_, "-e", env, "--http", "127.0.0.1:0", "--log-level", "debug"},
                         files_.file("run.log")};
  ASSERT_TRUE(run.says("partition 0: starts")) << run.log();
  const std::string log = run.log(), before = "http on port ";
  httplib::Client client{"127.0.0.1", std::stoi(log.substr(log.find(before) + before.size()))};
  for (const char* path : {"/pipelines/core", "/pipelines", "/metrics", "/ready", "/version"}) {
    const auto answer = client.Get(path);
    ASSERT_TRUE(answer) << path;
    EXPECT_EQ(answer->status, 200) << path << ": " << answer->body;
    EXPECT_THAT(answer->body, shows_none) << path;
  }
  EXPECT_EQ(run.end(SIGTERM), 0);
  EXPECT_THAT(run.log(), shows_none);

  for (const std::string verb : {"explain", "graph", "lint"}) {
    fakes::WeirProcess shown{{verb, pipeline_, "-e", env}, files_.file(verb)};
    EXPECT_EQ(shown.wait(), 0) << shown.log();
    EXPECT_THAT(shown.log(), shows_none) << verb;
  }
  // Mistakes in and around secrets are shown without them.
  const auto broken = [&](const std::string& from, const std::string& to) {
    std::string out = text_;
    return out.replace(out.find(from), from.size(), to);
  };
  for (const auto& mistake : {broken(R"("user": "weir", )", ""), broken(R"("table")", R"("tabel")"),
                              broken("samples", "a.b.c.d"), broken(R"("${NATS_PASSWORD}")", R"(["n8s-pa55"])"),
                              broken(R"("${DB_URL}")", "\"mysql://weir:" + db_password + "@host/db\"")}) {
    fakes::WeirProcess lint{{"lint", files_.write("broken.json", mistake), "-e", env}, files_.file("lint")};
    EXPECT_EQ(lint.wait(), 1) << lint.log();
    EXPECT_THAT(lint.log(), shows_none);
  }
}

}  // namespace
}  // namespace weir
