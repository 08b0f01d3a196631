#include "core/checkpoint/dead_letter_limit.hpp"

#include <algorithm>

#include <weir/dead_letter.hpp>

#include "core/observe/counted.hpp"

namespace weir {

void DeadLetterLimit::apply(std::vector<Sink::DeadLetter>& letters, bool replaying) {
  std::ranges::stable_sort(letters, {}, &Sink::DeadLetter::position);
  for (std::size_t i = 1; i < letters.size(); ++i) {
    if (letters[i].position == letters[i - 1].position) letters[i].ordinal = letters[i - 1].ordinal + 1;
  }
  std::erase_if(letters, [&](const Sink::DeadLetter& letter) {
    if (takes(letter)) return false;
    if (!replaying) counters_.add(counted::declare(counters_, letter.node, counted::unkept, letter.reason), 1);
    return true;
  });
  if (replaying) letters.clear();
}

bool DeadLetterLimit::takes(const Sink::DeadLetter& letter) {
  // A letter's own arrival may go back, as a new leader's clock does.
  if (const std::int64_t minute_now = letter.arrival / minute; minute_now > minute_) {
    minute_ = minute_now;
    kept_.clear();
  }
  if (const std::int64_t day_now = letter.arrival / (24 * 60 * minute); day_now > day_) {
    day_ = day_now;
    today_ = 0;
  }
  if (today_ >= bounds_.per_day) return false;
  Reason reason{letter.node, counted_by(letter.reason)};
  if (kept_.size() >= most_reasons && !kept_.contains(reason)) reason = {};
  Kept& kept = kept_[std::move(reason)];
  if (kept.letters >= bounds_.per_reason) return false;
  std::uint32_t& of_key = kept.by_key[letter.key];
  if (of_key >= bounds_.per_key) return false;
  ++of_key;
  ++kept.letters;
  ++today_;
  return true;
}

void DeadLetterLimit::save(StateWriter& out) const {
  out.put(minute_);
  out.put(day_);
  out.put(today_);
  out.put(static_cast<std::uint32_t>(kept_.size()));
  for (const auto& [reason, kept] : kept_) {
    out.put_text(reason.first);
    out.put_text(reason.second);
    out.put(static_cast<std::uint32_t>(kept.by_key.size()));
    for (const auto& [key, letters] : kept.by_key) {
      out.put_text(key);
      out.put(letters);
    }
  }
}

void DeadLetterLimit::load(StateReader& in) {
  minute_ = in.get<std::int64_t>();
  day_ = in.get<std::int64_t>();
  today_ = in.get<std::uint32_t>();
  kept_.clear();
  for (auto reasons = in.get<std::uint32_t>(); reasons > 0 && in.ok(); --reasons) {
    std::string node{in.get_text()};
    Kept& kept = kept_[{std::move(node), std::string{in.get_text()}}];
    for (auto keys = in.get<std::uint32_t>(); keys > 0 && in.ok(); --keys) {
      std::string key{in.get_text()};
      kept.letters += kept.by_key[std::move(key)] = in.get<std::uint32_t>();
    }
  }
}

}  // namespace weir
