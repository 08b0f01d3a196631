#include "clients/nats_bucket.hpp"
#include "clients/nats_current.hpp"

namespace weir::nats {

Spec with_publish(Spec spec) {
  auto out = with_access(std::move(spec));
  out.optional("publish", kind::text(),
               "bucket of JetStream KV that gets the current values, under <key>.<field>, as JSON")
      .field("publish_every", kind::duration(),
             "how often changed values are published; sooner where a commit waits for them", "100ms")
      .between(static_cast<double>(10 * millisecond), static_cast<double>(minute))
      .field("publish_ahead", kind::duration(),
             "samples with an event time further ahead of their arrival are passed on, but neither remembered nor "
             "published: nothing could replace them",
             "5s")
      .between(0, 24.0 * 60 * static_cast<double>(minute))
      .counter("published", "current values written to the bucket")
      .counter("superseded", "current values not written because the bucket had them already, or newer ones")
      .counter("coalesced", "current values not written because a newer one came before it was their turn")
      .counter("older", "samples not published because a newer one of their key and field was there before")
      .counter("ahead", "samples not published because their event time is ahead of arrival by more than publish_ahead")
      .counter("given_up", "current values that the server had not taken when the worker ended")
      .counter("unpublishable",
               "current values whose key or field can't be part of a bucket's key (letters, digits, \"-\", \"_\", "
               "\"/\", \"=\"), that JSON can't hold, or that are too large for the server or the bucket")
      .check([](const Settings& s) { return bucket_problems(s, "publish"); });
  return out;
}

CurrentValues::Config publish_config(const Settings& settings, Context& context) {
  CurrentValues::Config out;
  out.access = Access::from(settings);
  out.connection = std::string{"weir "}.append(context.pipeline()).append(" ").append(context.node());
  out.bucket = settings.text("publish");
  out.every = settings.duration("publish_every");
  out.forget = context.forget();
  out.codec = context.codec("json");
  out.counted = [&context](const CurrentCounts& counts) {
    context.count(context.counter("published"), counts.written);
    context.count(context.counter("superseded"), counts.superseded);
    context.count(context.counter("coalesced"), counts.coalesced);
    context.count(context.counter("given_up"), counts.given_up);
    context.count(context.counter("unpublishable"), counts.refused);
  };
  out.warn = [&context](std::string_view message) { context.warn(message); };
  return out;
}

}  // namespace weir::nats
