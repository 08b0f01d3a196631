#include "core/checkpoint/uncommitted_steps.hpp"

#include <algorithm>
#include <cassert>
#include <cstdlib>
#include <utility>

namespace weir {

std::size_t rows_of(const LaneStep& step) {
  std::size_t rows = step.dead_letters.size();
  for (const auto& part : step.rows) rows += part.encoded.rows;
  return rows;
}

UncommittedSteps::UncommittedSteps(std::span<const Stand> stands, std::size_t ledgers, const Progress& least)
    : ledgers_{ledgers}, committed_{least}, snapshot_{least.snapshot}, agreed_{least.snapshot} {
  for (const auto& [node, progress] : stands) {
    nodes_.push_back(node);
    done_.push_back({progress.place.position, progress.place.emitted});
    named_.push_back(progress.snapshot);
    stood_.push_back(progress);
  }
}

void UncommittedSteps::set_borders(LaneStart& start) const {
  start.borders.assign_range(done_ | std::views::transform(&Reach::position));
  std::ranges::sort(start.borders);
}

void UncommittedSteps::reading(const Progress& begins) {
  committed_.stream = begins.stream;
  committed_.numbering = begins.numbering;
  committed_.place.position = std::max(committed_.place.position, begins.place.position);
}

void UncommittedSteps::take(LaneStep step) { steps_.push_back(std::move(step)); }

UncommittedSteps::Given UncommittedSteps::given(std::size_t node, const BatchPtr& batch) {
  for (LaneStep& step : steps_) {
    for (LaneStep::Rows& rows : step.rows) {
      if (rows.sink == node && rows.encoded.batch == batch) return {step, rows};
    }
  }
  assert(!"a batch that this lane gave to the sink");
  std::abort();
}

void UncommittedSteps::name_snapshot(std::string name, Position position) {
  snapshot_ = std::move(name);
  snapshot_position_ = position;
  own_.push_back(snapshot_);
}

std::size_t UncommittedSteps::cut(std::size_t rows) {
  std::size_t taken = 0;
  for (cut_ = 0; cut_ < steps_.size() && (cut_ == 0 || taken < rows); ++cut_) taken += rows_of(steps_[cut_]);
  return taken;
}

bool UncommittedSteps::pending() const {
  if (!steps_.empty() || naming()) return true;
  for (std::size_t i = 0; i < done_.size(); ++i) {
    if (to_name(i, committed_.place.position) && done_[i].position <= committed_.place.position) return true;
  }
  return false;
}

bool UncommittedSteps::is_for(std::size_t index) const {
  const Reach next = next_reach(index);
  if (next > done_[index]) return true;
  // One that is ahead of the others keeps its place, and names the snapshot once they have come up.
  return to_name(index, next.position) && next == done_[index];
}

UncommittedSteps::Reach UncommittedSteps::next_reach(std::size_t index) const {
  if (cut_ != 0) return reach(steps_[cut_ - 1], nodes_[index]);
  const Reach& done = done_[index];
  return {committed_.place.position, done.position == committed_.place.position ? done.emitted : 0};
}

Progress UncommittedSteps::next_of(std::size_t index, const std::string& fingerprint) const {
  Progress next = next_of(fingerprint);
  next.place.emitted = next_reach(index).emitted;
  // It may name a later one than the others by a commit of which they had no part.
  if (snapshot_position_ > next.place.position) next.snapshot = named_[index];
  return next;
}

Progress UncommittedSteps::next_of(const std::string& fingerprint) const {
  Progress next = committed_;
  if (cut_ != 0) next.place = steps_[cut_ - 1].place;
  // A snapshot ahead of the commit would lose the rows between the two.
  if (snapshot_position_ <= next.place.position) next.snapshot = snapshot_;
  next.fingerprint = fingerprint;
  return next;
}

std::size_t UncommittedSteps::advance(std::size_t index, Reach to) {
  const std::size_t node = nodes_[index];
  std::size_t rows = 0;
  for (const LaneStep& step : steps_) {
    if (reach(step, node) <= done_[index] || reach(step, node) > to) continue;
    for (const auto& part : step.rows) rows += part.sink == node ? part.encoded.rows - part.rejected : 0;
  }
  done_[index] = to;
  return rows;
}

bool UncommittedSteps::agrees_on(const std::string& snapshot) const {
  const auto names_it = [&](const std::string& named) { return named == snapshot; };
  return snapshot != agreed_ && std::ranges::all_of(named_ | std::views::drop(named_.size() - ledgers_), names_it);
}

bool UncommittedSteps::is_ours(std::size_t index, const Progress& progress) const {
  const Progress& stood = stood_[index];
  const bool same_life = (progress.resets == stood.resets || progress.resets == committed_.resets) &&
                         (progress.stream == stood.stream || progress.stream == committed_.stream) &&
                         (progress.numbering == committed_.numbering ||
                          (progress.numbering == stood.numbering && progress.place.position == stood.place.position));
  return same_life && (progress.snapshot == named_[index] || std::ranges::contains(own_, progress.snapshot)) &&
         (Reach{progress.place.position, progress.place.emitted} == done_[index] ||
          std::ranges::contains(steps_, Reach{progress.place.position, progress.place.emitted},
                                [&](const LaneStep& step) { return reach(step, nodes_[index]); }));
}

void UncommittedSteps::complete(Progress next) {
  committed_ = std::move(next);
  std::erase_if(own_, [this](const std::string& name) { return name != snapshot_ && name != committed_.snapshot; });
}

LaneStep UncommittedSteps::pop() {
  --cut_;
  LaneStep step = std::move(steps_.front());
  steps_.pop_front();
  return step;
}

}  // namespace weir
