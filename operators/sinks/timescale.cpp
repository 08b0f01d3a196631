/// Rows into TimescaleDB or plain PostgreSQL: binary COPY, committed in one transaction with the progress.
#include <weir/dead_letter.hpp>
#include <weir/format.hpp>
#include <weir/operator.hpp>

#include <atomic>
#include <mutex>
#include <utility>

#include "clients/postgres.hpp"
#include "clients/table.hpp"
#include "sinks/timescale/copy.hpp"
#include "sinks/timescale/hypertable.hpp"
#include "sinks/timescale/progress_table.hpp"
#include "sinks/timescale/retention.hpp"
#include "sinks/timescale/transaction.hpp"

namespace {
using namespace weir;
using postgres::Connection;
using postgres::ProgressTable;

sql::TableName table_of(const Settings& settings) {
  return sql::parse_table(settings.text("table")).value_or(sql::TableName{});
}

class Timescale final : public Sink, public Ledger {
 public:
  Timescale(const Settings& settings, Context& context)
      : context_{context},
        url_{settings.text("url")},
        lease_{settings.duration("lease")},
        naming_{settings.text("key_column"), settings.text("time_column")},
        to_{{}, "", "", std::string{context.pipeline()}, std::string{context.node()}},
        progress_{to_.pipeline, to_.node, table_of(settings).name, std::string{context.worker()}, lease_},
        quota_{context.dead_letter_bounds()} {
    plan_.table = table_of(settings);
    const std::string& hypertable = settings.text("hypertable");
    plan_.hypertable = hypertable == "always"  ? postgres::Hypertable::always
                       : hypertable == "never" ? postgres::Hypertable::never
                                               : postgres::Hypertable::automatic;
    const std::string& index = settings.text("index");
    plan_.index = index == "none"  ? postgres::Index::none
                  : index == "key" ? postgres::Index::key
                                   : postgres::Index::time;
    plan_.add_columns = sql::adds_columns(settings);
    plan_.chunk = settings.duration("chunk");
    if (settings.has("retention")) plan_.retention = settings.duration("retention");
    if (settings.has("compress")) plan_.compress = settings.duration("compress");
  }

  Result<void> bind_schema(const SchemaPtr& input) override {
    plan_.columns = sql::table_columns(*input, naming_, postgres::type_name);
    plan_.time_column.reset();
    plan_.key_column.reset();
    if (std::ranges::contains(plan_.columns, naming_.key, &sql::TableColumn::name)) plan_.key_column = naming_.key;
    for (sql::TableColumn& column : plan_.columns) {
      if (column.name != naming_.time || column.type != postgres::type_name(Type::timestamp)) continue;
      column.required = true;
      plan_.time_column = column.name;
    }
    if (!plan_.time_column && plan_.hypertable == postgres::Hypertable::always) {
      return fail(Error::Kind::invalid,
                  weir::format("a hypertable needs the timestamp column \"{}\"; there is none", naming_.time),
                  "time_column");
    }
    static constexpr std::string_view system[]{"tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"};
    return sql::check_columns(plan_.columns, system);
  }

  Result<void> open() override {
    progress_.doubt();
    handed_ = {};
    auto connection = connect();
    if (!connection) return std::unexpected(connection.error());
    auto state =
        postgres::open_table(*connection, plan_, progress_, [this](std::string_view text) { context_.warn(text); });
    if (!state) return std::unexpected(state.error());
    const auto prepared = connection->run(progress_.prepare() + postgres::prepare_confirmation(plan_, *state));
    if (!prepared) return std::unexpected(prepared.error());
    if (!state->news.empty()) context_.tell(state->news);
    if (auto named = take_name_in_time(); !named) return named;
    const std::scoped_lock lock{control_mutex_};
    state_ = *std::move(state);
    const auto copy = [](const std::string& table, std::string_view columns) {
      return weir::format("COPY {} ({}) FROM STDIN (FORMAT binary)", table, columns);
    };
    to_.copy_rows = copy(state_.table, sql::column_names(plan_.columns));
    to_.check = [this](Connection& over) { return postgres::check_table(over, plan_, state_); };
    to_.copy_dead = copy(state_.dead_letters, postgres::dead_letter_columns);
    data_ = *std::move(connection);
    if (!retention_) {
      std::vector<std::string> expired{
          postgres::expired_letters(state_, context_.pipeline(), context_.dead_letter_bounds().retention)};
      if (!state_.expired_chunks.empty()) expired.push_back(state_.expired_chunks);
      retention_.emplace(url_, progress_.session() + "/retention", state_.table, std::move(expired), context_);
    }
    return {};
  }

