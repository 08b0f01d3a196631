#include "core/plan/pipeline_fields.hpp"

namespace weir {

const std::vector<Field>& root_fields() {
  static const std::vector<Field> fields =
      Spec::source("")
          .optional("dead_letters", kind::text(),
                    "file for dead letters where no sink keeps them, a JSON line each; default: <name>.dead.jsonl")
          .optional("renamed_from", kind::text(),
                    "the name that the pipeline had: its progress, state and row ids are kept under that")
          .field("shutdown_timeout", kind::duration(), "how long draining may take", "20s")
          .fields;
  return fields;
}

const std::vector<Field>& limits_fields() {
  static const std::vector<Field> fields =
      Spec::source("")
          .optional("keys", kind::integer(),
                    "most distinct keys (vehicles) that a lane may meet, forgotten ones included; messages of further "
                    "keys go to the dead letters; no default, needed by transforms that keep state")
          .between(1, 16'000'000)
          .field("forget", kind::duration(), "arrival time without a sample after which a key leaves memory", "1d")
          .between(1e9, 1e18)
          .field("in_flight", kind::size(), "most bytes pulled and not yet committed, over all lanes", "256MB")
          .between(1e6, 1e12)
          .field("dead_letters_per_key", kind::integer(),
                 "most dead letters of a key and a reason that a partition keeps of a minute of arrival time; the "
                 "others are counted alone",
                 "10")
          .between(1, 1e6)
          .field("dead_letters_per_reason", kind::integer(), "the same of all keys", "1000")
          .between(1, 1e6)
          .field("dead_letters_per_day", kind::integer(), "most dead letters of a day, of all keys and reasons",
                 "100000")
          .between(1, 1e9)
          .field("dead_letter_retention", kind::duration(), "older letters are deleted, from a file whole days of them",
                 "7d")
          .between(6e10, 1e18)
          .fields;
  return fields;
}

const std::vector<Field>& commit_fields() {
  static const std::vector<Field> fields =
      Spec::source("")
          .field("every", kind::duration(), "longest time that rows wait for their commit", "100ms")
          .between(1e6, 6e10)
          .field("rows", kind::integer(), "rows that are committed at once without waiting", "200000")
          .between(1, 1e8)
          .fields;
  return fields;
}

const std::vector<Field>& state_fields() {
  static const std::vector<Field> fields =
      Spec::store("").field("every", kind::duration(), "how often lane state is saved", "1m").between(1e8, 1e14).fields;
  return fields;
}

const std::vector<Field>& column_fields() {
  static const std::vector<Field> fields =
      Spec::sink("")
          .field("fill", kind::choice({"linear", "angle", "geo", "step"}), "how a value between two samples is made",
                 "linear")
          .field("type", kind::choice({"number", "text"}), "what the field holds; geo makes it a point", "number")
          .field("max_gap", kind::duration(), "widest distance of two samples that is interpolated over", "5s")
          .optional("max_age", kind::duration(), "oldest sample that is carried on; default: max_gap")
          .field("period", kind::number(), "of an angle, in its unit", "360")
          .between(1e-9, 1e9)
          .field("quality", kind::boolean(), "adds <name>_quality: 0 NULL, 1 measured, 2 interpolated, 3 carried",
                 "false")
          .field("unit", kind::text(), "documentation: becomes the column's comment", "")
          .fields;
  return fields;
}

const std::vector<Field>& sink_fields() {
  static const std::vector<Field> fields =
      Spec::sink("")
          .optional("renamed_from", kind::text(), "the id that it had: its progress and row ids are kept under that")
          .optional("start", kind::choice({"now", "stream"}),
                    "where a new sink begins in a pipeline that has progress: where the furthest of the others stands, "
                    "or at the stream's first message; default: now")
          .fields;
  return fields;
}

const std::vector<Field>& transform_fields() {
  static const std::vector<Field> fields =
      Spec::transform("")
          .optional("renamed_from", kind::text(), "the id that it had: its state is kept under that")
          .fields;
  return fields;
}

const std::vector<Field>& completing_fields() {
  static const std::vector<Field> fields =
      Spec::sink("").field("write_empty", kind::boolean(), "write rows of NULLs only too", "false").fields;
  return fields;
}

}  // namespace weir
