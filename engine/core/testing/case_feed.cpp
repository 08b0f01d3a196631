#include "core/testing/case_feed.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>

#include <weir/format.hpp>
#include "recording/recording.hpp"

namespace weir {
namespace {

constexpr std::size_t most_recorded = 100'000;  // messages of a recording in a case

/// The message that would have brought a sample, so that dead letters have something to show.
struct Mail {
  std::vector<std::string> texts;
  Messages messages;
};

std::string payload_of(const CaseSample& s) {
  if (s.kind == Sample::Kind::text) return s.text;
  if (s.kind == Sample::Kind::number) return weir::format("{}", s.x);
  return s.z == s.z ? weir::format("{}/{}/{}", s.x, s.y, s.z) : weir::format("{}/{}", s.x, s.y);
}

/// Columns of samples in the making.
class BatchMaker {
 public:
  explicit BatchMaker(const Lane& lane) : keys_{lane.keys()}, fields_{lane.fields()} {}

  /// False if the pipeline's bound on keys or fields is reached.
  bool add(const CaseSample& sample, Timestamp arrival) {
    const auto key = keys_->intern(sample.key), field = fields_->intern(sample.field);
    if (!key || !field) return false;
    const bool point = sample.kind == Sample::Kind::point, text = sample.kind == Sample::Kind::text;
    const std::size_t row = arrival_.size();
    key_.push_back(*key);
    field_.push_back(*field);
    time_.push_back(sample.time.value_or(arrival));
    arrival_.push_back(arrival);
    x_valid_.push(!text, row), y_valid_.push(point, row), z_valid_.push(point && sample.z == sample.z, row),
        text_valid_.push(text, row);
    x_.push_back(sample.x), y_.push_back(sample.y), z_.push_back(sample.z == sample.z ? sample.z : 0),
        text_.push(sample.text);
    points_ |= point, texts_ |= text;
    mail_->texts.push_back(payload_of(sample));
    return true;
  }

  BatchPtr take(Timestamp reached, Position first, bool marker) {
    auto batch = std::make_shared<Batch>();
    batch->schema = samples::schema();
    batch->rows = arrival_.size();
    batch->reached = reached;
    batch->origin = {0, first, first + arrival_.size() + (marker ? 1 : 0)};
    for (std::size_t row = 0; row < batch->rows; ++row) {
      batch->message_of_row.push_back(static_cast<std::uint32_t>(row));
      mail_->messages.items.push_back({.subject = field_text(row),
                                       .payload = mail_->texts[row],
                                       .sequence = first + row + 1,
                                       .arrival = arrival_[row],
                                       .key = keys_->at(key_[row])});
    }
    batch->messages = std::shared_ptr<const Messages>{mail_, &mail_->messages};
    batch->columns.resize(batch->schema->columns.size());
    batch->columns[samples::key] = Column::dictionary({std::move(key_), keys_});
    batch->columns[samples::field] = Column::dictionary({std::move(field_), fields_});
    batch->columns[samples::time] = Column::timestamp(std::move(time_));
    batch->columns[samples::x] = Column::float64(std::move(x_), std::move(x_valid_));
    if (points_) batch->columns[samples::y] = Column::float64(std::move(y_), std::move(y_valid_));
    if (points_) batch->columns[samples::z] = Column::float64(std::move(z_), std::move(z_valid_));
    if (texts_) batch->columns[samples::text] = Column::string(std::move(text_), std::move(text_valid_));
    batch->arrival = std::move(arrival_);
    return batch;
  }

 private:
  std::string_view field_text(std::size_t row) const { return fields_->at(field_[row]); }

