/// The newest value of each key and field, in a bucket.
#include <weir/format.hpp>
#include <weir/operator.hpp>
#include <weir/units.hpp>

#include <memory>
#include <span>
#include <string>
#include <utility>

#include "clients/nats_counting.hpp"
#include "sinks/jetstream-kv/bucket_writer.hpp"
#include "sinks/jetstream-kv/newest_values.hpp"

namespace {
using namespace weir;
using namespace weir::jetstream_kv;

class JetStreamKv final : public Sink {
 public:
  JetStreamKv(const Settings& settings, Context& context)
      : settings_{settings},
        context_{context},
        values_{{.bucket = settings.text("bucket"),
                 .max_ahead = settings.duration("max_ahead"),
                 .forget = context.forget(),
                 .codec = context.codec("json")}},
        complaints_{context} {}

  Result<void> bind_schema(const SchemaPtr& input) override {
    if (input->shape == Shape::samples) return {};
    return fail(Error::Kind::invalid, "jetstream-kv takes samples", "from");
  }

  Result<void> open() override {
    writer_.reset();
    values_.forget_all();
    return BucketWriter::open(nats::Access::from(settings_),
                              weir::format("weir {}/{}", context_.pipeline(), context_.node()),
                              settings_.text("bucket"), context_.clock())
        .transform([&](auto made) { writer_ = std::move(made); });
  }

  Result<void> write(const Encoded& rows) override {
    values_.take(rows, context_.clock().steady());
    return {};
  }

  Result<Committed> commit(std::span<const LaneCommit>) override {
    if (!writer_) return fail(Error::Kind::unreachable, "not connected to NATS");
    const auto done = writer_->write(values_);
    complaints_.hear(writer_->connection());
    if (!done) {
      writer_.reset();
      values_.forget_all();
      return std::unexpected(done.error());
    }
    const Counts counts = values_.take_counts();
    context_.count(context_.counter("published"), counts.written);
    context_.count(context_.counter("superseded"), counts.superseded);
    context_.count(context_.counter("coalesced"), counts.coalesced);
    values_.prune(context_.clock().steady());
    return Committed{.rejected = values_.take_rejected()};
  }

 private:
  Settings settings_;
  Context& context_;
  NewestValues values_;
  nats::Complaints complaints_;
  std::unique_ptr<BucketWriter> writer_;  ///< null: to be opened
};

Spec spec() {
  auto out = nats::with_access(Spec::sink("writes the newest value of each key and field into a bucket"));
  out.field("bucket", kind::text(),
            "bucket of JetStream KV, created when absent, that gets the values under <key>.<field>, as JSON")
      .field("max_ahead", kind::duration(),
             "samples with an event time further ahead of their arrival are rejected: nothing could replace them", "5s")
      .between(0, 24.0 * 60 * static_cast<double>(minute))
      .counter("published", "values written into the bucket")
      .counter("superseded", "values not written because the bucket had them already, or newer ones")
      .counter("coalesced", "values not written because a newer one of their key and field came before the commit")
      .accepts({Shape::samples})
      .keyed_state()
      .state([](const Settings&) { return "some 250 B per (vehicle, field)"; })
      .claims([](const Settings& settings) {
        return Claims{.idempotent = true,
                      .by_value = true,
                      .target = settings.text("bucket"),
                      .because = "a value that is written again changes nothing: in bucket " + settings.text("bucket") +
                                 " an older one never replaces a newer one"};
      })
      .check([](const Settings& settings) { return nats::bucket_problems(settings, "bucket"); })
      .details(
          "Of the samples between two commits only the newest of each key and field is written, and never over a newer "
          "one, by any number of workers: each write names the revision that it replaces. Of two values of the same "
          "event time the one that is written later stays. A sample whose key or field can't be part of a bucket's key, "
          "that JSON can't hold, or that is too large for the server or the bucket is a dead letter. A value that the "
          "server refuses for its size leaves what the bucket has, though an older one came in the same commit.")
      .example(R"({ "id": "now", "sink": "jetstream-kv", "from": "signals", "bucket": "fleet-now" })");
  return out;
}

}  // namespace

WEIR_OPERATOR(sinks, jetstream_kv, JetStreamKv, spec())
