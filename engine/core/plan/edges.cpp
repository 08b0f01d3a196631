#include "core/plan/edges.hpp"

#include <algorithm>
#include <ranges>
#include <span>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>

namespace weir {
namespace {

class Connecting {
 public:
  Connecting(std::vector<Draft>& drafts, Reporter& report) : drafts_{drafts}, nodes_{drafts}, report_{report} {}

  void connect(Draft& draft) {
    if (draft.from == nullptr) {
      draft.good = false;
      report_.error(draft.text->span, "missing-input", called(draft) + " has no \"from\"",
                    "name the node that it reads");
      return;
    }
    const Value& from = *draft.from;
    const bool several = from.is(Value::Kind::array);
    if (several && from.items.empty()) bad_input(draft, from, "\"from\" names no node");
    for (const Value& one : several ? std::span{from.items} : std::span{&from, 1}) {
      if (one.is(Value::Kind::string)) {
        connect(draft, one);
      } else if (one.is(Value::Kind::invalid)) {
        draft.good = false;
      } else {
        bad_input(draft, one, "\"from\" names nodes by their ids");
      }
    }
  }

 private:
  void bad_input(Draft& draft, const Value& at, std::string why) {
    draft.good = false;
    report_.error(at.span, "bad-input", std::move(why),
                  R"(write "from": "node" or "node.port", or ["one", "other.port"] for the rows of all of them)");
  }

  void connect(Draft& draft, const Value& from) {
    const auto dot = from.text.find('.');
    const DraftInput named{from.text.substr(0, dot), dot == std::string::npos ? "" : from.text.substr(dot + 1), &from};
    const bool twice = std::ranges::any_of(draft.inputs, [&](const DraftInput& other) {
      return std::tie(other.id, other.port) == std::tie(named.id, named.port);
    });
    if (twice) return bad_input(draft, from, "\"from\" names " + quoted(from.text) + " twice");
    draft.inputs.push_back(named);
    const Draft* input = nodes_.find(named.id);
    if (input == nullptr) {
      std::vector<std::string> ids;
      for (const Draft& other : drafts_) {
        if (&other != &draft && other.node.role != Role::sink && !other.node.id.empty()) ids.push_back(other.node.id);
      }
      report_.error(from.span, "unknown-node", "there is no node " + quoted(named.id), suggest(named.id, ids));
      draft.good = false;
    } else if (input->node.role == Role::sink) {
      report_.error(from.span, "sink-as-input", quoted(named.id) + " is a sink; nothing comes out of it");
      draft.good = false;
    } else if (input->node.op != nullptr && !port_of(*input, named.port)) {
      std::vector<std::string> ports;
      for (const PortSpec& port : input->node.op->spec.ports) ports.push_back(port.name);
      std::string known;
      for (const std::string& port : ports) known += (known.empty() ? "it has " : ", ") + quoted(port);
      const std::string near = did_you_mean(named.port, ports);
      report_.error(from.span, "unknown-port", quoted(named.id) + " has no port " + quoted(named.port),
                    near.empty() ? known : near);
      draft.good = false;
    }
  }

  std::vector<Draft>& drafts_;
  DraftIndex nodes_;
  Reporter& report_;
};

constexpr std::size_t in_cycle = SIZE_MAX;

/// By draft: how often the text must be walked through again until all its inputs were met before it; or `in_cycle`.
std::vector<std::size_t> walks_to_inputs(const std::vector<Draft>& drafts) {
  const DraftIndex index{drafts};
  std::vector<std::vector<std::size_t>> readers(drafts.size());
  std::vector<std::size_t> walks(drafts.size()), unmet(drafts.size()), met;
  for (std::size_t number = 0; number < drafts.size(); ++number) {
    for (const DraftInput& named : drafts[number].inputs) {
      const Draft* input = index.find(named.id);
      if (input == nullptr) continue;
      readers[static_cast<std::size_t>(input - drafts.data())].push_back(number);
      ++unmet[number];
    }
    if (unmet[number] == 0) met.push_back(number);
  }
  for (std::size_t i = 0; i < met.size(); ++i) {
    const std::size_t input = met[i];
    for (const std::size_t reader : readers[input]) {
      walks[reader] = std::max(walks[reader], walks[input] + (reader < input ? 1 : 0));
      if (--unmet[reader] == 0) met.push_back(reader);
    }
  }
  for (std::size_t number = 0; number < drafts.size(); ++number) {
    if (unmet[number] != 0) walks[number] = in_cycle;
  }
  return walks;
}

/// `rest`: those that could not be put behind what they read, so each of them reads one of them.
void report_cycles(const std::vector<Draft>& rest, Reporter& report) {
  const DraftIndex nodes{rest};
  const auto input_of = [&](const Draft& reader) {
    const Draft* input = nullptr;
    for (auto it = reader.inputs.begin(); input == nullptr && it != reader.inputs.end(); ++it)
      input = nodes.find(it->id);
    return input;
  };
  std::unordered_map<const Draft*, const Draft*> met;  // on the way from which draft
  for (const Draft& draft : rest) {
    std::vector<const Draft*> way;
    const Draft* at = &draft;
    for (; at != nullptr && met.try_emplace(at, &draft).second; at = input_of(*at)) way.push_back(at);
    if (at == nullptr || met.at(at) != &draft) continue;
    way.erase(way.begin(), std::ranges::find(way, at));
    std::ranges::rotate(way, std::ranges::min_element(way));
    std::string through;
    for (const Draft* node : way | std::views::drop(1))
      through += (through.empty() ? "" : ", ") + quoted(node->node.id);
    report.error(way.front()->from->span, "cycle",
                 quoted(way.front()->node.id) + " reads itself" + (through.empty() ? "" : ", by way of " + through));
  }
}

}  // namespace

void connect(std::vector<Draft>& drafts, Reporter& report) {
  Connecting connecting{drafts, report};
  for (Draft& draft : drafts) {
    if (draft.node.role != Role::source && (draft.node.op != nullptr || draft.from != nullptr))
      connecting.connect(draft);
  }
}

bool order(std::vector<Draft>& drafts, Reporter& report) {
  const std::vector<std::size_t> walks = walks_to_inputs(drafts);
  std::vector<std::size_t> numbers{std::from_range, std::views::iota(std::size_t{0}, drafts.size())};
  std::ranges::stable_sort(numbers, {}, [&](std::size_t number) { return walks[number]; });
  std::vector<Draft> sorted, rest;
  for (const std::size_t number : numbers)
    (walks[number] == in_cycle ? rest : sorted).push_back(std::move(drafts[number]));
  report_cycles(rest, report);
  const bool fine = rest.empty();
  drafts = std::move(sorted);
  for (Draft& draft : rest) {
    draft.good = false;
    drafts.push_back(std::move(draft));
  }
  return fine;
}

}  // namespace weir
