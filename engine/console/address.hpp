/// Where pages are served.
#pragma once

#include <string>

#include <weir/types.hpp>

namespace weir {

struct Address {
  std::string host;  ///< empty: none was said
  int port = 0;
};

/// Of "host:port", "[::1]:port" or ":port". invalid: it is none of these.
Result<Address> read_address(const std::string& text);

}  // namespace weir
