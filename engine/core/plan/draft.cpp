#include "core/plan/draft.hpp"

#include <algorithm>
#include <cctype>
#include <ranges>
#include <set>

#include "core/observe/attempt.hpp"
#include "core/plan/pipeline_fields.hpp"

namespace weir {
namespace {

const std::vector<std::string> root_members{
    "$schema", "name",         "description",      "nodes",       "state", "limits",
    "commit",  "dead_letters", "shutdown_timeout", "renamed_from"};
const std::vector<std::string> role_members{"source", "transform", "sink"};

class DraftReader {
 public:
  DraftReader(const Document& document, const Registry& registry, const SettingsContext& context, Reporter& report)
      : document_{document}, registry_{registry}, context_{context}, report_{report} {}

  Drafts read() {
    const Value& root = document_.root;
    read_root(root);
    if (const Value* nodes = root.find("nodes"); nodes != nullptr && nodes->is(Value::Kind::array)) read_nodes(*nodes);
    return std::move(drafts_);
  }

 private:
  void read_root(const Value& root) {
    if (root.find("tests") != nullptr && root.find("nodes") == nullptr) {
      report_.error(root.span, "tests", "this is a file of tests, not a pipeline", "run it with `weir test`");
      return;
    }
    for (const Member& member : root.members) {
      if (std::ranges::contains(root_members, member.key)) continue;
      report_.error(member.key_span, "unknown-member", "a pipeline has no member " + quoted(member.key),
                    suggest(member.key, root_members));
    }
    if (const Value* name = root.find("name"); name == nullptr) {
      report_.error(root.span, "missing-name",
                    "the pipeline has no \"name\"; its progress and state are kept under it");
    } else if (!name->is(Value::Kind::string) || !plain_name(name->text)) {
      report_.error(name->span, "bad-name", "\"name\" must be made of letters, digits, '-' and '_'");
    } else {
      drafts_.pipeline.name = name->text;
    }
    drafts_.pipeline.file = document_.file;
    const Value* nodes = root.find("nodes");
    if (nodes == nullptr || (!nodes->is(Value::Kind::array) && !nodes->is(Value::Kind::invalid))) {
      report_.error(nodes == nullptr ? root.span : nodes->span, "missing-nodes", "the pipeline has no \"nodes\"",
                    "write \"nodes\": [ … ]");
    }
    read_limits(root);
    read_state(root);
    if (drafts_.pipeline.dead_letters.empty()) drafts_.pipeline.dead_letters = drafts_.pipeline.name + ".dead.jsonl";
  }

  static bool plain_name(std::string_view name) {
    return !name.empty() && std::ranges::all_of(name, [](char c) {
      return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_';
    });
  }

  Settings read_object(const Value& root, const char* name, const std::vector<Field>& fields,
                       const std::vector<std::string>& reserved = {}) {
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
    return settings_of(object == nullptr ? nothing : *object, fields, reserved, quoted(name), name, context_, report_);
  }

  /// What an operator says of its settings together, if all of them are known: `open` were not before. `who`: before
  /// the message.
  void check_settings(const Spec& spec, const Settings& settings, const Value& object, std::size_t open,
                      const std::string& who = {}) {
    if (!spec.problems_of || report_.left_open() != open) return;
    using Problems = std::vector<Error>;
    const auto problems = attempt("its check threw", [&]() -> Result<Problems> { return spec.problems_of(settings); });
    for (const Error& problem : problems ? *problems : Problems{problems.error()}) {
      report_.error(place_of(object, problem.setting, problem.offset, document_.text), "does-not-fit",
                    who + problem.message);
    }
  }

  void read_limits(const Value& root) {
    const Settings limits = read_object(root, "limits", limits_fields());
    if (limits.has("keys")) drafts_.pipeline.key_limit = static_cast<std::uint32_t>(limits.integer("keys"));
    if (limits.has("forget")) drafts_.pipeline.forget = limits.duration("forget");
    DeadLetterBounds& letters = drafts_.pipeline.letter_bounds;
    const auto bound = [&](const char* name, std::uint32_t& out) {
      if (limits.has(name)) out = static_cast<std::uint32_t>(limits.integer(name));
    };
    bound("dead_letters_per_key", letters.per_key);
    bound("dead_letters_per_reason", letters.per_reason);
    bound("dead_letters_per_day", letters.per_day);
    if (limits.has("dead_letter_retention")) letters.retention = limits.duration("dead_letter_retention");
    if (limits.has("in_flight")) drafts_.pipeline.in_flight = limits.size("in_flight");
    const Settings commit = read_object(root, "commit", commit_fields());
    if (commit.has("every")) drafts_.pipeline.commit_every = commit.duration("every");
    if (commit.has("rows")) drafts_.pipeline.commit_rows = static_cast<std::size_t>(commit.integer("rows"));
    read_lone_settings(root);
  }

