#include <weir/format.hpp>
#include <weir/operator.hpp>

#include <algorithm>

#include <weir/spelling.hpp>

namespace {
using namespace weir;

constexpr std::uint32_t most_fields = 1u << 16;

const std::vector<std::string> settable{"field", "time", "x", "y", "z", "text"};
/// What the schema that expressions see calls the column of `where`: no name of anybody's.
const std::string where_column = "\nwhere";

/// The names and values of an object; none if it is left out, or is no object.
std::vector<std::pair<std::string, Setting>> entries_of(const Settings& settings, std::string_view name) {
  const Setting* const object = settings.find(name);
  const auto* entries = object == nullptr ? nullptr : std::get_if<std::shared_ptr<const Settings>>(object);
  return entries == nullptr ? std::vector<std::pair<std::string, Setting>>{} : (*entries)->entries();
}

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

/// Why a column may not be changed, whatever the input is.
std::string_view forbidden(std::string_view column) {
  if (column == "key") {
    return "it decides the lane, and in another lane than its own a vehicle has neither order nor state; publish "
           "under the new key and let a second pipeline read that";
  }
  return column == "tick" ? "it is the instant that the row describes; add a column of another name" : "";
}

/// The same of what a row must keep under its name.
std::string_view fixed(std::string_view column, Shape shape) {
  const bool timed = shape == Shape::samples || shape == Shape::events || shape == Shape::other;
  return timed && column == "time" ? "it is the time of the row" : forbidden(column);
}

class Problems {
 public:
  std::vector<Error> of(const Settings& settings) {
    const auto set = entries_of(settings, "set"), renamed = entries_of(settings, "rename");
    const bool drops = settings.has("drop"), keeps = settings.has("keep");
    if (set.empty() && renamed.empty() && !drops && !keeps)
      add(R"(it changes nothing; say what to "set", "rename", "drop" or "keep")", settings.has("set") ? "set" : "");
    for (const auto& [column, value] : set) {
      const std::string setting = "set." + column;
      if (refuse(column, "set", setting)) continue;
      if (const auto compiled = Expression::compile(text_of(value)); !compiled)
        add(compiled.error().message, setting, compiled.error().offset);
    }
    for (const auto& [column, value] : renamed) {
      const std::string setting = "rename." + column;
      const auto* name = std::get_if<std::string>(&value);
      if (name == nullptr || name->empty())
        add("a column's new name is a text", setting);
      else if (!refuse(column, "renamed", setting))
        refuse(*name, "the name of another column", setting);
    }
    if (drops && keeps) add(R"(say what to "drop" or what to "keep", not both)", "keep");
    for (const auto& column : drops ? settings.list("drop") : std::vector<std::string>{})
      refuse(column, "dropped", "drop");
    return std::move(out_);
  }

 private:
  void add(std::string message, std::string setting, std::size_t offset = 0) {
    out_.push_back({Error::Kind::invalid, std::move(message), std::move(setting), offset});
  }
  bool refuse(std::string_view column, std::string_view what, const std::string& setting) {
    const std::string_view why = forbidden(column);
    if (!why.empty()) add(weir::format("{} can't be {}: {}", quoted(column), what, why), setting);
    return !why.empty();
  }

  std::vector<Error> out_;
};

std::vector<Error> problems(const Settings& settings) { return Problems{}.of(settings); }

/// Whether an expression goes by the row before. Settings may be wrong yet.
bool looks_back(const Settings& settings) {
  const auto does = [](const Setting& value) {
    if (const auto* expression = std::get_if<std::shared_ptr<const Expression>>(&value))
      return (*expression)->looks_back();
    const auto* text = std::get_if<std::string>(&value);
    const auto compiled = text == nullptr ? fail(Error::Kind::invalid, "") : Expression::compile(*text);
    return compiled && compiled->looks_back();
  };
  const Setting* const where = settings.find("where");
  return (where != nullptr && does(*where)) ||
         std::ranges::any_of(entries_of(settings, "set"), [&](const auto& entry) { return does(entry.second); });
}

class Map final : public Transform {
 public:
  Map(const Settings& settings, Context& context)
      : context_{context},
        undefined_{context.counter("undefined_values")},
        history_{std::make_unique<History>(context.forget())} {
    for (const auto& [column, value] : entries_of(settings, "set")) set_.emplace_back(column, text_of(value));
    for (const auto& [column, value] : entries_of(settings, "rename"))
      rename_.emplace_back(column, std::get<std::string>(value));
    if (settings.has("where")) where_ = settings.expression("where");
    if (settings.has("drop")) drop_ = settings.list("drop");
    if (settings.has("keep")) keep_ = settings.list("keep");
  }

