/// Short names for long texts: what two of them being equal says of the texts.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <weir/checksum.hpp>
#include <weir/types.hpp>

#include "core/config/text.hpp"

namespace weir {

/// The checksum as 16 hexadecimal digits.
std::string fingerprint(std::string_view text);

/// A node, as a part of what a pipeline's state means.
struct Part {
  /// A field that the node gives in its rows because something asks for it.
  struct Request {
    std::string field;
    std::string kind;  ///< "number", "point", "text"
    std::string by;    ///< id of the node whose columns name it first; empty: the node's own text does
  };
  std::string name;     ///< its id: no blanks and none of :=~<@/
  std::string meaning;  ///< its own text
  int version = 1;      ///< of its operator's state
  bool counts = true;   ///< false: no state depends on it
  std::vector<Request> requests = {};
};

/// The bounds of all state together.
struct Bounds {
  std::uint32_t keys = 0;
  Duration forget = 0;
};

/// The checksum of all that decides what state means, followed by a word on each part, so that a kept one tells what
/// was changed since. What the checksum leaves out, as it may change freely, is among the words only: parts that don't
/// count, who requests, and limits.keys.
std::string fingerprint(std::span<const Part> parts, const Bounds& bounds);

/// Whether `now` may replay into state what `kept` has committed: they mean the same, or more keys are let in.
bool same_state(std::string_view kept, std::string_view now);

/// Whether they make the same rows of a message, bounds aside: also what no state depends on is the same.
bool same_rows(std::string_view kept, std::string_view now);

/// Something that differs between two such fingerprints.
struct Change {
  std::string words;        ///< `"rows" was edited`, `db.columns now asks rows for "charge"`
  bool counts = false;      ///< the state means something else by it
  bool of_columns = false;  ///< only in what columns ask for; "fields" of window-join, once named, keep it out
  std::string edited = {};  ///< the node that was edited, or whose columns ask; empty: neither
};
/// What to do that the next column changes no state; to be said where `of_columns` was refused.
inline constexpr std::string_view fields_advice =
    R"(list in window-join's "fields" whatever may become a column: what stands there becomes one without a change of state)";
/// Nothing if they are the same; or if they don't say it, as those of another build.
std::vector<Change> changes(std::string_view kept, std::string_view now);

/// What the numbers of rows depend on: all but who requests.
std::string without_requesters(std::string_view fingerprint);

/// Appends a value without layout and comments, members sorted: equal texts mean the same.
void write_canonical(const Value& value, std::string& out);

/// By setting of a node's object, "columns.speed" too, a checksum of its value; without what changes nothing: its id,
/// "renamed_from" and "description".
std::map<std::string, std::string> written_settings(const Value& node);

}  // namespace weir