  std::shared_ptr<Dictionary> keys_, fields_;
  std::shared_ptr<Mail> mail_ = std::make_shared<Mail>();
  std::vector<std::uint32_t> key_, field_;
  std::vector<Timestamp> time_, arrival_;
  std::vector<double> x_, y_, z_;
  Texts text_;
  Validity x_valid_, y_valid_, z_valid_, text_valid_;
  bool points_ = false, texts_ = false;
};

}  // namespace

void read_value(const TableCell& cell, CaseSample& out) {
  std::array<double, 3> parts{0, 0, std::numeric_limits<double>::quiet_NaN()};
  std::size_t count = 0;
  bool numbers = !cell.quoted;
  for (std::string_view rest = cell.text; numbers && count < parts.size();) {
    const std::size_t end = rest.find('/');
    const auto number = number_in(rest.substr(0, end));
    numbers = number.has_value() && !(end != rest.npos && count + 1 == parts.size());
    if (!numbers) break;
    parts[count++] = *number;
    if (end == rest.npos) break;
    rest.remove_prefix(end + 1);
  }
  out.kind = !numbers ? Sample::Kind::text : count == 1 ? Sample::Kind::number : Sample::Kind::point;
  out.x = parts[0];
  out.y = parts[1];
  out.z = parts[2];
  if (!numbers) out.text = cell.text;
}

std::optional<std::string> bytes_of(std::string digits) {
  std::string out;
  std::erase(digits, ' ');
  for (std::size_t i = 0; i + 1 < digits.size(); i += 2) {
    unsigned byte = 0;
    const auto [end, wrong] = std::from_chars(digits.data() + i, digits.data() + i + 2, byte, 16);
    if (wrong != std::errc{} || end != digits.data() + i + 2) return {};
    out += static_cast<char>(byte);
  }
  if (digits.size() % 2 != 0) return {};
  return out;
}

Result<std::vector<CaseMessage>> recorded_messages(const std::string& path, Timestamp from, Timestamp until) {
  const auto reader = recording::Reader::open(path);
  if (!reader) return std::unexpected(reader.error());
  for (const recording::Damage& damage : reader->damages()) {
    return fail(Error::Kind::changed,
                weir::format("{}: its bytes {} to {} are not those that were written; `weir info` "
                             "tells what is lost",
                             path, damage.from, damage.to));
  }
  if (reader->cut())
    return fail(Error::Kind::changed, path + ": its last commit is not whole; `weir info` tells what is lost");
  std::vector<CaseMessage> out;
  for (const recording::Block& block : reader->blocks()) {
    if (block.reached < from || block.begins >= until) continue;
    const auto messages = reader->read(block);
    if (!messages) return std::unexpected(messages.error());
    for (const Message& message : (*messages)->items) {
      if (message.arrival < from || message.arrival >= until) continue;
      out.push_back({std::string{message.subject},
                     std::string{message.payload},
                     message.arrival,
                     message.marker,
                     std::string{message.key},
                     std::string{message.field},
                     std::string{message.refused},
                     {message.headers.begin(), message.headers.end()}});
    }
    if (out.size() > most_recorded)
      return fail(Error::Kind::exhausted,
                  weir::format("{} has more than {} messages there; take less of it by \"from\" "
                               "and \"until\"",
                               path, most_recorded));
  }
  // A case has one lane, so all partitions come in the order of their arrival.
  std::ranges::stable_sort(out, {}, [](const CaseMessage& message) { return *message.at; });
  return out;
}

std::vector<Arrival> arrivals_of(const CaseStep& step) {
  std::vector<Arrival> out;
  for (const CaseSample& sample : step.samples) out.push_back({.at = step.at, .sample = &sample});
  for (const CaseMessage& message : step.messages)
    out.push_back({.at = message.at.value_or(step.at), .message = message.marker ? nullptr : &message});
  if (step.what == CaseStep::What::arrive && out.empty()) out.push_back({.at = step.at});
  return out;
}

std::size_t length_of_feed(std::span<const Arrival> arrivals, std::size_t most) {
  const bool messages = arrivals.front().message != nullptr;
  std::size_t length = 0;
  while (length < std::min(arrivals.size(), most)) {
    const Arrival& next = arrivals[length];
    if (length != 0 && messages != (next.message != nullptr)) break;
    ++length;
    if (next.time_only()) break;
  }
  return length;
}

std::shared_ptr<const Messages> messages_of(std::span<const Arrival> arrivals, Position first, const Node& source) {
  using Headers = std::vector<std::pair<std::string_view, std::string_view>>;
  auto out = std::make_shared<Messages>();
  const auto headers = std::make_shared<std::vector<Headers>>(arrivals.size());
  out->owner = headers;
  for (const Arrival& arrival : arrivals) {
    Message& message = out->items.emplace_back();
    message.subject = arrival.message->subject;
    message.payload = arrival.message->payload;
    message.sequence = first + out->items.size();
    message.arrival = arrival.at;
    message.key = arrival.message->key;
    message.field = arrival.message->field;
    message.refused = arrival.message->refused;
    Headers& own = (*headers)[out->items.size() - 1];
    own.assign(arrival.message->headers.begin(), arrival.message->headers.end());
    message.headers = own;
    if (source.op->spec.dissect) source.op->spec.dissect(source.settings, message);
  }
  return out;
}

BatchPtr samples_of(std::span<const Arrival> arrivals, Position first, const Lane& lane) {
  BatchMaker batch{lane};
  for (const Arrival& arrival : arrivals) {
    if (arrival.sample != nullptr && !batch.add(*arrival.sample, arrival.at)) return nullptr;
  }
  return batch.take(arrivals.back().at, first, arrivals.back().time_only());
}

}  // namespace weir
