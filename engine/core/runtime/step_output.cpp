#include "core/runtime/step_output.hpp"

#include <algorithm>
#include <memory>
#include <utility>

#include <weir/dead_letter.hpp>
#include <weir/format.hpp>

#include "core/observe/counted.hpp"

namespace weir {
namespace {

/// The batch as a part of the step that has this origin. Until it is emitted it is its maker's, who has let go of it if
/// nobody else holds it.
BatchPtr with_origin(BatchPtr batch, const Origin& origin) {
  const Origin& has = batch->origin;
  if (has.partition == origin.partition && has.after == origin.after && has.last == origin.last) return batch;
  auto own = batch.use_count() == 1 ? std::const_pointer_cast<Batch>(batch) : std::make_shared<Batch>(*batch);
  own->origin = origin;
  return own;
}

}  // namespace

StepOutput::StepOutput(const Node& node, const Step& step, Counters& counters, Deliver deliver,
                       std::vector<Sink::DeadLetter>& letters)
    : node_{node}, step_{step}, counters_{counters}, deliver_{std::move(deliver)}, letters_{node.id, letters} {}

std::size_t StepOutput::room() const {
  return std::max<std::size_t>(1, step_.cells / std::max<std::size_t>(1, node_.outputs.at(0)->columns.size()));
}

bool StepOutput::wants_again() {
  if (const bool sent = std::exchange(sent_, false); again_ && !sent)
    object("it asks to be called again, but has sent nothing");
  return std::exchange(again_, false);
}

void StepOutput::emit(BatchPtr batch, Port port) {
  if (auto why = objection(batch.get(), port); !why.empty()) return object(std::move(why));
  sent_ |= batch->rows != 0;
  step_.cells -= std::min(step_.cells, batch->rows * std::max<std::size_t>(1, batch->columns.size()));
  deliver_(port, with_origin(std::move(batch), step_.origin));
}

void StepOutput::refuse(const Batch& in, std::size_t row, const Reason& reason) {
  if (row >= in.rows) return object(weir::format("it refuses row {} of {}", row, in.rows));
  if (!step_.replaying) counters_.add(counted::declare(counters_, node_.id, counted::invalid, reason.code), 1);
  letters_.add(in, row, reason);
}

void StepOutput::count(std::size_t counter, std::uint64_t n) {
  if (!counters_.has(counter)) return object("it counts by a number that no counter has");
  if (!step_.replaying && n != 0) counters_.add(counter, n);
}

void StepOutput::object(std::string why) {
  if (wrong_.empty()) wrong_ = std::move(why);
}

std::string StepOutput::objection(const Batch* batch, Port port) const {
  if (port >= node_.outputs.size()) return weir::format("it emits to port {}, which its Spec does not declare", port);
  if (batch == nullptr || !batch->schema) return "it emits no batch, or one without a schema";
  if (batch->arrival.size() != batch->rows)
    return weir::format("it emits {} rows with {} arrivals", batch->rows, batch->arrival.size());
  if (batch->message_of_row.size() != batch->rows)
    return weir::format("it emits {} rows with {} messages of rows", batch->rows, batch->message_of_row.size());
  const std::size_t columns = node_.outputs[port]->columns.size();
  if (batch->columns.size() == columns && batch->schema->columns.size() == columns) return {};
  return weir::format("it emits {} columns, but its schema has {}", batch->columns.size(), columns);
}

void Refusals::add(const Batch& in, std::size_t row, const Reason& reason) {
  if (!in.messages || row >= in.message_of_row.size()) {
    letters_.push_back(dead_letter_of(in, row, node_, reason));
    return;
  }
  const Message& message = in.messages->items[in.message_of_row[row]];
  Made& made = made_[{&message, reason.code}];
  if (made.rows++ != 0) return;
  made.letter = letters_.size();
  letters_.push_back(dead_letter_of(in, row, node_, reason));
}

void Refusals::finish() {
  for (const auto& [of, made] : made_) {
    if (made.rows > 1) letters_[made.letter].reason.add_detail(weir::format("{} of its message", made.rows));
  }
}

}  // namespace weir
