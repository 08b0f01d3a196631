#include "bench/copy.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "clients/postgres.hpp"
#include "fakes/postgres_server.hpp"
#include "fakes/sink_fixture.hpp"
#include "sinks/timescale/copy.hpp"
#include "sinks/timescale/load.hpp"

namespace weir {
Operator weir_operator_sinks_timescale();
}

namespace weir::bench {
namespace {

constexpr std::size_t rows_per_batch = 4096;

template <typename T>
T must(Result<T> result) {
  if (result) return *std::move(result);
  std::fprintf(stderr, "copy benchmark: %s\n", result.error().message.c_str());
  std::exit(1);
}

void must(const Result<void>& result) {
  if (!result) must<int>(std::unexpected(result.error()));
}

double seconds_of(const auto& work) {
  const Timestamp begin = system_clock().steady();
  work();
  return static_cast<double>(system_clock().steady() - begin) / static_cast<double>(second);
}

double percentile(std::vector<double> values, double share) {
  std::ranges::sort(values);
  return values[static_cast<std::size_t>(share * static_cast<double>(values.size() - 1))];
}

/// One sink on one server, and the plain way beside it.
class Race {
 public:
  Race(std::size_t rows_per_transaction, std::size_t transactions) : transactions_{transactions} {
    Settings settings{"db"};
    settings.set("url", server_.url());
    settings.set("table", std::string{"vehicle_second"});
    settings.set("key_column", std::string{"vehicle"});
    settings.set("time_column", std::string{"time"});
    settings.set("hypertable", std::string{"always"});
    settings.set("index", std::string{"time"});
    settings.set("chunk", Duration{24 * 60 * minute});
    settings.set("lease", Duration{10 * minute});
    auto keys = std::make_shared<Dictionary>();
    for (std::size_t first = 0; first < rows_per_transaction; first += rows_per_batch) {
      const std::size_t count = std::min(rows_per_batch, rows_per_transaction - first);
      batches_.push_back(fakes::make_rows(keys, {"a", "b", "c", "d", "e", "f"}, count, first, 1000));
    }
    rows_ = rows_per_transaction * transactions;
    sink_ = weir_operator_sinks_timescale().make_sink(settings, context_);
    must(sink_->bind_schema(batches_[0]->schema));
    must(sink_->open());
    must(sink_->ledger()->acquire(0));
    connection_.emplace(must(postgres::Connection::open({server_.url(), "bare", 10 * minute})));
    encoded_.resize(batches_.size());
    for (std::size_t i = 0; i < batches_.size(); ++i) encoded_[i] = fakes::encode(*sink_, batches_[i], 0, 0);
    for (const Encoded& part : encoded_) parts_.push_back(&part);
  }

  double bare() {
    const std::string sql = "BEGIN; COPY vehicle_second FROM STDIN (FORMAT binary); COMMIT";
    return seconds_of([&] {
      for (std::size_t t = 0; t < transactions_; ++t) {
        const auto pieces = postgres::pieces_of(parts_);
        must(connection_->run(sql, {&pieces, 1}));
      }
    });
  }

  double sink() {
    return seconds_of([&] {
      for (std::size_t t = 0; t < transactions_; ++t) {
        std::vector<Encoded> parts;
        for (const BatchPtr& batch : batches_) parts.push_back(fakes::encode(*sink_, batch, 0, ++position_));
        commit(parts);
      }
    });
  }

  double encode() {
    std::size_t bytes = 0;
    const double seconds = seconds_of([&] {
      for (const BatchPtr& batch : batches_) bytes += copy::encode(*batch).size();
    });
    const auto rows = rows_ / transactions_;
    return bytes == 0 ? 0 : static_cast<double>(rows) / seconds;
  }

  double commit_one() {
    const auto one = batches_[0]->select([&] {
      std::vector<std::uint8_t> keep(batches_[0]->rows);
      keep[0] = 1;
      return keep;
    }());
    return seconds_of([&] {
      std::vector<Encoded> parts{fakes::encode(*sink_, one, 0, ++position_)};
      commit(parts);
    });
  }

  std::size_t rows() const { return rows_; }

 private:
  void commit(const std::vector<Encoded>& parts) {
    for (const Encoded& part : parts) must(sink_->write(part));
    const LaneCommit lanes[]{fakes::lane(0, position_)};
    const auto done = must(sink_->commit(lanes));
    if (!done.refused.empty() || !done.rejected.empty()) must<int>(fail(Error::Kind::refused, "the sink refused rows"));
  }

  fakes::PostgresServer server_{true, true, {"shared_buffers = 512MB", "max_wal_size = 8GB"}};
  fakes::SinkContext context_;
  std::size_t transactions_;
  std::size_t rows_ = 0;
  Position position_ = 0;
  std::vector<BatchPtr> batches_;
  std::vector<Encoded> encoded_;
  std::vector<const Encoded*> parts_;
  std::unique_ptr<Sink> sink_;
  std::optional<postgres::Connection> connection_;
};

}  // namespace

CopyFigures measure_copy(std::size_t rows_per_transaction, std::size_t transactions, std::size_t rounds) {
  Race race{rows_per_transaction, transactions};
  race.bare();  // makes the chunk, fills the caches
  CopyFigures figures;
  std::vector<double> ratios, sinks, bares, encodes, commits;
  for (std::size_t round = 0; round < rounds; ++round) {
    // Whoever is second finds the table larger: take turns.
    double first = round % 2 == 0 ? race.bare() : race.sink();
    double then = round % 2 == 0 ? race.sink() : race.bare();
    if (round % 2 != 0) std::swap(first, then);
    bares.push_back(static_cast<double>(race.rows()) / first);
    sinks.push_back(static_cast<double>(race.rows()) / then);
    ratios.push_back(first / then);
    encodes.push_back(race.encode());
  }
  for (int i = 0; i < 300; ++i) commits.push_back(race.commit_one());
  figures.bare = percentile(bares, 0.5);
  figures.sink = percentile(sinks, 0.5);
  figures.ratio = percentile(ratios, 0.5);
  figures.encode = percentile(encodes, 0.5);
  figures.commit_p50 = percentile(commits, 0.5);
  figures.commit_p99 = percentile(commits, 0.99);
  figures.rows = race.rows() * rounds;
  return figures;
}

}  // namespace weir::bench
