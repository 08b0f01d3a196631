#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>

#include <weir/format.hpp>
#include <weir/json_rows.hpp>
#include <weir/operator.hpp>

namespace {
using namespace weir;
using json::is_text;
using json::plain;

void write_json(const Batch& batch, std::string& out) {
  for (std::size_t row = 0; row < batch.rows; ++row) {
    json::append_row(batch, row, out);
    out += '\n';
  }
}

/// Wide enough for most values; a wider one pushes its line to the right.
std::size_t width(const ColumnType& column) {
  const std::size_t usual = column.type == Type::timestamp ? 24
                            : column.type == Type::boolean ? 5
                            : is_text(column.type)         ? 12
                                                           : 10;
  return std::max(usual, column.name.size());
}

void pad(std::string& line, std::string_view text, const ColumnType& column) {
  const std::string blanks(width(column) - std::min(width(column), text.size()), ' ');
  if (!line.empty()) line += "  ";
  if (is_text(column.type)) {
    line.append(text).append(blanks);
  } else {
    line.append(blanks).append(text);
  }
}

void end_line(std::string& line, std::string& out) {
  out.append(line, 0, line.find_last_not_of(' ') + 1).append("\n");
  line.clear();
}

/// Numbers with eight digits, which is a metre of a position, fit into their column.
std::string cell(const Column& column, std::size_t row) {
  if (!column.valid(row)) return "-";
  if (column.type() == Type::float64) {
    const double value = column.float64s()[row];
    return std::isfinite(value) ? weir::format("{:.8g}", value) : "-";
  }
  return plain(column, row);
}

void write_table(const Batch& batch, std::string& out) {
  std::string line;
  for (std::size_t row = 0; row < batch.rows; ++row) {
    for (std::size_t i = 0; i < batch.columns.size(); ++i) {
      pad(line, cell(batch.columns[i], row), batch.schema->columns[i]);
    }
    end_line(line, out);
  }
}

class Stdout final : public Sink {
 public:
  explicit Stdout(const Settings& settings) : table_{settings.text("format") == "table"} {}

  Result<void> bind_schema(const SchemaPtr& input) override {
    std::string line;
    heading_.clear();
    for (const ColumnType& column : input->columns) pad(line, column.name, column);
    end_line(line, heading_);
    return json::distinct_names(*input);
  }
  Result<void> open() override { return {}; }

  Encoded encode(const BatchPtr& rows) const override {
    Encoded out;
    out.rows = rows->rows;
    table_ ? write_table(*rows, out.bytes) : write_json(*rows, out.bytes);
    return out;
  }

  Result<void> write(const Encoded& rows) override {
    if (table_ && !std::exchange(begun_, true)) {
      if (auto printed = print(heading_); !printed) return printed;
    }
    return print(rows.bytes);
  }

  Result<Committed> commit(std::span<const LaneCommit>) override { return Committed{}; }

 private:
  /// Whole lines at once: a buffer that is full in the middle of one would leave half of it after a crash, for the next
  /// line to stick to, and let another process's lines in between.
  static Result<void> print(std::string_view text) {
    while (!text.empty()) {
      const auto written = ::write(STDOUT_FILENO, text.data(), text.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0 && errno == EAGAIN && await_reader()) continue;
      if (written < 0) return std::unexpected(lost());
      text.remove_prefix(static_cast<std::size_t>(written));
    }
    return {};
  }
  /// What shares the terminal or socket may have made it non-blocking: then waits as write() does by itself elsewhere.
  static bool await_reader() {
    pollfd output{.fd = STDOUT_FILENO, .events = POLLOUT, .revents = 0};
    return ::poll(&output, 1, -1) >= 0 || errno == EINTR;
  }
  static Error lost() {
    if (errno == EPIPE) return {Error::Kind::stopped, "the reader of standard output has closed it"};
    return {Error::Kind::refused, "standard output takes no more: " + std::string{std::strerror(errno)}};
  }

  bool table_;
  bool begun_ = false;
  std::string heading_;
};

const Spec spec =
    Spec::sink("prints rows to standard output, as JSON lines or a table")
        .details(
            "One JSON object per row: NULL, NaN and infinity are null, times are RFC 3339 in UTC with as many decimals "
            "as they need. A table shows numbers to eight digits. Rows may be printed again after a crash.")
        .field("format", kind::choice({"json", "table"}), "JSON lines for programs, a table for people", "json")
        .optional(
            "columns", kind::columns(),
            "columns of the rows, and how each is completed; without them the input's columns are printed as they are")
        .claims([](const Settings&) { return Claims{.because = "what was printed cannot be taken back"}; })
        .example(R"({ "id": "show", "sink": "stdout", "from": "signals", "format": "table" })");
}  // namespace

WEIR_OPERATOR(sinks, stdout, Stdout, spec)
