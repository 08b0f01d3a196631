#include <gmock/gmock.h>

#include <iostream>

#include "cli/command.hpp"
#include "fakes/registry.hpp"
#include "fakes/temporary_directory.hpp"

namespace weir::cli {
namespace {

using testing::HasSubstr;

struct Quiet final : Source {
  explicit Quiet(const Settings&) {}
  Result<Position> open(Position after) override { return after; }
  Result<Pulled> pull(const Budget&, std::stop_token) override { return Pulled{Pulled::State::end, {}}; }
};

/// `weir post mailbox FILE`, which exists for sources "post" alone.
class SetupCommand : public testing::Test {
 protected:
  SetupCommand() {
    const auto mailbox = [](const Settings& s) -> Result<std::string> {
      if (s.text("to") == "nobody") return fail(Error::Kind::invalid, "nobody has no mailbox", "to");
      return "mailbox " + s.text("to") + "\n";
    };
    registry_.add("sources", "post",
                  make_operator<Quiet>(Spec::source("letters")
                                           .field("to", kind::text(), "who gets them", "all")
                                           .setup("mailbox", "prints the line that the porter needs", mailbox)));
  }

  /// What it says on standard output; errors_ on the other channel, exit_ the code.
  std::string run(const std::string& source) {
    Session session{registry_, "test"};
    CommandLine line{"weir", "", "test", ""};
    add_setups(line.arguments(), session);
    std::string words[] = {"weir", "post", "mailbox",
                           directory_.write("p.json", "{ \"name\": \"p\", \"nodes\": [\n  { \"id\": \"in\", " + source +
                                                          " },\n  { \"id\": \"out\", \"sink\": \"drop\", \"from\": "
                                                          "\"in\" } ] }")};
    char* argv[] = {words[0].data(), words[1].data(), words[2].data(), words[3].data()};
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    EXPECT_EQ(line.obey(4, argv), std::nullopt);
    std::cout.flush();
    exit_ = session.exit;
    errors_ = testing::internal::GetCapturedStderr();
    return testing::internal::GetCapturedStdout();
  }

  Registry registry_ = fakes::registry();
  fakes::TemporaryDirectory directory_;
  std::string errors_;
  int exit_ = 0;
};

TEST_F(SetupCommand, PrintsWhatAnOperatorNeeds) {
  EXPECT_EQ(run(R"("source": "post", "to": "ann")"), "mailbox ann\n");
  EXPECT_EQ(errors_, "");
  EXPECT_EQ(exit_, fine);
}

TEST_F(SetupCommand, SaysWhyThereIsNone) {
  EXPECT_EQ(run(R"("source": "post", "to": "nobody")"), "");
  EXPECT_THAT(errors_, HasSubstr("p.json:2:3: error: nobody has no mailbox\n"));
  EXPECT_EQ(exit_, findings);
}

TEST_F(SetupCommand, SaysThatNoNodeNeedsIt) {
  EXPECT_EQ(run(R"("source": "simulate")"), "");
  EXPECT_THAT(errors_, HasSubstr("weir post mailbox: no node of "));
  EXPECT_EQ(exit_, usage);
}

TEST_F(SetupCommand, SaysWhatIsWrongWithThePipeline) {
  EXPECT_EQ(run(R"("source": "pots")"), "");
  EXPECT_THAT(errors_, HasSubstr("did you mean \"post\""));
  EXPECT_EQ(exit_, bad_pipeline);
}

}  // namespace
}  // namespace weir::cli
