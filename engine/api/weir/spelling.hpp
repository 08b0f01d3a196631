/// Names in messages: what was probably meant, and text quoted so that it can be read.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace weir {

/// The candidate that the user most likely meant: least Damerau-Levenshtein distance (a slip of case counts least),
/// no more than a third of the word's length; the first of equals. Nothing if none is near enough.
std::optional<std::string> nearest(std::string_view word, std::span<const std::string> candidates);

/// `did you mean "timescale"?`, or nothing: for Finding::suggestion.
std::string did_you_mean(std::string_view word, std::span<const std::string> candidates);

/// The same, or if none is near and there are few, all of them: `there are "drop", "nats"`.
std::string suggest(std::string_view word, std::span<const std::string> candidates);

/// `"a", "b", "c"`
std::string listed(std::span<const std::string> words);

/// The text in double quotes with JSON's escapes, cut after 60 code points: for messages.
std::string quoted(std::string_view text);
// Not std::quoted(), which argument-dependent lookup finds where <iomanip> is included.
inline std::string quoted(const std::string& text) { return quoted(std::string_view{text}); }
inline std::string quoted(const char* text) { return quoted(std::string_view{text}); }

/// The text as a terminal may have it, whoever wrote it: a sign that can be seen (U+FFFD) for each control character
/// and each byte that is no UTF-8.
std::string printable(std::string_view text);

}  // namespace weir
