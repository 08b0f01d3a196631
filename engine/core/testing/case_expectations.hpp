/// Reads what a case expects.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/testing/case_shapes.hpp"
#include "core/testing/cases.hpp"

namespace weir {

class CaseExpectations {
 public:
  /// All must outlive it.
  CaseExpectations(CaseShapes& shapes, const Pipeline& pipeline, const CaseSurroundings& around)
      : shapes_{shapes}, pipeline_{pipeline}, around_{around} {}

  void read(const Value& value, std::vector<CaseExpectation>& out);

  std::optional<std::size_t> find_node(const Value& name, const std::string& id);

 private:
  using What = CaseExpectation::What;
  void read_one(const Value& value, CaseExpectation& out);
  void read_rows_of_port(const Value& value, std::string_view member, CaseExpectation& out);
  void read_rows(const Value& value, const std::vector<std::string>& known, CaseExpectation& out);
  std::optional<Table> table_of(const Value& value, CaseExpectation& out);
  std::optional<Table> table_in_file(const Value& value, CaseExpectation& out);
  void read_counter(const Value& value, CaseExpectation& out);
  void read_state(const Value& value, CaseExpectation& out);
  bool find_port(const Value& name, CaseExpectation& out);
  std::vector<std::string> columns_of_port(const CaseExpectation& expectation) const;

  CaseShapes& shapes_;
  const Pipeline& pipeline_;
  const CaseSurroundings& around_;
};

}  // namespace weir
