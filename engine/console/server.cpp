#include "console/server.hpp"

#include <httplib.h>
#include <sys/socket.h>

#include <chrono>
#include <thread>

#include "console/address.hpp"
#include "console/tap_stream.hpp"

namespace weir {
namespace {

constexpr std::chrono::seconds longest_silence{2};
constexpr int most_waiting = 128;  // connections that are not accepted yet

void answer(httplib::Response& response, int status, const std::string& text) {
  response.status = status;
  response.set_content(text + "\n", "text/plain");
}

Asker asker_of(const httplib::Request& request) {
  Asker asker{request.remote_addr, request.get_header_value("Host"), false};
  for (const char* name : {"Forwarded", "X-Forwarded-For", "X-Real-IP", "Via", "Origin"})
    asker.passed_on |= request.has_header(name);
  return asker;
}

int status_of(const Error& error) { return error.kind == Error::Kind::invalid ? 404 : 503; }

/// Until the pipeline ends, the client leaves or has all that it wanted.
void stream(std::shared_ptr<TapStream> tap, httplib::Response& response) {
  response.set_chunked_content_provider("application/x-ndjson",
                                        [tap = std::move(tap)](std::size_t, httplib::DataSink& sink) {
                                          const std::string text = tap->next();
                                          if (!text.empty() && !sink.write(text.data(), text.size())) return false;
                                          if (tap->over()) sink.done();
                                          return sink.is_writable();
                                        });
}

}  // namespace

struct Console::Impl {
  ConsoleViews views;
  httplib::Server server;
  std::thread thread;
  int port = 0;

  void route() {
    // Each connection has a thread while it says nothing; a few such must not keep a probe from its answer. Of those
    // that come at the same moment the library starts threads for some only, so there are as many from the start.
    server.new_task_queue = [] { return new httplib::ThreadPool(32, 64); };
    server.set_read_timeout(longest_silence);
    server.set_keep_alive_timeout(longest_silence.count());
    server.Get("/ping", [](const httplib::Request&, httplib::Response& response) {
      response.set_content("pong\n", "text/plain");
    });
    server.Get("/version", [this](const httplib::Request&, httplib::Response& response) {
      response.set_content(views.version + "\n", "text/plain");
    });
    server.Get("/ready", [this](const httplib::Request&, httplib::Response& response) {
      std::string text;
      for (const std::string& trouble : views.troubles()) text += trouble + "\n";
      response.status = text.empty() ? 200 : 503;
      response.set_content(text.empty() ? "ready\n" : text, "text/plain");
    });
    server.Get("/metrics", [this](const httplib::Request&, httplib::Response& response) {
      response.set_content(views.metrics(), "text/plain; version=0.0.4; charset=utf-8");
    });
    server.Get("/lag", [this](const httplib::Request&, httplib::Response& response) {
      const auto lag = views.lag();
      response.status = lag ? 200 : 503;
      response.set_content((lag ? *lag : lag.error().message) + "\n", lag ? "application/json" : "text/plain");
    });
    server.Get("/pipelines", [this](const httplib::Request&, httplib::Response& response) {
      response.set_content("[\"" + views.pipeline_name + "\"]\n", "application/json");
    });
    server.Get(R"(/pipelines/([^/]+))", [this](const httplib::Request& request, httplib::Response& response) {
      if (is_other(request.matches[1], response)) return;
      response.set_content(views.pipeline(), "application/json");
    });
    server.Get(R"(/pipelines/([^/]+)/tap/([^/]+))",
               [this](const httplib::Request& request, httplib::Response& response) {
                 if (const auto may = may_tap(views.tap_from, asker_of(request)); !may)
                   return answer(response, 403, may.error().message);
                 if (!is_other(request.matches[1], response)) tap(request, response);
               });
  }

  bool is_other(const std::string& pipeline, httplib::Response& response) const {
    if (pipeline == views.pipeline_name) return false;
    answer(response, 404, "no such pipeline; this worker runs " + views.pipeline_name);
    return true;
  }

  void tap(const httplib::Request& request, httplib::Response& response) const {
    auto wish = TapWish::read(request.params);
    if (!wish) return answer(response, 400, wish.error().message);
    auto tap = views.tap(request.matches[2]);
    if (!tap) return answer(response, status_of(tap.error()), tap.error().message);
    if (const auto fits = wish->fits(*(*tap)->schema()); !fits) return answer(response, 400, fits.error().message);
    std::string first = views.elsewhere(*wish);
    stream(std::make_shared<TapStream>(*std::move(tap), *std::move(wish), system_clock(), std::move(first)), response);
  }
};

Console::Console(std::unique_ptr<Impl> impl) : impl_{std::move(impl)} {}

Console::~Console() {
  impl_->server.stop();
  if (impl_->thread.joinable()) impl_->thread.join();
}

int Console::port() const { return impl_->port; }

Result<std::unique_ptr<Console>> Console::serve(const std::string& address, ConsoleViews views) {
  auto at = read_address(address);
  if (!at) return std::unexpected(at.error());
  auto& [host, port] = *at;
  if (host.empty()) host = "0.0.0.0";
  auto impl = std::make_unique<Impl>();
  impl->views = std::move(views);
  impl->route();
  // The library's own would let another process listen on the same port.
  int listening = -1;
  impl->server.set_socket_options([&listening](auto socket) {
    listening = socket;
    const int yes = 1;
    ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  });
  impl->port = port == 0 ? impl->server.bind_to_any_port(host) : impl->server.bind_to_port(host, port) ? port : -1;
  if (impl->port < 0)
    return fail(Error::Kind::unreachable,
                "can't listen on " + address + ": no address of this machine, or another process uses the port");
  // The library lets five wait: a sixth that connects at the same moment is only let in a second later, when its
  // system asks again.
  ::listen(listening, most_waiting);
  impl->server.set_socket_options(nullptr);
  impl->thread = std::thread{[server = &impl->server] { server->listen_after_bind(); }};
  // Until the thread listens, stop() would do nothing, and the thread go on for ever. Returns too if listening fails.
  impl->server.wait_until_ready();
  return std::unique_ptr<Console>{new Console{std::move(impl)}};
}

}  // namespace weir
