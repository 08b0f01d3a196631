#include "sinks/jetstream-kv/bucket_writer.hpp"

#include <algorithm>

#include <weir/format.hpp>

namespace weir::jetstream_kv {
namespace {

constexpr Duration patience = 10 * second;
constexpr Duration look_again = 100 * millisecond;     // whether more has come, while it catches up
constexpr Duration longest_catching_up = 30 * second;  // then what waits is tried
constexpr Duration longest_write = 2 * minute;
constexpr std::size_t most_single_reads = 100;  // beyond that, the whole bucket is read faster

}  // namespace

Result<std::unique_ptr<BucketWriter>> BucketWriter::open(const nats::Access& access, const std::string& connection,
                                                         const std::string& bucket, const Clock& clock) {
  std::unique_ptr<BucketWriter> out{new BucketWriter{bucket, clock}};
  return nats::Connection::open(access, connection, nats::Connection::Use::publish)
      .transform([&](auto made) { out->connection_ = std::move(made); })
      .and_then([&] { return nats::JetStream::open(*out->connection_); })
      .transform([&](auto made) { out->jetstream_ = std::move(made); })
      .and_then([&] { return nats::ensure_bucket(*out->jetstream_, {.name = bucket}); })
      .and_then([&](Duration) { return nats::Publisher::open(*out->connection_, clock); })
      .transform([&](auto made) { out->publisher_ = std::move(made); })
      .and_then([&] { return out->watch(); })
      .transform([&] { return std::move(out); });
}

Result<void> BucketWriter::write(NewestValues& values) {
  if (values.waiting() == 0) return {};
  if (!connection_->connected()) return std::unexpected(connection_->down());
  const Timestamp end = clock_.steady() + longest_write;
  // The revisions of a bucket that was recreated, or came back from an earlier copy, may be those that are known.
  if (auto same = watch_->check(); !same) return same;
  if (auto followed = follow_all(values); !followed) return followed;
  // Each value that it knew would be a conflict.
  if (!std::exchange(caught_up_, true)) {
    if (auto known = catch_up(values); !known) return std::unexpected(known.error());
  }
  while (values.waiting() > 0) {
    if (clock_.steady() >= end) {
      return fail(Error::Kind::unreachable,
                  weir::format("other workers write the values of bucket {} faster than this one reads them: {} are "
                               "not written after {} s",
                               bucket_, values.waiting(), longest_write / second));
    }
    auto written = publish(values).and_then([&] { return outcomes(values); }).and_then([&](Conflicts conflicts) {
      return resolve(values, std::move(conflicts));
    });
    if (!written) return written;
  }
  return {};
}

/// Begins with what the bucket has now.
Result<void> BucketWriter::watch() {
  watch_ = std::make_unique<nats::BucketWatch>(*jetstream_, bucket_, clock_);
  return watch_->start();
}

/// Takes up what has changed in the bucket. Answers how many changes came.
Result<std::size_t> BucketWriter::follow(NewestValues& values, Duration wait) {
  return watch_->follow(
      [&](const nats::BucketWatch::Update& update) {
        values.know(nats::bucket_subject(bucket_, update.key), update.revision,
                    update.removed ? std::string_view{} : update.value);
      },
      wait, {});
}

/// All that has come. What it did not hear of costs conflicts, but of a bucket that was recreated it never hears again.
Result<void> BucketWriter::follow_all(NewestValues& values) {
  for (std::size_t round = 0; round < 16; ++round) {
    const auto came = follow(values, 0);
    if (!came && came.error().kind == Error::Kind::changed) return std::unexpected(came.error());
    if (!came || *came == 0) return {};
  }
  return {};
}

/// The same until it is at the bucket's end, or hears of no more, however far away the server is. False: there is more.
Result<bool> BucketWriter::catch_up(NewestValues& values) {
  Timestamp heard = clock_.steady();
  const Timestamp until = heard + longest_catching_up;
  while (watch_->behind() != 0) {
    const Timestamp now = clock_.steady();
    if (now - heard >= nats::answer_wait) return true;
    if (now >= until) return false;
    const auto came = follow(values, look_again);
    if (!came) return std::unexpected(came.error());
    if (*came != 0) heard = clock_.steady();
  }
  return true;
}

Result<void> BucketWriter::publish(NewestValues& values) {
  Result<void> failed;
  std::vector<std::pair<std::string, Reason>> refused;
  values.each_waiting([&](const NewestValues::Write& value) {
    auto sent = publisher_->publish_if(value.subject, value.payload, value.revision);
    if (sent) return true;
    if (sent.error().kind == Error::Kind::refused) {
      refused.emplace_back(value.subject, Reason{"payload_too_large", sent.error().message});
      return true;
    }
    failed = std::move(sent);
    return false;
  });
  for (const auto& [subject, reason] : refused) values.reject(subject, reason);
  return failed;
}

/// Of what was published; answers what must be tried again.
Result<BucketWriter::Conflicts> BucketWriter::outcomes(NewestValues& values) {
  if (auto complete = publisher_->complete(patience); !complete) {
    auto error = complete.error();
    error.message = weir::format("bucket {}: {}", bucket_, error.message);
    return std::unexpected(std::move(error));
  }
  for (const auto& refused : publisher_->take_refused()) values.reject(refused.subject, refused.reason);
  Conflicts conflicts;
  for (auto& [subject, revision] : publisher_->take_outcomes()) {
    if (revision != 0) {
      values.written(subject, revision);
    } else {
      const std::uint64_t tried = values.revision(subject);
      conflicts.emplace_back(std::move(subject), tried);
    }
  }
  return conflicts;
}

/// Another wrote meanwhile, or before this worker came: what is there now decides the next time round.
Result<void> BucketWriter::resolve(NewestValues& values, Conflicts conflicts) {
  if (conflicts.empty()) return {};
  // What is there now is on its way, if the watch has not brought it already.
  const auto at_end = follow(values, look_again).and_then([&](std::size_t) { return catch_up(values); });
  if (!at_end) return std::unexpected(at_end.error());
  std::erase_if(conflicts, [&](const auto& conflict) { return values.revision(conflict.first) != conflict.second; });
  // From its start, a far bucket would never be read to its end.
  if (!*at_end && conflicts.size() > most_single_reads) return {};
  for (const auto& [subject, tried] : conflicts) values.distrust(subject);
  if (conflicts.size() > most_single_reads) {
    if (auto begun = watch(); !begun) return begun;
    return catch_up(values).transform([](bool) {});
  }
  nats::Bucket bucket{*jetstream_, bucket_};
  const std::size_t prefix = nats::bucket_subject(bucket_, "").size();
  for (const auto& [subject, tried] : conflicts) {
    const auto value = bucket.newest(std::string_view{subject}.substr(prefix));
    if (!value) return std::unexpected(value.error());
    if (*value) values.know(subject, (*value)->revision, (*value)->bytes);
  }
  return {};
}

}  // namespace weir::jetstream_kv
