#include "console/address.hpp"

#include <charconv>

namespace weir {

Result<Address> read_address(const std::string& text) {
  const auto colon = text.rfind(':');
  Address out{text.substr(0, colon), -1};
  if (colon != std::string::npos) {
    const char* end = text.data() + text.size();
    if (std::from_chars(text.data() + colon + 1, end, out.port).ptr != end) out.port = -1;
  }
  if (out.port < 0 || out.port > 65535 || out.host.contains('/'))
    return fail(Error::Kind::invalid, "\"" + text + "\" is not [host]:port; write localhost:8080, or :8080");
  if (out.host.starts_with('[') && out.host.ends_with(']')) out.host = out.host.substr(1, out.host.size() - 2);
  return out;
}

}  // namespace weir
