/// What is to be done with rows of a replay when it has ended: --save and --diff.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/command.hpp"
#include "console/json_writer.hpp"
#include "core/config/text.hpp"

namespace weir::cli {

/// A comparison as people read it: a line of totals, then the rows that differ.
std::string shown(std::string_view node, const Comparison& comparison);

/// The selection of one command line. Sinks that have one write to a private file, unless the command line says where
/// to; it goes with the object, but stays, and is named, where dead letters are in it.
///
/// Threads   one.
class RowSelection {
 public:
  /// `saves` and `differences`: FILE or NODE=FILE of the command line. Error: what is wrong with them.
  static Result<RowSelection> of(const std::vector<std::string>& saves, const std::vector<std::string>& differences,
                                 const Document& pipeline, const Registry& registry);

  bool about(std::string_view node) const;
  bool none() const { return selection_.empty(); }
  /// The operator that keeps rows in a file, and that file, for a node.
  const std::string& rows_operator() const { return rows_operator_; }
  Result<std::string> private_file(const std::string& node);

  /// Does what was wished for, once nothing has the files open any more; prints differences, and what went wrong.
  /// `json`: prints an object for each entry, in an array.
  int carry_out(const Pipeline& pipeline, bool json) const;

 private:
  struct Entry {
    std::string node, file;
    bool save = false;
  };
  struct Folder;
  int carry_out(const Pipeline& pipeline, JsonWriter* json) const;

  std::vector<Entry> selection_;
  std::string rows_operator_;
  std::shared_ptr<Folder> folder_;  ///< made when it is needed
};

}  // namespace weir::cli
