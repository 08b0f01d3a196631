#include <weir/operator.hpp>

#include "clients/nats_bucket.hpp"

namespace {
using namespace weir;

class JetStreamKv final : public Store {
 public:
  JetStreamKv(const Settings& settings, Context& context) : settings_{settings}, pipeline_{context.pipeline()} {}

  Result<void> open() override {
    bucket_.reset();
    jetstream_.reset();
    auto connection = nats::Connection::open(nats::Access::from(settings_), "weir " + pipeline_ + " state",
                                             nats::Connection::Use::consume);
    if (!connection) return std::unexpected(connection.error());
    connection_ = std::move(*connection);
    if (connection_->max_payload() < largest_value) {
      return fail(Error::Kind::refused,
                  "this server takes payloads of " + std::to_string(connection_->max_payload()) +
                      " bytes, a snapshot needs " + std::to_string(largest_value) + "; raise its max_payload",
                  "url");
    }
    auto jetstream = nats::JetStream::open(*connection_);
    if (!jetstream) return std::unexpected(jetstream.error());
    jetstream_ = std::move(*jetstream);
    nats::BucketConfig config{.name = settings_.text("bucket")};
    if (settings_.has("replicas")) config.replicas = settings_.integer("replicas");
    return nats::ensure_bucket(*jetstream_, config).transform([&] { bucket_.emplace(*jetstream_, config.name); });
  }

  Result<void> put(std::string_view name, std::string_view value) override { return bucket_->put(name, value); }

  Result<std::optional<std::string>> get(std::string_view name) override {
    return bucket_->get(name).transform(
        [](auto value) { return value ? std::optional{std::move(value->bytes)} : std::nullopt; });
  }

  Result<void> remove(std::string_view name) override { return bucket_->remove(name); }
  Result<std::vector<std::string>> names(std::string_view prefix) override { return bucket_->names(prefix); }
  bool durable() const override { return true; }

 private:
  Settings settings_;
  std::string pipeline_;
  std::unique_ptr<nats::Connection> connection_;
  std::unique_ptr<nats::JetStream> jetstream_;
  std::optional<nats::Bucket> bucket_;
};

Spec spec() {
  auto out = nats::with_access(Spec::store("keeps state in a bucket of JetStream KV"));
  out.field("bucket", kind::text(), "bucket, created when absent; letters, digits, \"_\" and \"-\"")
      .optional("replicas", kind::integer(), "copies of the bucket in a cluster; 1 if it is created without")
      .between(1, 5)
      .check([](const Settings& s) { return nats::bucket_problems(s, "bucket"); })
      .details("Values are read from the bucket's leader, so a worker that takes over never sees an old snapshot.")
      .example(R"({ "store": "jetstream-kv", "bucket": "fleet-state" })");
  return out;
}

}  // namespace

WEIR_OPERATOR(stores, jetstream_kv, JetStreamKv, spec())
