#include <algorithm>
#include <map>
#include <set>

#include "core/completion.hpp"
#include "core/node_context.hpp"
#include "core/pipeline.hpp"
#include "core/settings_check.hpp"
#include "core/variables.hpp"

namespace weir {
namespace {

const std::vector<std::string> root_members{"$schema", "name", "description", "nodes", "state", "limits", "commit", "dead_letters", "shutdown_timeout"};
const std::vector<std::string> role_members{"source", "transform", "sink"};

std::vector<Field> limits_fields() {
  Spec spec = Spec::source("");
  spec.optional("keys", kind::integer(), "most distinct keys (vehicles) of a lane").between(1, 16'000'000)
      .field("forget", kind::duration(), "arrival time without a sample after which a key leaves memory", "1d").between(1e9, 1e18)
      .field("memory", kind::size(), "most bytes pulled and not yet committed, over all lanes", "256MB").between(1e6, 1e12);
  return spec.fields;
}

std::vector<Field> commit_fields() {
  Spec spec = Spec::source("");
  spec.field("every", kind::duration(), "longest time that rows wait for their commit", "100ms").between(1e6, 6e10)
      .field("rows", kind::integer(), "rows that are committed at once without waiting", "200000").between(1, 1e8);
  return spec.fields;
}

/// FNV-1a, 64 bit, as hexadecimal.
std::string fingerprint(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  static constexpr char digits[] = "0123456789abcdef";
  std::string out;
  for (int shift = 60; shift >= 0; shift -= 4) out += digits[hash >> shift & 15];
  return out;
}

/// A value as text without layout and comments, members sorted.
void write_canonical(const Value& value, std::string& out) {
  switch (value.kind) {
    case Value::Kind::object: {
      std::vector<const Member*> members;
      for (const Member& member : value.members) members.push_back(&member);
      std::ranges::sort(members, {}, &Member::key);
      out += '{';
      for (const Member* member : members) {
        out += quoted(member->key) + ':';
        write_canonical(member->value, out);
        out += ',';
      }
      out += '}';
      return;
    }
    case Value::Kind::array:
      out += '[';
      for (const Value& item : value.items) {
        write_canonical(item, out);
        out += ',';
      }
      out += ']';
      return;
    case Value::Kind::string: out += '"' + value.text + '"'; return;
    case Value::Kind::integer: out += std::to_string(value.integer); return;
    case Value::Kind::number: out += std::to_string(value.number); return;
    case Value::Kind::boolean: out += value.boolean ? "true" : "false"; return;
    default: out += "null";
  }
}

/// One node while it is being checked.
struct Draft {
  Node node;
  const Value* text = nullptr;
  const Value* from = nullptr;
  std::string from_id, from_port;
  bool good = true;  ///< nothing wrong with it so far: it may be made and settled
};

class Checker {
 public:
  Checker(std::string_view text, std::string_view file, const Registry& registry, const CheckOptions& options)
      : document_{read_text(text, file)}, registry_{registry}, options_{options}, report_{std::string{file}} {}

  Checked run() {
    report_.take(std::move(document_.findings));
    replace_all_variables();
    apply_overrides();
    const Value& root = document_.root;
    if (root.is(Value::Kind::object)) {
      read_root(root);
      if (const Value* nodes = root.find("nodes"); nodes != nullptr && nodes->is(Value::Kind::array)) read_nodes(*nodes);
      connect();
      const bool ordered = order();
      if (ordered) check_graph();
      if (ordered) settle();
    } else if (report_.errors() == 0) {
      report_.error(root.span, "no-pipeline", "a pipeline is an object", R"(write { "name": …, "nodes": […] })");
    }
    Checked out;
    if (report_.errors() == 0 && report_.left_open() == 0) out.pipeline = finish();
    out.findings = std::move(report_.findings());
    sort_by_place(out.findings);
    return out;
  }

 private:
  // Text.

  void replace_all_variables() {
    report_.take(replace_variables(document_, options_.variable, options_.to_run ? Severity::error : Severity::warning));
  }

