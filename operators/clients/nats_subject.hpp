/// Subjects with places for the key and the field: "vehicle.{key}.{field}", "vehicle.{key}", "vehicle.{key}.>".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <weir/message.hpp>
#include <weir/types.hpp>

namespace weir::nats {

/// A parsed subject template. Tokens are literals, `{key}` and `{field}` (each at most once), `*`, and `>` at the end.
///
/// Threads   any; immutable.
class SubjectPattern {
 public:
  /// Error::invalid with the offset of the token that can't be.
  static Result<SubjectPattern> parse(std::string_view text);

  /// What NATS understands: "vehicle.*.*".
  std::string filter() const;
  const std::string& text() const { return text_; }
  bool has_key() const { return key_ >= 0; }
  bool has_field() const { return field_ >= 0; }
  /// True if it has `*` or `>`, so that nothing can be published to it.
  bool has_wildcard() const;

  /// Takes a subject apart. False if it doesn't fit; key and field are then empty.
  bool match(std::string_view subject, std::string_view& key, std::string_view& field) const;

  /// The subject of a key and a field; empty if one that is asked for can't be a token (empty, or with '.', '*', '>' or
  /// a blank). Not for patterns with wildcards.
  std::string expand(std::string_view key, std::string_view field) const;

 private:
  std::string text_;
  std::vector<std::string> tokens_;  ///< "*" stands for key and field too
  int key_ = -1;                     ///< number of the token
  int field_ = -1;
  bool tail_ = false;  ///< ends in ">"
};

/// What every source of subjects does with a message: key and field from its subject, or a refusal.
void take_apart(const SubjectPattern& pattern, Message& message);

/// Names of one partition of a stream set. Several partitions: streams <base>-<k>, subjects p.<k>.…; a single one: the
/// stream <base> itself with plain subjects.
struct PartitionNames {
  PartitionNames(const std::string& base, std::uint32_t partitions, Partition k, const SubjectPattern& pattern);
  std::string stream;
  std::string prefix;  ///< of its subjects; empty if there is one partition
  std::string filter;  ///< what the stream takes
  std::string marker;  ///< where markers go: a subject like no other stream's, since streams must not overlap
};

/// True if the text can be one token of a subject.
bool is_token(std::string_view text);

/// True if everything that `narrow` matches is also matched by `wide`.
bool covers(std::string_view wide, std::string_view narrow);

}  // namespace weir::nats
