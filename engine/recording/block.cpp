#include "recording/block.hpp"

#include <zstd.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <optional>
#include <utility>

#include <weir/checksum.hpp>

#include "recording/flat.hpp"

namespace weir::recording {
namespace {

constexpr std::size_t full_bytes = 1u << 20;
constexpr std::size_t full_messages = 1u << 16;
constexpr std::size_t most_content = 1u << 30;  // a message has a megabyte or two
constexpr int level = 1;                        // the next ones gain a twentieth and cost half as much again
constexpr std::string_view end_of_line = "\r\n";

/// A vector that says nothing is left out.
template <typename T>
flatbuffers::Offset<flatbuffers::Vector<T>> vector_of(flatbuffers::FlatBufferBuilder& out, const std::vector<T>& all) {
  if (std::ranges::all_of(all, [](T one) { return one == 0; })) return {};
  return out.CreateVector(all);
}

flatbuffers::Offset<flatbuffers::Vector<std::uint8_t>> vector_of(flatbuffers::FlatBufferBuilder& out,
                                                                 std::string_view text) {
  if (text.empty()) return {};
  return out.CreateVector(reinterpret_cast<const std::uint8_t*>(text.data()), text.size());
}

std::string_view bytes_in(const flatbuffers::Vector<std::uint8_t>* bytes) {
  if (bytes == nullptr) return {};
  return {reinterpret_cast<const char*>(bytes->data()), bytes->size()};
}

/// Where `part` stands in `whole`, if it is a view into it or at least in it.
std::optional<std::size_t> place_in(std::string_view whole, std::string_view part) {
  if (part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size())
    return static_cast<std::size_t>(part.data() - whole.data());
  const std::size_t at = whole.find(part);
  return at == std::string_view::npos ? std::nullopt : std::optional{at};
}

struct Place {
  std::uint32_t begin = 0, size = 0;
};

/// A token of the subject; one that comes from elsewhere is appended to its bytes.
Place place_of(std::string_view subject, std::string_view token, std::string& subjects, std::size_t subject_at) {
  if (token.empty()) return {};
  const auto size = static_cast<std::uint32_t>(token.size());
  if (const auto at = place_in(subject, token)) return {static_cast<std::uint32_t>(*at), size};
  const auto begin = static_cast<std::uint32_t>(subjects.size() - subject_at);
  subjects += token;
  return {begin, size};
}

/// What a message's views point into.
struct Owner {
  Messages messages;
  std::string content;
  std::vector<std::pair<std::string_view, std::string_view>> headers;
};

/// Reads a content's vectors side by side.
class Contents {
 public:
  Contents(const recorded::Content& content, const Block& block, Owner& owner)
      : content_{content},
        block_{block},
        owner_{owner},
        subjects_{bytes_in(content.subjects())},
        headers_{bytes_in(content.headers())},
        refusals_{bytes_in(content.refusals())},
        payloads_{bytes_in(content.payloads())} {}

  bool read() {
    const std::size_t count = block_.messages;
    for (const auto* sizes :
         {content_.subject_sizes(), content_.key_begins(), content_.key_sizes(), content_.field_begins(),
          content_.field_sizes(), content_.header_sizes(), content_.refusal_sizes(), content_.payload_sizes()}) {
      if (sizes != nullptr && sizes->size() != count) return false;
    }
    const auto fits = [&](const auto* all) { return all == nullptr || all->size() == count; };
    if (!fits(content_.steps()) || !fits(content_.stamps()) || !fits(content_.markers())) return false;
    owner_.messages.items.resize(count);
    Position sequence = block_.first;
    std::uint64_t stamp = 0;
    std::uint32_t markers = 0;
    Timestamp reached = block_.before;
    std::vector<std::size_t> header_ends(count);
    for (std::size_t i = 0; i < count; ++i) {
      Message& message = owner_.messages.items[i];
      const std::uint64_t step = at(content_.steps(), i);
      if (step > block_.last - sequence || (step == 0) != (i == 0)) return false;
      sequence += step;
      stamp += static_cast<std::uint64_t>(at(content_.stamps(), i));
      reached = std::max(reached, static_cast<Timestamp>(stamp));
      message.sequence = sequence;
      message.arrival = reached;
      message.marker = at(content_.markers(), i) != 0;
      markers += message.marker ? 1 : 0;
      if (!read_texts(message, i)) return false;
      header_ends[i] = owner_.headers.size();
    }
    std::size_t begin = 0;
    for (std::size_t i = 0; i < count; ++i) {
      owner_.messages.items[i].headers = std::span{owner_.headers}.subspan(begin, header_ends[i] - begin);
      begin = header_ends[i];
    }
    return sequence == block_.last && reached == block_.reached && markers == block_.markers;
  }

