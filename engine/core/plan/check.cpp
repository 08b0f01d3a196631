#include <algorithm>
#include <array>
#include <map>
#include <ranges>
#include <span>
#include <tuple>
#include <unordered_map>
#include <utility>

#include <weir/format.hpp>

#include "core/config/variables.hpp"
#include "core/observe/attempt.hpp"
#include "core/plan/draft.hpp"
#include "core/plan/edges.hpp"
#include "core/plan/fingerprint.hpp"
#include "core/plan/keeping.hpp"
#include "core/plan/overrides.hpp"
#include "core/plan/pipeline.hpp"
#include "core/plan/schema_binding.hpp"
#include "core/plan/settings_check.hpp"

namespace weir {
namespace {

/// Whether somebody wrote it in the notation of other tools.
bool is_yaml(const Document& document) {
  std::string_view text = document.text;
  if (document.file.ends_with(".yaml") || document.file.ends_with(".yml"))
    return !text.substr(document.root.span.begin.offset).starts_with('{');
  while (text.starts_with('#') || text.starts_with('\n'))
    text.remove_prefix(std::min(text.find('\n'), text.size() - 1) + 1);
  const auto name = text.find_first_not_of("abcdefghijklmnopqrstuvwxyz_");
  return text.starts_with("---") || (name != 0 && name < text.size() && text.substr(name, 2) == ": ");
}

class Checker {
 public:
  Checker(std::string_view text, std::string_view file, const Registry& registry, const CheckOptions& options)
      : document_{read_text(text, file)}, registry_{registry}, options_{options}, report_{std::string{file}} {}

