#include "core/plan/fingerprint.hpp"

#include <algorithm>
#include <charconv>
#include <map>
#include <utility>
#include <vector>

#include <weir/format.hpp>
#include <weir/spelling.hpp>
#include <weir/units.hpp>

namespace weir {
namespace {

/// A field's name as a part of a word: %xx for what would end it, or is not printable.
std::string escaped(std::string_view name) {
  std::string out;
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte > ' ' && byte != 0x7f && c != '%' && c != '/' && c != '@')
      out += c;
    else
      out += weir::format("%{:02x}", byte);
  }
  return out;
}

std::string unescaped(std::string_view word) {
  std::string out;
  for (std::size_t i = 0; i < word.size(); ++i) {
    unsigned byte = 0;
    if (word[i] != '%' ||
        std::from_chars(word.data() + i + 1, word.data() + std::min(i + 3, word.size()), byte, 16).ec != std::errc{}) {
      out += word[i];
      continue;
    }
    out += static_cast<char>(byte);
    i += 2;
  }
  return out;
}

/// What stands before and behind the first `c`; behind it nothing if there is none.
std::pair<std::string_view, std::string_view> cut(std::string_view text, char c) {
  const std::size_t at = std::min(text.find(c), text.size());
  return {text.substr(0, at), text.substr(std::min(at + 1, text.size()))};
}

/// A fingerprint, read.
struct Words {
  struct Of {
    std::string_view meaning, version;
    bool counts = true;
    bool operator==(const Of&) const = default;
  };
  struct Request {
    std::string_view kind, by;
  };
  using Name = std::pair<std::string_view, std::string_view>;  // node and field

  explicit Words(std::string_view text) {
    checksum = take(text);
    while (!text.empty()) read(take(text));
    whole = keys != 0;
  }

  std::string_view checksum;
  std::map<std::string_view, Of> nodes;
  std::map<Name, Request> requests;
  Duration forget = 0;
  std::uint32_t keys = 0;
  bool whole = false;  ///< written by this build, or one like it

 private:
  static std::string_view take(std::string_view& text) {
    const auto [word, rest] = cut(text, ' ');
    text = rest;
    return word;
  }

  void read(std::string_view word) {
    const auto number = [](std::string_view digits, auto& out) {
      std::from_chars(digits.data(), digits.data() + digits.size(), out);
    };
    if (word.starts_with("keys=")) return number(word.substr(5), keys);
    if (word.starts_with("forget=")) return number(word.substr(7), forget);
    if (word.contains('<')) {
      const auto [node, request] = cut(word, '<');
      const auto [field, kind_by] = cut(request, '/');
      const auto [kind, by] = cut(kind_by, '@');
      requests[{node, field}] = {kind, by};
      return;
    }
    const bool counts = !word.starts_with('~');
    const auto [node, meaning_version] = cut(word.substr(counts ? 0 : 1), ':');
    const auto [meaning, version] = cut(meaning_version, 'v');
    nodes[node] = {meaning, version, counts};
  }
};

void compare_nodes(const Words& before, const Words& after, std::vector<Change>& out) {
  for (const auto& [name, was] : before.nodes) {
    const auto found = after.nodes.find(name);
    if (found == after.nodes.end()) {
      out.push_back({quoted(name) + " is gone", was.counts});
      continue;
    }
    const auto& is = found->second;
    if (was.meaning != is.meaning) {
      out.push_back({quoted(name) + " was edited", was.counts || is.counts, false, std::string{name}});
    } else if (was.version != is.version) {
      out.push_back({"this build keeps the state of " + quoted(name) + " otherwise", true});
    } else if (was.counts != is.counts) {
      out.push_back(
          {quoted(name) + (is.counts ? " now leads" : " no longer leads") + " to a node that keeps state", true});
    }
  }
  for (const auto& [name, is] : after.nodes) {
    if (!before.nodes.contains(name)) out.push_back({quoted(name) + " is new", is.counts});
  }
}

