/// Messages as a source received them, into a file.
#include "recording/recording.hpp"
#include <weir/format.hpp>
#include <weir/operator.hpp>
#include <weir/partition.hpp>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "clients/arrival_span.hpp"
#include "sinks/recording/mask.hpp"

namespace {
using namespace weir;

std::set<std::string, std::less<>> names(const Settings& settings, const char* name) {
  if (!settings.has(name)) return {};
  const auto& list = settings.list(name);
  return {list.begin(), list.end()};
}

/// So that no name looks like two, or like what stands between them.
std::string name_of(const std::string& name) {
  if (!name.empty() && name.find_first_of(" ,\"") == std::string::npos) return name;
  std::string out = "\"";
  for (const char c : name) out += c == '"' ? "\"\"" : std::string(1, c);
  return out + "\"";
}

/// Whose messages are recorded.
class Wanted {
 public:
  explicit Wanted(const Settings& settings)
      : keys_{names(settings, "keys")}, fields_{names(settings, "fields")}, share_{settings.number("share")} {}

  /// For people, and to tell another selection; empty: everybody's. `mask`: what the file calls its keys; may be null.
  std::string text(recording::Mask* mask) const {
    std::string out;
    if (!keys_.empty()) out += "keys";
    for (const std::string& key : keys_) out += " " + name_of(mask == nullptr ? key : mask->of(key));
    if (!fields_.empty()) out += out.empty() ? "fields" : ", fields";
    for (const std::string& field : fields_) out += " " + name_of(field);
    if (share_ < 1) out += (out.empty() ? "" : ", ") + weir::format("a share of {} of the vehicles", share_);
    if (mask != nullptr)
      out += (out.empty() ? "" : ", ") + weir::format("keys masked by secret {}", mask->fingerprint());
    return out;
  }

  /// A flag for each message of a decoded batch; none: all of them. Markers are kept: they tell how late it is. A
  /// message that no sample came of is nobody's.
  std::vector<std::uint8_t> of(const Batch& decoded) const {
    if (keys_.empty() && fields_.empty() && share_ >= 1) return {};
    const auto& items = decoded.messages->items;
    std::vector<std::uint8_t> keep(items.size());
    for (std::size_t i = 0; i < items.size(); ++i) keep[i] = items[i].marker ? 1 : 0;
    const Column& keys = decoded.columns[samples::key];
    const Column& fields = decoded.columns[samples::field];
    for (std::size_t row = 0; row < decoded.rows; ++row) {
      std::uint8_t& flag = keep[decoded.message_of_row[row]];
      if (flag == 0 && wants(keys.text(row), fields.text(row))) flag = 1;
    }
    return keep;
  }

 private:
  bool wants(std::string_view key, std::string_view field) const {
    return (keys_.empty() || keys_.contains(key)) && (fields_.empty() || fields_.contains(field)) &&
           in_share(key, share_);
  }

  std::set<std::string, std::less<>> keys_, fields_;
  double share_;
};

class RecordingSink final : public Sink {
 public:
  RecordingSink(const Settings& settings, Context& context)
      : context_{context},
        path_{settings.text("path")},
        masks_{settings.boolean("mask")},
        secret_{settings.has("mask_secret") ? std::optional{settings.text("mask_secret")} : std::nullopt},
        wanted_{settings},
        span_{ArrivalSpan::of(settings)} {}

  Result<void> bind_schema(const SchemaPtr&) override { return {}; }

  Result<void> open() override {
    writer_.reset();  // gives up the file, which it may have held
    if (auto ready = ready_to_mask(); !ready) return ready;
    auto writer =
        recording::Writer::open(path_, {context_.clock().now(), std::string{context_.pipeline()},
                                        std::string{context_.node()}, wanted_.text(mask_ ? &*mask_ : nullptr)});
    if (!writer) return std::unexpected(std::move(writer.error()));
    writer_ = std::move(*writer);
    pass_on_notice();
    return {};
  }

  Result<void> write(const Encoded& rows) override {
    if (!writer_) return not_open();
    auto keep = wanted_.of(*rows.batch);
    BatchPtr batch = rows.batch;
    context_.count(left_out_, static_cast<std::uint64_t>(std::ranges::count(keep, 0)));
    if (mask_) {
      auto masked = mask_->batch(*batch, keep);
      batch = std::move(masked.batch);
      keep = std::move(masked.keep);
      context_.count(unmasked_, masked.left_out);
    }
    const auto added = writer_->add(*batch, {keep, span_.since, span_.until, begun_.contains(rows.partition)});
    pass_on_notice();
    if (!added) return later(std::unexpected(added.error()));
    begun_.insert(rows.partition);
    context_.count(recorded_, *added);
    return {};
  }

