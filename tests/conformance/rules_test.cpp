/// The rules for operators, each broken on purpose.
#include <fcntl.h>
#include <gmock/gmock.h>

#include <stdexcept>

#include <weir/format.hpp>

#include "cli/conformance.hpp"
#include "fakes/registry.hpp"

namespace weir::cli {
namespace {

using testing::AllOf;
using testing::HasSubstr;

/// Passes everything on.
class Plain : public Transform {
 public:
  explicit Plain(const Settings&) {}
  Result<Schemas> bind_schema(const Schemas& inputs) override { return inputs; }
  Result<void> process(Port, const BatchPtr& in, Output& out) override {
    out.emit(in);
    return {};
  }
};

constexpr const char* example = R"({ "id": "it", "transform": "bad", "from": "signals" })";
Spec plain() { return Spec::transform("passes rows on").example(example); }

/// The broken rules, "rule: how" each.
std::string broken_by(Role role, Operator op) {
  Registry registry = fakes::registry();
  registry.add(folder_of(role), "bad", std::move(op));
  std::string out;
  for (const auto& [rule, broken] : conformance_of(registry, {role, "bad"})) {
    for (const std::string& how : broken) out += weir::format("{}: {}\n", rule, how);
  }
  return out;
}
template <typename T>
std::string broken_by(Spec spec) {
  return broken_by(Role::transform, make_operator<T>(std::move(spec)));
}

TEST(Rules, AreKeptByAnHonestOperator) { EXPECT_EQ(broken_by<Plain>(plain()), ""); }

TEST(Rules, WantDocumentation) {
  EXPECT_EQ(broken_by<Plain>(Spec::transform("").example(example)), "is documented: the operator is not documented\n");
  EXPECT_EQ(broken_by<Plain>(plain().counter("lost", "Ends.")), "is documented: counter lost: no full stop: Ends.\n");
  const auto object = kind::object({{.name = "inner", .kind = kind::text(), .doc = "", .required = false}});
  EXPECT_EQ(broken_by<Plain>(plain().optional("outer", object, "has a part")),
            "is documented: setting outer.inner is not documented\n");
}

TEST(Rules, WantOneMaker) {
  EXPECT_THAT(broken_by(Role::transform, Operator{plain()}),
              HasSubstr("has one maker, of its role: its class makes nothing"));
  Operator two = make_operator<Plain>(plain());
  two.make_store = [](const Settings&, Context&) { return nullptr; };
  EXPECT_THAT(broken_by(Role::transform, std::move(two)), HasSubstr("something else or more"));
}

TEST(Rules, WantDefaultsThatCanBeRead) {
  EXPECT_THAT(broken_by<Plain>(plain().field("every", kind::duration(), "how often", "often")),
              HasSubstr("has defaults that can be read: every: "));
}

TEST(Rules, WantExamplesThatLintClean) {
  EXPECT_EQ(broken_by<Plain>(Spec::transform("passes rows on")),
            "has examples that lint clean and are made without connecting: there is no example\n");
  EXPECT_THAT(broken_by<Plain>(plain().field("by", kind::number(), "a number")), HasSubstr("\"by\""));
  EXPECT_THAT(
      broken_by<Plain>(Spec::transform("passes rows on")
                           .example(R"({ "id": "it", "transform": "filter", "from": "signals", "where": "x > 1" })")),
      HasSubstr("is another operator's"));
}

class Reaching final : public Plain {
 public:
  explicit Reaching(const Settings& settings) : Plain{settings} { (void)::open("/dev/null", O_RDONLY | O_CLOEXEC); }
};
class Throwing final : public Plain {
 public:
  explicit Throwing(const Settings& settings) : Plain{settings} { throw std::runtime_error{"no way"}; }
};
class Counting final : public Plain {
 public:
  Counting(const Settings& settings, Context& context) : Plain{settings} { (void)context.counter("lost"); }
};
class CountingByReason final : public Plain {
 public:
  CountingByReason(const Settings& settings, Context& context) : Plain{settings} {
    (void)context.reason_counter("lost", "cut");
  }
};

TEST(Rules, WantToMakeItAndLeaveNothingBehind) {
  EXPECT_THAT(broken_by<Reaching>(plain()), HasSubstr("left something open"));
#ifdef NDEBUG  // else the engine itself asserts, where a case is run
  EXPECT_THAT(broken_by<Counting>(plain()), HasSubstr("counts \"lost\", which its Spec does not declare"));
#endif
  EXPECT_EQ(broken_by<Counting>(plain().counter("lost", "rows")), "");
  EXPECT_EQ(broken_by<CountingByReason>(plain().counter("lost", "rows", {"cut", "torn"})), "");
  EXPECT_THAT(broken_by<CountingByReason>(plain().counter("lost", "rows")), HasSubstr("counts \"lost by cut\""));
}

class Unbound final : public Plain {
 public:
  using Plain::Plain;
  Result<Schemas> bind_schema(const Schemas&) override { throw std::runtime_error{"no schema"}; }
};

TEST(Rules, AreBrokenByWhatLintSaysOfTheNode) {
  const std::string place = "example:1:118: error: \"it\": ";
  EXPECT_THAT(broken_by<Throwing>(plain()), HasSubstr(place + "it threw: no way"));
  EXPECT_THAT(broken_by<Unbound>(plain()), HasSubstr(place + "it threw: no schema"));
  EXPECT_THAT(broken_by<Plain>(plain().check([](const Settings&) -> std::vector<Error> { throw 1; })),
              HasSubstr(place + "its check threw: an exception of an unknown type"));
}

/// Of a role that lint makes, or knows by its Spec alone; it asks for what its Spec does not declare.
class AskingCodec final : public Codec {
 public:
  explicit AskingCodec(const Settings& settings) { (void)settings.number("bye"); }
  std::expected<void, Reason> decode(const Message&, SampleSink&) const override { return {}; }
  std::expected<std::string, std::string> encode(std::span<const Sample>, bool, bool) const override { return ""; }
};
class AskingSource final : public Source {
 public:
  explicit AskingSource(const Settings& settings) { (void)settings.number("bye"); }
  Result<Position> open(Position after) override { return after; }
  Result<Pulled> pull(const Budget&, std::stop_token) override { return Pulled{}; }
};

TEST(Rules, AreBrokenByAskingForASettingThatIsNotDeclared) {
  const std::string asks = R"( asks for its setting "bye" as a number, but there is none)";
  EXPECT_THAT(broken_by(Role::codec, make_operator<AskingCodec>(Spec::codec("asks").example(R"({ "codec": "bad" })"))),
              HasSubstr("example: error: an operator threw: encoding \"bad\"" + asks));
  EXPECT_THAT(broken_by(Role::source, make_operator<AskingSource>(
                                          Spec::source("asks").example(R"({ "id": "it", "source": "bad" })"))),
              HasSubstr("threw: source \"bad\"" + asks));
  const auto claims = [](const Settings& settings) { return Claims{.replayable = settings.boolean("bye")}; };
  EXPECT_THAT(broken_by(Role::source, make_operator<AskingSource>(Spec::source("asks").claims(claims).example(
                                          R"({ "id": "it", "source": "bad" })"))),
              HasSubstr("an operator threw: source \"bad\" asks for its setting \"bye\" as true or false"));
}

/// Of each batch, only the first row.
class ByBatch final : public Plain {
 public:
  using Plain::Plain;
  Result<void> process(Port, const BatchPtr& in, Output& out) override {
    std::vector<std::uint8_t> keep(in->rows, 0);
    if (!keep.empty()) keep[0] = 1;
    out.emit(select(in, keep));
    return {};
  }
};
/// Every second row; forgets which.
class Forgetful : public Plain {
 public:
  using Plain::Plain;
  Result<void> process(Port, const BatchPtr& in, Output& out) override {
    std::vector<std::uint8_t> keep(in->rows);
    for (auto& flag : keep) flag = (rows_++ % 2 == 0) ? 1 : 0;
    out.emit(select(in, keep));
    return {};
  }

