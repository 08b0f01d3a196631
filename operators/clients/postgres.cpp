#include "clients/postgres.hpp"

#include <libpq-fe.h>
#include <poll.h>

#include <algorithm>
#include <array>

#include <weir/format.hpp>

#include "clients/table.hpp"

namespace weir::postgres {
namespace {

constexpr std::size_t send_size = 128 * 1024;
constexpr Duration stop_check = 20 * millisecond;

struct Clear {
  void operator()(PGresult* result) const { PQclear(result); }
};
using Answer = std::unique_ptr<PGresult, Clear>;

/// Line breaks, tabs and whatever else does not belong into a line of a log become blanks, one for several.
std::string one_line(std::string_view text) {
  std::string line;
  for (const char c : text) {
    const auto code = static_cast<unsigned char>(c);
    const bool blank = code <= ' ' || code == 0x7F;
    if (!blank) line += c;
    if (blank && !line.empty() && line.back() != ' ') line += ' ';
  }
  if (line.ends_with(' ')) line.pop_back();
  return line;
}

/// An error without a state is libpq's own, not the server's: it says nothing of the data.
Error::Kind kind_of(std::string_view state) {
  if (state.empty()) return Error::Kind::unreachable;
  static constexpr std::array passing{"08", "28", "40", "53", "55", "57", "58"};
  const bool passes = std::ranges::any_of(passing, [&](std::string_view c) { return state.starts_with(c); });
  const bool standby_or_limit = state == "25006" || state == "25P03" || state == "25P04";
  return passes || standby_or_limit ? Error::Kind::unreachable : Error::Kind::refused;
}

Rows rows_of(const PGresult* result) {
  Rows rows(static_cast<std::size_t>(PQntuples(result)));
  const int columns = PQnfields(result);
  for (int r = 0; r < PQntuples(result); ++r) {
    Row& row = rows[static_cast<std::size_t>(r)];
    for (int c = 0; c < columns; ++c) {
      if (PQgetisnull(result, r, c) != 0)
        row.emplace_back();
      else
        row.emplace_back(std::string{PQgetvalue(result, r, c), static_cast<std::size_t>(PQgetlength(result, r, c))});
    }
  }
  return rows;
}

Error error_of(const PGresult* result, std::string& state) {
  auto field = [&](int code) {
    const char* text = PQresultErrorField(result, code);
    return text == nullptr ? std::string{} : one_line(text);
  };
  state = field(PG_DIAG_SQLSTATE);
  std::string message = field(PG_DIAG_MESSAGE_PRIMARY);
  if (message.empty()) message = one_line(PQresultErrorMessage(result));
  if (const std::string detail = field(PG_DIAG_MESSAGE_DETAIL); !detail.empty()) message += ": " + detail;
  if (const std::string hint = field(PG_DIAG_MESSAGE_HINT); !hint.empty()) message += "; " + hint;
  if (!state.empty()) message += weir::format(" (SQLSTATE {})", state);
  return {kind_of(state), std::move(message)};
}

}  // namespace

void Connection::Close::operator()(pg_conn* connection) const { PQfinish(connection); }

Result<Connection> Connection::open(const Options& options) {
  const std::string limit = std::to_string(std::max<Duration>(options.limit / millisecond, 1));
  // What stands before dbname is a default that the URL may replace; what stands after it is ours to say.
  const std::array<const char*, 9> keys{"connect_timeout",  "keepalives_idle", "keepalives_interval",
                                        "keepalives_count", "dbname",          "application_name",
                                        "tcp_user_timeout", "client_encoding", nullptr};
  const std::array<const char*, 9> values{
      "5", "5", "2", "3", options.url.c_str(), options.application.c_str(), limit.c_str(), "UTF8", nullptr};
  Connection connection{PQconnectdbParams(keys.data(), values.data(), 1), options};
  pg_conn* raw = connection.connection_.get();
  if (raw == nullptr || PQstatus(raw) != CONNECTION_OK) {
    const std::string why = raw == nullptr ? "no memory" : one_line(PQerrorMessage(raw));
    if (why.contains("FATAL:")) {  // its own word
      return fail(Error::Kind::unreachable,
                  weir::format("PostgreSQL at {} refuses the connection: {}", place(options.url), why));
    }
    return fail(
        Error::Kind::unreachable,
        weir::format("can't reach PostgreSQL at {}: {}; check url and that the server runs", place(options.url), why));
  }
  PQsetnonblocking(raw, 1);
  PQsetNoticeProcessor(raw, [](void*, const char*) {}, nullptr);
  if (auto limited = connection.limit_session(); !limited) return std::unexpected(limited.error());
  return connection;
}

Result<void> Connection::limit_session() {
  const auto set = [this](std::string_view name) {
    return weir::format(", set_config('{}', '{}ms', false)", name, std::max<Duration>(limit_ / millisecond, 1));
  };
  std::string sql =
      "SELECT set_config('standard_conforming_strings', 'on', false), set_config('bytea_output', 'hex', false)";
  sql += ", set_config('timezone', 'UTC', false)";
  sql += set("idle_in_transaction_session_timeout") + set("statement_timeout");
  if (PQserverVersion(connection_.get()) >= 170000) sql += set("transaction_timeout");
  return run(sql).transform([](const Rows&) {});
}

bool Connection::alive() const { return PQstatus(connection_.get()) == CONNECTION_OK; }

Error Connection::lost() {
  state_.clear();
  std::string why = one_line(PQerrorMessage(connection_.get()));
  return {Error::Kind::unreachable, "lost the connection to PostgreSQL: " + (why.empty() ? "no answer in time" : why)};
}

bool Connection::await(bool writing) {
  pollfd waiting{PQsocket(connection_.get()), static_cast<short>(writing ? POLLIN | POLLOUT : POLLIN), 0};
  const Duration part = stop_.stop_possible() ? stop_check : limit_;
  int ready = 0;
  for (Duration waited = 0; ready == 0 && waited < limit_; waited += part) {
    if (stop_.stop_requested()) {
      cancel();
      return false;
    }
    do {
      ready = poll(&waiting, 1, static_cast<int>(std::max<Duration>(part / millisecond, 1)));
    } while (ready < 0 && errno == EINTR);
  }
  if (ready <= 0) return false;
  return (waiting.revents & (POLLIN | POLLHUP | POLLERR)) == 0 || PQconsumeInput(connection_.get()) == 1;
}

/// The server does not notice that nobody waits any more, and would go on to the end.
void Connection::cancel() {
  PGcancelConn* request = PQcancelCreate(connection_.get());
  (void)PQcancelBlocking(request);
  PQcancelFinish(request);
}

Result<void> Connection::flush() {
  for (;;) {
    const int left = PQflush(connection_.get());
    if (left == 0) return {};
    if (left < 0 || !await(true)) return std::unexpected(lost());
  }
}

Result<void> Connection::send(const Pieces& pieces) {
  for (std::string_view piece : pieces) {
    while (!piece.empty()) {
      const std::string_view part = piece.substr(0, send_size);
      const int taken = PQputCopyData(connection_.get(), part.data(), static_cast<int>(part.size()));
      if (taken < 0) return std::unexpected(lost());
      if (taken == 1) piece.remove_prefix(part.size());
      if (auto sent = flush(); !sent) return sent;
    }
  }
  if (PQputCopyEnd(connection_.get(), nullptr) < 0) return std::unexpected(lost());
  return flush();
}

Result<Rows> Connection::converse(std::span<const Pieces> copies) {
  Rows rows;
  std::optional<Error> error;
  state_.clear();
  if (auto sent = flush(); !sent) return std::unexpected(sent.error());
  for (;;) {
    while (PQisBusy(connection_.get()) != 0) {
      if (!await(false)) return std::unexpected(lost());
    }
    const Answer result{PQgetResult(connection_.get())};
    if (!result) break;
    switch (PQresultStatus(result.get())) {
      case PGRES_COPY_IN: {
        static const Pieces nothing;
        const Pieces& pieces = copies.empty() ? nothing : copies.front();
        if (!copies.empty()) copies = copies.subspan(1);
        if (auto sent = send(pieces); !sent) return std::unexpected(error.value_or(sent.error()));
        break;
      }
      case PGRES_TUPLES_OK:
        rows = rows_of(result.get());
        break;
      case PGRES_COMMAND_OK:
        if (std::string_view{PQcmdStatus(result.get())}.starts_with("COPY "))
          copied_ += static_cast<std::size_t>(sql::number(PQcmdTuples(result.get())));
        break;
      case PGRES_EMPTY_QUERY:
        break;
      default:
        if (!error) error = error_of(result.get(), state_);
    }
  }
  if (!error && !alive()) error = lost();
  if (!error) return rows;
  if (!alive() && error->kind != Error::Kind::unreachable) {
    error->kind = Error::Kind::unreachable;
    state_.clear();
  }
  return std::unexpected(*std::move(error));
}

Result<Rows> Connection::run(const std::string& sql, std::span<const Pieces> copies) {
  if (PQsendQuery(connection_.get(), sql.c_str()) == 0) return std::unexpected(lost());
  return converse(copies);
}

Result<Rows> Connection::query(const std::string& sql, const Params& params) {
  std::vector<const char*> values;
  for (const auto& param : params) values.push_back(param ? param->c_str() : nullptr);
  if (PQsendQueryParams(connection_.get(), sql.c_str(), static_cast<int>(values.size()), nullptr, values.data(),
                        nullptr, nullptr, 0) == 0) {
    return std::unexpected(lost());
  }
  return converse({});
}

std::optional<std::string> url_problem(const std::string& url) {
  char* said = nullptr;
  PQconninfoOption* parsed = PQconninfoParse(url.c_str(), &said);
  const bool readable = parsed != nullptr;
  PQconninfoFree(parsed);
  PQfreemem(said);  // libpq quotes the text here, password and all
  if (readable) return std::nullopt;
  return "not a PostgreSQL address; write \"postgresql://user@host:5432/database\"";
}

std::string place(const std::string& url) {
  PQconninfoOption* parsed = PQconninfoParse(url.c_str(), nullptr);
  const auto value = [&](std::string_view key, std::string fallback) {
    for (const PQconninfoOption* o = parsed; o != nullptr && o->keyword != nullptr; ++o) {
      if (key == o->keyword && o->val != nullptr && *o->val != 0) return std::string{o->val};
    }
    return fallback;
  };
  std::string text = weir::format("{}:{}/{}", value("host", value("hostaddr", "(default host)")), value("port", "5432"),
                                  value("dbname", "(default database)"));
  PQconninfoFree(parsed);
  return text;
}

std::string quote_array(std::span<const std::optional<std::string>> values) {
  std::string out = "{";
  for (const auto& value : values) {
    if (out.size() > 1) out += ',';
    if (!value) {
      out += "NULL";
      continue;
    }
    out += '"';
    for (const char c : *value) {
      if (c == '"' || c == '\\') out += '\\';
      out += c;
    }
    out += '"';
  }
  return sql::literal(out + '}');
}

}  // namespace weir::postgres
