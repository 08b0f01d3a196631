/// A connection to PostgreSQL: SQL, binary COPY, and errors by what can be done about them.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include <weir/types.hpp>

struct pg_conn;

namespace weir::postgres {

/// One row as the server's text; nothing stands for NULL.
using Row = std::vector<std::optional<std::string>>;
using Rows = std::vector<Row>;
using Params = std::vector<std::optional<std::string>>;

/// The bytes of one COPY, in order. The views must outlive the call that sends them.
using Pieces = std::vector<std::string_view>;

struct Options {
  std::string url;          ///< postgres URI or key=value text; the environment (PGHOST, …) fills what it leaves out
  std::string application;  ///< shown in pg_stat_activity, whatever the URL says
  Duration limit = 10 * second;  ///< longest transaction, and longest silence of the server within one
  std::stop_token stop = {};     ///< once it is asked for, what runs is cancelled and not waited for: close it then
};

/// One session. Bound to the server's time limits, so that a stopped worker cannot hold a lock for ever.
///
/// Threads   one at a time.
/// Errors    unreachable: the connection is gone, the server is out of resources, or the transaction lost a race
/// (SQLSTATE
///           08, 28, 40, 53, 55, 57, 58, 25006): try again. refused: anything else. state() tells more.
class Connection {
 public:
  static Result<Connection> open(const Options& options);

  /// Runs one or more statements, separated by semicolons, in one round trip. Each COPY … FROM STDIN among them takes
  /// the next element of `copies` and costs one more. Answers the rows of the last statement that has any. After an
  /// error the remaining statements are not run; an open transaction is then left failed.
  Result<Rows> run(const std::string& sql, std::span<const Pieces> copies = {});

  /// Runs one statement with $1, $2, … as text.
  Result<Rows> query(const std::string& sql, const Params& params);

  /// SQLSTATE of the last error; empty if the server did not say one.
  const std::string& state() const { return state_; }
  /// The last error was about the data (classes 22 and 23, what a view or a trigger refuses, a row that is too big):
  /// other rows may well be accepted.
  bool data_refused() const {
    return state_.starts_with("22") || state_.starts_with("23") || state_ == "44000" || state_ == "54000" ||
           state_ == "P0001";
  }
  /// Rows that the server says COPY has stored, all in all: fewer than were sent where a trigger leaves some out.
  std::size_t copied() const { return copied_; }
  /// False once the connection is lost; open a new one.
  bool alive() const;

 private:
  struct Close {
    void operator()(pg_conn* connection) const;
  };
  Connection(pg_conn* connection, const Options& options)
      : connection_{connection}, limit_{options.limit}, stop_{options.stop} {}
  Result<Rows> converse(std::span<const Pieces> copies);
  Result<void> limit_session();
  Result<void> send(const Pieces& pieces);
  Result<void> flush();
  bool await(bool writing);
  void cancel();
  Error lost();

  std::unique_ptr<pg_conn, Close> connection_;
  Duration limit_ = 0;
  std::stop_token stop_;
  std::string state_;
  std::size_t copied_ = 0;
};

/// What is wrong with a URL, without the secrets in it; nothing if it can be read.
std::optional<std::string> url_problem(const std::string& url);
/// Where a URL points, for people: "host:port/database"; never a password.
std::string place(const std::string& url);

/// '{…}' with quotes: an array of texts or numbers, NULL where there is nothing.
std::string quote_array(std::span<const std::optional<std::string>> values);

}  // namespace weir::postgres
