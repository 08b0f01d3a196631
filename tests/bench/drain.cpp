#include "bench/drain.hpp"

#include <nats/nats.h>

#include <array>
#include <memory>
#include <random>
#include <string>

#include <weir/format.hpp>
#include <weir/partition.hpp>

#include "bench/run.hpp"
#include "clients/nats_publisher.hpp"
#include "clients/nats_subject.hpp"
#include "fakes/codecs.hpp"
#include "fakes/nats_fixture.hpp"
#include "fakes/servers.hpp"

namespace weir {
Operator weir_operator_codecs_flatbuffers();
}

namespace weir::bench {
namespace {

constexpr std::size_t vehicles = 10'000;
constexpr std::array fields{"speed", "heading", "torque", "charge", "fuel", "temperature", "power", "pressure"};
constexpr int fetch = 4096;  // what source/nats asks for at once
constexpr int repetitions = 5;

struct Size {
  std::size_t samples;   ///< in a message
  std::size_t messages;  ///< in all streams
  std::uint32_t partitions = 1;
};

std::string base_of(const Size& size) { return weir::format("FRAMES{}X{}", size.samples, size.partitions); }
std::string subject(const Size& size) {
  return weir::format("f{}x{}.{{key}}.{}", size.samples, size.partitions, size.samples == 1 ? "{field}" : "telemetry");
}
nats::PartitionNames names(const Size& size, Partition k) {
  return {base_of(size), size.partitions, k, must(nats::SubjectPattern::parse(subject(size)))};
}

/// Fills the streams: every message another vehicle, in random order, all samples new.
void fill(const std::string& url, const Size& size) {
  fakes::NatsPeer peer{url};
  std::vector<std::string> prefixes;
  for (Partition k = 0; k < size.partitions; ++k) {
    const auto of = names(size, k);
    nats::StreamConfig stream;
    stream.name = of.stream;
    stream.subjects = {of.filter, of.marker};
    stream.partitions = size.partitions;
    must(peer.jetstream->ensure(stream));
    prefixes.push_back(of.prefix + subject(size).substr(0, subject(size).find('{')));
  }
  const auto publisher = must(nats::Publisher::open(*peer.connection, system_clock(), 4096));
  const auto codec = fakes::make_codec(weir_operator_codecs_flatbuffers());
  std::mt19937_64 random{7};
  std::vector<Sample> samples(size.samples);
  Timestamp now = system_clock().now() - 60 * minute;
  for (std::size_t i = 0; i < size.messages; ++i) {
    for (std::size_t s = 0; s < size.samples; ++s) {
      const std::size_t field = size.samples == 1 ? i % fields.size() : s * fields.size() / size.samples;
      samples[s] = {.field = fields[field], .time = now += microsecond, .x = static_cast<double>(random() % 1000)};
    }
    const std::string key = std::to_string(random() % vehicles);
    const std::string to = prefixes[partition_of(key, size.partitions)] + key + "." +
                           std::string{size.samples == 1 ? samples[0].field : "telemetry"};
    const auto payload = codec->encode(samples, true, size.samples == 1);
    must(publisher->publish(to, *payload, {}));
  }
  must(publisher->complete(30 * second));
}

struct Took {
  double seconds = 0, processor = 0;  ///< for a message
};

/// Pull requests to one stream, the next one always sent before the last is used up.
struct Puller {
  std::string next;   ///< where requests go
  std::string inbox;  ///< where the answers come
  std::size_t got = 0, asked = 0;

