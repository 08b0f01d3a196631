#include <algorithm>

#include <weir/rfc3339.hpp>
#include <weir/spelling.hpp>

#include "expression/tree.hpp"

namespace weir::expression {
namespace {

constexpr std::array<std::string_view, 5> one_of{"a number", "a text", "true or false", "an instant",
                                                 "a point, as point(lat, lon) makes one"};
constexpr std::array<std::string_view, 5> several_of{"numbers", "texts", "true or false", "instants",
                                                     "points, as point(lat, lon) makes them"};
constexpr std::array<std::string_view, 5> kinds{"a number", "a text", "true or false", "an instant", "a point"};
constexpr std::array plain_types{Type::float64, Type::string, Type::boolean, Type::timestamp, Type::float64};

Takes kind_of(const Node& n) {
  if (n.is_point) return Takes::point;
  if (n.type == Type::string || n.type == Type::dictionary) return Takes::text;
  if (n.type == Type::timestamp) return Takes::instant;
  return n.type == Type::boolean ? Takes::truth : Takes::number;
}
bool fits(const Node& n, Takes kind) { return n.null || kind_of(n) == kind; }
bool is_instant(const Node& n) { return kind_of(n) == Takes::instant; }

std::string described(const Node& n) {
  const std::string_view what = kinds.at(static_cast<std::size_t>(kind_of(n)));
  if (n.is_name) return weir::format("{} is {}", quoted(n.text), what);
  return n.is_literal() ? weir::format("this is {}", what)
                        : weir::format("what \"{}\" gives is {}", n.form->name, what);
}

/// The argument that the others must be like: one that can't adapt, if there is one.
const Node& model_of(std::span<const Node> args) {
  const Node* model = &args.front();
  for (const Node& arg : args) {
    if (!arg.is_literal()) return arg;
    if (model->null) model = &arg;
  }
  return *model;
}

/// What some arguments have in common.
struct Common {
  Type type = Type::float64;
  bool is_point = false;
};

/// Looks up names, decides every node's type, and turns literals into the type of what they meet.
class Binder : Pass {
 public:
  Binder(const Schema& schema, std::vector<Slot>* slots) : schema_{schema}, slots_{slots} {}

  Result<void> run(Node& root) {
    visit(root, false);
    if (root.is_point)
      blame(root.offset, "this is a point, which no column holds; take distance(), bearing() or a cell");
    if (error_) return std::unexpected(*error_);
    return {};
  }

 private:
  /// `wants_point`: a name that is both a column and a point means the point.
  void visit(Node& n, bool wants_point) {
    if (n.is_name) look_up(n, wants_point);
    if (n.id != nullptr) n.id = std::make_shared<KnownId>();  // every lane binds its own, and has its own dictionaries
    for (std::size_t i = 0; i < n.args.size(); ++i) {
      const Takes takes = takes_of(n, i);
      visit(n.args[i], takes == Takes::point || (takes == Takes::same && wants_point));
    }
    if (n.form == nullptr || error_) return;
    decide(n);
    if (n.form->prepare != nullptr && !error_) {
      if (const auto problem = n.form->prepare(n)) blame(n.args[problem->first].offset, "{}", problem->second);
    }
    if (n.form->looks_back && !error_) remember(n);
  }

  /// Of `case`, the values come first.
  static Takes takes_of(const Node& n, std::size_t arg) {
    if (n.form->name != "case") return n.form->takes[std::min<std::size_t>(arg, 2)];
    if (arg < (n.args.size() + 1) / 2) return Takes::same;
    return n.args.size() % 2 == 0 ? Takes::alike : Takes::truth;
  }

  void blame_need(const Node& arg, std::string_view wanted, const Node& by) {
    blame(arg.offset, "\"{}\" needs {}, but {}", by.form->name, wanted, described(arg));
  }

  std::optional<std::size_t> number_column(const std::string& name) const {
    const auto number = schema_.find(name);
    return number && schema_.columns[*number].type == Type::float64 ? number : std::nullopt;
  }

  /// `position` for position_lat and position_lon; of brackets `position.before` for itself and position.before_y.
  bool find_point(Node& n) const {
    const bool brackets = schema_.shape == Shape::brackets;
    const auto lat = number_column(brackets ? n.text : n.text + "_lat");
    const auto lon = number_column(n.text + (brackets ? "_y" : "_lon"));
    if (!lat || !lon) return false;
    n.is_point = true;
    n.type = Type::float64;
    n.column = *lat;
    n.longitude = *lon;
    return true;
  }

  void look_up(Node& n, bool wants_point) {
    const auto number = schema_.find(n.text);
    if ((wants_point || !number) && find_point(n)) return;
    n.type = number ? schema_.columns[*number].type : Type::timestamp;
    n.column = number.value_or(arrival_column);
    if (number || n.text == "arrival") return;
    std::vector<std::string> names;
    for (const ColumnType& column : schema_.columns) names.push_back(column.name);
    names.emplace_back("arrival");
    std::string hint = did_you_mean(n.text, names);
    if (hint.empty() && schema_.shape == Shape::samples) {
      hint = weir::format("a sample is one value of one field: field = '{}' and x > 0", n.text);
    } else if (hint.empty()) {
      for (const ColumnType& column : schema_.columns)
        hint += weir::format("{}{} ({})", hint.empty() ? "there are " : ", ", column.name, to_string(column.type));
      hint += weir::format(", arrival (timestamp); a text is written '{}'", n.text);
    }
    blame(n.offset, "unknown name {}; {}", quoted(n.text), hint);
  }

