#include "sinks/duckdb/duckdb.hpp"

#include <dlfcn.h>
#include <duckdb.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cstring>

#include <weir/format.hpp>

namespace weir::duck {
namespace {

// What is used of the library.
// clang-format off
#define WEIR_DUCKDB_CALLS(CALL) \
  CALL(append_data_chunk) \
  CALL(appender_add_column) \
  CALL(appender_create) \
  CALL(appender_destroy) \
  CALL(appender_error_data) \
  CALL(appender_flush) \
  CALL(close) \
  CALL(column_count) \
  CALL(column_type) \
  CALL(connect) \
  CALL(create_config) \
  CALL(create_data_chunk) \
  CALL(create_logical_type) \
  CALL(data_chunk_get_size) \
  CALL(data_chunk_get_vector) \
  CALL(data_chunk_reset) \
  CALL(data_chunk_set_size) \
  CALL(destroy_config) \
  CALL(destroy_data_chunk) \
  CALL(destroy_error_data) \
  CALL(destroy_logical_type) \
  CALL(destroy_result) \
  CALL(disconnect) \
  CALL(error_data_error_type) \
  CALL(error_data_message) \
  CALL(fetch_chunk) \
  CALL(free) \
  CALL(open_ext) \
  CALL(query) \
  CALL(result_error) \
  CALL(result_error_type) \
  CALL(result_return_type) \
  CALL(set_config) \
  CALL(string_t_data) \
  CALL(string_t_length) \
  CALL(validity_row_is_valid) \
  CALL(validity_set_row_invalid) \
  CALL(vector_assign_string_element_len) \
  CALL(vector_ensure_validity_writable) \
  CALL(vector_get_data) \
  CALL(vector_get_validity) \
  CALL(vector_size)
// clang-format on

struct Library {
#define WEIR_DECLARE(name) decltype(&::duckdb_##name) name = nullptr;
  WEIR_DUCKDB_CALLS(WEIR_DECLARE)
#undef WEIR_DECLARE
};

/// The library takes 10 MB of memory by being there; pipelines that write elsewhere should not pay for it.
Result<Library> load_library() {
  void* handle = nullptr;
  for (const char* name : {"libduckdb.so.2.0", "libduckdb.so"}) {
    if (handle == nullptr) handle = ::dlopen(name, RTLD_NOW | RTLD_LOCAL);
  }
  if (handle == nullptr)
    return fail(Error::Kind::refused, "DuckDB is not installed (libduckdb.so); install it, or use another sink");
  Library library;
  std::string_view missing;
#define WEIR_RESOLVE(name)                                                                   \
  library.name = reinterpret_cast<decltype(library.name)>(::dlsym(handle, "duckdb_" #name)); \
  if (library.name == nullptr) missing = "duckdb_" #name;
  WEIR_DUCKDB_CALLS(WEIR_RESOLVE)
#undef WEIR_RESOLVE
  if (!missing.empty())
    return fail(Error::Kind::refused, weir::format("DuckDB's library is too old or too new: it has no {}", missing));
  return library;
}

const Result<Library>& library() {
  static const Result<Library> loaded = load_library();
  return loaded;
}

duckdb_type type_of(Type type) {
  switch (type) {
    case Type::int64:
      return DUCKDB_TYPE_BIGINT;
    case Type::float64:
      return DUCKDB_TYPE_DOUBLE;
    case Type::boolean:
      return DUCKDB_TYPE_BOOLEAN;
    case Type::timestamp:
      return DUCKDB_TYPE_TIMESTAMP;
    case Type::string:
    case Type::dictionary:
      return DUCKDB_TYPE_VARCHAR;
  }
  return DUCKDB_TYPE_VARCHAR;
}

/// Copies rows of a column, given by their numbers, to the start of a vector.
void fill(const Library& duckdb, duckdb_vector vector, const Column& column, std::span<const std::uint32_t> rows) {
  void* data = duckdb.vector_get_data(vector);
  if (column.absent() || !column.validity().all()) {
    duckdb.vector_ensure_validity_writable(vector);
    std::uint64_t* validity = duckdb.vector_get_validity(vector);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (!column.valid(rows[i])) duckdb.validity_set_row_invalid(validity, i);
    }
  }
  if (column.absent()) return;
  const auto copy = [&]<typename T>(T* to, const auto& from) {
    for (std::size_t i = 0; i < rows.size(); ++i) to[i] = from(rows[i]);
  };
  switch (column.type()) {
    case Type::int64:
      return copy(static_cast<std::int64_t*>(data), [v = column.int64s()](std::size_t r) { return v[r]; });
    case Type::float64:
      return copy(static_cast<double*>(data), [v = column.float64s()](std::size_t r) { return v[r]; });
    case Type::boolean:
      return copy(static_cast<bool*>(data), [v = column.booleans()](std::size_t r) { return v[r] != 0; });
    case Type::timestamp:
      return copy(static_cast<std::int64_t*>(data), [v = column.int64s()](std::size_t r) {
        return v[r] / microsecond - (v[r] % microsecond < 0 ? 1 : 0);
      });
    case Type::string:
    case Type::dictionary:
      for (std::size_t i = 0; i < rows.size(); ++i) {
        if (!column.valid(rows[i])) continue;
        const std::string_view text = column.text(rows[i]);
        duckdb.vector_assign_string_element_len(vector, i, text.data(), text.size());
      }
  }
}

/// A file opened once, however many use it.
struct Database {
  explicit Database(const Library& library) : duckdb{library} {}
  ~Database() {
    if (handle != nullptr) duckdb.close(&handle);
  }
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  const Library& duckdb;
  duckdb_database handle = nullptr;
  std::uint64_t memory = 0;
  std::mutex alone;
  dev_t device = 0;  // these two say which file it is
  ino_t inode = 0;
};

/// Unreachable: a full disk or too little memory, which may be over the next time or enough for fewer rows. Why a
/// commit fails is said in words only.
Error error_of(duckdb_error_type type, const char* said) {
  const std::string why = said == nullptr ? "no reason given" : said;
  const bool of_commit = type == DUCKDB_ERROR_TRANSACTION && !why.contains("onstraint");
  const bool passes = type == DUCKDB_ERROR_IO || type == DUCKDB_ERROR_OUT_OF_MEMORY || of_commit;
  return {passes ? Error::Kind::unreachable : Error::Kind::refused, weir::format("DuckDB: {}", why)};
}

Error not_opened(const std::string& path, const std::string& why) {
  if (!why.contains("Could not set lock"))
    return {Error::Kind::refused, weir::format("can't open {}: {}", path, why), "path"};
  const std::size_t pid = why.find("PID ");
  std::string holder;  // of another container it is 0, which names nobody
  if (pid != std::string::npos && !why.substr(pid).starts_with("PID 0"))
    holder = weir::format(" ({})", why.substr(pid, why.find_first_not_of("0123456789", pid + 4) - pid));
  return {Error::Kind::unreachable,
          weir::format("{} is open in another process{}; one process at a time may hold a DuckDB file: end it, or "
                       "write to another",
                       path, holder),
          "path"};
}

Result<std::shared_ptr<Database>> open_database(const Library& duckdb, const std::string& path, std::uint64_t memory) {
  auto database = std::make_shared<Database>(duckdb);
  database->memory = memory;
  duckdb_config config = nullptr;
  duckdb.create_config(&config);
  duckdb.set_config(config, "threads", "1");
  duckdb.set_config(config, "memory_limit", weir::format("{}B", memory).c_str());
  char* said = nullptr;
  const duckdb_state opened = duckdb.open_ext(path.c_str(), &database->handle, config, &said);
  duckdb.destroy_config(&config);
  const std::string why = said == nullptr ? "" : said;
  duckdb.free(said);
  if (opened == DuckDBError) return std::unexpected(not_opened(path, why));
  return database;
}

/// The database of a file: the one that this process has open, or a new one.
Result<std::shared_ptr<Database>> share_database(const Library& duckdb, const std::string& path, std::uint64_t memory) {
  static std::mutex mutex;
  static std::vector<std::weak_ptr<Database>> all;
  const std::scoped_lock lock{mutex};
  std::erase_if(all, [](const auto& one) { return one.expired(); });
  struct stat file{};
  if (::stat(path.c_str(), &file) == 0) {
    for (const auto& one : all) {
      auto database = one.lock();
      if (database && database->device == file.st_dev && database->inode == file.st_ino) return database;
    }
  }
  auto made = open_database(duckdb, path, memory);
  // What is not on disk (":memory:") is nobody else's.
  if (made && ::stat(path.c_str(), &file) == 0) {
    (*made)->device = file.st_dev;
    (*made)->inode = file.st_ino;
    all.push_back(*made);
  }
  return made;
}

/// The rows of a result, all of whose columns must be text: the library hands out the bare memory of each column.
Result<Rows> rows_of(const Library& duckdb, duckdb_result& result) {
  const idx_t columns = duckdb.column_count(&result);
  for (idx_t c = 0; c < columns; ++c) {
    if (duckdb.column_type(&result, c) != DUCKDB_TYPE_VARCHAR)
      return fail(Error::Kind::internal, weir::format("DuckDB: column {} of a query is not cast to VARCHAR", c + 1));
  }
  Rows rows;
  while (duckdb_data_chunk chunk = duckdb.fetch_chunk(result)) {
    const idx_t count = duckdb.data_chunk_get_size(chunk);
    for (idx_t r = 0; r < count; ++r) {
      Row& row = rows.emplace_back(columns);
      for (idx_t c = 0; c < columns; ++c) {
        const duckdb_vector vector = duckdb.data_chunk_get_vector(chunk, c);
        std::uint64_t* validity = duckdb.vector_get_validity(vector);
        if (validity != nullptr && !duckdb.validity_row_is_valid(validity, r)) continue;
        auto* texts = static_cast<duckdb_string_t*>(duckdb.vector_get_data(vector));
        row[c] = std::string{duckdb.string_t_data(&texts[r]), duckdb.string_t_length(texts[r])};
      }
    }
    duckdb.destroy_data_chunk(&chunk);
  }
  return rows;
}

}  // namespace

struct File::Handles {
  explicit Handles(std::shared_ptr<Database> shared) : database{std::move(shared)}, duckdb{database->duckdb} {}
  ~Handles() {
    if (connection != nullptr) duckdb.disconnect(&connection);
  }
  Handles(const Handles&) = delete;
  Handles& operator=(const Handles&) = delete;