 protected:
  std::uint64_t rows_ = 0;
};
class Mindful final : public Forgetful {
 public:
  using Forgetful::Forgetful;
  void save(StateWriter& state) const override { state.put(rows_); }
  Result<void> load(StateReader& state) override {
    rows_ = state.get<std::uint64_t>();
    return {};
  }
};
/// Sends every row to the dead letters, which is its right.
class Choosy final : public Plain {
 public:
  using Plain::Plain;
  Result<void> process(Port, const BatchPtr& in, Output& out) override {
    for (std::size_t row = 0; row < in->rows; ++row) out.refuse(*in, row, "not good enough");
    return {};
  }
};

/// Only of the field that it is told to.
class Picky final : public Plain {
 public:
  explicit Picky(const Settings& settings) : Plain{settings}, field_{settings.text("field")} {}
  Result<void> process(Port, const BatchPtr& in, Output& out) override {
    const auto& fields = in->columns[samples::field].ids();
    std::vector<std::uint8_t> keep(in->rows);
    for (std::size_t row = 0; row < in->rows; ++row) keep[row] = fields[row] == field_ ? 1 : 0;
    out.emit(select(in, keep));
    return {};
  }

 private:
  std::string field_;
};

TEST(Rules, WantAnExampleThatLetsARowThrough) {
  const auto broken = [](std::vector<std::string> fields) {
    Spec spec = Spec::transform("picks").field("field", kind::text(), "what it lets through");
    for (const auto& field : fields)
      spec.example(R"({ "id": "it", "transform": "bad", "from": "signals", "field": ")" + field + "\" }");
    return broken_by<Picky>(std::move(spec));
  };
  EXPECT_THAT(broken({"pressure"}),
              AllOf(HasSubstr("gives the same however its input is cut"), HasSubstr("no example lets a row through")));
  EXPECT_EQ(broken({"pressure", "speed"}), "");
}

TEST(Rules, WantTheSameHoweverItIsCut) {
  EXPECT_THAT(broken_by<ByBatch>(plain()),
              AllOf(HasSubstr("gives the same however its input is cut"), HasSubstr("in batches of 1")));
  EXPECT_THAT(broken_by<Forgetful>(plain()), HasSubstr("from saved state after each sample"));
  EXPECT_EQ(broken_by<Mindful>(plain()), "");
  EXPECT_EQ(broken_by<Choosy>(plain()), "");
}

/// Takes every payload; `how` it misbehaves.
class Careless final : public Codec {
 public:
  explicit Careless(const Settings& settings) : how_{settings.text("how")} {}
  std::expected<void, Reason> decode(const Message& message, SampleSink& out) const override {
    static std::uint64_t calls = 0;
    if (how_ == "silent") return std::unexpected(Reason{});
    if (how_ == "throws") throw std::out_of_range{"substr"};
    if (how_ == "mute" || how_ == "explains" || how_ == "opaque" || (how_ == "empty" && message.payload.empty()))
      return {};
    if (how_ == "refuses") out.refuse({});
    if (how_ == "refuses") return {};
    Sample sample{.key = message.key, .field = message.field};
    if (how_ == "nameless") sample.field = {};
    if (how_ == "moody") sample.x = static_cast<double>(++calls);
    out.add(sample);
    return {};
  }
  std::expected<std::string, std::string> encode(std::span<const Sample>, bool, bool) const override {
    if (how_ == "opaque") return std::unexpected("it holds no samples");
    return std::string{};
  }
  std::string explain(const Message&, Lack) const override { return how_ == "explains" ? "it looked at \"t\"" : ""; }

 private:
  std::string how_;
};

TEST(Rules, WantCodecsThatRefuseWithAReason) {
  const auto broken = [](const std::string& how) {
    return broken_by(Role::codec,
                     make_operator<Careless>(Spec::codec("takes everything")
                                                 .field("how", kind::text(), "what it does")
                                                 .example(R"({ "codec": "bad", "how": ")" + how + "\" }")));
  };
  EXPECT_EQ(broken("well"), "");
  EXPECT_EQ(broken("empty"), "") << "nothing may hold nothing";
  EXPECT_EQ(broken("opaque"), "") << "there is no sample that it could hold";
  EXPECT_EQ(broken("explains"), "");
  EXPECT_THAT(broken("mute"), HasSubstr("takes it, but gives no sample, and no reason"));
  EXPECT_THAT(broken("refuses"), HasSubstr("refuses it without a code"));
  EXPECT_THAT(broken("silent"), HasSubstr("refuses it without a code"));
  EXPECT_THAT(broken("throws"), HasSubstr("threw: substr"));
  EXPECT_THAT(broken("nameless"), HasSubstr("gives a sample without a field"));
  EXPECT_THAT(broken("moody"), HasSubstr("says something else each time"));
}

}  // namespace
}  // namespace weir::cli
