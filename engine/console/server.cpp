#include "console/server.hpp"

#include <httplib.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include <weir/clock.hpp>
#include <weir/format.hpp>

#include "console/listener.hpp"
#include "console/tap_stream.hpp"

namespace weir {
namespace {

constexpr Duration longest_answer = 10 * second;  // a page as a whole; of a stream, each part
constexpr std::size_t probe_threads = 2;
constexpr std::size_t page_threads = 8;  // four may be with taps
constexpr std::size_t most_queued = 256;

/// A connection whose request is there. Reading and writing end in time, whatever the client does.
class ClientStream final : public httplib::Stream {
 public:
  ClientStream(const Connection& from, bool lasts)
      : from_{from}, lasts_{lasts}, began_{system_clock().steady()}, until_{began_ + longest_answer} {}

  bool is_readable() const override { return true; }
  bool wait_readable() const override { return ready(POLLIN); }
  bool wait_writable() const override { return ready(POLLOUT); }
  bool is_peer_alive() const override {
    char next;
    const ssize_t there = ::recv(from_.socket, &next, 1, MSG_PEEK | MSG_DONTWAIT);
    return there > 0 || (there < 0 && (errno == EAGAIN || errno == EINTR));
  }
  ssize_t read(char* to, std::size_t size) override {
    return ready(POLLIN) ? ::recv(from_.socket, to, size, MSG_DONTWAIT) : -1;
  }
  ssize_t write(const char* text, std::size_t size) override {
    if (lasts_) until_ = system_clock().steady() + longest_answer;
    return ready(POLLOUT) ? ::send(from_.socket, text, size, MSG_NOSIGNAL | MSG_DONTWAIT) : -1;
  }
  void get_remote_ip_and_port(std::string& host, int& port) const override {
    host = from_.remote_address;
    port = from_.remote_port;
  }
  void get_local_ip_and_port(std::string&, int&) const override {}
  socket_t socket() const override { return from_.socket; }
  time_t duration() const override { return static_cast<time_t>((system_clock().steady() - began_) / millisecond); }

 private:
  bool ready(short what) const {
    const Duration left = until_ - system_clock().steady();
    pollfd wanted{from_.socket, what, 0};
    return left > 0 && ::poll(&wanted, 1, static_cast<int>(left / millisecond)) > 0 && (wanted.revents & what) != 0;
  }

  const Connection& from_;
  bool lasts_;
  Timestamp began_;
  Timestamp until_;
};

/// The library's routes and protocol, over connections that it is given.
class PageServer final : public httplib::Server {
 public:
  PageServer() { svr_sock_ = 0; }  // what ends its streams is that it has none

  void end_streams() { svr_sock_ = INVALID_SOCKET; }