  Result<Committed> commit(std::span<const LaneCommit> lanes) override {
    if (!writer_) return not_open();
    return later(writer_->commit(lanes)).transform([] { return Committed{}; });
  }

 private:
  Result<void> ready_to_mask() {
    if (!masks_ || mask_) return {};
    const Codec* codec = context_.codec("");
    if (codec == nullptr) return fail(Error::Kind::invalid, "there is no encoding to find keys by", "mask");
    std::error_code problem;
    const bool begins = !std::filesystem::exists(path_, problem) || std::filesystem::is_empty(path_, problem);
    if (secret_ && secret_->empty())
      return fail(Error::Kind::invalid, "\"mask_secret\" is empty: give a secret, or leave it out for a random one",
                  "mask_secret");
    const std::string beside = path_ + ".secret";
    auto secret = secret_ ? Result<std::string>{*secret_} : recording::secret_in(beside, begins);
    if (!secret) return std::unexpected(secret.error());
    if (!secret_ && recording::others_may_read(beside))
      context_.warn(beside + " may be read by others, who can find the keys by it: chmod 600 " + beside);
    mask_.emplace(std::move(*secret), *codec, context_.partitions());
    return {};
  }

  void pass_on_notice() {
    if (const std::string notice = writer_->take_notice(); !notice.empty()) context_.warn(notice);
  }

  std::unexpected<Error> not_open() const { return fail(Error::Kind::unreachable, path_ + " is not open"); }

  /// A disk that is full is one day not full any more, so what can't be written now is tried again.
  Result<void> later(Result<void> done) {
    if (done) return done;
    writer_.reset();
    if (done.error().kind == Error::Kind::refused) done.error().kind = Error::Kind::unreachable;
    return done;
  }

  Context& context_;
  std::string path_;
  bool masks_;
  std::optional<std::string> secret_;
  Wanted wanted_;
  ArrivalSpan span_;
  std::optional<recording::Mask> mask_;
  std::optional<recording::Writer> writer_;
  std::set<Partition> begun_;  // what was recorded of, whatever became of the writer
  const std::size_t left_out_ = context_.counter("left_out"), unmasked_ = context_.counter("unmasked");
  const std::size_t recorded_ = context_.counter("recorded");
};

std::vector<Error> problems(const Settings& settings) {
  std::vector<Error> out = ArrivalSpan::problems(settings);
  if (settings.text("path").empty()) out.push_back({Error::Kind::invalid, "a file needs a name", "path"});
  if (settings.has("mask_secret") && !settings.boolean("mask"))
    out.push_back({Error::Kind::invalid, "a secret is for masks: write \"mask\": true", "mask_secret"});
  return out;
}

const Spec spec =
    Spec::sink("records messages as they were received, to replay them")
        .details(
            "Subject, headers, payload, position and arrival of every message, before it is decoded; one that can't be "
            "decoded too. The file is only appended to, in blocks that zstd packs, as schemas/recording.fbs describes; "
            "one process at a time writes it. Started again, it goes on behind what it has. Each commit ends a block, so "
            "a longer \"commit\": { \"every\": … } packs better. The source `recording` and `weir replay` read it, `weir "
            "info` tells what is in it.")
        .field("path", kind::text(), "the file; made if it is not there")
        .optional("keys", kind::texts(), "records only messages with samples of these vehicles")
        .optional("fields", kind::texts(), "records only messages with samples of these fields")
        .field("share", kind::number(), "records this share of the vehicles, always the same ones", "1")
        .between(0, 1)
        .optional("since", kind::text(), "records only what arrived then or later: \"2026-01-31T00:00:00Z\"")
        .optional(
            "until", kind::text(),
            "records only what arrived before; with a later one it goes on from there, if the source gives what follows "
            "again, else it wants another file")
        .field(
            "mask", kind::boolean(),
            "another text in place of each key, in subjects and payloads, always the same for the same key; leaves out "
            "headers, and messages in which a key can't be found",
            "false")
        .optional("mask_secret", kind::secret(),
                  "what masks are made from; without it a random secret, kept in <path>.secret")
        .counter("left_out", "messages of other vehicles and fields than those that are recorded")
        .counter("unmasked", "messages that were left out as their keys can't be masked")
        .counter("recorded", "messages that were written; those written again after a crash are counted again")
        .takes_messages()
        .accepts({Shape::samples})
        .check(problems)
        .claims([](const Settings& settings) {
          return Claims{.idempotent = true,
                        .target = std::filesystem::path{settings.text("path")}.lexically_normal().string(),
                        .exclusive = true,
                        .because = "what the file has already is passed over"};
        })
        .example(R"({ "id": "tape", "sink": "recording", "from": "signals", "path": "day.weir" })");
}  // namespace

WEIR_OPERATOR(sinks, recording, RecordingSink, spec)
