/// Addresses of servers for people to see, without what lets one in.
#pragma once

#include <string>

namespace weir {

/// The text with *** for the password in every URL ("scheme://user:password@host"), and for `password=…` of connection
/// strings. User information without a colon is a name in PostgreSQL's URLs and stays; elsewhere it may be a token, as
/// in NATS's, and is *** too. Several URLs may be separated by commas or blanks. Rather hides too much.
std::string without_secrets(std::string text);

}  // namespace weir
