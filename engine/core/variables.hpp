/// ${VARIABLES} in pipeline text.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/findings.hpp"
#include "core/text.hpp"

namespace weir {

/// Answers a variable's value; nothing if it is not set.
using Environment = std::function<std::optional<std::string>(std::string_view name)>;

/// Replaces `${NAME}`, `${NAME:default}` and `${NAME:?message}` in all string values, never in keys; `$${` is a literal `${`.
/// Unset `${NAME}`: an error at its place. Unset `${NAME:?message}`: a finding of severity `unset_required` with the message.
/// A null environment has no variables. What a variable brings is not looked at for variables again.
std::vector<Finding> replace_variables(Document& document, const Environment& environment, Severity unset_required);

/// The lines `NAME=value` of a dotenv file: blank lines and # comments skipped, `export ` and matching quotes taken off.
/// Malformed lines go to `findings`, with their places.
std::vector<std::pair<std::string, std::string>> read_dotenv(std::string_view text, std::string_view file, std::vector<Finding>& findings);

/// A value as JSON on one line for people to see, secrets as "<redacted>", passwords in URLs as ***.
std::string shown(const Value& value);

}  // namespace weir