 private:
  template <typename T>
  static T at(const flatbuffers::Vector<T>* all, std::size_t i) {
    return all == nullptr ? T{} : all->Get(static_cast<flatbuffers::uoffset_t>(i));
  }

  /// The next bytes of all messages' texts of a kind.
  static bool take(std::string_view& from, std::size_t size, std::string_view& into) {
    if (size > from.size()) return false;
    into = from.substr(0, size);
    from.remove_prefix(size);
    return true;
  }

  bool read_texts(Message& message, std::size_t i) {
    const std::size_t subject = at(content_.subject_sizes(), i);
    const std::size_t key = at(content_.key_begins(), i), key_size = at(content_.key_sizes(), i);
    const std::size_t field = at(content_.field_begins(), i), field_size = at(content_.field_sizes(), i);
    std::string_view whole, headers;
    if (!take(subjects_, std::max({subject, key + key_size, field + field_size}), whole) ||
        !take(headers_, at(content_.header_sizes(), i), headers) ||
        !take(refusals_, at(content_.refusal_sizes(), i), message.refused) ||
        !take(payloads_, at(content_.payload_sizes(), i), message.payload))
      return false;
    message.subject = whole.substr(0, subject);
    message.key = whole.substr(key, key_size);
    message.field = whole.substr(field, field_size);
    while (!headers.empty()) {
      const std::size_t end = headers.find(end_of_line), colon = headers.find(": ");
      if (end == std::string_view::npos || colon == std::string_view::npos || colon > end) return false;
      owner_.headers.emplace_back(headers.substr(0, colon), headers.substr(colon + 2, end - colon - 2));
      headers.remove_prefix(end + end_of_line.size());
    }
    return true;
  }

  const recorded::Content& content_;
  const Block& block_;
  Owner& owner_;
  std::string_view subjects_, headers_, refusals_, payloads_;
};

}  // namespace

BlockBuilder::BlockBuilder(Partition partition, Timestamp before) {
  block_.partition = partition;
  block_.before = block_.reached = before;
}

void BlockBuilder::add(const Message& message) {
  if (empty()) {
    block_.first = block_.last = message.sequence;
    block_.begins = message.arrival;
  }
  steps_.push_back(message.sequence - std::exchange(block_.last, message.sequence));
  // Unsigned, as no time is as far from any as can be.
  const auto stamp = static_cast<std::uint64_t>(message.arrival);
  stamps_.push_back(
      static_cast<std::int64_t>(stamp - static_cast<std::uint64_t>(std::exchange(stamp_, message.arrival))));
  markers_.push_back(message.marker ? 1 : 0);
  const std::size_t subject = subjects_.size();
  subjects_ += message.subject;
  subject_sizes_.push_back(static_cast<std::uint32_t>(message.subject.size()));
  const Place key = place_of(message.subject, message.key, subjects_, subject);
  key_begins_.push_back(key.begin);
  key_sizes_.push_back(key.size);
  const Place field = place_of(message.subject, message.field, subjects_, subject);
  field_begins_.push_back(field.begin);
  field_sizes_.push_back(field.size);
  const std::size_t header = headers_.size();
  for (const auto& [name, value] : message.headers)
    headers_.append(name).append(": ").append(value).append(end_of_line);
  header_sizes_.push_back(static_cast<std::uint32_t>(headers_.size() - header));
  refusals_ += message.refused;
  refusal_sizes_.push_back(static_cast<std::uint32_t>(message.refused.size()));
  payloads_ += message.payload;
  payload_sizes_.push_back(static_cast<std::uint32_t>(message.payload.size()));
  ++block_.messages;
  block_.markers += message.marker ? 1 : 0;
  block_.payload_bytes += message.payload.size();
  block_.reached = std::max(block_.reached, message.arrival);
}

void BlockBuilder::add_sample(std::string_view key, std::string_view field, Timestamp time) {
  const bool first = block_.samples++ == 0;
  block_.earliest = first ? time : std::min(block_.earliest, time);
  block_.latest = std::max(block_.latest, time);
  if (const std::uint32_t hash = hash_of(key); keys_.empty() || hash != last_key_) {
    keys_.push_back(hash);
    last_key_ = hash;
  }
  if (last_count_ == nullptr || field != last_field_) {
    const auto known = fields_.find(field);
    last_count_ = &(known != fields_.end() ? known : fields_.emplace(field, 0).first)->second;
    last_field_ = field;
  }
  ++*last_count_;
}

bool BlockBuilder::full() const {
  return block_.messages >= full_messages ||
         subjects_.size() + headers_.size() + refusals_.size() + payloads_.size() >= full_bytes;
}

BlockBuilder::Frame BlockBuilder::finish() {
  std::ranges::sort(keys_);
  const auto twice = std::ranges::unique(keys_);
  keys_.erase(twice.begin(), twice.end());

  flatbuffers::FlatBufferBuilder body{payloads_.size() + subjects_.size() + 40 * steps_.size() + 1024};
  const auto steps = vector_of(body, steps_);
  const auto stamps = vector_of(body, stamps_);
  const auto markers = vector_of(body, markers_);
  const auto subject_sizes = vector_of(body, subject_sizes_), key_begins = vector_of(body, key_begins_),
             key_sizes = vector_of(body, key_sizes_), field_begins = vector_of(body, field_begins_),
             field_sizes = vector_of(body, field_sizes_), header_sizes = vector_of(body, header_sizes_),
             refusal_sizes = vector_of(body, refusal_sizes_), payload_sizes = vector_of(body, payload_sizes_);
  const auto subjects = vector_of(body, subjects_), headers = vector_of(body, headers_),
             refusals = vector_of(body, refusals_), payloads = vector_of(body, payloads_);
  body.Finish(recorded::CreateContent(body, steps, stamps, markers, subject_sizes, key_begins, key_sizes, field_begins,
                                      field_sizes, header_sizes, refusal_sizes, payload_sizes, subjects, headers,
                                      refusals, payloads));
  Frame out;
  const std::unique_ptr<ZSTD_CCtx, decltype(&ZSTD_freeCCtx)> context{ZSTD_createCCtx(), &ZSTD_freeCCtx};
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_compressionLevel, level);
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_checksumFlag, 1);
  out.body.resize(ZSTD_compressBound(body.GetSize()));
  out.body.resize(
      ZSTD_compress2(context.get(), out.body.data(), out.body.size(), body.GetBufferPointer(), body.GetSize()));

  flatbuffers::FlatBufferBuilder head;
  std::vector<flatbuffers::Offset<recorded::FieldCount>> fields;
  for (const auto& [field, samples] : fields_)
    fields.push_back(recorded::CreateFieldCount(head, head.CreateString(field), samples));
  const auto all_fields = head.CreateVector(fields);
  const auto keys = head.CreateVector(keys_);
  head.Finish(recorded::CreateBlock(head, block_.partition, block_.first, block_.last, block_.messages, block_.markers,
                                    block_.payload_bytes, block_.samples, all_fields, keys, block_.earliest,
                                    block_.latest, block_.before, block_.reached, body.GetSize(), block_.begins));
  out.head = bytes_of(head);
  return out;
}

