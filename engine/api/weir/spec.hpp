/// What an operator says of itself: settings, ports, claims, documentation. Help, lint, schema and explain read only
/// this.
#pragma once

#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <weir/kept_rows.hpp>
#include <weir/settings.hpp>
#include <weir/shapes.hpp>
#include <weir/types.hpp>

namespace weir {

struct Message;

enum class Role : std::uint8_t { source, transform, sink, store, codec };
std::string_view to_string(Role);

/// The kinds of value a setting can have.
struct Kind {
  enum class Tag : std::uint8_t {
    text,
    integer,
    number,
    boolean,
    duration,    ///< "10ms", "1m30s"
    size,        ///< "512kB", "1GiB"
    rate,        ///< "5/s", "60/m"
    choice,      ///< one of `choices`
    texts,       ///< a list of texts (a single text is a list of one)
    object,      ///< an object with `fields`
    objects,     ///< a list of such objects
    map,         ///< any names, each with a value of kind `of` (0: text, number or boolean as written)
    columns,     ///< name -> fill, max_gap, max_age, …: how brackets become rows. Of a sink the engine makes these; a
                 ///< transform does it by Completion, and finds `write_empty` among its settings
    expression,  ///< compiled when checked
    secret,      ///< a text, or file:/path; never shown
    node,        ///< the id of a store declared in the pipeline
  };
  Kind(Tag tag = Tag::text);

  Tag tag;
  std::vector<std::string> choices;
  std::vector<struct Field> fields;
};

/// One setting.
struct Field {
  std::string name;
  Kind kind;
  std::string doc;  ///< one sentence, no full stop
  bool required = true;
  std::string fallback = {};  ///< the default as it would be written in the text; empty: none
  std::optional<double> least = {},
                        most = {};  ///< bounds of numbers; durations in ns, sizes in bytes, rates per second
  bool or_none = false;             ///< of durations: "none" is `unlimited`
  bool free_to_change = false;      ///< no state and no position means something else with another value
};

// Not in the class, where Field is not complete yet.
inline Kind::Kind(Tag what) : tag{what} {}

namespace kind {
inline Kind text() { return {Kind::Tag::text}; }
inline Kind integer() { return {Kind::Tag::integer}; }
inline Kind number() { return {Kind::Tag::number}; }
inline Kind boolean() { return {Kind::Tag::boolean}; }
inline Kind duration() { return {Kind::Tag::duration}; }
inline Kind size() { return {Kind::Tag::size}; }
inline Kind rate() { return {Kind::Tag::rate}; }
inline Kind texts() { return {Kind::Tag::texts}; }
inline Kind map() { return {Kind::Tag::map}; }
inline Kind columns() { return {Kind::Tag::columns}; }
inline Kind expression() { return {Kind::Tag::expression}; }
inline Kind secret() { return {Kind::Tag::secret}; }
Kind choice(std::vector<std::string> choices);
Kind object(std::vector<Field> fields);
Kind objects(std::vector<Field> fields);
}  // namespace kind

/// What a source or sink can promise with its settings as they are; `weir explain` derives the guarantee from these.
struct Claims {
  // sources
  bool replayable =
      false;              ///< can be opened again after any position it ever gave out (as long as the stream keeps it)
  bool ordered = false;   ///< one reader, ascending positions; false: a shared queue
  bool writable = false;  ///< mark() works: arrival time can be moved on an idle stream
  bool clocked =
      false;  ///< arrival is the worker's own clock (less a margin), so on an idle stream the clock stands in
  bool acknowledges = false;  ///< redelivers what committed() was not told of (at-least-once without replay)
  bool partitioned = true;    ///< a key is always in the same partition, at one worker
  bool finite = false;        ///< ends by itself
  /// Opened after a position, it first gives out once more what was there then, with arrivals up to that of then: that
  /// makes state and is written nowhere. For sources that are not replayable.
  bool reminds = false;
  std::uint32_t partitions = 1;
  std::string stream = {};  ///< what positions belong to, by name; empty: nothing that outlives the worker
  // sinks
  bool transactional = false;  ///< keeps progress in the same transaction as the rows
  bool idempotent = false;     ///< writing the same ids again changes nothing (`window` says for how long; 0: for ever)
  bool by_value = false;       ///< idempotent by what rows say, whatever their ids
  Duration window = 0;
  bool discards = false;     ///< keeps nothing (drop)
  std::string target = {};   ///< what tells its table from others; two sinks that read the same may not share one.
                             ///< Empty: no matter. Of a store: what tells the place of its values
  bool exclusive = false;    ///< one process at a time may have it open, so that no other can stand by
  std::string because = {};  ///< a clause for explain: "rows and progress commit in one transaction"
};

/// An output port besides the main one (port 0, unnamed).
struct PortSpec {
  std::string name;
  std::string doc;
};

/// A counter that the operator keeps; shown in /metrics as weir_<name>_total{node=…}, in cases as `<node>.<name>`.
struct CounterSpec {
  std::string name;
  std::string doc;
  std::vector<std::string> reasons = {};  ///< it is several counters, told apart by this label; empty: one
};

/// What must stand in the configuration of the system that an operator talks to, so that it works as its settings say:
/// text to paste there, which `weir <operator> <name> FILE` prints.
struct SetupSpec {
  std::string name;
  std::string doc;  ///< one sentence, no full stop
  /// Whole lines, also where nothing is needed. invalid: there is no such configuration; why, and what to do.
  std::function<Result<std::string>(const Settings&)> text;
};

/// Built with chained calls, see operators/transforms/filter.cpp.
class Spec {
 public:
  static Spec source(std::string summary) { return Spec{Role::source, std::move(summary)}; }
  static Spec transform(std::string summary) { return Spec{Role::transform, std::move(summary)}; }
  static Spec sink(std::string summary) { return Spec{Role::sink, std::move(summary)}; }
  static Spec store(std::string summary) { return Spec{Role::store, std::move(summary)}; }
  static Spec codec(std::string summary) { return Spec{Role::codec, std::move(summary)}; }