  void ask(natsConnection* connection) {
    static const std::string request = weir::format(R"({{"batch":{},"expires":30000000000}})", fetch);
    while (asked < got + fetch) {
      natsConnection_PublishRequest(connection, next.c_str(), inbox.c_str(), request.data(),
                                    static_cast<int>(request.size()));
      asked += fetch;
    }
  }
};

/// "p.<k>.…"
std::size_t partition_in(const char* subject) {
  std::size_t k = 0;
  for (subject += 2; *subject != '.'; ++subject) k = k * 10 + static_cast<std::size_t>(*subject - '0');
  return k;
}

/// Reads the streams over one connection and adds up the bytes.
Took bare(const std::string& url, const Size& size) {
  auto connection = must(nats::Connection::open({.url = url}, "bare", nats::Connection::Use::consume));
  auto jetstream = must(nats::JetStream::open(*connection));
  const std::string inbox = nats::Connection::inbox();
  natsSubscription* subscription = nullptr;
  natsConnection_SubscribeSync(&subscription, connection->handle(), (inbox + ".*").c_str());
  natsSubscription_SetPendingLimits(subscription, -1, -1);
  std::vector<Puller> pullers;
  std::vector<std::string> consumers;
  for (Partition k = 0; k < size.partitions; ++k) {
    const std::string stream = names(size, k).stream;
    consumers.push_back(must(jetstream->add_reader(stream, {})).name);
    pullers.push_back(
        {"$JS.API.CONSUMER.MSG.NEXT." + stream + "." + consumers.back(), inbox + "." + std::to_string(k)});
  }
  std::uint64_t sum = 0;
  std::size_t got = 0;
  double begin = 0, processor = 0;
  for (Puller& puller : pullers) puller.ask(connection->handle());
  for (; got < size.messages; ++got) {
    natsMsg* message = nullptr;
    if (natsSubscription_NextMsg(&message, subscription, 10'000) != NATS_OK) give_up("the bare loop got nothing");
    if (begin == 0) begin = now_seconds(), processor = processor_seconds();
    const char* data = natsMsg_GetData(message);
    for (int i = 0; i < natsMsg_GetDataLength(message); ++i) sum += static_cast<unsigned char>(data[i]);
    Puller& puller = pullers[size.partitions == 1 ? 0 : partition_in(natsMsg_GetSubject(message))];
    natsMsg_Destroy(message);
    ++puller.got;
    puller.ask(connection->handle());
  }
  const double seconds = now_seconds() - begin;
  processor = processor_seconds() - processor;
  natsSubscription_Destroy(subscription);
  for (Partition k = 0; k < size.partitions; ++k) jetstream->forget_consumer(names(size, k).stream, consumers[k]);
  if (sum == 0) give_up("the bare loop saw no bytes");
  const auto messages = static_cast<double>(got - 1);
  return {seconds / messages, processor / messages};
}

Took weir(const std::string& url, const Size& size) {
  const Run run{weir::format(R"({{ "name": "drain{0}x{4}", "limits": {{ "keys": 200000 }}, "nodes": [
      {{ "id": "signals", "source": "nats", "url": "{1}", "stream": "{2}", "subject": "{3}",
         "partitions": {4}, "encoding": "flatbuffers" }},
      {{ "id": "last", "transform": "keyed-last-value", "from": "signals" }},
      {{ "id": "out", "sink": "drop", "from": "last" }} ] }})",
                             size.samples, url, base_of(size), subject(size), size.partitions)};
  Position first = 0, last = 0;
  if (size.partitions > 1) run.wait_ready();  // the bare loop has its consumers before it begins, too
  while ((first = run.stepped()) == 0) system_clock().wait(200 * microsecond, {});
  const double begin = now_seconds(), processor = processor_seconds();
  while ((last = run.stepped()) < size.messages) system_clock().wait(millisecond, {});
  const auto messages = static_cast<double>(last - first);
  const Took took{(now_seconds() - begin) / messages, (processor_seconds() - processor) / messages};
  if (run.counted("signals", "samples") < size.messages * size.samples) give_up("weir lost samples: " + run.counters());
  return took;
}

Figure race(const std::string& url, const Size& size) {
  fill(url, size);
  std::vector<double> ratios, weirs, bares, weir_cpu, bare_cpu;
  (void)bare(url, size);  // the server reads the stream into its caches
  for (int i = 0; i < repetitions; ++i) {
    Took mine, theirs;
    if (i % 2 == 0) theirs = bare(url, size);
    mine = weir(url, size);
    if (i % 2 != 0) theirs = bare(url, size);
    weirs.push_back(1 / mine.seconds);
    bares.push_back(1 / theirs.seconds);
    ratios.push_back(theirs.seconds / mine.seconds);
    weir_cpu.push_back(mine.processor * 1e6);
    bare_cpu.push_back(theirs.processor * 1e6);
  }
  Figure out;
  out.what = size.partitions == 1
                 ? weir::format("(a) messages/s: stream -> decode -> keyed-last-value -> drop, {} sample{} each",
                                size.samples, size.samples == 1 ? "" : "s")
                 : weir::format("(a) {} partitions: streams -> decode -> keyed-last-value -> drop, 1 sample each",
                                size.partitions);
  out.weir = scaled(median(weirs));
  out.other = scaled(median(bares));
  out.value = median(ratios);
  out.shown = fixed(out.value, 2);
  out.goal = Figure::Goal::at_least;
  out.limit = 0.9;
  out.limit_text = "0.9";
  out.note =
      weir::format("{} samples/s in all; processor time per message {:.2f} us, of the bare pull loop {:.2f} us",
                   scaled(median(weirs) * static_cast<double>(size.samples)), median(weir_cpu), median(bare_cpu));
  return out;
}

}  // namespace

void measure_drain(Show show) {
  const fakes::Servers servers{"nats"};
  for (const Size& size : {Size{1, 400'000}, Size{8, 250'000}, Size{50, 100'000}}) show(race(servers.nats(), size));
}

void measure_partitions(Show show) {
  const fakes::Servers servers{"nats"};
  show(race(servers.nats(), {1, 800'000, 16}));
}

}  // namespace weir::bench
