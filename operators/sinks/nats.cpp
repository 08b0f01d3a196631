#include <algorithm>
#include <cstring>
#include <map>
#include <span>

#include <weir/format.hpp>
#include <weir/json_rows.hpp>
#include <weir/operator.hpp>
#include <weir/partition.hpp>
#include <weir/sample_rows.hpp>

#include "clients/nats_counting.hpp"
#include "clients/nats_jetstream.hpp"
#include "clients/nats_publisher.hpp"
#include "clients/nats_stream_set.hpp"
#include "clients/nats_subject.hpp"

namespace {
using namespace weir;

constexpr Duration patience = 10 * second;
constexpr Duration dedupe_window = 2 * minute;

constexpr std::string_view no_subject =
    "no_subject: the key or field can't be a token of a subject, or is too long for one";

/// What encode() makes of some rows: a subject and a payload, or why there is none.
struct Frame {
  std::uint32_t subject_size = 0;
  std::uint32_t payload_size = 0;  ///< of the reason if there is no subject
  std::uint32_t row = 0;           ///< the first one
  std::uint32_t rows = 0;
};

Frame frame_of(std::size_t row, std::size_t rows) {
  return {.row = static_cast<std::uint32_t>(row), .rows = static_cast<std::uint32_t>(rows)};
}

void append(std::string& bytes, Frame frame, std::string_view subject, std::string_view payload) {
  frame.subject_size = static_cast<std::uint32_t>(subject.size());
  frame.payload_size = static_cast<std::uint32_t>(payload.size());
  bytes.append(reinterpret_cast<const char*>(&frame), sizeof frame).append(subject).append(payload);
}

struct Part {
  Frame frame;
  std::string_view subject, payload;
};

/// Takes the first one off.
Part next_part(std::string_view& bytes) {
  Part out;
  std::memcpy(&out.frame, bytes.data(), sizeof(Frame));
  bytes.remove_prefix(sizeof(Frame));
  out.subject = bytes.substr(0, out.frame.subject_size);
  out.payload = bytes.substr(out.frame.subject_size, out.frame.payload_size);
  bytes.remove_prefix(out.subject.size() + out.payload.size());
  return out;
}

/// A row that says something: `value`.
Sample sample_of(const SampleRows& rows, std::size_t row, const SampleValue& value) {
  Sample out{.key = rows.keys[row], .field = rows.fields[row]};
  if (rows.timed(row)) out.time = rows.time(row);
  out.x = value.x;
  out.y = value.y;
  out.z = value.z;
  out.text = value.text;
  out.kind = value.kind == SampleValue::Kind::text    ? Sample::Kind::text
             : value.kind == SampleValue::Kind::point ? Sample::Kind::point
                                                      : Sample::Kind::number;
  return out;
}

class Nats final : public Sink {
 public:
  Nats(const Settings& settings, Context& context)
      : settings_{settings},
        context_{context},
        pattern_{nats::SubjectPattern::parse(settings.text("subject")).value_or(nats::SubjectPattern{})},
        codec_{context.codec("")},
        partitions_{static_cast<std::uint32_t>(settings.integer("partitions"))},
        frame_{static_cast<std::size_t>(settings.integer("frame"))},
        deduplicate_{settings.boolean("deduplicate")},
        base_{settings.has("stream") ? settings.text("stream") : ""},
        id_{weir::format("{}/{}/", context.pipeline(), context.node())},
        complaints_{context} {}

  Result<void> bind_schema(const SchemaPtr& input) override {
    samples_ = input->shape == Shape::samples;
    key_column_ = input->find("key").value_or(input->columns.size());
    if (!samples_ && pattern_.has_field()) {
      return fail(Error::Kind::invalid, "\"subject\" has {field}, but what comes are no samples; leave {field} out",
                  "subject");
    }
    if ((pattern_.has_key() || partitions_ > 1) && key_column_ == input->columns.size()) {
      return fail(Error::Kind::invalid, "\"subject\" has {key}, but what comes has no column \"key\"", "subject");
    }
    return samples_ ? try_encoding() : json::distinct_names(*input);
  }

