/// What `weir tap` is sent: rows as lines of JSON, those that were asked for, and no more than a person can use.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>

#include <weir/batch.hpp>
#include <weir/clock.hpp>

namespace weir {

/// Which rows are wanted.
struct TapSelection {
  std::set<std::string, std::less<>> keys, fields;  ///< empty: all
  double share = 1;                                 ///< of the keys, see in_share()
  std::optional<std::uint64_t> limit = {};          ///< so many rows, and it is over

  /// Of a query: key=…, field=…, each as often as wanted, share=0.1, limit=100. Error: what is wrong with it.
  static Result<TapSelection> read(const std::multimap<std::string, std::string>& query);
  /// Nothing, or why rows of these columns can't be chosen by this.
  Result<void> fits(const Schema& schema) const;
};

/// A row is an object, `"a text"` is news of the worker. At most `most_rows` rows are shown a second, the rest is
/// counted; how many rows were not shown is told once a second at most.
///
/// Threads   one.
class TapLines {
 public:
  static constexpr std::uint64_t most_rows = 1000;

  explicit TapLines(TapSelection selection) : only_{std::move(selection)} {}

  /// Appends what is wanted of a batch. `now`: steady time.
  void add(const Batch& batch, Timestamp now, std::string& out);
  /// Rows that passed unseen.
  void missed(std::uint64_t rows) { missed_ += rows; }
  static void say(std::string_view news, std::string& out);
  /// Appends what is to be told of missed rows, if it is time, or else nothing is to follow.
  void tell(Timestamp now, bool last, std::string& out);
  /// As many as were wanted have been shown.
  bool enough() const { return only_.limit && shown_ >= *only_.limit; }

 private:
  const TapSelection only_;
  std::uint64_t shown_ = 0, missed_ = 0, in_second_ = 0;
  Timestamp second_ = no_time, told_ = no_time;
};

/// Who may look at rows, which are vehicles' positions.
enum class TapFrom : std::uint8_t { loopback, all, nobody };

/// Where a request comes from, as its connection and headers say.
struct Client {
  std::string address = {};  ///< of the other end of the connection
  std::string host = {};     ///< as the request calls this end: "localhost:8080"
  bool passed_on = false;    ///< by a proxy, or a web page of another place
};

/// Nothing, or why not. By default only who is on this machine himself may, or comes by `kubectl port-forward`.
Result<void> may_tap(TapFrom from, const Client& client);

}  // namespace weir
