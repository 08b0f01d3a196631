#include "core/plan/overrides.hpp"

#include <algorithm>

#include <weir/spelling.hpp>

namespace weir {
namespace {

class Overrider {
 public:
  Overrider(Document& document, Reporter& report) : document_{document}, report_{report} {}

  /// -s path=value: the first part names a node by its id, or a member of the root. null removes what is there.
  void apply(const std::vector<std::pair<std::string, std::string>>& overrides) {
    if (document_.root.is(Value::Kind::invalid)) return;  // which has been reported
    for (const auto& [path, value] : overrides) {
      const Span span = report_.place_of_option("-s " + path);
      if (!begins_somewhere(path, span)) continue;
      Document parsed = read_text(value, "");
      if (parsed.findings.empty() && parsed.root.is(Value::Kind::null)) {
        remove(path, span);
        continue;
      }
      Value* at = target_of(path, span);
      if (at == nullptr) {
        report_.error(span, "bad-override", "there is no node or setting of that name", "its name is node.setting");
        continue;
      }
      const bool number = parsed.root.is(Value::Kind::integer) || parsed.root.is(Value::Kind::number);
      if (parsed.findings.empty() && !number) {
        *at = std::move(parsed.root);
      } else {  // a word, which is what its setting takes it for
        *at = Value{};
        at->kind = Value::Kind::string;
        at->text = value;
        at->from_variable = true;
      }
      set_spans(*at, span);
    }
  }

 private:
  static void set_spans(Value& value, const Span& span) {
    value.span = span;
    for (Value& item : value.items) set_spans(item, span);
    for (Member& member : value.members) {
      member.key_span = span;
      set_spans(member.value, span);
    }
  }

  /// Whether a path of several parts begins with a node or with an object of the root; reports it if not.
  bool begins_somewhere(std::string_view path, const Span& span) {
    if (!path.contains('.')) return true;
    const std::string first{path.substr(0, path.find('.'))};
    std::vector<std::string> known{"limits", "commit", "state"};
    if (const Value* nodes = document_.root.find("nodes"); nodes != nullptr) {
      for (const Value& node : nodes->items) {
        if (const Value* id = node.find("id"); id != nullptr) known.push_back(id->text);
      }
    }
    if (std::ranges::contains(known, first)) return true;
    const std::string near = did_you_mean(first, known);
    report_.error(span, "bad-override", "there is no node " + quoted(first),
                  near.empty() ? "its name is node.setting" : near);
    return false;
  }

  /// Where a path begins, and what remains of it: a node, without its id, or the root.
  std::pair<Value*, std::string_view> start_of(std::string_view path) {
    const auto dot = path.find('.');
    Value* nodes = dot == std::string_view::npos ? nullptr : document_.root.find("nodes");
    if (nodes != nullptr) {
      for (Value& node : nodes->items) {
        const Value* id = node.find("id");
        if (id != nullptr && id->text == path.substr(0, dot)) return {&node, path.substr(dot + 1)};
      }
    }
    return {&document_.root, path};
  }

  void remove(std::string_view whole, const Span& span) {
    auto [at, path] = start_of(whole);
    for (;;) {
      const auto dot = path.find('.');
      const auto name = path.substr(0, dot);
      Value* found = at->find(name);
      if (found == nullptr) {
        std::vector<std::string> known;
        for (const Member& member : at->members) known.push_back(member.key);
        report_.error(span, "bad-override", "there is no " + quoted(name) + " to remove", did_you_mean(name, known));
        return;
      }
      if (dot == std::string_view::npos) {
        std::erase_if(at->members, [&](const Member& member) { return member.key == name; });
        return;
      }
      at = found;
      path = path.substr(dot + 1);
    }
  }

  Value* target_of(std::string_view whole, const Span& span) {
    auto [at, path] = start_of(whole);
    while (true) {
      const auto next = path.find('.');
      const auto name = path.substr(0, next);
      if (name.empty() || !at->is(Value::Kind::object)) return nullptr;
      Value* found = at->find(name);
      if (found == nullptr) {
        Member member;
        member.key = name;
        member.key_span = span;
        member.value.kind = next == std::string_view::npos ? Value::Kind::null : Value::Kind::object;
        member.value.span = span;
        at->members.push_back(std::move(member));
        found = &at->members.back().value;
      }
      at = found;
      if (next == std::string_view::npos) return at;
      path = path.substr(next + 1);
    }
  }

  Document& document_;
  Reporter& report_;
};

}  // namespace

void apply_overrides(Document& document, const std::vector<std::pair<std::string, std::string>>& overrides,
                     Reporter& report) {
  Overrider{document, report}.apply(overrides);
}

}  // namespace weir
