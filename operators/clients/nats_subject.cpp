#include "clients/nats_subject.hpp"

#include <algorithm>

namespace weir::nats {
namespace {

constexpr std::string_view instead_of_mapping =
    "\"subject\" and in what the devices publish, or fill the streams otherwise: devices that publish to "
    "p.<k>.<subject> themselves (k: FNV-1a 32 of the key modulo partitions), or a pipeline like pipelines/route.json";

/// Cuts the first token off; `rest` is what follows its dot.
std::string_view next_token(std::string_view& rest) {
  const auto dot = rest.find('.');
  const auto token = rest.substr(0, dot);
  rest = dot == std::string_view::npos ? std::string_view{} : rest.substr(dot + 1);
  return token;
}

}  // namespace

bool is_token(std::string_view text) {
  return !text.empty() && std::ranges::none_of(text, [](char c) {
    return c == '.' || c == '*' || c == '>' || c == '\x7f' || (static_cast<unsigned char>(c) <= ' ');
  });
}

Result<SubjectPattern> SubjectPattern::parse(std::string_view text) {
  SubjectPattern out;
  out.text_ = text;
  std::size_t at = 0;
  const auto wrong = [&](std::string why) {
    return fail(Error::Kind::invalid, "subject \"" + std::string{text} + "\": " + std::move(why), "subject", at);
  };
  for (std::string_view rest = text; at <= text.size();) {
    const auto token = next_token(rest);
    const auto number = static_cast<int>(out.tokens_.size());
    if (out.tail_) return wrong("\">\" may only stand at the end");
    if (token == "{key}" || token == "{field}") {
      int& place = token == "{key}" ? out.key_ : out.field_;
      if (place >= 0) return wrong(std::string{token} + " stands in it twice");
      place = number;
      out.tokens_.emplace_back("*");
    } else if (token == ">") {
      out.tail_ = true;
    } else if (token == "*") {
      out.tokens_.emplace_back("*");
    } else if (is_token(token) && token.find_first_of("{}") == std::string_view::npos) {
      out.tokens_.emplace_back(token);
    } else {
      return wrong("a token must be a word, {key}, {field}, \"*\" or a final \">\"; \"" + std::string{token} +
                   "\" is not");
    }
    at += token.size() + 1;
  }
  return out;
}

std::string SubjectPattern::filter() const {
  std::string out;
  for (const auto& token : tokens_) out += (out.empty() ? "" : ".") + token;
  if (tail_) out += out.empty() ? ">" : ".>";
  return out;
}

bool SubjectPattern::has_wildcard() const {
  const auto stars = std::ranges::count(tokens_, "*");
  return tail_ || stars > (has_key() ? 1 : 0) + (has_field() ? 1 : 0);
}

bool SubjectPattern::match(std::string_view subject, std::string_view& key, std::string_view& field) const {
  key = field = {};
  std::string_view rest = subject;
  bool more = !subject.empty();
  std::string_view found_key;
  std::string_view found_field;
  for (int i = 0; i < static_cast<int>(tokens_.size()); ++i) {
    if (!more) return false;
    const auto dot = rest.find('.');
    const auto token = rest.substr(0, dot);
    more = dot != std::string_view::npos;
    if (more) rest.remove_prefix(dot + 1);
    const auto& want = tokens_[static_cast<std::size_t>(i)];
    if (i == key_) {
      found_key = token;
    } else if (i == field_) {
      found_field = token;
    } else if (want != "*" && want != token) {
      return false;
    }
  }
  if (more != tail_) return false;
  key = found_key;
  field = found_field;
  return true;
}

std::string SubjectPattern::expand(std::string_view key, std::string_view field) const {
  if ((has_key() && !is_token(key)) || (has_field() && !is_token(field))) return {};
  std::string out;
  out.reserve(text_.size() + key.size() + field.size());
  for (int i = 0; i < static_cast<int>(tokens_.size()); ++i) {
    if (i != 0) out += '.';
    out += i == key_ ? key : i == field_ ? field : std::string_view{tokens_[static_cast<std::size_t>(i)]};
  }
  if (out.size() > longest_subject) out.clear();
  return out;
}

Result<Mapping> SubjectPattern::mapping(std::uint32_t partitions) const {
  const auto wrong = [&](std::string why) {
    return fail(Error::Kind::invalid, "subject \"" + text_ + "\" can't be mapped to partitions: " + std::move(why),
                "subject");
  };
  if (!has_key()) {
    return wrong("it has no {key}, and the server chooses a partition by a token of the subject; name the vehicle in " +
                 std::string{instead_of_mapping});
  }
  const std::string& first = tokens_.front();
  if (first == "*" || first == "p" || first.starts_with('$') || first.starts_with('_')) {
    return wrong((first == "*" ? "it does not begin with a word, so" : "it begins with \"" + first + "\", so") +
                 " the mapping would catch subjects of weir's (p.…) or the server's own ($JS.…, _INBOX.…); put a word "
                 "before it, in " +
                 std::string{instead_of_mapping});
  }
  Mapping out;
  std::string index;
  int wildcards = 0;
  for (int i = 0; i <= key_; ++i) {
    const std::string& token = tokens_[static_cast<std::size_t>(i)];
    out.from += (i == 0 ? "" : ".") + token;
    if (token == "*") index = std::to_string(++wildcards);
    out.to += token == "*" ? ".{{wildcard(" + index + ")}}" : "." + token;
  }
  out.to.insert(0, "p.{{partition(" + std::to_string(partitions) + "," + index + ")}}");
  if (tail_ || key_ + 1 < static_cast<int>(tokens_.size())) {
    out.from += ".>";
    out.to += ".>";
  }
  return out;
}

void take_apart(const SubjectPattern& pattern, Message& message) {
  if (!pattern.match(message.subject, message.key, message.field)) message.refused = "unexpected_subject";
}

PartitionNames::PartitionNames(const std::string& base, std::uint32_t partitions, Partition k,
                               const SubjectPattern& pattern)
    : stream{partitions > 1 ? base + "-" + std::to_string(k) : base},
      prefix{partitions > 1 ? "p." + std::to_string(k) + "." : ""},
      filter{prefix + pattern.filter()},
      marker{"p." + std::to_string(k) + ".clock." + base} {}

bool covers(std::string_view wide, std::string_view narrow) {
  while (!wide.empty() && !narrow.empty()) {
    const auto w = next_token(wide);
    const auto n = next_token(narrow);
    if (w == ">") return true;
    if (n == ">" || (w != "*" && w != n)) return false;
  }
  return wide.empty() && narrow.empty();
}

}  // namespace weir::nats