  /// -s path=value: the first part names a node by its id, or a member of the root.
  void apply_overrides() {
    for (const auto& [path, value] : options_.overrides) {
      Value* at = target_of(path);
      if (at == nullptr) {
        report_.error({}, "bad-override", "-s " + path + ": there is no node or setting of that name", "write -s node.setting=value");
        continue;
      }
      Document parsed = read_text(value, "");
      const Span span = at->span;
      if (parsed.findings.empty()) {
        *at = std::move(parsed.root);
      } else {
        *at = Value{};
        at->kind = Value::Kind::string;
        at->text = value;
        at->from_variable = true;
      }
      set_spans(*at, span);
    }
  }

  static void set_spans(Value& value, const Span& span) {
    value.span = span;
    for (Value& item : value.items) set_spans(item, span);
    for (Member& member : value.members) {
      member.key_span = span;
      set_spans(member.value, span);
    }
  }

  Value* target_of(std::string_view path) {
    const auto dot = path.find('.');
    const auto first = path.substr(0, dot);
    Value* at = &document_.root;
    if (Value* nodes = at->find("nodes"); nodes != nullptr && dot != std::string_view::npos) {
      for (Value& node : nodes->items) {
        const Value* id = node.find("id");
        if (id == nullptr || id->text != first) continue;
        at = &node;
        path = path.substr(dot + 1);
        break;
      }
    }
    while (true) {
      const auto next = path.find('.');
      const auto name = path.substr(0, next);
      if (name.empty() || !at->is(Value::Kind::object)) return nullptr;
      Value* found = at->find(name);
      if (found == nullptr) {
        Member member;
        member.key = name;
        member.key_span = at->span;
        member.value.kind = next == std::string_view::npos ? Value::Kind::null : Value::Kind::object;
        member.value.span = at->span;
        at->members.push_back(std::move(member));
        found = &at->members.back().value;
      }
      at = found;
      if (next == std::string_view::npos) return at;
      path = path.substr(next + 1);
    }
  }

  SettingsContext settings_context() const { return {document_.text, options_.read_file, options_.to_run}; }

  // The root.

  void read_root(const Value& root) {
    for (const Member& member : root.members) {
      if (std::ranges::contains(root_members, member.key)) continue;
      report_.error(member.key_span, "unknown-member", "a pipeline has no member " + quoted(member.key), did_you_mean(member.key, root_members));
    }
    if (const Value* name = root.find("name"); name == nullptr) {
      report_.error(root.span, "missing-name", "the pipeline has no \"name\"; its progress and state are kept under it");
    } else if (!name->is(Value::Kind::string) || !plain_name(name->text)) {
      report_.error(name->span, "bad-name", "\"name\" must be made of letters, digits, '-' and '_'");
    } else {
      pipeline_.name = name->text;
    }
    pipeline_.file = document_.file;
    const Value* nodes = root.find("nodes");
    if (nodes == nullptr || (!nodes->is(Value::Kind::array) && !nodes->is(Value::Kind::invalid))) {
      report_.error(nodes == nullptr ? root.span : nodes->span, "missing-nodes", "the pipeline has no \"nodes\"", "write \"nodes\": [ … ]");
    }
    read_limits(root);
    read_state(root);
    if (const Value* letters = root.find("dead_letters"); letters != nullptr) {
      if (letters->is(Value::Kind::string)) pipeline_.dead_letters = letters->text;
      else report_.error(letters->span, "wrong-type", "\"dead_letters\" must be the path of a file");
    }
    if (pipeline_.dead_letters.empty()) pipeline_.dead_letters = pipeline_.name + ".dead.jsonl";
  }

