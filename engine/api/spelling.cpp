#include <weir/ascii.hpp>
#include <weir/format.hpp>
#include <weir/spelling.hpp>
#include <weir/utf8.hpp>

#include <algorithm>
#include <array>
#include <vector>

namespace weir {
namespace {

/// Optimal string alignment in quarters of an edit: a slip of case costs one, every other edit four.
std::size_t distance(std::string_view a, std::string_view b) {
  std::array<std::vector<std::size_t>, 3> rows;
  for (auto& row : rows) row.resize(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) rows[0][j] = 4 * j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    auto& row = rows[i % 3];
    const auto& last = rows[(i + 2) % 3];
    row[0] = 4 * i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const char x = a[i - 1];
      const char y = b[j - 1];
      const std::size_t change = x == y ? 0 : lower(x) == lower(y) ? 1 : 4;
      row[j] = std::min({last[j - 1] + change, last[j] + 4, row[j - 1] + 4});
      if (i > 1 && j > 1 && x == b[j - 2] && a[i - 2] == y) row[j] = std::min(row[j], rows[(i + 1) % 3][j - 2] + 4);
    }
  }
  return rows[a.size() % 3][b.size()];
}

}  // namespace

std::optional<std::string> nearest(std::string_view word, std::span<const std::string> candidates) {
  constexpr std::size_t longest = 100;  // names are short; a pasted file isn't worth its square
  if (word.empty() || word.size() > longest) return {};
  // A third of the word, but one edit at least where something of the word is left; no single letter is near another.
  const std::size_t enough = word.size() == 1 ? 1 : 4 * std::max<std::size_t>(1, word.size() / 3);
  std::optional<std::string> best;
  std::size_t least = enough + 1;
  for (const std::string& candidate : candidates) {
    if (candidate.size() > longest) continue;
    if (const std::size_t d = distance(word, candidate); d < least) {
      least = d;
      best = candidate;
    }
  }
  return best;
}

std::string did_you_mean(std::string_view word, std::span<const std::string> candidates) {
  const auto candidate = nearest(word, candidates);
  return candidate ? weir::format("did you mean {}?", quoted(*candidate)) : "";
}

std::string suggest(std::string_view word, std::span<const std::string> candidates) {
  constexpr std::size_t few = 12;
  if (const auto candidate = nearest(word, candidates)) return weir::format("did you mean {}?", quoted(*candidate));
  if (candidates.empty() || candidates.size() > few) return {};
  return (candidates.size() == 1 ? "there is only " : "there are ") + listed(candidates);
}

std::string listed(std::span<const std::string> words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : ", ") + quoted(word);
  return out;
}

std::string quoted(std::string_view text) {
  constexpr std::size_t most = 60;
  std::string result = "\"";
  std::size_t points = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if ((c & 0xc0) != 0x80 && ++points > most) return result + "…\"";
    if (c == '"' || c == '\\') {
      result += '\\';
      result += text[i];
    } else if (c == '\n') {
      result += "\\n";
    } else if (c == '\t') {
      result += "\\t";
    } else if (c < 0x20 || c == 0x7f) {
      result += weir::format("\\u{:04x}", c);
    } else {
      result += text[i];
    }
  }
  return result + "\"";
}

std::string printable(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = utf8_length(text.substr(at));
    const auto lead = static_cast<unsigned char>(text[at]);
    // C1 are the code points U+0080 to U+009F.
    const bool c1 = length == 2 && lead == 0xc2 && static_cast<unsigned char>(text[at + 1]) < 0xa0;
    if (length == 0 || c1 || lead < 0x20 || lead == 0x7f)
      append_utf8(out, 0xfffd);
    else
      out += text.substr(at, length);
    at += std::max<std::size_t>(1, length);
  }
  return out;
}

}  // namespace weir