  Result<void> open() override {
    publisher_.reset();
    forget();
    const auto access = nats::Access::from(settings_);
    auto connection =
        nats::Connection::open(access, weir::format("weir {}{}", id_, "sink"), nats::Connection::Use::publish);
    if (!connection) return std::unexpected(connection.error());
    connection_ = std::move(*connection);
    if (base_.empty()) return {};
    auto jetstream = nats::JetStream::open(*connection_);
    if (!jetstream) return std::unexpected(jetstream.error());
    const nats::StreamSet streams{settings_, pattern_, nats::StreamUse::once,
                                  deduplicate_ ? std::optional{dedupe_window} : std::nullopt};
    for (Partition k = 0; k < partitions_; ++k) {
      const auto state = streams.ensure(**jetstream, k);
      if (!state) return std::unexpected(state.error());
      if (!state->news.empty()) context_.tell(state->news);
    }
    return nats::Publisher::open(*connection_, context_.clock()).transform([&](auto made) {
      publisher_ = std::move(made);
    });
  }

  Encoded encode(const BatchPtr& rows) const override {
    Encoded out;
    out.rows = rows->rows;
    out.batch = rows;
    samples_ ? encode_samples(*rows, out.bytes) : encode_rows(*rows, out.bytes);
    return out;
  }

  Result<void> write(const Encoded& rows) override {
    written_.push_back(&rows);
    for (std::string_view bytes = rows.bytes; !bytes.empty();) {
      const auto [frame, view, payload] = next_part(bytes);
      const std::string subject{view};
      if (subject.empty()) {
        reject(rows, frame, Reason::parse(payload));
        continue;
      }
      if (!std::exchange(writing_, true)) reconnects_ = connection_->reconnects();
      const auto sent = publisher_ ? publisher_->publish(subject, payload, id_of(rows, frame))
                                   : connection_->publish(subject, payload);
      if (!sent && sent.error().kind != Error::Kind::refused) return sent;
      if (!sent) reject(rows, frame, {"payload_too_large", sent.error().message});
      published_ += sent ? 1 : 0;
    }
    return {};
  }

  Result<Committed> commit(std::span<const LaneCommit>) override {
    Committed out;
    const auto done = publisher_ ? publisher_->complete(patience) : arrived();
    complaints_.hear(*connection_);
    if (done && publisher_) reject(publisher_->take_refused());
    written_.clear();
    out.rejected = std::exchange(rejected_, {});
    const std::uint64_t published = std::exchange(published_, 0);
    const std::uint64_t dropped = publisher_ ? publisher_->duplicates() : 0;
    const std::uint64_t duplicates = dropped - std::exchange(dropped_, dropped);
    if (!done) return std::unexpected(done.error());
    context_.count(context_.counter("published"), published);
    context_.count(context_.counter("duplicates"), duplicates);
    return out;
  }

 private:
  /// Core NATS acknowledges nothing: what was published has arrived if the server has read to its end, over the
  /// connection that it began on, and has refused none of it.
  Result<void> arrived() {
    const bool wrote = std::exchange(writing_, false);
    if (auto done = connection_->flush(patience); !done) return done;
    if (const auto why = connection_->denied(); !why.empty()) {
      return fail(Error::Kind::unreachable, "NATS refuses what is published: " + why + "; let this user publish there",
                  "subject");
    }
    if (!wrote || connection_->reconnects() == reconnects_) return {};
    const auto why = connection_->last_error();
    return fail(Error::Kind::unreachable,
                "the connection to NATS was lost while rows were published" + (why.empty() ? "" : " (" + why + ")"));
  }

  /// Some encodings only read, some need {field} in the subject, some hold one sample: told before the start, not
  /// by a dead letter for each message.
  Result<void> try_encoding() const {
    const std::vector<Sample> two(2, {.key = "k", .field = "f", .time = second, .x = 1});
    for (std::size_t count = 1; count <= std::min(frame_, two.size()); ++count) {
      const auto payload = codec_->encode(std::span{two}.first(count), pattern_.has_key(), pattern_.has_field());
      if (!payload) {
        return fail(Error::Kind::invalid, "the samples do not fit this encoding: " + payload.error(), "encoding");
      }
    }
    return {};
  }

  /// Rows from `row` on that belong into one payload: consecutive ones of one key, up to `frame`, and of one message: a
  /// batch ends between two messages, so that frames don't depend on where it was cut.
  std::size_t run_of_key(const Batch& batch, std::size_t row) const {
    const auto& keys = batch.columns[samples::key].ids().ids;
    const auto& messages = batch.message_of_row;
    if (messages.empty()) return 1;
    std::size_t count = 1;
    while (count < frame_ && row + count < batch.rows && keys[row + count] == keys[row] &&
           messages[row + count] == messages[row])
      ++count;
    return count;
  }

