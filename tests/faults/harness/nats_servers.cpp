#include "faults/harness/nats_servers.hpp"

#include <nats/nats.h>

#include <stdexcept>

#include <weir/clock.hpp>
#include <weir/format.hpp>

#include "fakes/nats_fixture.hpp"
#include "faults/harness/stage.hpp"

namespace weir::faults {
namespace {

constexpr Duration patience = minute;

std::string name_of(std::size_t which) { return weir::format("server-{}", which); }

/// Clients are told of no other server, as they would go there past their proxies.
std::string configuration(std::size_t which, const std::vector<std::uint16_t>& routes) {
  std::string others;
  for (const std::uint16_t route : routes)
    others += weir::format("{}\"nats://127.0.0.1:{}\"", others.empty() ? "" : ", ", route);
  return weir::format(
      "server_name: {}\ncluster {{ name: weir, listen: \"127.0.0.1:{}\", no_advertise: true, routes: [{}] }}\n",
      name_of(which), routes[which], others);
}

}  // namespace

NatsServers::NatsServers(std::size_t count) {
  if (count == 1) {
    servers_.push_back(std::make_unique<fakes::Servers>("nats"));
    url_ = servers_.front()->nats();
    return;
  }
  std::vector<std::uint16_t> routes;
  while (routes.size() < count) routes.push_back(fakes::free_port());
  for (std::size_t i = 0; i < count; ++i)
    servers_.push_back(std::make_unique<fakes::Servers>("nats", configuration(i, routes)));
  way_ = std::make_unique<Proxy>(ports());
  url_ = weir::format("nats://127.0.0.1:{}", way_->port());
  wait_until_ready();
}

std::vector<std::uint16_t> NatsServers::ports() const {
  std::vector<std::uint16_t> out;
  for (const auto& server : servers_) out.push_back(fakes::port_of(server->nats()));
  return out;
}

void NatsServers::kill() {
  for (const auto& server : servers_) server->kill("nats");
}
void NatsServers::start() {
  for (const auto& server : servers_) server->start("nats");
}
void NatsServers::kill(std::size_t which) { servers_[which]->kill("nats"); }
void NatsServers::start(std::size_t which) { servers_[which]->start("nats"); }

std::optional<std::size_t> NatsServers::leader(const std::string& stream) const {
  std::optional<std::size_t> out;
  try {
    const fakes::NatsPeer peer{url_};
    jsStreamInfo* info = nullptr;
    if (js_GetStreamInfo(&info, peer.jetstream->handle(), stream.c_str(), nullptr, nullptr) != NATS_OK) return out;
    for (std::size_t i = 0; i < count(); ++i) {
      if (info->Cluster != nullptr && info->Cluster->Leader != nullptr && name_of(i) == info->Cluster->Leader) out = i;
    }
    jsStreamInfo_Destroy(info);
  } catch (const std::exception&) {  // none answers
  }
  return out;
}

void NatsServers::wait_until_ready() const {
  const Timestamp until = system_clock().steady() + patience;
  for (;;) {
    try {
      const fakes::NatsPeer peer{url_};
      jsAccountInfo* info = nullptr;
      const natsStatus status = js_GetAccountInfo(&info, peer.jetstream->handle(), nullptr, nullptr);
      jsAccountInfo_Destroy(info);
      if (status == NATS_OK) return;
    } catch (const std::exception&) {  // not yet
    }
    if (system_clock().steady() > until) throw std::runtime_error{"the cluster of nats-servers does not answer"};
    pause(50 * millisecond);
  }
}

}  // namespace weir::faults
