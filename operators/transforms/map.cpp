#include <weir/format.hpp>
#include <weir/operator.hpp>

#include <weir/spelling.hpp>

namespace {
using namespace weir;

constexpr std::uint32_t most_fields = 1u << 16;

const std::vector<std::string> settable{"field", "time", "x", "y", "z", "text"};

std::string setting_of(std::string_view column) { return weir::format("set.{}", column); }

/// The expression of an entry of `set`; a number, true or false stands for itself.
std::string text_of(const Setting& value) {
  if (const auto* text = std::get_if<std::string>(&value)) return *text;
  if (const auto* truth = std::get_if<bool>(&value)) return *truth ? "true" : "false";
  if (const auto* whole = std::get_if<std::int64_t>(&value)) return weir::format("{}", *whole);
  return weir::format("{}", std::get<double>(value));
}

std::string quoted_name(std::string_view column) {
  std::string out = "\"";
  for (const char c : column) out += c == '"' ? "\"\"" : std::string(1, c);
  return out + '"';
}

/// Why a column may not be set, whatever the input is.
std::string_view forbidden(std::string_view column) {
  if (column == "key") {
    return "\"key\" can't be set: it decides the lane, and in another lane than its own a vehicle has neither order "
           "nor "
           "state; publish under the new key and let a second pipeline read that";
  }
  if (column == "tick")
    return "\"tick\" can't be set: it is the instant that the row describes; add a column of another name";
  return {};
}

std::vector<Error> problems(const Settings& settings) {
  std::vector<Error> out;
  const auto& entries = settings.object("set").entries();
  if (entries.empty()) out.push_back({Error::Kind::invalid, "\"set\" names no column", "set"});
  for (const auto& [column, value] : entries) {
    if (const auto why = forbidden(column); !why.empty()) {
      out.push_back({Error::Kind::invalid, std::string{why}, setting_of(column)});
      continue;
    }
    if (const auto compiled = Expression::compile(text_of(value)); !compiled) {
      out.push_back({Error::Kind::invalid, compiled.error().message, setting_of(column), compiled.error().offset});
    }
  }
  return out;
}

class Map final : public Transform {
 public:
  explicit Map(const Settings& settings) {
    for (const auto& [column, value] : settings.object("set").entries()) set_.emplace_back(column, text_of(value));
    if (settings.has("where")) where_ = settings.expression("where").text();
  }

  Result<Schemas> bind_schema(const Schemas& inputs) override {
    const Schema& in = *inputs.at(0);
    auto out = std::make_shared<Schema>(in);
    samples_ = in.shape == Shape::samples;
    assignments_.clear();
    if (!where_.empty()) {
      const auto where = bound(where_, in, "where");
      if (!where) return std::unexpected(where.error());
      if (where->type() != Type::boolean) return fail(Error::Kind::invalid, "\"where\" must be true or false", "where");
    }
    for (const auto& [column, text] : set_) {
      auto value = value_for(in, column, text);
      if (!value) return std::unexpected(value.error());
      const auto there = in.find(column);
      if (!there) out->columns.push_back({column, value->type()});
      if (there && !samples_) out->columns[*there].type = value->type();
      assignments_.push_back({there.value_or(out->columns.size() - 1), column, *std::move(value)});
    }
    schema_ = std::move(out);
    return Schemas{schema_};
  }

  Result<void> process(Port, const BatchPtr& in, Output& out) override {
    auto batch = std::make_shared<Batch>(*in);
    batch->schema = schema_;
    batch->columns.resize(schema_->columns.size());
    std::vector<std::uint8_t> keep(in->rows, 1);
    for (const Assignment& each : assignments_) {
      Column value = each.value.evaluate(*in);
      if (samples_ && (each.number == samples::time || each.number == samples::field)) {
        refuse(*in, keep, out, {"null_result", weir::format("{} gave NULL", setting_of(each.column))},
               [&](std::size_t row) { return value.valid(row); });
        if (each.number == samples::field) value = fields_of(*in, value, keep, out);
      }
      batch->columns[each.number] = std::move(value);
    }
    out.emit(select(batch, keep));
    return {};
  }

  void save(StateWriter& state) const override {
    state.put(fields_->size());
    for (std::uint32_t id = 0; id < fields_->size(); ++id) state.put_text(fields_->at(id));
  }

  Result<void> load(StateReader& state) override {
    for (auto left = state.get<std::uint32_t>(); left != 0 && state.ok(); --left) fields_->intern(state.get_text());
    if (!state.ok()) return fail(Error::Kind::internal, "the state of map is cut off");
    return {};
  }

