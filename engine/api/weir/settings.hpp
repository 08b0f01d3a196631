/// A node's settings: read from the pipeline text, checked against the operator's Spec, with defaults filled in.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <weir/expression.hpp>
#include <weir/shapes.hpp>
#include <weir/types.hpp>

namespace weir {

class Settings;

/// One checked value. Durations are nanoseconds, sizes bytes, rates per second; a secret is the text itself.
using Setting = std::variant<std::monostate, bool, std::int64_t, double, std::string, std::vector<std::string>,
                             std::shared_ptr<const Settings>, std::vector<std::shared_ptr<const Settings>>,
                             std::vector<RowColumn>, std::shared_ptr<const Expression>>;

/// The values of a node (or of an object setting inside one). A constructor may ask for any field that its Spec
/// declares without checking again: required fields are there, types and choices fit. Asking for an undeclared one is a
/// bug: it throws std::logic_error, which the engine takes for an error of the node.
class Settings {
 public:
  Settings() = default;
  /// `whose`: the operator, as messages name it: `sink "timescale"`.
  explicit Settings(std::string id, std::string whose = {}) : id_{std::move(id)}, whose_{std::move(whose)} {}

  /// The node's id.
  const std::string& id() const { return id_; }
  /// Whose they are, in messages.
  std::string whose() const { return whose_.empty() ? "node \"" + id_ + "\"" : whose_; }
  /// False for an optional field without default that the user left out.
  bool has(std::string_view name) const;

  const std::string& text(std::string_view name) const;
  std::int64_t integer(std::string_view name) const;
  double number(std::string_view name) const;  ///< number or rate (per second)
  bool boolean(std::string_view name) const;
  Duration duration(std::string_view name) const;
  std::uint64_t size(std::string_view name) const;
  const std::vector<std::string>& list(std::string_view name) const;  ///< kind::texts
  const Settings& object(std::string_view name) const;
  const std::vector<std::shared_ptr<const Settings>>& objects(std::string_view name) const;
  const std::vector<RowColumn>& columns(std::string_view name) const;
  const Expression& expression(std::string_view name) const;
  /// Names and values of kind::map, in the order of the text; each value is a Setting of the map's kind.
  const std::vector<std::pair<std::string, Setting>>& entries() const { return values_; }

  void set(std::string_view name, Setting value);
  const Setting* find(std::string_view name) const;

 private:
  std::string id_, whose_;
  std::vector<std::pair<std::string, Setting>> values_;
};

}  // namespace weir