  Encoded encode(const BatchPtr& rows) const override {
    Encoded out;
    out.rows = rows->rows;
    out.bytes = copy::encode(*rows);
    out.batch = rows;
    return out;
  }

  Result<void> write(const Encoded& rows) override {
    handed_.add(rows);
    return {};
  }

  bool write_dead_letter(const DeadLetter& letter) override {
    handed_.add(letter);
    return true;
  }

  Result<Committed> commit(std::span<const LaneCommit> lanes) override;

  Ledger* ledger() override { return this; }

  Result<Progress> acquire(Partition partition) override {
    if (auto named = take_name(); !named) return std::unexpected(named.error());
    return acquiring([&](Connection& connection) -> Result<Progress> {
      auto progress = progress_.acquire(connection, partition);
      if (!progress) return progress;
      if (auto ended = progress_.end_former(connection); !ended && ended.error().kind == Error::Kind::unreachable)
        return std::unexpected(ended.error());
      else if (!ended)
        context_.warn("what its former owner has left open stays until that ends: " + ended.error().message);
      return progress;
    });
  }

  Result<std::vector<Peer>> peers(Partition partition) override {
    return acquiring([&](Connection& connection) { return progress_.peers(connection, partition); });
  }

  Result<std::vector<Partition>> renew() override {
    return controlled([this](Connection& connection) { return progress_.renew(connection); });
  }

  void release(Partition partition) override {
    const auto released = controlled([&](Connection& connection) { return progress_.release(connection, partition); });
    if (released) return;
    progress_.lose(partition);
    context_.warn(released.error().message);
  }

  Duration lease() const override { return lease_; }

  Result<Members> heartbeat() override {
    return controlled([this](Connection& connection) { return progress_.heartbeat(connection); });
  }

  void leave() override {
    const auto left = controlled([this](Connection& connection) { return progress_.leave(connection); });
    if (!left) context_.warn(left.error().message);
  }

  Result<std::vector<ProgressLine>> progress() override {
    return with_progress_table(
        [](Connection& connection, ProgressTable& progress_table) { return progress_table.lines(connection); });
  }

  Result<std::size_t> reset(std::optional<Partition> partition) override {
    return with_progress_table([&](Connection& connection, ProgressTable& progress_table) {
      return progress_table.forget(connection, partition);
    });
  }

 private:
  /// Shorter than the lease, so that a stopped worker's transaction ends before another may acquire.
  Result<Connection> connect() const { return Connection::open({url_, progress_.session(), lease_ / 3 * 2}); }

  /// Makes sure that no other instance has this worker's name: asks the server, as the connection that holds it may
  /// have ended unnoticed.
  Result<void> take_name() {
    return controlled([](Connection& connection) { return connection.run("SELECT 1"); }).transform([](const auto&) {});
  }

  /// The same at the start: the server may not have noticed yet that the instance before has ended. After a lease it
  /// must be another one.
  Result<void> take_name_in_time() {
    auto named = take_name();
    for (int i = 0; i < 50 && !named && named.error().kind == Error::Kind::held; ++i) {
      context_.clock().wait(20 * millisecond, {});  // that of this process, before a reload
      named = take_name();
    }
    if (named || named.error().kind != Error::Kind::held) return named;
    const Timestamp now = context_.clock().steady();
    if (name_refused_ == no_time) name_refused_ = now;
    if (now - name_refused_ < lease_) named.error().kind = Error::Kind::unreachable;
    return named;
  }

