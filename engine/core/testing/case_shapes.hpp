/// The shapes of values in a file of cases: what is wrong is noted with its place.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/testing/cases.hpp"

namespace weir {

class CaseShapes {
 public:
  /// All must outlive it.
  CaseShapes(const Document& document, std::vector<Finding>& findings) : document_{document}, findings_{findings} {}

  void error(const Span& span, std::string rule, std::string message, std::string suggestion = {});
  std::size_t errors() const { return findings_.size(); }

  /// `what`: as the message begins.
  bool expect(const Value& value, Value::Kind kind, std::string_view what);
  /// Checks that it is an object of these members only.
  bool expect_object(const Value& value, const std::vector<std::string>& allowed,
                     const std::vector<std::string>& required);
  /// Of a list: calls `read` with each value in it.
  template <typename Read>
  void each(const Value& list, const Read& read) {
    if (!expect(list, Value::Kind::array, "this")) return;
    for (const Value& item : list.items) read(item);
  }
  /// A count of something, up to `most`.
  std::optional<std::uint64_t> number(const Value& value, std::string_view what, std::uint64_t most);
  /// A table, of which each line is a text of the list.
  std::optional<Table> table(const Value& list, std::vector<Span>& places);
  /// As it is written in the file.
  std::string written(const Value& value) const;
  /// The path of a file beside this one.
  std::string beside(std::string_view path) const;

 private:
  const Document& document_;
  std::vector<Finding>& findings_;
};

}  // namespace weir