  Result<Schemas> bind_schema(const Schemas& inputs) override {
    const Schema& in = *inputs.at(0);
    samples_ = in.shape == Shape::samples;
    history_ = std::make_unique<History>(context_.forget());
    assignments_.clear();
    seen_ = std::make_shared<Schema>(in);
    Schema made = in;
    if (where_) {
      auto where = bound(*where_, in, "where", *history_);
      if (!where) return std::unexpected(where.error());
      if (where->type() != Type::boolean) return fail(Error::Kind::invalid, "\"where\" must be true or false", "where");
      bound_where_ = *std::move(where);
      seen_->columns.push_back({where_column, Type::boolean});
    }
    for (const auto& [column, text] : set_) {
      auto value = value_for(in, column, text);
      if (!value) return std::unexpected(value.error());
      const auto there = in.find(column);
      if (!there) made.columns.push_back({column, value->type()});
      if (there && !samples_) made.columns[*there] = {column, value->type()};  // in what unit is not known
      assignments_.push_back({there.value_or(made.columns.size() - 1), column, *std::move(value)});
    }
    return rename(made).and_then([&] { return choose(made); }).transform([&] {
      schema_ = finished(in, std::move(made));
      return Schemas{schema_};
    });
  }

  Result<void> process(Port, const BatchPtr& in, Output& out) override {
    if (!history_->empty() && in->rows != 0 && in->column("key").ids().dictionary != context_.keys())
      return fail(Error::Kind::internal, "keys of another lane reached map");
    history_->begin(*in);
    Expression::Evaluation evaluation{history_.get()};
    const BatchPtr seen = where_ ? with_where(*in, evaluation) : in;
    std::vector<Column> set(seen_->columns.size() + assignments_.size());
    std::vector<std::uint8_t> keep(in->rows, 1);
    for (const Assignment& each : assignments_) {
      Column value = each.value.evaluate(*seen, evaluation);
      if (samples_ && (each.number == samples::time || each.number == samples::field)) {
        refuse(*in, keep, out, {"null_result", weir::format("set.{} gave NULL", each.column)},
               [&](std::size_t row) { return value.valid(row); });
        if (each.number == samples::field) value = fields_of(*in, value, keep, out);
      }
      set[each.number] = std::move(value);
    }
    auto batch = std::make_shared<Batch>(
        Batch{schema_, in->rows, {}, in->arrival, in->reached, in->origin, in->messages, in->message_of_row});
    for (const std::size_t number : chosen_) {
      const bool stays = !std::ranges::contains(assignments_, number, &Assignment::number);
      batch->columns.push_back(stays ? in->columns[number] : std::move(set[number]));
    }
    out.count(undefined_, evaluation.undefined);
    out.emit(select(batch, keep));
    return {};
  }

  void save(StateWriter& state) const override {
    if (!names_fields() && history_->empty()) return;
    state.put(fields_->size());
    for (std::uint32_t id = 0; id < fields_->size(); ++id) state.put_text(fields_->at(id));
    history_->save(state);
  }

  Result<void> load(StateReader& state) override {
    if (state.at_end()) return {};  // of settings that need none
    for (auto left = state.get<std::uint32_t>(); left != 0 && state.ok(); --left) fields_->intern(state.get_text());
    if (state.ok() && (state.at_end() || history_->load(state, context_.keys()->size()))) return {};
    return fail(Error::Kind::internal, "the state of map is cut off");
  }