  Result<void> ready() const {
    if (data_ && data_->alive()) return {};
    return fail(Error::Kind::unreachable, "not connected to PostgreSQL at " + postgres::place(url_));
  }

  /// Over the connection that no commit holds up.
  template <typename Use>
  auto controlled(Use use) -> decltype(use(std::declval<Connection&>())) {
    const std::scoped_lock lock{control_mutex_};
    if (!control_ || !control_->alive()) {
      control_.reset();
      auto connection = Connection::open({url_, progress_.session() + "/control", lease_ / 3});
      if (!connection) return std::unexpected(connection.error());
      if (auto named = progress_.take_name(*connection); !named) return std::unexpected(named.error());
      control_ = *std::move(connection);
    }
    auto answer = use(*control_);
    if (!answer) control_.reset();
    return answer;
  }

  /// Over a connection that lasts for as long as partitions are acquired: an acquisition may have to wait for a former
  /// owner's transaction, and must hold up neither a commit nor the renewal of leases.
  template <typename Use>
  auto acquiring(Use use) -> decltype(use(std::declval<Connection&>())) {
    ++acquisitions_;
    const std::scoped_lock lock{acquire_mutex_};
    const auto answer = [&]() -> decltype(use(std::declval<Connection&>())) {
      if (!acquire_ || !acquire_->alive()) {
        acquire_.reset();
        auto connection = Connection::open({url_, progress_.session() + "/acquire", lease_ / 3 * 2});
        if (!connection) return std::unexpected(connection.error());
        acquire_ = *std::move(connection);
      }
      return use(*acquire_);
    }();
    if (--acquisitions_ == 0) acquire_.reset();
    return answer;
  }

  template <typename Use>
  auto with_progress_table(Use use) -> decltype(use(std::declval<Connection&>(), std::declval<ProgressTable&>())) {
    auto connection = connect();
    if (!connection) return std::unexpected(connection.error());
    const auto schema = postgres::schema_of(*connection, plan_.table);
    if (!schema) return std::unexpected(schema.error());
    ProgressTable progress_table{to_.pipeline, to_.node, plan_.table.name, {}, lease_};
    progress_table.create(*schema);
    return use(*connection, progress_table);
  }

  void count(std::string_view counter, std::uint64_t n) {
    if (n > 0) context_.count(context_.counter(counter), n);
  }

  Context& context_;
  std::string url_;
  Duration lease_;
  sql::Naming naming_;
  postgres::TablePlan plan_;
  postgres::TableState state_;
  postgres::Destination to_;
  ProgressTable progress_;
  RejectedRowQuota quota_;
  std::optional<Connection> data_;
  sql::Handover handed_;
  bool told_swallowed_ = false;