  /// A required setting.
  Spec& field(std::string name, Kind kind, std::string doc);
  /// A setting that may be left out; has() is false then.
  Spec& optional(std::string name, Kind kind, std::string doc);
  /// A setting with a default, written as in the pipeline text ("1s", "true", "10").
  Spec& field(std::string name, Kind kind, std::string doc, std::string fallback);
  /// Bounds for the setting declared last.
  Spec& between(double least, double most);
  /// The duration declared before may be "none": `unlimited`.
  Spec& or_none();
  /// Settings declared before that say how a system is reached, or how it keeps what it has, but not what it says: a
  /// pipeline in which they differ goes on where it was. Secrets are always free to change.
  Spec& free_to_change(std::initializer_list<std::string_view> names);

  Spec& port(std::string name, std::string doc);
  Spec& counter(std::string name, std::string doc, std::vector<std::string> reasons = {});
  Spec& accepts(std::vector<Shape> shapes);  ///< what the input may be; default: anything
  Spec& example(std::string node_json);  ///< a whole node (of a codec: its "encoding"); the conformance suite runs it
  Spec& details(std::string paragraph);  ///< shown by `weir describe`
  Spec& version(int state_version);      ///< raise it when save()'s format or the meaning of the state changes
  Spec& claims(std::function<Claims(const Settings&)> claims);
  /// How the source takes apart a message's `subject`: fills in key and field, or says why it is refused, as pull()
  /// does. Cases with messages need it.
  Spec& subjects(std::function<void(const Settings&, Message&)> dissect);
  /// How many bytes of state a pipeline must expect, as a sentence for explain; empty: with these settings none.
  Spec& state(std::function<std::string(const Settings&)> state);
  /// Things that the settings alone show to be wrong together; each Error names its setting.
  Spec& check(std::function<std::vector<Error>(const Settings&)> check);
  /// What the system that it talks to must be told, see SetupSpec.
  Spec& setup(std::string name, std::string doc, std::function<Result<std::string>(const Settings&)> text);
  /// The sink's rows can be saved and compared.
  Spec& keeps_rows(KeptRows rows);
  /// The transform must see each vehicle's whole, ordered stream: an error behind a shared queue with more than one
  /// worker.
  Spec& needs_whole_keys();
  /// The sink turns samples into payloads: the node takes an `encoding`, given by Context::codec(""). Sources always
  /// have one.
  Spec& encodes();
  /// The sink takes messages as they were received: its node reads the source itself, and is given every batch with the
  /// messages behind it, those of no rows too.
  Spec& takes_messages();
  /// The transform's state grows with the number of keys, so the pipeline must declare limits.keys.
  Spec& keyed_state();
  /// With some settings both of these are so. The settings may lack required ones.
  Spec& remembers_keys(std::function<bool(const Settings&)> with);
  bool sees_whole_keys(const Settings& settings) const { return whole_keys || remembers(settings); }
  bool is_bounded_by_keys(const Settings& settings) const { return bounded_by_keys || remembers(settings); }

  Role role = Role::transform;
  std::string summary;
  std::string paragraph;
  std::vector<Field> fields;
  std::vector<PortSpec> ports;
  std::vector<CounterSpec> counters;
  std::vector<SetupSpec> setups;
  KeptRows kept_rows;  ///< without functions unless keeps_rows() was called
  std::vector<Shape> inputs;
  std::vector<std::string> examples;
  int state_version = 1;
  bool whole_keys = false;
  bool bounded_by_keys = false;
  bool has_encoding = false;
  bool of_messages = false;
  std::string usual_encoding = "flatbuffers";  ///< codec of a node whose text names none
  std::function<Claims(const Settings&)> claims_of;
  std::function<void(const Settings&, Message&)> dissect;
  std::function<std::string(const Settings&)> state_of;
  std::function<std::vector<Error>(const Settings&)> problems_of;
  std::function<bool(const Settings&)> remembers_with;

 private:
  bool remembers(const Settings& settings) const { return remembers_with && remembers_with(settings); }
  Spec(Role r, std::string s) : role{r}, summary{std::move(s)} {}
};

}  // namespace weir
