#include "console/client.hpp"

#include <httplib.h>

#include <chrono>

#include <weir/format.hpp>

#include "console/address.hpp"

namespace weir {
namespace {

constexpr std::chrono::seconds connecting{2};
constexpr std::chrono::seconds answering{3};
constexpr std::chrono::seconds longest_pause{15};  // a worker that has nothing to say says so more often

}  // namespace

struct ConsoleClient::Impl {
  Impl(std::string where, const std::string& host, int port) : address{std::move(where)}, http{host, port} {
    http.set_connection_timeout(connecting);
    http.set_read_timeout(answering);
    http.set_keep_alive(true);
  }

  std::unexpected<Error> lost(httplib::Error error) const {
    if (error == httplib::Error::Connection || error == httplib::Error::ConnectionTimeout)
      return fail(Error::Kind::unreachable,
                  weir::format("no worker answers on {}; one does with weir run --http {}", address, address));
    return fail(Error::Kind::unreachable,
                weir::format("{} does not answer any more: {}", address, httplib::to_string(error)));
  }

  std::string address;
  httplib::Client http;
};

ConsoleClient::ConsoleClient(std::unique_ptr<Impl> impl) : impl_{std::move(impl)} {}
ConsoleClient::ConsoleClient(ConsoleClient&&) noexcept = default;
ConsoleClient::~ConsoleClient() = default;

Result<ConsoleClient> ConsoleClient::at(const std::string& address) {
  return read_address(address).transform([&](const Address& at) {
    return ConsoleClient{std::make_unique<Impl>(address, at.host.empty() ? "localhost" : at.host, at.port)};
  });
}

Result<Page> ConsoleClient::get(const std::string& path) {
  auto answer = impl_->http.Get(path);
  if (!answer) return impl_->lost(answer.error());
  return Page{answer->status, std::move(answer->body)};
}

Result<Page> ConsoleClient::follow(const std::string& path, const std::multimap<std::string, std::string>& query,
                                   const std::function<bool(std::string_view)>& take) {
  Page page;
  bool left = false;
  impl_->http.set_read_timeout(longest_pause);
  const auto answer = impl_->http.Get(
      path, query, httplib::Headers{},
      [&page](const httplib::Response& response) {
        page.status = response.status;
        return true;
      },
      [&](const char* data, std::size_t size) {
        if (page.status != 200)
          page.body.append(data, size);
        else
          left = !take({data, size});
        return !left;
      });
  impl_->http.set_read_timeout(answering);
  if (!answer && !left) return impl_->lost(answer.error());
  return page;
}

}  // namespace weir