void compare_requests(const Words& before, const Words& after, std::vector<Change>& out) {
  const auto counts = [&](std::string_view node) {  // of those that are in both; the others are said already
    return before.nodes.contains(node) && after.nodes.contains(node) && after.nodes.at(node).counts;
  };
  const auto say = [&](const Words::Name& name, const Words::Request& request, std::string_view asks,
                       std::string_view gives, const std::string& as = {}) {
    const auto& [node, field] = name;
    const std::string what = quoted(unescaped(field)) + as;
    out.push_back({request.by.empty() ? weir::format("{} {} {}", node, gives, what)
                                      : weir::format("{}.columns {} {} for {}", request.by, asks, node, what),
                   true, !request.by.empty(), std::string{request.by}});
  };
  for (const auto& [name, request] : before.requests) {
    if (!counts(name.first)) continue;
    const auto now = after.requests.find(name);
    if (now == after.requests.end()) {
      say(name, request, "no longer asks", "no longer gives");
    } else if (now->second.kind != request.kind) {
      say(name, now->second, "asks", "gives", weir::format(" as a {}, not a {}", now->second.kind, request.kind));
    }
  }
  for (const auto& [name, request] : after.requests) {
    if (counts(name.first) && !before.requests.contains(name)) say(name, request, "now asks", "now gives");
  }
}

}  // namespace

std::string fingerprint(std::string_view text) { return weir::format("{:016x}", checksum(text)); }

std::string fingerprint(std::span<const Part> parts, const Bounds& bounds) {
  // Not their order: nodes run in the order of what they read.
  std::vector<std::string> counting{weir::format("forget={}", bounds.forget)};
  std::string words;
  for (const Part& part : parts) {
    std::string word =
        weir::format("{}:{:08x}v{}", part.name, static_cast<std::uint32_t>(checksum(part.meaning)), part.version);
    words += (part.counts ? " " : " ~") + word;
    if (part.counts) counting.push_back(std::move(word) + part.meaning);
    for (const Part::Request& request : part.requests) {
      std::string asked = part.name + '<' + escaped(request.field) + '/' + request.kind;
      words += ' ' + asked + '@' + request.by;
      if (part.counts) counting.push_back(std::move(asked));
    }
  }
  std::ranges::sort(counting);
  std::string all;
  for (const std::string& one : counting) all += one + '\n';
  return fingerprint(all) + words + weir::format(" forget={} keys={}", bounds.forget, bounds.keys);
}

bool same_state(std::string_view kept, std::string_view now) {
  if (kept == now) return true;
  const Words before{kept};
  const Words after{now};
  return before.whole && after.whole && before.checksum == after.checksum && before.keys <= after.keys;
}

bool same_rows(std::string_view kept, std::string_view now) {
  const Words before{kept};
  const Words after{now};
  return before.whole && after.whole ? before.checksum == after.checksum && before.nodes == after.nodes : kept == now;
}

std::vector<Change> changes(std::string_view kept, std::string_view now) {
  const Words before{kept};
  const Words after{now};
  if (!before.whole || !after.whole) return {};
  std::vector<Change> out;
  compare_nodes(before, after, out);
  compare_requests(before, after, out);
  if (before.forget != after.forget) {
    out.push_back({weir::format("limits.forget was changed from {} to {}", format_duration(before.forget),
                                format_duration(after.forget)),
                   true});
  }
  if (before.keys != after.keys) {
    out.push_back({weir::format("limits.keys was {} from {} to {}", before.keys < after.keys ? "raised" : "lowered",
                                before.keys, after.keys),
                   before.keys > after.keys});
  }
  return out;
}

std::string without_requesters(std::string_view fingerprint) {
  std::string out;
  bool requester = false;
  for (const char c : fingerprint) {
    requester = c == '@' || (requester && c != ' ');
    if (!requester) out += c;
  }
  return out;
}

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
    case Value::Kind::string:
      out += '"' + value.text + '"';
      return;
    case Value::Kind::integer:
      out += std::to_string(value.integer);
      return;
    case Value::Kind::number:
      out += weir::format("{}", value.number);  // as short as tells it from any other
      return;
    case Value::Kind::boolean:
      out += value.boolean ? "true" : "false";
      return;
    default:
      out += "null";
  }
}

std::map<std::string, std::string> written_settings(const Value& node) {
  std::map<std::string, std::string> out;
  const auto note = [&](const std::string& name, const Value& value) {
    std::string text;
    write_canonical(value, text);
    out[name] = fingerprint(text);
  };
  for (const Member& one : node.members) {
    if (one.key == "id" || one.key == "renamed_from" || one.key == "description") continue;
    if (!one.value.is(Value::Kind::object)) note(one.key, one.value);
    for (const Member& inner : one.value.members) note(one.key + "." + inner.key, inner.value);
  }
  return out;
}

}  // namespace weir
