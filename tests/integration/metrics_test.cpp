/// /metrics of a worker, against what `weir describe` says of it.
#include <gmock/gmock.h>

#include <set>
#include <sstream>

#include "integration/job_fixture.hpp"
#include "integration/pages.hpp"

namespace weir::integration {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;

class JobMetrics : public Job {
 protected:
  /// The names in the first column of what a topic says, without "_total".
  std::set<std::string> described(const std::string& topic) {
    fakes::WeirProcess describe{{"describe", topic}, directory_.file(topic)};
    EXPECT_EQ(describe.wait(), 0);
    return names_in(describe.log(), "    weir_");
  }
  /// What stands behind this at the beginning of a line.
  static std::set<std::string> names_in(const std::string& text, const std::string& before) {
    std::set<std::string> out;
    std::istringstream lines{text};
    for (std::string line; std::getline(lines, line);) {
      if (!line.starts_with(before)) continue;
      std::string name = line.substr(before.size(), line.find(' ', before.size()) - before.size());
      if (name.ends_with("_total")) name.resize(name.size() - 6);
      out.insert(name);
    }
    return out;
  }
};

TEST_F(JobMetrics, AreThoseThatDescribeLists) {
  run({}, {"--http", "127.0.0.1:0"});
  for (int i = 0; i < 5; ++i) send(i * second, i);
  send(20 * second, 7);
  Pages pages{*job_};
  pages.expect("/metrics", AllOf(HasSubstr("\nweir_commit_seconds_bucket{pipeline=\"job\",le=\"+Inf\"} "),
                                 HasSubstr("\nweir_rows_total{pipeline=\"job\",node=\"db\"} 11\n"),
                                 HasSubstr("\nweir_lag_seconds{")));
  const std::set<std::string> told = names_in(pages.get("/metrics"), "# TYPE weir_");
  const std::set<std::string> listed = described("metrics");
  std::set<std::string> known = listed;
  for (const char* op : {"nats", "window-join", "timescale"}) known.merge(described(op));
  for (const std::string& name : told) EXPECT_THAT(known, Contains(name));
  // There once something was counted by its reason.
  const std::set<std::string> by_reason{"invalid", "rejected", "unconnected_rows", "discarded_state_bytes",
                                        "dead_letters_over_limit"};
  for (const std::string& name : listed) EXPECT_TRUE(told.contains(name) || by_reason.contains(name)) << name;
}

}  // namespace
}  // namespace weir::integration
