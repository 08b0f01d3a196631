/// source/nats on a stream, or subjects, that no other test uses.
#pragma once

#include <map>
#include <string>
#include <utility>

#include <weir/operator.hpp>

#include "fakes/nats_fixture.hpp"
#include "integration/nats_suite.hpp"

namespace weir {
Operator weir_operator_sources_nats();
}

namespace weir::integration {

class NatsSourceSuite : public NatsSuite {
 protected:
  fakes::NatsSource make(std::map<std::string, Setting> settings = {}, Partition partition = 0) const {
    settings.try_emplace("url", url());
    settings.try_emplace("stream", stream_);
    settings.try_emplace("subject", stream_ + ".{key}.{field}");
    return fakes::NatsSource{weir_operator_sources_nats(), settings, partition};
  }
  /// "<stream>.v<i % 10>.speed", payload i.
  void publish(fakes::NatsPeer& peer, std::size_t count, std::size_t first = 0) const {
    for (std::size_t i = first; i < first + count; ++i) {
      peer.publish(stream_ + ".v" + std::to_string(i % 10) + ".speed", std::to_string(i));
    }
    peer.connection->flush(10 * second).value();
  }

  const std::string stream_ = name();
};

}  // namespace weir::integration