  /// Those that stand in the root itself.
  void read_lone_settings(const Value& root) {
    Value object;
    object.kind = Value::Kind::object;
    for (const Field& field : root_fields()) {
      if (const Value* value = root.find(field.name)) object.members.push_back({field.name, value->span, *value});
    }
    const Settings rest = settings_of(object, root_fields(), {}, "pipeline", "", context_, report_);
    if (rest.has("dead_letters")) drafts_.pipeline.dead_letters = rest.text("dead_letters");
    if (rest.has("renamed_from")) {
      drafts_.pipeline.renamed_from = rest.text("renamed_from");
      check_old_name(*root.find("renamed_from"), drafts_.pipeline.renamed_from);
    }
    if (rest.has("shutdown_timeout")) drafts_.pipeline.shutdown_timeout = rest.duration("shutdown_timeout");
  }

  void check_old_name(const Value& value, std::string_view old) {
    if (!plain_name(old))
      report_.error(value.span, "bad-name", R"("renamed_from" must be made of letters, digits, '-' and '_')");
  }

  void read_state(const Value& root) {
    const Value* state = root.find("state");
    if (state == nullptr) return;
    std::vector<std::string> stores;
    for (const auto name : registry_.names(Role::store)) stores.emplace_back(name);
    const Value* store = state->find("store");
    if (store == nullptr || !store->is(Value::Kind::string)) {
      report_.error(state->span, "missing-store", "\"state\" names no store",
                    R"(write "state": { "store": )" + (stores.empty() ? "…" : quoted(stores.front())) + ", … }");
      return;
    }
    const Operator* op = registry_.find(Role::store, store->text);
    if (op == nullptr) {
      report_.error(store->span, "unknown-store", "unknown store " + quoted(store->text), suggest(store->text, stores));
      return;
    }
    std::vector<Field> fields = op->spec.fields;
    fields.append_range(state_fields());
    drafts_.pipeline.store = store->text;
    const std::size_t open = report_.left_open();
    drafts_.pipeline.store_settings = read_object(root, "state", fields, {"store"});
    check_settings(op->spec, drafts_.pipeline.store_settings, *state, open);
    if (drafts_.pipeline.store_settings.has("every"))
      drafts_.pipeline.snapshot_every = drafts_.pipeline.store_settings.duration("every");
  }

  // Nodes.

  void read_nodes(const Value& nodes) {
    drafts_.nodes.reserve(nodes.items.size());
    for (const Value& text : nodes.items) {
      drafts_.whole = drafts_.whole && text.is(Value::Kind::object);
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
    drafts_.nodes.push_back(std::move(draft));
  }

  void read_id(Draft& draft) {
    const Value* id = draft.text->find("id");
    if (id == nullptr) {
      report_.error(draft.text->span, "missing-id", "the node has no \"id\"");
      return;
    }
    draft.node.id = id->is(Value::Kind::string) ? id->text : "";
    if (!plain_name(draft.node.id)) {
      report_.error(id->span, "bad-id", "\"id\" must be made of letters, digits, '-' and '_'");
    } else if (!ids_.insert(draft.node.id).second) {
      report_.error(id->span, "duplicate-id", "two nodes have the id " + quoted(id->text));
    }
  }

  void read_operator(Draft& draft) {
    const Member* named = nullptr;
    for (const Member& member : draft.text->members) {
      if (!std::ranges::contains(role_members, member.key)) continue;
      if (named != nullptr)
        report_.error(member.key_span, "two-roles", "a node is one of source, transform and sink, not two");
      named = &member;
    }
    if (named == nullptr) {
      report_.error(draft.text->span, "missing-operator", "the node names no operator",
                    R"(write "source": …, "transform": … or "sink": …)");
      return;
    }
    if (!named->value.is(Value::Kind::string)) {
      if (!named->value.is(Value::Kind::invalid))
        report_.error(named->value.span, "wrong-type", quoted(named->key) + " must be the name of an operator");
      return;
    }
    draft.has_role = true;
    draft.node.role = named->key == "source" ? Role::source : named->key == "sink" ? Role::sink : Role::transform;
    draft.node.name = named->value.text;
    draft.node.op = registry_.find(draft.node.role, draft.node.name);
    if (draft.node.op == nullptr) unknown_operator(*named, draft.node.role);
  }

  void unknown_operator(const Member& named, Role role) {
    for (const Role other : {Role::source, Role::transform, Role::sink}) {
      if (registry_.find(other, named.value.text) == nullptr) continue;
      report_.error(named.value.span, "unknown-operator",
                    quoted(named.value.text) + " is a " + std::string{to_string(other)} + ", not a " + named.key,
                    "write " + quoted(to_string(other)) + ": " + quoted(named.value.text));
      return;
    }
    std::vector<std::string> names;
    for (const auto name : registry_.names(role)) names.emplace_back(name);
    report_.error(named.value.span, "unknown-operator", "unknown " + named.key + " " + quoted(named.value.text),
                  suggest(named.value.text, names));
  }

  void read_settings(Draft& draft) {
    Node& node = draft.node;
    const Spec& spec = node.op->spec;
    std::vector<std::string> reserved{"id", std::string{to_string(node.role)}, "description"};
    if (node.role != Role::source) reserved.push_back("from");
    const bool encoded = takes_encoding(spec);
    if (encoded) reserved.push_back("encoding");
    const std::vector<Field> fields = node_fields(spec);
    const std::size_t open = report_.left_open();
    node.settings =
        settings_of(*draft.text, fields, reserved, std::string{to_string(node.role)} + " " + quoted(node.name), node.id,
                    context_, report_);
    check_settings(spec, node.settings, *draft.text, open, node.id.empty() ? "" : quoted(node.id) + ": ");
    if (encoded) read_encoding(draft);
    for (const Field& field : spec.fields) {
      if (field.kind.tag != Kind::Tag::columns) continue;
      const bool there = node.settings.has(field.name);
      draft.columns_known = there || draft.text->find(field.name) == nullptr;
      if (there) node.columns = node.settings.columns(field.name);
    }
    const Value* write_empty = draft.text->find("write_empty");
    if (has_columns(spec) && draft.columns_known && node.columns.empty() && write_empty != nullptr) {
      report_.error(write_empty->span, "no-effect", "\"write_empty\" is about rows, which only \"columns\" makes");
    }
    if (node.role != Role::source && node.settings.has("renamed_from")) {
      node.renamed_from = node.settings.text("renamed_from");
      check_old_name(*draft.text->find("renamed_from"), node.renamed_from);
    }
    if (node.role == Role::sink && node.settings.has("start"))
      node.begins = node.settings.text("start") == "now" ? SinkBegins::now : SinkBegins::stream;
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
      report_.error(encoding == nullptr ? draft.text->span : encoding->span, "unknown-encoding",
                    "unknown encoding " + quoted(draft.node.codec), suggest(draft.node.codec, names));
      return;
    }
    Value none;
    none.kind = Value::Kind::object;
    none.span = encoding == nullptr ? draft.text->span : encoding->span;
    const bool object = encoding != nullptr && encoding->is(Value::Kind::object);
    const std::size_t open = report_.left_open();
    draft.node.codec_settings = settings_of(object ? *encoding : none, op->spec.fields, {"codec"},
                                            "encoding " + quoted(draft.node.codec), draft.node.id, context_, report_);
    check_settings(op->spec, draft.node.codec_settings, object ? *encoding : none, open);
  }

