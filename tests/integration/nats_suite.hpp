/// Tests that need a NATS server but not one of their own.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "fakes/servers.hpp"

namespace weir::integration {

/// The tests of a suite share a server. What a test makes there is named after the test.
class NatsSuite : public testing::Test {
 protected:
  static void SetUpTestSuite() { servers_ = std::make_unique<fakes::Servers>("nats"); }
  static void TearDownTestSuite() { servers_.reset(); }
  static const std::string& url() { return servers_->nats(); }
  static std::string name() { return testing::UnitTest::GetInstance()->current_test_info()->name(); }

 private:
  static inline std::unique_ptr<fakes::Servers> servers_;
};

}  // namespace weir::integration
