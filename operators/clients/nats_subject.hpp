/// Subjects with places for the key and the field: "vehicle.{key}.{field}", "vehicle.{key}", "vehicle.{key}.>".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <weir/message.hpp>
#include <weir/types.hpp>

namespace weir::nats {

/// Bytes. A server hangs up on a line of more than 4,096 (max_control_line); the subject shares it with the verb, the
/// address of the answer and two sizes.
inline constexpr std::size_t longest_subject = 3'900;

/// An entry of nats-server's "mappings": what is published to `from` reaches `to` instead.
struct Mapping {
  std::string from, to;
};

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
  /// a blank), or if it is longer than longest_subject. Not for patterns with wildcards.
  std::string expand(std::string_view key, std::string_view field) const;

  /// What brings each key's messages into its partition: "vehicle.*.>" to
  /// "p.{{partition(16,1)}}.vehicle.{{wildcard(1)}}.>". Whatever follows the key is taken, so that pipelines that read
  /// different subjects of the same vehicles need the same entry. Error::invalid if the server can't do it: why, and
  /// what to do instead.
  Result<Mapping> mapping(std::uint32_t partitions) const;

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