  /// Empty: there is none, for no_subject.
  std::string subject_of(const Batch& batch, std::size_t row) const {
    const auto key = key_column_ < batch.columns.size() ? batch.columns[key_column_].text(row) : std::string_view{};
    const auto field = samples_ && pattern_.has_field() ? batch.columns[samples::field].text(row) : std::string_view{};
    std::string subject = pattern_.expand(key, field);
    if (subject.empty() || partitions_ == 1) return subject;
    return weir::format("p.{}.{}", partition_of(key, partitions_), subject);
  }

  void encode_rows(const Batch& batch, std::string& bytes) const {
    std::string payload;
    for (std::size_t row = 0; row < batch.rows; ++row) {
      const std::string subject = subject_of(batch, row);
      payload.clear();
      if (!subject.empty()) json::append_row(batch, row, payload);
      append(bytes, frame_of(row, 1), subject, subject.empty() ? no_subject : payload);
    }
  }

  void encode_samples(const Batch& batch, std::string& bytes) const {
    const SampleRows rows{batch};
    std::vector<Sample> together;
    for (std::size_t row = 0, count = 0; row < batch.rows; row += count) {
      count = run_of_key(batch, row);
      const std::string subject = subject_of(batch, row);
      if (subject.empty()) {
        append(bytes, frame_of(row, count), {}, no_subject);
        continue;
      }
      together.clear();
      for (std::size_t i = row; i < row + count; ++i) {
        const SampleValue value = rows.value(i);
        if (value.kind != SampleValue::Kind::nothing) {
          together.push_back(sample_of(rows, i, value));
          continue;
        }
        encode_together(together, i - together.size(), subject, bytes);
        append(bytes, frame_of(i, 1), {}, "no_value");
        together.clear();
      }
      encode_together(together, row + count - together.size(), subject, bytes);
    }
  }

  /// Consecutive samples, the first of them in row `row`, as one payload; around those that the encoding can't hold, as
  /// several. How it cuts depends on the samples alone, as ids must.
  void encode_together(std::span<const Sample> samples, std::size_t row, std::string_view subject,
                       std::string& bytes) const {
    if (samples.empty()) return;
    const auto payload = codec_->encode(samples, pattern_.has_key(), pattern_.has_field());
    if (payload) return append(bytes, frame_of(row, samples.size()), subject, *payload);
    if (samples.size() == 1)
      return append(bytes, frame_of(row, 1), {}, Reason{"not_encodable", payload.error()}.text());
    const std::size_t half = samples.size() / 2;
    encode_together(samples.first(half), row, subject, bytes);
    encode_together(samples.subspan(half), row + half, subject, bytes);
  }

  /// What was written and not committed will be given again.
  void forget() {
    rejected_.clear();
    published_ = dropped_ = 0;
    writing_ = false;
    written_.clear();
  }

  void reject(const Encoded& rows, const Frame& frame, const Reason& reason) {
    for (std::size_t i = 0; i < frame.rows; ++i) rejected_.push_back({rows.batch, frame.row + i, reason});
  }

  /// The stream tells of a message, not of rows: those that made one like it are meant.
  void reject(const std::vector<nats::Publisher::Refused>& refused) {
    if (refused.empty()) return;
    using Like = std::pair<std::string_view, std::string_view>;
    std::map<Like, Reason> reasons;
    for (const auto& one : refused) reasons.emplace(Like{one.subject, one.payload}, one.reason);
    for (const Encoded* rows : written_) {
      for (std::string_view bytes = rows->bytes; !bytes.empty();) {
        const Part part = next_part(bytes);
        const auto found = reasons.find(Like{part.subject, part.payload});
        if (part.subject.empty() || found == reasons.end()) continue;
        reject(*rows, part.frame, found->second);
        --published_;
      }
    }
  }

  /// Unlike any other payload's, as no two hold the same rows; the same after a crash if the rows are, see Encoded. It
  /// says how many: after a change of `frame` a payload may begin where a shorter one did, and must not be taken for
  /// it.
  std::string id_of(const Encoded& rows, const Frame& frame) const {
    if (!deduplicate_) return {};
    const std::string again = rows.numbering == 0 ? "" : weir::format(".{}", rows.numbering);
    const std::string more = frame.rows == 1 ? "" : weir::format("+{}", frame.rows - 1);
    return weir::format("{}{}{}/{}{}", id_, rows.partition, again, rows.number + frame.row, more);
  }