  /// One request, then the connection is closed.
  void serve(const Connection& from) {
    ClientStream stream{from, from.line.contains("/tap/")};
    bool closed = false;
    (void)process_request(stream, from.remote_address, from.remote_port, "", 0, true, closed, nullptr);
    ::shutdown(from.socket, SHUT_RDWR);
    ::close(from.socket);
  }
};

void answer(httplib::Response& response, int status, const std::string& text) {
  response.status = status;
  response.set_content(text + "\n", "text/plain");
}

/// JSON, or why it is not known.
void answer_known(httplib::Response& response, const Result<std::string>& json) {
  response.status = json ? 200 : 503;
  response.set_content((json ? *json : json.error().message) + "\n", json ? "application/json" : "text/plain");
}

Client client_of(const httplib::Request& request) {
  Client client{request.remote_addr, request.get_header_value("Host"), false};
  for (const char* name : {"Forwarded", "X-Forwarded-For", "X-Real-IP", "Via", "Origin"})
    client.passed_on |= request.has_header(name);
  return client;
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
  PageServer server;
  // A client that takes its page slowly holds a thread of these, never one of the probes', whose answers fit what a
  // socket takes at once.
  httplib::ThreadPool probes{probe_threads, probe_threads, most_queued};
  httplib::ThreadPool pages{page_threads, page_threads, most_queued};
  std::unique_ptr<Listener> listener;

  void take(Connection from) {
    const bool probe = from.line.starts_with("GET /ping ") || from.line.starts_with("GET /ready ");
    const int socket = from.socket;
    const bool taken = (probe ? probes : pages).enqueue([this, from = std::move(from)] { server.serve(from); });
    if (!taken) ::close(socket);
  }

  ~Impl() {
    listener.reset();
    server.end_streams();
    probes.shutdown();
    pages.shutdown();
  }

  void route() {
    server.Get("/ping", [](const httplib::Request&, httplib::Response& response) {
      response.set_content("pong\n", "text/plain");
    });
    server.Get("/version", [this](const httplib::Request&, httplib::Response& response) {
      response.set_content(views.version + "\n", "text/plain");
    });
    server.Get("/ready", [this](const httplib::Request&, httplib::Response& response) {
      const Readiness now = views.ready();
      answer(response, now.ready ? 200 : 503, now.text);
    });
    server.Get("/metrics", [this](const httplib::Request&, httplib::Response& response) {
      response.set_content(views.metrics(), "text/plain; version=0.0.4; charset=utf-8");
    });
    server.Get("/lag",
               [this](const httplib::Request&, httplib::Response& response) { answer_known(response, views.lag()); });
    server.Get("/pipelines", [this](const httplib::Request&, httplib::Response& response) {
      response.set_content("[\"" + views.pipeline_name() + "\"]\n", "application/json");
    });
    server.Get(R"(/pipelines/([^/]+))", [this](const httplib::Request& request, httplib::Response& response) {
      if (is_other(request.matches[1], response)) return;
      response.set_content(views.pipeline(), "application/json");
    });
    server.Get(R"(/pipelines/([^/]+)/progress)", [this](const httplib::Request& request, httplib::Response& response) {
      if (!is_other(request.matches[1], response)) answer_known(response, views.progress());
    });
    server.Get(R"(/pipelines/([^/]+)/tap/([^/]+))",
               [this](const httplib::Request& request, httplib::Response& response) {
                 if (const auto may = may_tap(views.tap_from, client_of(request)); !may)
                   return answer(response, 403, may.error().message);
                 if (!is_other(request.matches[1], response)) tap(request, response);
               });
  }

  bool is_other(const std::string& pipeline, httplib::Response& response) const {
    const std::string name = views.pipeline_name();
    if (pipeline == name) return false;
    answer(response, 404, "no such pipeline; this worker runs " + name);
    return true;
  }

  void tap(const httplib::Request& request, httplib::Response& response) const {
    auto only = TapSelection::read(request.params);
    if (!only) return answer(response, 400, only.error().message);
    auto tap = views.tap(request.matches[2]);
    if (!tap) return answer(response, status_of(tap.error()), tap.error().message);
    if (const auto fits = only->fits(*(*tap)->schema()); !fits) return answer(response, 400, fits.error().message);
    std::string first = views.elsewhere(*only);
    stream(std::make_shared<TapStream>(*std::move(tap), *std::move(only), system_clock(), std::move(first)), response);
  }
};

Console::Console(std::unique_ptr<Impl> impl) : impl_{std::move(impl)} {}

Console::~Console() = default;

int Console::port() const { return impl_->listener->port(); }

std::string Console::address() const {
  std::string hosts;
  for (const std::string& host : impl_->listener->hosts()) hosts += (hosts.empty() ? "" : " and ") + host;
  return weir::format("port {} of {}", port(), hosts);
}

bool Console::is_public() const { return impl_->listener->is_public(); }

Result<std::unique_ptr<Console>> Console::serve(const std::string& address, ConsoleViews views) {
  const auto at = read_address(address);
  if (!at) return std::unexpected(at.error());
  auto listener = Listener::bind(*at);
  if (!listener) return std::unexpected(listener.error());
  auto impl = std::make_unique<Impl>();
  impl->views = std::move(views);
  impl->route();
  impl->listener = *std::move(listener);
  impl->listener->start([impl = impl.get()](Connection from) { impl->take(std::move(from)); });
  return std::unique_ptr<Console>{new Console{std::move(impl)}};
}

}  // namespace weir
