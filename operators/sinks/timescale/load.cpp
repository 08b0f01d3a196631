#include "sinks/timescale/load.hpp"

#include <ranges>
#include <utility>

#include <weir/ascii.hpp>
#include <weir/format.hpp>

#include "clients/refusal.hpp"
#include "sinks/timescale/copy.hpp"

namespace weir::postgres {
namespace {

std::string code_of(std::string_view state) {
  return "sqlstate_" + std::string{std::from_range, state | std::views::transform(lower)};
}

struct Tuple {
  const Encoded* rows;
  std::size_t row;
  std::string_view bytes;
};

/// Halves what is refused until single rows are left.
class Loader {
 public:
  Loader(Connection& connection, const std::string& copy) : connection_{connection}, copy_{copy} {}

  Result<void> load(std::span<const Tuple> tuples) {
    if (tuples.empty()) return {};
    const Pieces pieces = join(tuples);
    const auto loaded =
        connection_.run(weir::format("SAVEPOINT weir_rows; {}; RELEASE SAVEPOINT weir_rows", copy_), {&pieces, 1});
    if (loaded) return {};
    if (!connection_.data_refused()) return std::unexpected(loaded.error());
    const std::string state = connection_.state();
    // One savepoint per nesting level would pile up; each attempt ends its own.
    const auto back = connection_.run("ROLLBACK TO SAVEPOINT weir_rows; RELEASE SAVEPOINT weir_rows");
    if (!back) return std::unexpected(back.error());
    if (tuples.size() == 1) {
      left_out_.push_back({tuples[0].rows, tuples[0].row, {code_of(state), loaded.error().message}});
      return {};
    }
    const std::size_t half = tuples.size() / 2;
    return load(tuples.first(half)).and_then([&] { return load(tuples.subspan(half)); });
  }

  const std::vector<LeftOut>& left_out() const { return left_out_; }

 private:
  static Pieces join(std::span<const Tuple> tuples) {
    Pieces pieces{copy::header()};
    for (const Tuple& tuple : tuples) {
      std::string_view& last = pieces.back();
      if (last.data() + last.size() == tuple.bytes.data())
        last = {last.data(), last.size() + tuple.bytes.size()};
      else
        pieces.push_back(tuple.bytes);
    }
    pieces.push_back(copy::trailer());
    return pieces;
  }

  Connection& connection_;
  const std::string& copy_;
  std::vector<LeftOut> left_out_;
};

}  // namespace

Pieces pieces_of(std::span<const Encoded* const> rows) {
  Pieces pieces{copy::header()};
  for (const Encoded* part : rows) pieces.emplace_back(part->bytes);
  pieces.push_back(copy::trailer());
  return pieces;
}

Result<std::vector<LeftOut>> load_what_fits(Connection& connection, const std::string& copy,
                                            std::span<const Encoded* const> rows) {
  Loader loader{connection, copy};
  std::vector<LeftOut> objected;
  std::vector<Tuple> tuples;
  for (const Encoded* part : rows) {
    const std::string_view bytes{part->bytes};
    std::size_t begin = 0;
    std::size_t row = 0;
    for (const std::size_t end : copy::ends(bytes)) {
      // What can be seen without asking the server need not be searched for.
      if (Reason why = refusal::objection(*part->batch, row); !why.empty())
        objected.push_back({part, row, std::move(why)});
      else
        tuples.push_back({part, row, bytes.substr(begin, end - begin)});
      begin = end;
      ++row;
    }
  }
  return loader.load(tuples).transform([&] {
    objected.insert(objected.end(), loader.left_out().begin(), loader.left_out().end());
    return std::move(objected);
  });
}

}  // namespace weir::postgres