  /// Decides the type of a form, by its arguments.
  void decide(Node& n) {
    const std::string_view name = n.form->name;
    if ((name == "+" || name == "-") && is_instant(n.args[0])) {
      n.type = instant_type(n);
      return;
    }
    Common common, first;
    for (std::size_t begin = 0, end = 0; begin < n.args.size(); begin = end) {
      const Takes takes = takes_of(n, begin);
      for (end = begin + 1; end < n.args.size() && takes != Takes::any && takes_of(n, end) == takes;) ++end;
      common = unify(std::span{n.args}.subspan(begin, end - begin), takes, n);
      if (begin == 0) first = common;
    }
    if (name == "case") common = first;
    n.type = n.form->result.value_or(common.type);
    n.is_point = n.form->makes_point || (!n.form->result && common.is_point);
  }

  /// `time + 5s`, `time - time`: an instant comes first.
  Type instant_type(Node& n) {
    Node& length = n.args.back();
    if (is_instant(length) && n.form->name == "-") return Type::int64;
    if (length.null) length.type = Type::int64;
    if (length.type != Type::int64 || length.is_point)
      blame_need(length, "a length of time like 5s after an instant", n);
    return Type::timestamp;
  }

  /// Makes the arguments one kind; answers what they have in common.
  Common unify(std::span<Node> args, Takes takes, const Node& by) {
    const Node& model = model_of(args);
    const bool free = takes == Takes::alike || takes == Takes::same || takes == Takes::any;
    Takes kind = takes;
    if (free) kind = kind_of(model);
    if (takes == Takes::whole) kind = Takes::number;
    if (takes == Takes::constant) kind = Takes::text;
    const auto number = static_cast<std::size_t>(kind);
    Common common{model.null || kind == Takes::text ? plain_types.at(number) : model.type, kind == Takes::point};
    if (takes == Takes::whole) common.type = Type::int64;
    for (Node& arg : args) {
      if (kind == Takes::instant && arg.id != nullptr) read_instant(arg);
      const auto [a, b] = std::minmax<const Node*>({&arg, &model});
      if (!fits(arg, kind) && free)
        blame(b->offset, "\"{}\" can't take both: {}, and {}", by.form->name, described(*a), described(*b));
      else if (!fits(arg, kind))
        blame_need(arg, (args.size() == 1 ? one_of : several_of).at(number), by);
      else if (kind == Takes::point && takes != Takes::point && takes != Takes::same)
        blame(arg.offset, "\"{}\" can't take a point", by.form->name);
      else if (takes == Takes::whole && !arg.null && arg.type != Type::int64)
        blame(arg.offset, "\"{}\" needs a whole number, but this has decimals", by.form->name);
      else if (takes == Takes::constant && arg.id == nullptr)
        blame(arg.offset, "\"{}\" needs a text in quotes here, the same for all rows", by.form->name);
      if (!arg.null && arg.type == Type::float64) common.type = Type::float64;
    }
    for (Node& arg : args) {
      if (arg.null) arg.type = common.type, arg.is_point = common.is_point;
      if (!arg.is_literal() || arg.type != Type::int64 || model.type != Type::float64) continue;
      arg.type = Type::float64;
      arg.number = static_cast<double>(arg.integer);
    }
    return common;
  }

  /// What a text that meets an instant becomes.
  void read_instant(Node& n) {
    const auto instant = parse_rfc3339(n.text);
    if (!instant) blame(n.offset, "{} is no instant; write '2026-01-01T00:00:00Z'", quoted(n.text));
    n.type = Type::timestamp;
    n.integer = instant.value_or(0);
    n.id.reset();
  }

  /// Finds what a form that looks back goes by, and a point for what it remembers.
  void remember(Node& n) {
    const std::string_view name = n.form->name;
    const auto key = schema_.find("key");
    if (slots_ == nullptr) blame(n.offset, "{}() can't stand here: nothing remembers the row before", name);
    if (!key || schema_.columns[*key].type != Type::dictionary)
      return blame(n.offset, "{}() goes by the key, and there is no column \"key\"", name);
    if (n.args.empty()) {
      auto time = schema_.find(schema_.shape == Shape::samples ? "time" : "tick");
      if (!time) time = schema_.find("time");
      n.column = time.value_or(0);
      if (!time || schema_.columns[n.column].type != Type::timestamp)
        return blame(n.offset, "{}() goes by the time, and there is no column \"tick\" or \"time\"", name);
    }
    if (slots_ == nullptr) return;
    n.slot = slots_->size();
    const std::string meaning = n.args.empty() ? "elapsed" : meaning_of(n.args[0]);
    add_slot(n.args.empty() ? Type::timestamp : n.type, meaning);
    if (n.is_point) add_slot(Type::float64, meaning + " longitude");
    if (slots_->size() > most_slots)
      blame(n.offset, "more than {} values of the row before; keep some in a column of another map", most_slots);
  }

  void add_slot(Type type, std::string meaning) {
    const Slot slot{type, std::move(meaning)};
    const auto same = std::ranges::count(*slots_, slot.meaning, &Slot::meaning);
    slots_->push_back(same == 0 ? slot : Slot{type, weir::format("{} {}", slot.meaning, same)});
  }

  /// The same for every way to write it.
  static std::string meaning_of(const Node& n) {
    if (n.is_name) return quoted(n.text);
    if (n.form == nullptr) return weir::format("{} {} {} {}", n.null, n.text, n.number, n.integer);
    std::string out = std::string{n.form->name} + "(";
    for (const Node& arg : n.args) out += meaning_of(arg) + ",";
    return out + ")";
  }

  const Schema& schema_;
  std::vector<Slot>* slots_;
};

}  // namespace

Result<void> bind(Node& root, const Schema& schema, std::vector<Slot>* slots) {
  return Binder{schema, slots}.run(root);
}

}  // namespace weir::expression
