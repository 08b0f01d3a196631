/// ${VARIABLES} in pipeline text, the files they come from, and what may be shown of it all.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/config/findings.hpp"
#include "core/config/text.hpp"

namespace weir {

/// Answers a variable's value; nothing if it is not set.
using Environment = std::function<std::optional<std::string>(std::string_view name)>;

/// Replaces `${NAME}`, `${NAME:default}` and `${NAME:?message}` in all string values, never in keys; `$${` is a literal
/// `${`. With a colon an empty variable counts as unset, as in a shell. A default may hold balanced braces but no
/// variables; what a variable brings is not looked at for variables again. A null environment has no variables.
///
/// Unset `${NAME}`: an error at its place. Unset `${NAME:?message}`: a finding of severity `unset_required` with the
/// message. A string with an error becomes invalid, so that nobody complains about it twice; behind a mere warning it
/// is empty there.
std::vector<Finding> replace_variables(Document& document, const Environment& environment, Severity unset_required);

/// The lines `NAME=value` of a dotenv file, in order: blank lines and # comments skipped, `export ` taken off. In
/// single quotes everything is literal, in double quotes \n \t \" \\ \$ are escapes; without quotes ` #` begins a
/// comment. Malformed lines go to `findings`, with their places.
std::vector<std::pair<std::string, std::string>> read_dotenv(std::string_view text, std::string_view file,
                                                             std::vector<Finding>& findings);

/// A value as JSON on one line for people to see: strings as they were before variables were replaced, what is marked
/// secret as "<redacted>", what without_secrets() hides as ***.
std::string shown(const Value& value);

}  // namespace weir