  Size size() const override { return {.keys = 0, .bytes = fields_->bytes()}; }

 private:
  /// A column that is set, and what gives it its values.
  struct Assignment {
    std::size_t number;
    std::string column;
    Expression value;
  };

  static Result<Expression> bound(const std::string& text, const Schema& in, const std::string& setting) {
    return Expression::compile(text)
        .and_then([&](const Expression& e) { return e.bind(in); })
        .transform_error([&](Error error) {
          error.setting = setting;
          return error;
        });
  }

  /// The expression, checked alone so that its mistakes have their places; then, where the column was there before or
  /// `where` leaves rows out, joined with what stays in those rows, which also gives both one type.
  Result<Expression> value_for(const Schema& in, const std::string& column, const std::string& text) const {
    const auto there = in.find(column);
    if (samples_ && !there) {
      const std::string hint = did_you_mean(column, settable);
      return fail(Error::Kind::invalid,
                  weir::format("samples have no column {}; {}", quoted(column),
                               hint.empty() ? "field, time, x, y, z and text can be set" : hint),
                  setting_of(column));
    }
    auto alone = bound(text, in, setting_of(column));
    if (!alone || (!samples_ && where_.empty())) return alone;
    const std::string stays = there ? quoted_name(column) : "null";
    auto joined = bound(weir::format("if({}, ({}), {})", where_.empty() ? "true" : where_, text, stays), in, "");
    if (joined && (!samples_ || kind_of(joined->type()) == kind_of(in.columns[*there].type))) return joined;
    return fail(Error::Kind::invalid,
                weir::format("{} holds {}, but this gives {}", quoted(column), kind_of(in.columns[*there].type),
                             kind_of(alone->type())),
                setting_of(column));
  }

  static std::string_view kind_of(Type type) {
    if (type == Type::string || type == Type::dictionary) return "texts";
    if (type == Type::timestamp) return "times";
    return type == Type::boolean ? "true or false" : "numbers";
  }

  /// Sends the rows that do not fit to the dead letters, each once.
  template <typename Fits>
  static void refuse(const Batch& in, std::vector<std::uint8_t>& keep, Output& out, const Reason& reason, Fits&& fits) {
    for (std::size_t row = 0; row < in.rows; ++row) {
      if (keep[row] == 0 || fits(row)) continue;
      keep[row] = 0;
      out.refuse(in, row, reason);
    }
  }

  /// The field column for these texts. Its table is this instance's own: the lane's belongs to the decoder's thread.
  Column fields_of(const Batch& in, const Column& texts, std::vector<std::uint8_t>& keep, Output& out) {
    Ids ids{std::vector<std::uint32_t>(in.rows), fields_};
    refuse(in, keep, out, {"too_many_fields", weir::format("the limit is {}", most_fields)}, [&](std::size_t row) {
      const auto id = fields_->intern(texts.text(row));
      ids.ids[row] = id.value_or(0);
      return id.has_value();
    });
    return Column::dictionary(std::move(ids));
  }

  std::vector<std::pair<std::string, std::string>> set_;
  std::string where_;
  std::vector<Assignment> assignments_;
  SchemaPtr schema_;
  bool samples_ = false;
  std::shared_ptr<Dictionary> fields_ = std::make_shared<Dictionary>(most_fields);
};

Spec spec() {
  return Spec::transform("gives columns new values, computed by expressions")
      .field("set", kind::map(),
             "column -> expression, a number, true or false; every expression sees the row as it came in, not what the "
             "others set")
      .optional("where", kind::expression(),
                "only rows for which this is true are changed; a column that is added is NULL in the others")
      .accepts({Shape::samples, Shape::events})
      .check(problems)
      .details(
          "Of samples field, time, x, y, z and text can be set, each to a value of its own type; a sample whose "
          "field or time would be NULL goes to the dead letters. Of events (window-join's port sessions) any column "
          "can be replaced, and any be added, but not key and tick. The key can't be set because it decides the lane: "
          "publish under the new key and read that in a second pipeline.")
      .details(
          "map stands before window-join: behind it rows are made by the sink, where no transform comes any more. So a "
          "sample can be computed from itself, not a column from others; that is for the database, in a view.")
      .details("Expressions are those of filter: weir describe filter.")
      .example(
          R"({ "id": "metric", "transform": "map", "from": "signals", "where": "field = 'speed'", "set": { "x": "x * 1.609344" } })")
      .example(
          R"json({ "id": "named", "transform": "map", "from": "signals",
          "set": { "field": "if(field = 'soc', 'charge', field)", "time": "time - 5ms" } })json");
}

}  // namespace

WEIR_OPERATOR(transforms, map, Map, spec())
