/// What a running worker serves on --http.
#pragma once

#include <gmock/gmock.h>
#include <httplib.h>

#include <memory>
#include <stdexcept>
#include <string>

#include <weir/format.hpp>

#include "fakes/weir_process.hpp"

namespace weir::integration {

/// GET of a page: "status body". Waits for the port to be known.
class Pages {
 public:
  explicit Pages(fakes::WeirProcess& weir) {
    constexpr std::string_view before = "http on port ";
    if (!weir.says(std::string{before})) throw std::runtime_error{"no port: " + weir.log()};
    const std::string log = weir.log();
    client_ = std::make_unique<httplib::Client>("127.0.0.1", std::stoi(log.substr(log.find(before) + before.size())));
  }
  std::string get(const std::string& page) {
    const auto answer = client_->Get(page);
    return answer ? weir::format("{} {}", answer->status, answer->body) : "nothing";
  }
  /// Waits until a page says this.
  void expect(const std::string& page, const testing::Matcher<std::string>& wanted) {
    std::string answer = get(page);
    for (int i = 0; i < 500 && !testing::Matches(wanted)(answer); ++i) {
      system_clock().wait(20 * millisecond, {});
      answer = get(page);
    }
    EXPECT_THAT(answer, wanted);
  }

 private:
  std::unique_ptr<httplib::Client> client_;
};

}  // namespace weir::integration