std::optional<ReadHead> read_head(std::string_view bytes) {
  const auto* head = root_of<recorded::Block>(bytes);
  if (head == nullptr) return {};
  ReadHead out;
  out.content = head->content_bytes();
  out.block = {.partition = head->partition(),
               .first = head->first(),
               .last = head->last(),
               .messages = head->messages(),
               .markers = head->markers(),
               .payload_bytes = head->payload_bytes(),
               .samples = head->samples(),
               .earliest = head->earliest(),
               .latest = head->latest(),
               .begins = head->begins(),
               .before = head->before(),
               .reached = head->reached()};
  if (head->fields() != nullptr) {
    for (const auto* one : *head->fields()) {
      if (one->field() != nullptr) out.block.fields.emplace_back(one->field()->str(), one->samples());
    }
  }
  return out;
}

std::vector<std::uint32_t> keys_of(std::string_view bytes) {
  const auto* head = root_of<recorded::Block>(bytes);
  if (head == nullptr || head->keys() == nullptr) return {};
  return {head->keys()->begin(), head->keys()->end()};
}

Result<std::shared_ptr<const Messages>> read_body(const Block& block, std::string_view body, std::uint32_t content) {
  if (content > most_content || block.messages > full_messages ||
      ZSTD_getFrameContentSize(body.data(), body.size()) != content)
    return fail(Error::Kind::changed, "it is not what its head promises");
  const auto owner = std::make_shared<Owner>();
  std::size_t size = 0;
  owner->content.resize_and_overwrite(content, [&](char* to, std::size_t room) {
    size = ZSTD_decompress(to, room, body.data(), body.size());
    return ZSTD_isError(size) != 0 ? 0 : size;
  });
  if (ZSTD_isError(size) != 0) return fail(Error::Kind::changed, std::string{"zstd says: "} + ZSTD_getErrorName(size));
  const auto* root = size == content ? root_of<recorded::Content>(owner->content) : nullptr;
  if (root == nullptr || !Contents{*root, block, *owner}.read())
    return fail(Error::Kind::changed, "its messages are not laid out as schemas/recording.fbs says");
  return std::shared_ptr<const Messages>{owner, &owner->messages};
}

}  // namespace weir::recording