  const Document& document_;
  const Registry& registry_;
  const SettingsContext& context_;
  Reporter& report_;
  Drafts drafts_;
  std::set<std::string> ids_;
};

}  // namespace

Drafts read_drafts(const Document& document, const Registry& registry, const SettingsContext& context,
                   Reporter& report) {
  return DraftReader{document, registry, context, report}.read();
}

std::string called(const Draft& draft) { return draft.node.id.empty() ? "this node" : quoted(draft.node.id); }

DraftIndex::DraftIndex(const std::vector<Draft>& drafts) {
  for (const Draft& draft : drafts) {
    if (!draft.node.id.empty()) by_id_.try_emplace(draft.node.id, &draft);
    for (const DraftInput& input : draft.inputs) {
      auto& readers = readers_[input.id];
      if (readers.empty() || readers.back() != &draft) readers.push_back(&draft);
    }
  }
}

const Draft* DraftIndex::find(std::string_view id) const {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : found->second;
}

std::span<const Draft* const> DraftIndex::readers(std::string_view id) const {
  const auto found = readers_.find(id);
  return found == readers_.end() ? std::span<const Draft* const>{} : found->second;
}

bool DraftIndex::connected(const Draft& draft) const {
  if (draft.node.role == Role::source) return true;
  return !draft.inputs.empty() &&
         std::ranges::all_of(draft.inputs, [&](const DraftInput& input) { return find(input.id) != nullptr; });
}

std::optional<Port> port_of(const Draft& draft, std::string_view name) {
  if (name.empty()) return 0;
  const auto& ports = draft.node.op->spec.ports;
  const auto it = std::ranges::find(ports, name, &PortSpec::name);
  if (it == ports.end()) return {};
  return static_cast<Port>(it - ports.begin()) + 1;
}

bool has_columns(const Spec& spec) {
  return std::ranges::any_of(spec.fields, [](const Field& field) { return field.kind.tag == Kind::Tag::columns; });
}

bool takes_encoding(const Spec& spec) { return spec.role == Role::source || spec.has_encoding; }

std::vector<Field> node_fields(const Spec& spec) {
  std::vector<Field> out = spec.fields;
  if (has_columns(spec)) out.append_range(completing_fields());
  if (spec.role == Role::sink) out.append_range(sink_fields());
  if (spec.role == Role::transform) out.append_range(transform_fields());
  return out;
}

}  // namespace weir