  Settings settings_;
  Context& context_;
  nats::SubjectPattern pattern_;
  const Codec* codec_;
  std::uint32_t partitions_;
  std::size_t frame_;
  bool deduplicate_;
  std::string base_, id_;
  nats::Complaints complaints_;
  bool samples_ = false;
  std::size_t key_column_ = 0;
  std::unique_ptr<nats::Connection> connection_;
  std::unique_ptr<nats::Publisher> publisher_;
  std::vector<Committed::Rejected> rejected_;
  std::vector<const Encoded*> written_;  ///< since the last commit
  std::uint64_t published_ = 0;          ///< since the last commit
  std::uint64_t dropped_ = 0;            ///< by the stream as duplicates, up to the last commit
  std::uint64_t reconnects_ = 0;         ///< of the connection at the first write since the last commit
  bool writing_ = false;                 ///< something was written since then
};

Claims claims(const Settings& s) {
  Claims out;
  out.idempotent = s.has("stream") && s.boolean("deduplicate");
  out.window = dedupe_window;
  if (!s.has("stream")) {
    out.because = "core NATS keeps nothing; rows are published again after a crash";
    return out;
  }
  out.because =
      out.idempotent
          ? "each message has an id, and the stream drops repetitions within its dedupe window (2 minutes or more)"
          : "rows are published again after a crash";
  out.because += "; one that must be published again comes behind its successors";
  return out;
}

std::vector<Error> problems(const Settings& s) {
  auto out = nats::access_problems(s);
  const auto wrong = [&](std::string message, std::string setting) {
    out.push_back({Error::Kind::invalid, std::move(message), std::move(setting)});
  };
  const auto pattern = nats::SubjectPattern::parse(s.text("subject"));
  if (!pattern) {
    out.push_back(pattern.error());
    return out;
  }
  if (pattern->has_wildcard()) wrong("nothing can be published to a subject with \"*\" or \">\"", "subject");
  if (pattern->has_field() && s.integer("frame") > 1)
    wrong("a payload of several fields needs a subject without {field}", "frame");
  if (s.integer("partitions") > 1 && !pattern->has_key())
    wrong("partitions are chosen by the key: the subject needs {key}", "partitions");
  if (s.has("stream") && !nats::is_token(s.text("stream")))
    wrong("a stream's name has no '.', '*', '>' or blank", "stream");
  return out;
}

Spec spec() {
  auto out = nats::with_access(Spec::sink("publishes samples or rows to NATS subjects or a stream"));
  out.field("subject", kind::text(), "where to publish; {key} and {field} are replaced", "vehicle.{key}.{field}")
      .optional("stream", kind::text(),
                "JetStream stream that takes the subject: a commit then waits until it has stored everything")
      .field("partitions", kind::integer(),
             "n > 1 publishes to p.<k>.<subject>, k = the key's hash modulo n, into the streams <stream>-0 to "
             "<stream>-(n-1)",
             "1")
      .between(1, 4096)
      .field("frame", kind::integer(),
             "most samples of one vehicle that go into one payload, if they come one after the other in one message",
             "1")
      .between(1, 100'000)
      .field("deduplicate", kind::boolean(),
             "gives each message an id, so that the stream drops repetitions; costs a third of the rate", "true")
      .optional("columns", kind::columns(), "columns of the rows, and how each is completed");
  out = nats::with_stream(std::move(out));
  out.encodes()
      .counter("published", "payloads that core NATS took, or that the stream has")
      .counter("duplicates", "payloads among them that the stream had before, by their ids")
      .claims(claims)
      .check(problems)
      .details(
          "Samples become payloads by `encoding`; one without a value, or that the encoding can't hold, is a dead "
          "letter, and the others of its frame are published. Rows and events become JSON objects, one per row.")
      .example(
          R"({ "id": "out", "sink": "nats", "from": "signals", "stream": "TELEMETRY", "encoding": "flatbuffers" })")
      .example(R"({ "id": "out", "sink": "nats", "from": "signals", "subject": "sessions.{key}" })");
  return out;
}

}  // namespace

WEIR_OPERATOR(sinks, nats, Nats, spec())
