#include "sources/nats/endpoint.hpp"

#include <weir/format.hpp>
#include <weir/partition.hpp>
#include <weir/rfc3339.hpp>

namespace weir::nats {

Endpoint::Endpoint(const Settings& settings, const Context& context)
    : access{Access::from(settings)},
      pattern{SubjectPattern::parse(settings.text("subject")).value_or(SubjectPattern{})},
      partitions{static_cast<std::uint32_t>(settings.integer("partitions"))},
      partition{context.partition()},
      names{settings.has("stream") ? settings.text("stream") : "", partitions, partition, pattern} {
  connection = weir::format("weir {} {} {}", context.pipeline(), context.node(), partition);
}

void Endpoint::parse_subject(Message& out, std::string_view subject) const {
  if (subject.starts_with(names.prefix)) subject.remove_prefix(names.prefix.size());
  out.subject = subject;
  take_apart(pattern, out);
  if (!out.refused.empty()) return;
  if (partitions > 1 && pattern.has_key() && partition_of(out.key, partitions) != partition) {
    out.refused = "wrong_partition";
  }
}

Pulled ReceivedBatch::give(std::shared_ptr<ReceivedBatch> received) {
  auto& items = received->messages.items;
  if (items.empty()) return {};
  auto& headers = received->headers;
  std::vector<std::size_t> begins;
  for (std::size_t i = 0; i < received->batch.size(); ++i) {
    if (!received->batch.has_headers(i)) continue;
    begins.resize(i + 1, headers.size());
    received->batch.headers(i, headers);
    begins.push_back(headers.size());
  }
  for (std::size_t i = 0; i + 1 < begins.size(); ++i) {
    items[i].headers = std::span{headers}.subspan(begins[i], begins[i + 1] - begins[i]);
  }
  const Messages* messages = &received->messages;
  return {Pulled::State::messages, std::shared_ptr<const Messages>{std::move(received), messages}};
}

std::optional<Timestamp> start_time(const Settings& settings) {
  return settings.text("start") == "time" ? parse_rfc3339(settings.text("since")) : std::nullopt;
}

}  // namespace weir::nats
