/// Rows into a PostgreSQL table within one transaction, around those that it will not take.
#pragma once

#include <span>
#include <string>
#include <vector>

#include <weir/sink.hpp>

#include "clients/postgres.hpp"

namespace weir::postgres {

/// A row that was left out; the reason's words are what the server said.
struct LeftOut {
  const Encoded* rows = nullptr;
  std::size_t row = 0;
  Reason reason;
};

/// The pieces of one COPY of all these rows, in order.
Pieces pieces_of(std::span<const Encoded* const> rows);

/// Copies rows with the statement `copy` inside the connection's open transaction, in order, leaving out exactly those
/// whose data is refused (found by halving, behind savepoints). Errors are of other kinds; the transaction has failed
/// then.
Result<std::vector<LeftOut>> load_what_fits(Connection& connection, const std::string& copy,
                                            std::span<const Encoded* const> rows);

}  // namespace weir::postgres