  static bool plain_name(std::string_view name) {
    return !name.empty() && std::ranges::all_of(name, [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_'; });
  }

  Settings read_object(const Value& root, const char* name, const std::vector<Field>& fields, const std::vector<std::string>& reserved = {}) {
    static const Value nothing = [] {
      Value value;
      value.kind = Value::Kind::object;
      return value;
    }();
    const Value* object = root.find(name);
    if (object != nullptr && !object->is(Value::Kind::object)) {
      report_.error(object->span, "wrong-type", quoted(name) + " must be an object");
      object = nullptr;
    }
    return settings_of(object == nullptr ? nothing : *object, fields, reserved, quoted(name), name, settings_context(), report_);
  }

  void read_limits(const Value& root) {
    const Settings limits = read_object(root, "limits", limits_fields());
    if (limits.has("keys")) pipeline_.key_limit = static_cast<std::uint32_t>(limits.integer("keys"));
    if (limits.has("forget")) pipeline_.forget = limits.duration("forget");
    if (limits.has("memory")) pipeline_.memory = limits.size("memory");
    const Settings commit = read_object(root, "commit", commit_fields());
    if (commit.has("every")) pipeline_.commit_every = commit.duration("every");
    if (commit.has("rows")) pipeline_.commit_rows = static_cast<std::size_t>(commit.integer("rows"));
    Spec spec = Spec::source("");
    spec.field("shutdown_timeout", kind::duration(), "how long draining may take", "20s");
    const Value* timeout = root.find("shutdown_timeout");
    Value object;
    object.kind = Value::Kind::object;
    if (timeout != nullptr) object.members.push_back({"shutdown_timeout", timeout->span, *timeout});
    const Settings rest = settings_of(object, spec.fields, {}, "pipeline", "", settings_context(), report_);
    if (rest.has("shutdown_timeout")) pipeline_.shutdown_timeout = rest.duration("shutdown_timeout");
  }

  void read_state(const Value& root) {
    const Value* state = root.find("state");
    if (state == nullptr) return;
    std::vector<std::string> stores;
    for (const auto name : registry_.names(Role::store)) stores.emplace_back(name);
    const Value* store = state->find("store");
    if (store == nullptr || !store->is(Value::Kind::string)) {
      report_.error(state->span, "missing-store", "\"state\" names no store", R"(write "state": { "store": "jetstream-kv", "bucket": … })");
      return;
    }
    const Operator* op = registry_.find(Role::store, store->text);
    if (op == nullptr) {
      report_.error(store->span, "unknown-store", "unknown store " + quoted(store->text), did_you_mean(store->text, stores));
      return;
    }
    std::vector<Field> fields = op->spec.fields;
    Spec own = Spec::store("");
    own.field("every", kind::duration(), "how often lane state is saved", "1m").between(1e8, 1e14);
    fields.push_back(own.fields.front());
    pipeline_.store = store->text;
    pipeline_.store_settings = read_object(root, "state", fields, {"store"});
    if (pipeline_.store_settings.has("every")) pipeline_.snapshot_every = pipeline_.store_settings.duration("every");
  }

  // Nodes.

  void read_nodes(const Value& nodes) {
    drafts_.reserve(nodes.items.size());
    for (const Value& text : nodes.items) {
      if (text.is(Value::Kind::invalid)) continue;
      if (!text.is(Value::Kind::object)) {
        report_.error(text.span, "wrong-type", "a node must be an object");
        continue;
      }
      read_node(text);
    }
    if (nodes.items.empty()) report_.error(nodes.span, "no-nodes", "the pipeline has no nodes");
  }

  void read_node(const Value& text) {
    Draft draft;
    const std::size_t errors = report_.errors();
    const std::size_t open = report_.left_open();
    draft.text = &text;
    draft.node.place = text.span;
    read_id(draft);
    read_operator(draft);
    draft.from = draft.node.role == Role::source ? nullptr : text.find("from");
    if (draft.node.op != nullptr) read_settings(draft);
    draft.good = draft.node.op != nullptr && report_.errors() == errors && report_.left_open() == open;
    drafts_.push_back(std::move(draft));
  }

  void read_id(Draft& draft) {
    const Value* id = draft.text->find("id");
    if (id == nullptr) {
      report_.error(draft.text->span, "missing-id", "the node has no \"id\"");
    } else if (!id->is(Value::Kind::string) || !plain_name(id->text)) {
      report_.error(id->span, "bad-id", "\"id\" must be made of letters, digits, '-' and '_'");
    } else if (find(id->text) != nullptr) {
      report_.error(id->span, "duplicate-id", "two nodes have the id " + quoted(id->text));
    } else {
      draft.node.id = id->text;
    }
  }

  void read_operator(Draft& draft) {
    const Member* named = nullptr;
    for (const Member& member : draft.text->members) {
      if (!std::ranges::contains(role_members, member.key)) continue;
      if (named != nullptr) report_.error(member.key_span, "two-roles", "a node is one of source, transform and sink, not two");
      named = &member;
    }
    if (named == nullptr) {
      report_.error(draft.text->span, "missing-operator", "the node names no operator", R"(write "source": …, "transform": … or "sink": …)");
      return;
    }
    if (!named->value.is(Value::Kind::string)) {
      if (!named->value.is(Value::Kind::invalid)) report_.error(named->value.span, "wrong-type", quoted(named->key) + " must be the name of an operator");
      return;
    }
    draft.node.role = named->key == "source" ? Role::source : named->key == "sink" ? Role::sink : Role::transform;
    draft.node.name = named->value.text;
    draft.node.op = registry_.find(draft.node.role, draft.node.name);
    if (draft.node.op == nullptr) unknown_operator(*named, draft.node.role);
  }

  void unknown_operator(const Member& named, Role role) {
    for (const Role other : {Role::source, Role::transform, Role::sink}) {
      if (registry_.find(other, named.value.text) == nullptr) continue;
      report_.error(named.value.span, "unknown-operator", quoted(named.value.text) + " is a " + std::string{to_string(other)} + ", not a " + named.key,
                    "write " + quoted(to_string(other)) + ": " + quoted(named.value.text));
      return;
    }
    std::vector<std::string> names;
    for (const auto name : registry_.names(role)) names.emplace_back(name);
    report_.error(named.value.span, "unknown-operator", "unknown " + named.key + " " + quoted(named.value.text), did_you_mean(named.value.text, names));
  }

  bool has_columns(const Spec& spec) const {
    return std::ranges::any_of(spec.fields, [](const Field& field) { return field.kind.tag == Kind::Tag::columns; });
  }

  void read_settings(Draft& draft) {
    Node& node = draft.node;
    const Spec& spec = node.op->spec;
    std::vector<std::string> reserved{"id", std::string{to_string(node.role)}, "description"};
    if (node.role != Role::source) reserved.push_back("from");
    const bool encoded = node.role == Role::source || spec.has_encoding;
    if (encoded) reserved.push_back("encoding");
    std::vector<Field> fields = spec.fields;
    if (has_columns(spec)) {
      Spec own = Spec::sink("");
      own.field("write_empty", kind::boolean(), "write rows of NULLs only too", "false");
      fields.push_back(own.fields.front());
    }
    node.settings = settings_of(*draft.text, fields, reserved, std::string{to_string(node.role)} + " " + quoted(node.name), node.id, settings_context(), report_);
    if (encoded) read_encoding(draft);
    for (const Field& field : spec.fields) {
      if (field.kind.tag == Kind::Tag::columns && node.settings.has(field.name)) node.columns = node.settings.columns(field.name);
    }
    node.write_empty = node.settings.has("write_empty") && has_columns(spec) && node.settings.boolean("write_empty");
  }

  void read_encoding(Draft& draft) {
    const Value* encoding = draft.text->find("encoding");
    const Value* name = encoding;
    if (encoding != nullptr && encoding->is(Value::Kind::object)) name = encoding->find("codec");
    draft.node.codec = encoding == nullptr ? draft.node.op->spec.usual_encoding : name != nullptr ? name->text : "";
    const Operator* op = registry_.find(Role::codec, draft.node.codec);
    if (op == nullptr) {
      std::vector<std::string> names;
      for (const auto known : registry_.names(Role::codec)) names.emplace_back(known);
      report_.error(encoding == nullptr ? draft.text->span : encoding->span, "unknown-encoding", "unknown encoding " + quoted(draft.node.codec),
                    did_you_mean(draft.node.codec, names));
      return;
    }
    Value none;
    none.kind = Value::Kind::object;
    none.span = encoding == nullptr ? draft.text->span : encoding->span;
    const bool object = encoding != nullptr && encoding->is(Value::Kind::object);
    draft.node.codec_settings = settings_of(object ? *encoding : none, op->spec.fields, {"codec"}, "encoding " + quoted(draft.node.codec), draft.node.id, settings_context(), report_);
  }

  Draft* find(std::string_view id) {
    const auto it = std::ranges::find_if(drafts_, [&](const Draft& draft) { return draft.node.id == id && !id.empty(); });
    return it == drafts_.end() ? nullptr : &*it;
  }

  // Edges.

  void connect() {
    for (Draft& draft : drafts_) {
      if (draft.node.role == Role::source || (draft.node.op == nullptr && draft.from == nullptr)) continue;
      if (draft.from == nullptr) {
        draft.good = false;
        report_.error(draft.text->span, "missing-input", quoted(draft.node.id) + " has no \"from\"", "name the node that it reads");
        continue;
      }
      connect(draft);
    }
  }

  void connect(Draft& draft) {
    const Value* from = draft.from;
    if (from->is(Value::Kind::array) && from->items.size() == 1) from = &from->items.front();
    draft.good = draft.good && from->is(Value::Kind::string);
    if (from->is(Value::Kind::invalid)) return;
    if (!from->is(Value::Kind::string)) {
      report_.error(from->span, "bad-input", "\"from\" must name one node", from->is(Value::Kind::array) ? "a node has one input; write a node for each" : "write \"from\": \"node\" or \"node.port\"");
      return;
    }
    const auto dot = from->text.find('.');
    draft.from_id = from->text.substr(0, dot);
    draft.from_port = dot == std::string::npos ? "" : from->text.substr(dot + 1);
    const Draft* input = find(draft.from_id);
    if (input == nullptr) {
      std::vector<std::string> ids;
      for (const Draft& other : drafts_) ids.push_back(other.node.id);
      report_.error(from->span, "unknown-node", "there is no node " + quoted(draft.from_id), did_you_mean(draft.from_id, ids));
      draft.good = false;
    } else if (input->node.role == Role::sink) {
      report_.error(from->span, "sink-as-input", quoted(draft.from_id) + " is a sink; nothing comes out of it");
      draft.good = false;
    } else if (input->node.op != nullptr && !port_of(*input, draft.from_port)) {
      std::vector<std::string> ports;
      for (const PortSpec& port : input->node.op->spec.ports) ports.push_back(port.name);
      std::string known;
      for (const std::string& port : ports) known += (known.empty() ? "it has " : ", ") + quoted(port);
      const std::string near = did_you_mean(draft.from_port, ports);
      report_.error(from->span, "unknown-port", quoted(draft.from_id) + " has no port " + quoted(draft.from_port), near.empty() ? known : near);
      draft.good = false;
    }
  }

  static std::optional<Port> port_of(const Draft& draft, std::string_view name) {
    if (name.empty()) return 0;
    const auto& ports = draft.node.op->spec.ports;
    const auto it = std::ranges::find(ports, name, &PortSpec::name);
    if (it == ports.end()) return {};
    return static_cast<Port>(it - ports.begin()) + 1;
  }

  /// Sorts the drafts so that a node stands behind its input. False after a cycle.
  bool order() {
    std::vector<Draft> sorted;
    std::set<std::string> placed;
    std::vector<Draft> rest = std::move(drafts_);
    bool moved = true;
    while (moved && !rest.empty()) {
      moved = false;
      for (auto it = rest.begin(); it != rest.end();) {
        const bool free = it->from_id.empty() || placed.contains(it->from_id) || std::ranges::none_of(rest, [&](const Draft& other) { return other.node.id == it->from_id; });
        if (!free) {
          ++it;
          continue;
        }
        placed.insert(it->node.id);
        sorted.push_back(std::move(*it));
        it = rest.erase(it);
        moved = true;
      }
    }
    for (const Draft& draft : rest) report_.error(draft.from->span, "cycle", quoted(draft.node.id) + " reads itself, by way of " + quoted(draft.from_id));
    const bool whole = rest.empty();
    drafts_ = std::move(sorted);
    return whole;
  }

  // The graph as a whole.

  void check_graph() {
    std::size_t sources = 0;
    bool sinks = false;
    for (const Draft& draft : drafts_) {
      if (draft.node.op == nullptr) return;
      if (draft.node.role == Role::source && ++sources == 2) {
        report_.error(draft.text->span, "two-sources", "a pipeline has one source", "write a pipeline for each, with a name of its own");
      }
      sinks = sinks || draft.node.role == Role::sink;
      if (draft.node.role != Role::sink && std::ranges::none_of(drafts_, [&](const Draft& other) { return other.from_id == draft.node.id; })) {
        report_.error(draft.text->span, "unread", "nothing reads " + quoted(draft.node.id), "add a sink, or take the node out");
      }
      check_claims(draft);
    }
    const Span everywhere = document_.root.span;
    if (sources == 0) report_.error(everywhere, "no-source", "the pipeline has no source");
    if (!sinks) report_.error(everywhere, "no-sink", "the pipeline has no sink");
  }

  void check_claims(const Draft& draft) {
    const Spec& spec = draft.node.op->spec;
    if (spec.bounded_by_keys && pipeline_.key_limit == 0) {
      report_.error(draft.text->span, "unbounded-state", quoted(draft.node.id) + " keeps state for every key, without a bound", R"(add "limits": { "keys": 200000 } to the pipeline)");
    }
    if (!spec.whole_keys) return;
    const auto source = std::ranges::find(drafts_, Role::source, [](const Draft& d) { return d.node.role; });
    if (source == drafts_.end() || !source->good || !source->node.op->spec.claims_of) return;
    if (!source->node.op->spec.claims_of(source->node.settings).partitioned) {
      report_.error(draft.text->span, "shared-queue", quoted(draft.node.id) + " needs every sample of a vehicle, in order, but " + quoted(source->node.id) + " is a queue that workers share",
                    "read partition streams, or write current values to a bucket and aggregate them");
    }
  }

  // Schemas.

  void settle() {
    gather_demand();
    std::map<std::string, std::size_t> numbers;
    for (Draft& draft : drafts_) {
      const auto input = draft.from_id.empty() ? numbers.end() : numbers.find(draft.from_id);
      if (!draft.from_id.empty() && (input == numbers.end() || !drafts_[input->second].good)) draft.good = false;
      if (draft.node.role == Role::transform && !demand_known(draft)) draft.good = false;
      if (draft.good) {
        if (input != numbers.end()) draft.node.inputs = {{input->second, *port_of(drafts_[input->second], draft.from_port)}};
        draft.good = settle(draft);
      }
      numbers[draft.node.id] = static_cast<std::size_t>(&draft - drafts_.data());
    }
  }

  /// What the sinks name flows up to everything they read, directly or not.
  void gather_demand() {
    for (const Draft& sink : drafts_) {
      for (const RowColumn& column : sink.node.columns) {
        const FieldDemand wanted{column.field, column.kind};
        for (const Draft* at = &sink; !at->from_id.empty();) {
          Draft* input = find(at->from_id);
          if (input == nullptr) break;
          want(input->node, wanted, *sink.text);
          at = input;
        }
      }
    }
  }

  /// Whether all that reads a node, directly or not, could be read: else what the sinks want is not known.
  bool demand_known(const Draft& draft) const {
    return std::ranges::all_of(drafts_, [&](const Draft& other) {
      return other.from_id != draft.node.id || (other.node.role == Role::sink ? other.good : demand_known(other));
    });
  }

  void want(Node& node, const FieldDemand& wanted, const Value& sink) {
    const auto known = std::ranges::find(node.demand, wanted.name, &FieldDemand::name);
    if (known == node.demand.end()) {
      node.demand.push_back(wanted);
    } else if (known->kind != wanted.kind) {
      report_.error(place_of(sink, "columns." + wanted.name, 0, {}), "two-kinds", quoted(wanted.name) + " is wanted as two kinds of value by the sinks behind " + quoted(node.id));
    }
  }

  void blame(const Draft& draft, const Error& error) {
    report_.error(place_of(*draft.text, error.setting, error.offset, document_.text), "does-not-fit", quoted(draft.node.id) + ": " + error.message);
  }

  bool settle(Draft& draft) {
    Node& node = draft.node;
    const std::size_t errors = report_.errors();
    if (node.op->spec.problems_of) {
      for (const Error& problem : node.op->spec.problems_of(node.settings)) blame(draft, problem);
    }
    if (report_.errors() != errors) return false;
    if (node.role == Role::source) {
      node.outputs = {samples::schema()};
      return true;
    }
    const PortRef ref = node.inputs.front();
    const SchemaPtr input = drafts_[ref.node].node.outputs[ref.port];
    const auto& accepted = node.op->spec.inputs;
    if (!accepted.empty() && !std::ranges::contains(accepted, input->shape)) {
      std::string shapes;
      for (const Shape shape : accepted) shapes += (shapes.empty() ? "" : " or ") + std::string{to_string(shape)};
      report_.error(draft.from->span, "wrong-shape", quoted(node.id) + " takes " + shapes + ", but " + quoted(draft.from->text) + " gives " + std::string{to_string(input->shape)});
      return false;
    }
    auto settled = node.role == Role::sink ? settle_sink(draft, input) : settle_transform(node, input);
    if (!settled) blame(draft, settled.error());
    return settled.has_value();
  }

  NodeContext context_for(const Node& node) {
    return NodeContext{{pipeline_, registry_, counters_, system_clock()}, node, 0, std::make_shared<Dictionary>(), std::make_shared<Dictionary>()};
  }

  Result<void> settle_transform(Node& node, const SchemaPtr& input) {
    NodeContext context = context_for(node);
    auto outputs = node.op->make_transform(node.settings, context)->settle({input});
    if (!outputs) return std::unexpected(outputs.error());
    node.outputs = std::move(*outputs);
    return {};
  }

  Result<void> settle_sink(Draft& draft, const SchemaPtr& input) {
    Node& node = draft.node;
    node.input = input;
    if (!node.columns.empty()) {
      auto rows = Completion{node.columns, node.write_empty}.settle(*input);
      if (!rows) return std::unexpected(rows.error());
      node.input = *rows;
    } else if (input->shape == Shape::brackets) {
      return fail(Error::Kind::invalid, "brackets become rows by \"columns\", and it has none" + std::string{has_columns(node.op->spec) ? "" : "; this sink takes none"});
    }
    NodeContext context = context_for(node);
    return node.op->make_sink(node.settings, context)->settle(node.input);
  }

  // The result.

  Pipeline finish() {
    std::string meaning;
    for (Draft& draft : drafts_) {
      if (draft.node.role != Role::sink) {
        meaning += draft.node.id + " " + draft.node.name + " v" + std::to_string(draft.node.op->spec.state_version) + " ";
        Value text = *draft.text;
        // Where a stream lies is not what it says.
        std::erase_if(text.members, [&](const Member& member) { return member.key == "url" || member.key == "description" || is_secret(draft.node.op->spec, member.key); });
        write_canonical(text, meaning);
        for (const FieldDemand& field : draft.node.demand) meaning += "," + field.name + std::to_string(static_cast<int>(field.kind));
      }
      pipeline_.nodes.push_back(std::move(draft.node));
    }
    meaning += " forget " + std::to_string(pipeline_.forget) + " keys " + std::to_string(pipeline_.key_limit);
    pipeline_.fingerprint = fingerprint(meaning);
    return std::move(pipeline_);
  }

  static bool is_secret(const Spec& spec, std::string_view name) {
    return std::ranges::any_of(spec.fields, [&](const Field& field) { return field.name == name && field.kind.tag == Kind::Tag::secret; });
  }

  Document document_;
  const Registry& registry_;
  const CheckOptions& options_;
  Reporter report_;
  Counters counters_;
  Pipeline pipeline_;
  std::vector<Draft> drafts_;
};

}  // namespace

std::size_t Pipeline::source() const {
  return static_cast<std::size_t>(std::ranges::find(nodes, Role::source, &Node::role) - nodes.begin());
}

Checked check_pipeline(std::string_view text, std::string_view file, const Registry& registry, const CheckOptions& options) {
  return Checker{text, file, registry, options}.run();
}

}  // namespace weir
