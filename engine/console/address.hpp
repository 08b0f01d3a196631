/// Where pages are served.
#pragma once

#include <string>

#include <weir/types.hpp>

namespace weir {

struct Address {
  std::string host;  ///< empty: none was said
  int port = 0;
};

/// Of "host:port" or "[::1]:port". invalid: it is not.
Result<Address> read_address(const std::string& text);

}  // namespace weir