  std::mutex control_mutex_;  // guards the connection that renews, and holds the worker's name
  std::optional<Connection> control_;
  std::mutex acquire_mutex_;
  std::optional<Connection> acquire_;
  std::atomic<int> acquisitions_{0};  // under way, or waiting for the connection
  Timestamp name_refused_ = no_time;
  std::optional<postgres::Retention> retention_;
};

Result<Committed> Timescale::commit(std::span<const LaneCommit> lanes) {
  postgres::Work work{handed_.take(), {lanes.begin(), lanes.end()}};
  if (auto there = ready(); !there) return std::unexpected(there.error());
  auto done = postgres::commit(*data_, progress_, to_, quota_, std::move(work));
  if (!done) {
    if (done.error().kind == Error::Kind::unreachable) count("retries", 1);
    return std::unexpected(done.error());
  }
  count("transactions", 1);
  count("copied_bytes", done->bytes);
  count("fenced_lanes", done->refused.size());
  count("dead_letters_over_limit", done->over_limit);
  count("swallowed_rows", done->swallowed);
  if (done->swallowed > 0 && !std::exchange(told_swallowed_, true)) {
    context_.warn(
        "a trigger on the table leaves rows out: PostgreSQL takes them and does not store them, so they are lost; "
        "swallowed_rows counts them");
  }
  Committed out{.refused = std::move(done->refused), .letters_left_out = done->over_limit};
  for (const auto& bad : done->left_out) out.rejected.push_back({bad.rows->batch, bad.row, bad.reason, true});
  return out;
}

std::vector<Error> problems(const Settings& settings) {
  std::vector<Error> out;
  const auto check = [&](std::string_view name, std::optional<std::string> problem) {
    if (problem) out.push_back({Error::Kind::invalid, *std::move(problem), std::string{name}});
  };
  if (const std::string& url = settings.text("url"); !url.empty()) check("url", postgres::url_problem(url));
  if (auto table = sql::parse_table(settings.text("table")); !table) check("table", table.error().message);
  out.append_range(sql::naming_problems(settings));
  return out;
}

const Spec spec =
    Spec::sink("writes rows to TimescaleDB or plain PostgreSQL, exactly once")
        .details(
            "Rows and progress commit in one transaction, by binary COPY. The table is created if it is absent, and "
            "checked if it is not. Times are stored as whole microseconds (cut off, towards the past). Rows that the "
            "server, a constraint or a trigger refuses for their data "
            "go to weir_dead_letters beside the table, alone. Needs a session of its own per worker (no pooler in "
            "transaction mode).")
        .field("url", kind::secret(), "address of the server, \"postgresql://user@host:5432/database\"")
        .field("table", kind::text(), "\"table\" or \"schema.table\"")
        .optional(
            "columns", kind::columns(),
            "columns of the rows, and how each is completed; without them the input's columns are written as they are")
        .field("key_column", kind::text(), "name of the column that holds the key", "key")
        .field("time_column", kind::text(), "name of the column that holds the time; what a hypertable is cut by",
               "time")
        .field("hypertable", kind::choice({"auto", "always", "never"}),
               "whether a new table becomes a hypertable; auto: if TimescaleDB is there", "auto")
        .field(
            "index", kind::choice({"time", "key", "none"}),
            "what a new table is indexed by: key, and time, finds a vehicle's newest row at once, and writes a seventh of "
            "the rows a second; time alone costs next to nothing, and the newest row takes a scan",
            "key")
        .field("schema", sql::schema_kind(), sql::schema_doc, "check")
        .field("chunk", kind::duration(), "time that one chunk of a new hypertable covers", "24h")
        .between(double(minute), 366.0 * 24 * 60 * double(minute))
        .optional("retention", kind::duration(), "chunks of a hypertable that are wholly older go")
        .optional("compress", kind::duration(),
                  "chunks of a hypertable that are older are compressed, where TimescaleDB's licence has it")
        .field("lease", kind::duration(), "how long a partition stays with a worker that does not answer", "30s")
        .between(double(second), 60 * double(minute))
        .counter("transactions", "transactions that were committed")
        .counter("copied_bytes", "bytes of COPY data that were committed")
        .counter("retries", "transactions that were lost with the connection, or to a lock or a full disk")
        .counter("fenced_lanes", "partitions that turned out to belong to another worker")
        .counter("dead_letters_over_limit",
                 "dead letters of rejected rows that were not kept, as \"limits\" bound them")
        .counter("swallowed_rows", "rows that a trigger on the table left out: the server took them and has them not")
        .check(problems)
        .claims([](const Settings& settings) {
          return Claims{.transactional = true,
                        .target = weir::format("{} {}", settings.text("url"), settings.text("table")),
                        .because = "rows and progress commit in one transaction"};
        })
        .example(
            R"({ "id": "db", "sink": "timescale", "from": "rows", "url": "${PG_URL:?set PG_URL}", "table": "vehicle_second", "columns": { "speed": {} } })");
}  // namespace

WEIR_OPERATOR(sinks, timescale, Timescale, spec)
