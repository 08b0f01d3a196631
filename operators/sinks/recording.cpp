/// Messages as a source received them, into a file.
#include <weir/checksum.hpp>
#include <weir/format.hpp>
#include <weir/operator.hpp>
#include <weir/recording.hpp>

#include <filesystem>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "clients/arrival_span.hpp"

namespace {
using namespace weir;

std::set<std::string, std::less<>> names(const Settings& settings, const char* name) {
  if (!settings.has(name)) return {};
  const auto& list = settings.list(name);
  return {list.begin(), list.end()};
}

/// Whose messages are recorded.
class Wanted {
 public:
  explicit Wanted(const Settings& settings)
      : keys_{names(settings, "keys")}, fields_{names(settings, "fields")}, share_{settings.number("share")} {}

  /// For people, and to tell another selection; empty: everybody's.
  std::string text() const {
    std::string out;
    const auto add = [&](const char* what, const std::set<std::string, std::less<>>& all) {
      if (all.empty()) return;
      out += (out.empty() ? "" : ", ") + std::string{what};
      for (const std::string& one : all) out += " " + one;
    };
    add("keys", keys_);
    add("fields", fields_);
    if (share_ < 1) out += (out.empty() ? "" : ", ") + weir::format("a share of {} of the vehicles", share_);
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
    constexpr double all_hashes = 4294967296.0;
    // Of short keys that differ in a digit the hash's own bits do not differ enough (the finaliser of MurmurHash3).
    const auto spread = [](std::uint32_t hash) {
      hash = (hash ^ hash >> 16) * 0x85ebca6bu;
      hash = (hash ^ hash >> 13) * 0xc2b2ae35u;
      return hash ^ hash >> 16;
    };
    return (keys_.empty() || keys_.contains(key)) && (fields_.empty() || fields_.contains(field)) &&
           (share_ >= 1 || static_cast<double>(spread(hash_of(key))) < share_ * all_hashes);
  }

  std::set<std::string, std::less<>> keys_, fields_;
  double share_;
};

class RecordingSink final : public Sink {
 public:
  RecordingSink(const Settings& settings, Context& context)
      : context_{context}, path_{settings.text("path")}, wanted_{settings}, span_{ArrivalSpan::of(settings)} {}

  Result<void> settle(const SchemaPtr&) override { return {}; }

  Result<void> open() override {
    writer_.reset();  // gives up the file, which it may have held
    auto writer = recording::Writer::open(path_, {context_.clock().now(), std::string{context_.pipeline()},
                                                  std::string{context_.node()}, wanted_.text()});
    if (!writer) return std::unexpected(std::move(writer.error()));
    if (!writer->notice().empty()) context_.warn(writer->notice());
    writer_ = std::move(*writer);
    return {};
  }

  Result<void> write(const Encoded& rows) override {
    if (!writer_) return not_open();
    const auto keep = wanted_.of(*rows.batch);
    const auto added = writer_->add(*rows.batch, {keep, span_.since, span_.until});
    if (!added) return later(std::unexpected(added.error()));
    context_.count(recorded_, *added);
    return {};
  }

  Result<Committed> commit(std::span<const LaneCommit> lanes) override {
    if (!writer_) return not_open();
    return later(writer_->commit(lanes)).transform([] { return Committed{}; });
  }

 private:
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
  Wanted wanted_;
  ArrivalSpan span_;
  std::optional<recording::Writer> writer_;
  const std::size_t recorded_ = context_.counter("recorded");
};

std::vector<Error> problems(const Settings& settings) {
  std::vector<Error> out = ArrivalSpan::problems(settings);
  if (settings.text("path").empty()) out.push_back({Error::Kind::invalid, "a file needs a name", "path"});
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
        .optional("until", kind::text(), "records only what arrived before; with a later one it goes on from there")
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