  std::shared_ptr<Database> database;
  const Library& duckdb;
  duckdb_connection connection = nullptr;
};

Result<File> File::open(const std::string& path, std::uint64_t memory) {
  const auto& loaded = library();
  if (!loaded) return std::unexpected(loaded.error());
  auto database = share_database(*loaded, path, memory);
  if (!database) return std::unexpected(database.error());
  auto handles = std::make_shared<Handles>(*std::move(database));
  if (loaded->connect(handles->database->handle, &handles->connection) == DuckDBError)
    return std::unexpected(not_opened(path, "no connection"));
  File file{std::move(handles)};
  const auto lock = file.alone();
  Database& shared = *file.handles_->database;
  if (memory <= shared.memory) return file;
  shared.memory = memory;
  return file.run(weir::format("SET memory_limit = '{}B'", memory)).transform([&](const Rows&) { return file; });
}

std::unique_lock<std::mutex> File::alone() { return std::unique_lock{handles_->database->alone}; }

Result<Rows> File::run(const std::string& sql) {
  const Library& duckdb = handles_->duckdb;
  duckdb_result result;
  std::memset(&result, 0, sizeof result);
  if (duckdb.query(handles_->connection, sql.c_str(), &result) == DuckDBError) {
    auto error = error_of(duckdb.result_error_type(&result), duckdb.result_error(&result));
    duckdb.destroy_result(&result);
    return std::unexpected(std::move(error));
  }
  // What a statement changed is counted in a column of numbers, which nobody asked for.
  auto rows = duckdb.result_return_type(result) == DUCKDB_RESULT_TYPE_QUERY_RESULT ? rows_of(duckdb, result) : Rows{};
  duckdb.destroy_result(&result);
  return rows;
}

Result<void> File::append(const std::string& schema, const std::string& table, const std::vector<std::string>& columns,
                          const Batch& batch, const std::vector<bool>& skip) {
  const Library& duckdb = handles_->duckdb;
  duckdb_appender appender = nullptr;
  bool good = duckdb.appender_create(handles_->connection, schema.c_str(), table.c_str(), &appender) == DuckDBSuccess;
  for (std::size_t c = 0; good && c < columns.size(); ++c) {
    good = duckdb.appender_add_column(appender, columns[c].c_str()) == DuckDBSuccess;
  }
  std::vector<duckdb_logical_type> types;
  for (const ColumnType& column : batch.schema->columns)
    types.push_back(duckdb.create_logical_type(type_of(column.type)));
  duckdb_data_chunk chunk = duckdb.create_data_chunk(types.data(), types.size());
  std::vector<std::uint32_t> rows;
  for (std::uint32_t row = 0; good && row < batch.rows;) {
    rows.clear();
    for (; row < batch.rows && rows.size() < duckdb.vector_size(); ++row) {
      if (skip.empty() || !skip[row]) rows.push_back(row);
    }
    duckdb.data_chunk_reset(chunk);
    for (std::size_t c = 0; c < types.size(); ++c)
      fill(duckdb, duckdb.data_chunk_get_vector(chunk, c), batch.columns[c], rows);
    duckdb.data_chunk_set_size(chunk, rows.size());
    good = duckdb.append_data_chunk(appender, chunk) == DuckDBSuccess;
  }
  good = good && duckdb.appender_flush(appender) == DuckDBSuccess;
  Error error{Error::Kind::refused, {}};
  if (!good) {
    duckdb_error_data data = duckdb.appender_error_data(appender);
    error = error_of(duckdb.error_data_error_type(data), duckdb.error_data_message(data));
    duckdb.destroy_error_data(&data);
  }
  duckdb.destroy_data_chunk(&chunk);
  for (duckdb_logical_type& type : types) duckdb.destroy_logical_type(&type);
  duckdb.appender_destroy(&appender);
  if (!good) return std::unexpected(std::move(error));
  return {};
}

std::string_view type_name(Type type) {
  switch (type) {
    case Type::int64:
      return "BIGINT";
    case Type::float64:
      return "DOUBLE";
    case Type::boolean:
      return "BOOLEAN";
    case Type::timestamp:
      return "TIMESTAMP";
    case Type::string:
    case Type::dictionary:
      return "VARCHAR";
  }
  return "VARCHAR";
}

}  // namespace weir::duck