  Checked run() {
    if (document_.root.is(Value::Kind::invalid) && is_yaml(document_)) {
      document_.findings.clear();
      report_.error({}, "no-json", "this is YAML, and pipelines are JSON",
                    R"(write { "name": "…", "nodes": [ … ] }; comments may stay, as // …)");
    }
    report_.take(std::move(document_.findings));
    apply_overrides(document_, options_.overrides, report_);
    report_.take(replace_variables(document_, options_.variable, options_.to_run ? Severity::error : Severity::warn));
    const Value& root = document_.root;
    if (root.is(Value::Kind::object)) {
      const SettingsContext context{document_.text, options_.read_file, options_.to_run};
      Drafts drafts = read_drafts(document_, registry_, context, report_);
      pipeline_ = std::move(drafts.pipeline);
      drafts_ = std::move(drafts.nodes);
      whole_ = drafts.whole && std::ranges::all_of(drafts_, &Draft::has_role);
      connect(drafts_, report_);
      cyclic_ = !order(drafts_, report_);
      nodes_.emplace(drafts_);
      check_graph();
      bind_schemas(drafts_, whole_, pipeline_, registry_, document_.text, report_);
      check_source();
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
  // The graph as a whole.

  void check_graph() {
    std::size_t sources = 0;
    bool sinks = false;
    // A misspelt "from", or one that ends in a cycle, may mean any node, so none can be said to be unread.
    const bool known = whole_ && !cyclic_ &&
                       std::ranges::all_of(drafts_, [&](const Draft& draft) { return nodes_->connected(draft); });
    for (const Draft& draft : drafts_) {
      if (draft.node.role == Role::source && ++sources == 2) {
        report_.error(draft.text->span, "two-sources", "a pipeline has one source",
                      "write a pipeline for each, with a name of its own");
      }
      sinks = sinks || draft.node.role == Role::sink;
      if (known && draft.node.role != Role::sink && !draft.node.id.empty() && nodes_->readers(draft.node.id).empty()) {
        report_.error(draft.text->span, "unread", "nothing reads " + quoted(draft.node.id),
                      "add a sink, or take the node out");
      }
      if (draft.node.op != nullptr) check_claims(draft);
    }
    const Span everywhere = document_.root.span;
    if (whole_ && sources == 0) report_.error(everywhere, "no-source", "the pipeline has no source");
    if (whole_ && !sinks) report_.error(everywhere, "no-sink", "the pipeline has no sink");
  }

  /// Whether the text says a bound on keys, be it wrong.
  bool tells_bound() const {
    const Value* limits = document_.root.find("limits");
    return limits != nullptr && (!limits->is(Value::Kind::object) || limits->find("keys") != nullptr);
  }

  void check_claims(const Draft& draft) {
    const Spec& spec = draft.node.op->spec;
    if (spec.is_bounded_by_keys(draft.node.settings) && pipeline_.key_limit == 0 && !tells_bound()) {
      report_.error(draft.text->span, "unbounded-state", called(draft) + " keeps state for every key, without a bound",
                    R"(add "limits": { "keys": 200000 } to the pipeline)");
    }
    check_target(draft);
    if (spec.of_messages) check_messages(draft);
    if (!spec.sees_whole_keys(draft.node.settings)) return;
    const auto source = std::ranges::find(drafts_, Role::source, [](const Draft& d) { return d.node.role; });
    if (source == drafts_.end() || !source->good) return;
    if (!claims_of(source->node).partitioned) {
      report_.error(draft.text->span, "shared-queue",
                    quoted(draft.node.id) + " needs every sample of a vehicle, in order, but " +
                        quoted(source->node.id) + " is a queue that workers share",
                    "read partition streams, or write current values to a bucket and aggregate them");
    }
  }

  /// What was received can be told from what is received again by its position alone.
  void check_messages(const Draft& draft) {
    for (const DraftInput& named : draft.inputs) check_messages(draft, named);
  }

  void check_messages(const Draft& draft, const DraftInput& named) {
    const Draft* input = nodes_->find(named.id);
    if (input == nullptr || !input->good) return;
    if (input->node.role != Role::source) {
      report_.error(
          named.text->span, "no-messages",
          called(draft) + " takes messages as they were received, and " + quoted(named.id) + " has none any more",
          "let it read the source");
    } else if (const Claims claims = claims_of(input->node); !claims.replayable) {
      report_.error(draft.text->span, "no-positions",
                    called(draft) + " needs positions that stay, and those of " + quoted(named.id) +
                        " are another run's after each start" +
                        (claims.because.empty() ? "" : " (" + claims.because + ")"),
                    "read what can be read again, as a JetStream stream by partition");
    }
  }

  /// Two sinks of one table are two workers' worth of rows, unless each has rows of its own.
  void check_target(const Draft& draft) {
    if (draft.node.role != Role::sink || !draft.good) return;
    const std::string target = claims_of(draft.node).target;
    if (target.empty()) return;
    for (const DraftInput& input : draft.inputs) {
      const auto [first, is_first] = writers_.try_emplace({draft.node.op, input.id, input.port, target}, &draft);
      if (is_first) continue;
      report_.error(
          draft.text->span, "same-table",
          quoted(draft.node.id) + " writes the same rows to the same table as " + quoted(first->second->node.id),
          "give it a table of its own, or take it out");
      return;
    }
  }

  /// What the source's claims mean for the whole.
  void check_source() {
    const auto source = std::ranges::find(drafts_, Role::source, [](const Draft& d) { return d.node.role; });
    // What is wrong elsewhere changes nothing here, unless it is how state is kept.
    const bool said = report_.errors() == 0 || document_.root.find("state") == nullptr;
    if (said && source != drafts_.end() &&
        std::ranges::all_of(drafts_, [](const Draft& draft) { return draft.good && draft.node.op != nullptr; })) {
      const bool keeps = keeps_state(pipeline_, source->node, registry_);
      const std::size_t before = report_.errors();
      check_start(*source, keeps);
      check_sink_starts(*source);
      check_kept_ids();
      if (report_.errors() == before) check_sharing(*source, keeps);
      if (report_.errors() == 0 && !keeps) check_restart(*source);
    }
    if (report_.errors() != 0 || !source->good || tells_time(pipeline_, source->node, registry_)) return;
    report_.add(Severity::info, source->text->span, "no-event-time",
                quoted(source->node.id) + " reads payloads without a time, so a sample's arrival is its event time",
                "encode in json or flatbuffers if the devices know better");
  }

  /// Two nodes can't keep what they keep under one id.
  void check_kept_ids() {
    for (const Draft& draft : drafts_) {
      if (draft.node.renamed_from.empty()) continue;
      renamed_.emplace(draft.node.id, draft.node.renamed_from);
      const bool taken = std::ranges::any_of(drafts_, [&](const Draft& other) {
        return &other != &draft && other.node.kept_id() == draft.node.renamed_from;
      });
      if (!taken) continue;
      report_.error(draft.text->find("renamed_from")->span, "duplicate-id",
                    "progress and state of another node are kept under the id " + quoted(draft.node.renamed_from));
    }
  }

  /// A sink catches up with others only from a stream that can be read again, and where it is known how far they are.
  void check_sink_starts(const Draft& source) {
    const bool known = claims_of(source.node).replayable && std::ranges::any_of(drafts_, [](const Draft& draft) {
                         return draft.node.role == Role::sink && claims_of(draft.node).transactional;
                       });
    for (const Draft& draft : drafts_) {
      if (known || draft.node.begins != SinkBegins::stream) continue;
      report_.error(draft.text->find("start")->span, "no-effect",
                    R"("start": "stream" needs a source that can be read again, and a sink that keeps progress)",
                    R"(take it out, or write "now")");
    }
  }

  /// A start in the middle of a stream must be found again after a restart.
  void check_start(const Draft& source, bool keeps) {
    std::vector<const Node*> sinks;
    for (const Draft& draft : drafts_) {
      if (draft.node.role == Role::sink) sinks.push_back(&draft.node);
    }
    if (finds_start_again(source.node, sinks, keeps)) return;
    report_.error(source.text->find("start")->span, "lost-start",
                  "a restarted worker would not find this place in the stream again",
                  R"(have it kept by a durable store, see `weir list stores` and "state", or write "start": "first")");
  }

  /// A stream loses its first messages as it grows; one that is made from a seed does not.
  void check_restart(const Draft& source) {
    const Claims claims = claims_of(source.node);
    if (!claims.replayable || !claims.writable) return;
    bool keeps_place = false, gives_out = false;
    for (const Draft& draft : drafts_) {
      if (draft.node.role != Role::sink) continue;
      keeps_place |= claims_of(draft.node).transactional;
      gives_out |= !claims_of(draft.node).discards;
    }
    if (!keeps_place && !gives_out) return;
    report_.add(Severity::info, source.text->span, "no-durable-state",
                keeps_place
                    ? "nothing keeps state, so each start reads the stream again from where it first began, and "
                      "stops if the stream no longer has that"
                    : "nothing keeps the place in the stream, so each start gives out all of it again",
                weir::format(R"(have it kept by a durable store, see `weir list stores` and "state"{})",
                             lets_columns_grow() ? "" : weir::format("; without one, {}", fields_advice)));
  }

  /// Whether a new column changes no state.
  bool lets_columns_grow() const {
    return std::ranges::none_of(drafts_, [](const Draft& draft) {
      const bool asks = std::ranges::any_of(draft.node.outputs,
                                            [](const SchemaPtr& schema) { return schema->shape == Shape::brackets; });
      return asks && !draft.node.settings.has("fields");
    });
  }

  /// What belongs to one worker can't stand behind a queue that several read.
  void check_sharing(const Draft& source, bool keeps) {
    if (claims_of(source.node).partitioned) return;
    if (keeps) {
      report_.error(document_.root.find("state")->span, "shared-state",
                    quoted(source.node.id) + " is a queue that workers share; they would overwrite each other's state",
                    R"(leave "state" out: what a queue has given out is not given again)");
    }
    for (const Draft& draft : drafts_) {
      if (draft.node.role != Role::sink || !claims_of(draft.node).transactional) continue;
      report_.warn(draft.text->span, "shared-queue",
                   quoted(draft.node.id) + " keeps progress, which one worker holds, but " + quoted(source.node.id) +
                       " is a queue that workers share: further workers wait",
                   "run one worker, or read partition streams");
    }
  }

  // The result.

  Pipeline finish() {
    pipeline_.shown = shown_without_secrets();
    std::vector<Part> parts;
    const std::vector<bool> leads = leading_to_state();
    for (std::size_t i = 0; i < drafts_.size(); ++i) {
      if (drafts_[i].node.role != Role::sink) parts.push_back(part_of(drafts_[i], leads[i]));
    }
    const std::uint32_t keys = pipeline_.key_limit != 0 ? pipeline_.key_limit : Dictionary::default_limit;
    pipeline_.fingerprint = fingerprint(parts, {.keys = keys, .forget = pipeline_.forget});
    for (Draft& draft : drafts_) {
      Value text = *draft.text;
      for (Member& member : text.members) put_kept_ids(draft, member);
      draft.node.written = written_settings(text);
      pipeline_.nodes.push_back(std::move(draft.node));
    }
    return std::move(pipeline_);
  }

  static Value without(Value text, const std::predicate<const Member&> auto& left_out) {
    std::erase_if(text.members, left_out);
    return text;
  }

  /// A renamed node means what it meant, and so does one that reads it.
  void put_kept_ids(const Draft& draft, Member& member) const {
    if (member.key == "id") member.value.text = draft.node.kept_id();
    if (member.key != "from" || renamed_.empty()) return;
    const std::span<Value> from =
        member.value.is(Value::Kind::array) ? std::span{member.value.items} : std::span{&member.value, 1};
    for (std::size_t i = 0; i < draft.inputs.size(); ++i) {
      const DraftInput& named = draft.inputs[i];
      const auto input = renamed_.find(named.id);
      if (input != renamed_.end()) from[i].text = input->second + (named.port.empty() ? "" : "." + named.port);
    }
  }

  Part part_of(const Draft& draft, bool leads_to_state) const {
    const Node& node = draft.node;
    Part part{node.kept_id(), node.name + " ", node.op->spec.state_version, {}, {}};
    part.counts = node.role == Role::source || leads_to_state;  // positions are the source's
    Value text = without(*draft.text, [&](const Member& member) {
      return member.key == "description" || member.key == "renamed_from" || free_to_change(node.op->spec, member.key);
    });
    for (Member& member : text.members) put_kept_ids(draft, member);
    write_canonical(text, part.meaning);
    constexpr std::array<std::string_view, 3> kinds{"number", "point", "text"};
    // What a transform makes of the requests shows in what it gives.
    for (const SchemaPtr& schema : node.outputs) {
      if (schema->shape != Shape::brackets) continue;
      for (const ProjectedField& field : brackets::fields(*schema))
        part.requests.push_back(
            {field.name, std::string{kinds.at(std::to_underlying(field.kind))}, requester(draft, field.name)});
    }
    return part;
  }

  /// By draft: whether it keeps state, or something behind it does.
  std::vector<bool> leading_to_state() const {
    std::vector<bool> leads(drafts_.size());
    for (std::size_t i = drafts_.size(); i-- > 0;) {  // readers stand behind what they read
      const Node& node = drafts_[i].node;
      leads[i] = leads[i] || node.keeps_state;
      for (const PortRef& input : node.inputs) leads[input.node] = leads[input.node] || leads[i];
    }
    return leads;
  }

  /// The first node behind this one whose columns name the field.
  std::string requester(const Draft& draft, std::string_view field) const {
    for (const Draft* reader : nodes_->readers(draft.node.id)) {
      if (std::ranges::contains(reader->node.columns, field, &RowColumn::field)) return reader->node.id;
      if (auto behind = requester(*reader, field); !behind.empty()) return behind;
    }
    return {};
  }

  /// The whole text for people to see.
  std::string shown_without_secrets() {
    Value& root = document_.root;
    std::unordered_map<const Value*, const Draft*> by_text;
    for (const Draft& draft : drafts_) by_text.emplace(draft.text, &draft);
    for (Value& text : root.find("nodes")->items) {
      const auto found = by_text.find(&text);
      if (found == by_text.end()) continue;
      const Draft* const draft = found->second;
      mark_secrets(text, draft->node.op->spec.fields);
      if (Value* encoding = text.find("encoding"); encoding != nullptr && !draft->node.codec.empty())
        mark_secrets(*encoding, registry_.find(Role::codec, draft->node.codec)->spec.fields);
    }
    if (Value* state = root.find("state"); state != nullptr && !pipeline_.store.empty())
      mark_secrets(*state, registry_.find(Role::store, pipeline_.store)->spec.fields);
    return shown(root);
  }

  static bool free_to_change(const Spec& spec, std::string_view name) {
    const auto field = std::ranges::find(spec.fields, name, &Field::name);
    return field != spec.fields.end() && (field->free_to_change || field->kind.tag == Kind::Tag::secret);
  }

  Document document_;
  const Registry& registry_;
  const CheckOptions& options_;
  Reporter report_;
  Pipeline pipeline_;
  std::vector<Draft> drafts_;
  std::optional<DraftIndex> nodes_;  // of them
  /// The first sink of each operator, input and target.
  std::map<std::tuple<const Operator*, std::string, std::string, std::string>, const Draft*> writers_;
  std::map<std::string, std::string> renamed_;  // old ids by new ones
  bool whole_ = true;                           // these are all the nodes, and what they are is known
  bool cyclic_ = false;
};

}  // namespace

std::string_view port_name(const Node& node, Port port) {
  return port == 0 ? std::string_view{"main"} : node.op->spec.ports.at(port - 1).name;
}

std::string place_of(const Pipeline& pipeline, PortRef port) {
  const Node& node = pipeline.nodes[port.node];
  return port.port == 0 ? node.id : weir::format("{}.{}", node.id, port_name(node, port.port));
}

std::size_t Pipeline::source() const {
  return static_cast<std::size_t>(std::ranges::find(nodes, Role::source, &Node::role) - nodes.begin());
}

Checked check_pipeline(std::string_view text, std::string_view file, const Registry& registry,
                       const CheckOptions& options) {
  // What a Spec's functions, and makers of what is no node, throw; a node's own are blamed at its place.
  auto checked =
      attempt("an operator threw", [&]() -> Result<Checked> { return Checker{text, file, registry, options}.run(); });
  if (checked) return *std::move(checked);
  return {{}, {{Severity::error, std::string{file}, {}, "broken-operator", checked.error().message, {}}}};
}

}  // namespace weir