  Size size() const override { return {.keys = history_->keys(), .bytes = fields_->bytes() + history_->bytes()}; }

 private:
  /// A column that is set, and what gives it its values.
  struct Assignment {
    std::size_t number;
    std::string column;
    Expression value;
  };

  /// With a column more, that says in which rows something is set.
  BatchPtr with_where(const Batch& in, Expression::Evaluation& evaluation) const {
    auto out = std::make_shared<Batch>(in);
    out->schema = seen_;
    out->columns.push_back(bound_where_->evaluate(in, evaluation));
    return out;
  }

  bool names_fields() const {
    return samples_ && std::ranges::contains(assignments_, samples::field, &Assignment::number);
  }

  static Result<Expression> bound(const Expression& expression, const Schema& in, const std::string& setting,
                                  History& history) {
    return expression.bind(in, &history).transform_error([&](Error error) {
      error.setting = setting;
      return error;
    });
  }

  /// The expression, checked alone so that its mistakes have their places; then, where the column was there before or
  /// `where` leaves rows out, joined with what stays in those rows, which also gives both one type.
  Result<Expression> value_for(const Schema& in, const std::string& column, const std::string& text) {
    const std::string setting = "set." + column;
    const auto there = in.find(column);
    const std::string near = samples_ && !there ? did_you_mean(column, settable) : "";
    if (!near.empty())
      return fail(Error::Kind::invalid, weir::format("samples have no column {}; {}", quoted(column), near), setting);
    History none{0};
    const auto compile = [&](const std::string& what, const Schema& schema, History& history) {
      return Expression::compile(what).and_then(
          [&](const Expression& e) { return bound(e, schema, setting, history); });
    };
    const auto alone = compile(text, in, none);
    if (!alone) return alone;
    const bool same_kind = samples_ && there;
    if (!same_kind && !where_) return compile(text, in, *history_);
    const std::string stays = there ? quoted_name(column) : "null";
    const std::string where = where_ ? quoted_name(where_column) : "true";
    auto joined = compile(weir::format("if({}, ({}), {})", where, text, stays), *seen_, *history_);
    if (joined && (!same_kind || kind_of(joined->type()) == kind_of(in.columns[*there].type))) return joined;
    return fail(Error::Kind::invalid,
                weir::format("{} holds {}, but this gives {}", quoted(column), kind_of(in.columns[*there].type),
                             kind_of(alone->type())),
                setting);
  }

  static std::string_view kind_of(Type type) {
    if (type == Type::string || type == Type::dictionary) return "texts";
    if (type == Type::timestamp) return "times";
    return type == Type::boolean ? "true or false" : "numbers";
  }

  static std::unexpected<Error> unknown_column(const Schema& made, std::string_view name, std::string setting) {
    std::vector<std::string> names;
    for (const ColumnType& column : made.columns) names.push_back(column.name);
    const std::string near = did_you_mean(name, names);
    return fail(
        Error::Kind::invalid,
        weir::format("there is no column {}; {}", quoted(name), near.empty() ? "there are " + listed(names) : near),
        std::move(setting));
  }

  /// Gives columns their new names, all at once.
  Result<void> rename(Schema& made) const {
    const Schema before = made;
    for (const auto& [old, name] : rename_) {
      const auto number = before.find(old);
      if (!number) return unknown_column(before, old, "rename." + old);
      if (const auto why = fixed(old, made.shape); !why.empty())
        return fail(Error::Kind::invalid, weir::format("{} can't be renamed: {}", quoted(old), why), "rename." + old);
      made.columns[*number].name = name;
    }
    for (const auto& [old, name] : rename_) {
      if (std::ranges::count(made.columns, name, &ColumnType::name) > 1)
        return fail(Error::Kind::invalid, weir::format("there is a column {} already", quoted(name)), "rename." + old);
    }
    return {};
  }

