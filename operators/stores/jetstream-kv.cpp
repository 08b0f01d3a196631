#include <mutex>
#include <shared_mutex>

#include <weir/operator.hpp>

#include "clients/nats_bucket.hpp"

namespace {
using namespace weir;

class JetStreamKv final : public Store {
 public:
  JetStreamKv(const Settings& settings, Context& context)
      : settings_{settings},
        context_{context},
        config_{.name = settings.text("bucket"), .lasting = true, .largest = largest_value} {
    if (settings.has("replicas")) config_.replicas = settings.integer("replicas");
  }

  Result<void> open() override {
    makes_ = true;
    return connect();
  }
  Result<void> look() override {
    makes_ = false;
    return connect();
  }

  Result<void> put(std::string_view name, std::string_view value) override {
    return with_bucket([&](nats::Bucket& bucket) {
      return bucket.put(name, value).or_else([&](const Error& error) -> Result<void> {
        return std::unexpected(mend(error));
      });
    });
  }

  Result<std::optional<std::string>> get(std::string_view name) override {
    return with_bucket([&](nats::Bucket& bucket) -> Result<std::optional<std::string>> {
      auto value = bucket.get(name);
      if (!value) return gone() ? Result<std::optional<std::string>>{} : std::unexpected(value.error());
      return *value ? std::optional{std::move((*value)->bytes)} : std::nullopt;
    });
  }

  Result<void> remove(std::string_view name) override {
    return with_bucket([&](nats::Bucket& bucket) { return bucket.remove(name); });
  }
  Result<std::vector<std::string>> names(std::string_view prefix) override {
    return with_bucket([&](nats::Bucket& bucket) -> Result<std::vector<std::string>> {
      auto names = bucket.names(prefix);
      return names || makes_ || !gone() ? std::move(names) : std::vector<std::string>{};
    });
  }
  bool durable() const override { return true; }

  Duration lease() const override { return settings_.duration("lease"); }
  Result<std::optional<Versioned>> newest(std::string_view name) override {
    return with_bucket([&](nats::Bucket& bucket) -> Result<std::optional<Versioned>> {
      auto value = bucket.newest(name);
      if (!value) return gone() ? Result<std::optional<Versioned>>{} : std::unexpected(value.error());
      // The mark of a removal has a revision, which whoever writes next must know.
      return *value ? std::optional{Versioned{std::move((*value)->bytes), (*value)->revision, (*value)->stored}}
                    : std::nullopt;
    });
  }
  Result<std::optional<std::uint64_t>> put_if(std::string_view name, std::string_view value,
                                              std::uint64_t revision) override {
    return with_bucket([&](nats::Bucket& bucket) {
      return bucket.put_if(name, value, revision).or_else([&](const Error& error) {
        return Result<std::optional<std::uint64_t>>{std::unexpected(mend(error))};
      });
    });
  }

  Result<Timestamp> time() override {
    return with_bucket([](nats::Bucket& bucket) { return bucket.time(); });
  }

 private:
  /// Several at once, over one connection, which is opened again after it was closed for good.
  template <typename Use>
  auto with_bucket(Use use) -> decltype(use(std::declval<nats::Bucket&>())) {
    std::shared_lock lock{mutex_};
    if (!is_connected()) {
      lock.unlock();
      if (auto connected = connect(); !connected) return std::unexpected(connected.error());
      lock.lock();
      if (!is_connected()) return fail(Error::Kind::unreachable, "the connection of the state store was closed");
    }
    return use(*bucket_);
  }

  bool is_connected() const { return bucket_ && !connection_->closed(); }

  Result<void> connect() {
    const std::scoped_lock lock{mutex_};
    if (is_connected()) return {};
    bucket_.reset();
    jetstream_.reset();
    auto connection =
        nats::Connection::open(nats::Access::from(settings_), "weir " + std::string{context_.pipeline()} + " state",
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
    const auto there = makes_ ? nats::ensure_bucket(*jetstream_, config_) : Result<Duration>{0};
    return there.transform([&](Duration) { bucket_.emplace(*jetstream_, config_.name); });
  }

  bool gone() {
    const auto there = jetstream_->state(nats::bucket_stream(config_.name));
    return !there && there.error().kind == Error::Kind::changed;
  }

  /// Makes the bucket again if that is why a value can't be put. The value is still refused: those before it, which it
  /// may belong with, are gone, so that whoever writes them has to begin again.
  Error mend(const Error& error) {
    if (!makes_ || !gone()) return error;
    if (auto made = nats::ensure_bucket(*jetstream_, config_); !made) return made.error();
    const std::string what = "bucket " + config_.name + " was gone, with the state in it; it is made again";
    context_.warn(what);
    return {Error::Kind::unreachable, what};
  }

  Settings settings_;
  Context& context_;
  nats::BucketConfig config_;
  std::shared_mutex mutex_;  // of the connection: shared to use it, alone to open it
  std::unique_ptr<nats::Connection> connection_;
  std::unique_ptr<nats::JetStream> jetstream_;
  std::optional<nats::Bucket> bucket_;
  bool makes_ = true;  // the bucket, if it is not there
};

Spec spec() {
  auto out = nats::with_access(Spec::store("keeps state in a bucket of JetStream KV"));
  out.field("bucket", kind::text(), "bucket, created when absent; letters, digits, \"_\" and \"-\"")
      .optional("replicas", kind::integer(), "copies of the bucket in a cluster; 1 if it is created without")
      .between(1, 5)
      .field("lease", kind::duration(),
             "how long a partition stays with a worker that does not answer, where no sink keeps leases", "30s")
      .between(double(second), 60 * double(minute))
      .check([](const Settings& s) { return nats::bucket_problems(s, "bucket"); })
      .claims([](const Settings& s) { return Claims{.target = s.text("bucket")}; })
      .details(
          "Values are read from the bucket's leader, so a worker that takes over never sees an old snapshot. A bucket "
          "that is deleted under a running worker is made again, and holds its state again from the next snapshot on; "
          "where no sink keeps progress, the lanes stop instead.")
      .example(R"({ "store": "jetstream-kv", "bucket": "fleet-state" })");
  return out;
}

}  // namespace

WEIR_OPERATOR(stores, jetstream_kv, JetStreamKv, spec())