  /// Takes out what is dropped, or all that is not kept.
  Result<void> choose(Schema& made) {
    for (const std::string& name : drop_) {
      if (!made.find(name)) return unknown_column(made, name, "drop");
      if (const auto why = fixed(name, made.shape); !why.empty())
        return fail(Error::Kind::invalid, weir::format("{} can't be dropped: {}", quoted(name), why), "drop");
    }
    for (const std::string& name : keep_.value_or(std::vector<std::string>{}))
      if (!made.find(name)) return unknown_column(made, name, "keep");
    chosen_.clear();
    std::vector<ColumnType> left;
    for (std::size_t number = 0; number < made.columns.size(); ++number) {
      const std::string& name = made.columns[number].name;
      const bool stays = keep_ ? std::ranges::contains(*keep_, name) || !fixed(name, made.shape).empty()
                               : !std::ranges::contains(drop_, name);
      if (!stays) continue;
      chosen_.push_back(number);
      left.push_back(made.columns[number]);
    }
    made.columns = std::move(left);
    return {};
  }

  /// Samples and brackets are what they are by their columns; rows and events with other columns are still that.
  static SchemaPtr finished(const Schema& in, Schema made) {
    const bool by_columns = in.shape == Shape::samples || in.shape == Shape::brackets;
    if (by_columns && made.columns != in.columns) made.shape = Shape::other;
    return std::make_shared<const Schema>(std::move(made));
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

  Context& context_;
  std::size_t undefined_;
  std::vector<std::pair<std::string, std::string>> set_, rename_;  // column and expression; old name and new
  std::vector<std::string> drop_;
  std::optional<std::vector<std::string>> keep_;
  std::optional<Expression> where_, bound_where_;
  std::vector<Assignment> assignments_;
  std::vector<std::size_t> chosen_;  // of the input's columns and those that are added: what comes out
  std::shared_ptr<Schema> seen_;     // by the expressions: the input's, and `where`
  SchemaPtr schema_;
  bool samples_ = false;
  std::unique_ptr<History> history_;
  std::shared_ptr<Dictionary> fields_ = std::make_shared<Dictionary>(most_fields);
};

Spec spec() {
  return Spec::transform("makes, renames and drops columns, by expressions")
      .optional("set", kind::map(),
                "column -> expression, a number, true or false; every expression sees the row as it came in, not what "
                "the others set")
      .optional("where", kind::expression(),
                "only rows for which this is true are changed by `set`; a column that is added is NULL in the others")
      .optional("rename", kind::map(), "column -> its new name, after `set`")
      .optional("drop", kind::texts(), "columns to leave out, by their new names")
      .optional("keep", kind::texts(), "instead: the columns to keep; key and tick, or key and time, always stay")
      .counter("undefined_values", Expression::undefined_doc)
      .check(problems)
      .remembers_keys(looks_back)
      .state([](const Settings& settings) { return looks_back(settings) ? History::state_doc : ""; })
      .details(
          "Rows stay rows and events events, whatever columns they have. Samples stay samples if they have no other "
          "columns than before: of field, time, x, y, z and text each can be set to a value of its own type, and a "
          "sample whose field or time would be NULL goes to the dead letters. The key can't be set because it decides "
          "the lane: publish under the new key and read that in a second pipeline.")
      .details(
          "The type of a column is its expression's; weir explain shows it. previous(x) and elapsed() go by the row "
          "before of the same key, as rows come in, whether `where` is true of it or not; of samples by the one before "
          "of the same key and field. A key without a row for limits.forget is forgotten.")
      .details("Expressions are those of filter, where weir describe says how they are written. Functions:\n" +
               Expression::functions())
      .example(
          R"({ "id": "metric", "transform": "map", "from": "signals", "where": "field = 'speed'", "set": { "x": "x * 1.609344" } })")
      .example(
          R"json({ "id": "named", "transform": "map", "from": "signals",
          "set": { "field": "if(field = 'soc', 'charge', field)", "time": "time - 5ms" } })json")
      .example(
          R"json({ "id": "way", "transform": "map", "from": "signals", "where": "field = 'mileage'",
          "set": { "x": "x - previous(x)" } })json");
}

}  // namespace

WEIR_OPERATOR(transforms, map, Map, spec())
