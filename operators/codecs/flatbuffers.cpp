#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <vector>

#include <flatbuffers/flatbuffers.h>
#include <weir/operator.hpp>

#include "telemetry_generated.h"

namespace {
using namespace weir;

/// The payload at an address aligned for its largest scalar, copied there if it is not.
class Aligned {
 public:
  explicit Aligned(std::string_view payload) : data_{reinterpret_cast<const std::uint8_t*>(payload.data())} {
    if (reinterpret_cast<std::uintptr_t>(data_) % alignof(std::uint64_t) == 0) return;
    std::uint64_t* words = near_.data();
    if (payload.size() > sizeof near_) {
      far_.resize(payload.size() / sizeof *words + 1);
      words = far_.data();
    }
    std::memcpy(words, payload.data(), payload.size());
    data_ = reinterpret_cast<const std::uint8_t*>(words);
  }
  const std::uint8_t* data() const { return data_; }

 private:
  std::array<std::uint64_t, 128> near_;
  std::vector<std::uint64_t> far_;
  const std::uint8_t* data_;
};

std::string_view view(const flatbuffers::String* text) {
  return text == nullptr ? std::string_view{} : text->string_view();
}

std::optional<Timestamp> time_of(std::int64_t time) {
  return time == no_time ? std::nullopt : std::optional<Timestamp>{time};
}

/// A struct of a vector. The verifier sees to the alignment of the vector, but not of the structs in it.
template <typename Struct>
Struct element(const flatbuffers::Vector<const Struct*>& vector, std::uint32_t i) {
  Struct out;
  std::memcpy(&out, vector.Data() + i * sizeof out, sizeof out);
  return out;
}

/// What the bytes that are no frame seem to be, to append to the reason.
std::string other_encoding(std::string_view payload) {
  const bool json = payload.starts_with('{') || payload.starts_with('[');
  return json ? R"(; it looks like JSON: write "encoding": "json")" : "";
}

/// Reads one verified frame. A FlatBuffer may point at the same bytes again and again; as every sample is paid for with
/// bytes of the payload, a small payload can't become many samples.
class Reader {
 public:
  Reader(const Message& message, SampleSink& out) : out_{out}, bytes_{message.payload.size()}, key_{message.key} {
    sample_.field = message.field;
  }

  std::expected<void, Reason> read(const telemetry::Frame& frame) {
    sample_.key = frame.key() == nullptr ? key_ : view(frame.key());
    if (frame.series() == nullptr) return {};
    const std::string_view field_outside = sample_.field;
    for (const telemetry::Series* series : *frame.series()) {
      sample_.field = series->field() == nullptr ? field_outside : view(series->field());
      if (!pay(sizeof(flatbuffers::uoffset_t), 1) || !read(*series)) return std::unexpected(Reason{reason_});
    }
    return {};
  }

 private:
  bool read(const telemetry::Series& series) {
    if (series.numbers() != nullptr) {
      sample_.kind = Sample::Kind::number;
      if (!pay(sizeof(telemetry::Number), series.numbers()->size())) return false;
      for (std::uint32_t i = 0; i < series.numbers()->size(); ++i) {
        const auto number = element(*series.numbers(), i);
        if (!add(number.time(), number.value(), 0, 0)) return false;
      }
    }
    if (series.points() != nullptr) {
      sample_.kind = Sample::Kind::point;
      if (!pay(sizeof(telemetry::Point), series.points()->size())) return false;
      for (std::uint32_t i = 0; i < series.points()->size(); ++i) {
        const auto point = element(*series.points(), i);
        if (!add(point.time(), point.latitude(), point.longitude(), point.altitude())) return false;
      }
    }
    if (series.texts() != nullptr) {
      sample_.kind = Sample::Kind::text;
      for (const telemetry::Text* text : *series.texts()) {
        sample_.text = view(text->text());
        if (!pay(sizeof(flatbuffers::uoffset_t) + sample_.text.size(), 1) || !add(text->time(), 0, 0, 0)) return false;
      }
    }
    return true;
  }

  bool add(std::int64_t time, double x, double y, double z) {
    if (!std::isfinite(x) || !std::isfinite(y) || std::isinf(z)) {
      reason_ = "not_finite";
      return false;
    }
    sample_.time = time_of(time);
    sample_.x = x;
    sample_.y = y;
    sample_.z = z;
    out_.add(sample_);
    return true;
  }

  bool pay(std::size_t size, std::size_t count) {
    if (bytes_ / size < count) {
      reason_ = "overlapping_parts";
      return false;
    }
    bytes_ -= size * count;
    return true;
  }

  SampleSink& out_;
  std::size_t bytes_;
  std::string_view key_;
  Sample sample_;
  const char* reason_ = "";
};

/// Samples of one field and kind while a frame is built.
struct Group {
  std::string_view field;
  Sample::Kind kind = Sample::Kind::number;
  std::vector<telemetry::Number> numbers;
  std::vector<telemetry::Point> points;
  std::vector<flatbuffers::Offset<telemetry::Text>> texts;

  void clear() {
    numbers.clear();
    points.clear();
    texts.clear();
  }
};

/// Builds frames in memory that it keeps from one frame to the next.
class Builder {
 public:
  std::expected<std::string, std::string> build(std::span<const Sample> samples, bool key_outside, bool field_outside) {
    for (const Sample& sample : samples) {
      if (sample.key != samples.front().key) return std::unexpected("a frame holds samples of one key only");
      if (sample.kind != Sample::Kind::text &&
          (!std::isfinite(sample.x) || !std::isfinite(sample.y) || std::isinf(sample.z))) {
        return std::unexpected("a value is NaN or infinite");
      }
    }
    if (samples.size() == 1 && key_outside && field_outside) {
      const Sample& only = samples.front();
      const std::int64_t time = only.time.value_or(no_time);
      if (only.kind == Sample::Kind::number) return single(number_, telemetry::Number{time, only.x}, only);
      if (only.kind == Sample::Kind::point) return single(point_, telemetry::Point{time, only.x, only.y, only.z}, only);
    }
    return make(samples, key_outside, field_outside);
  }

 private:
  /// A frame of one sample and no names, as it was made once: but for the struct `at` some byte, all are alike.
  struct Mould {
    std::string frame;
    std::size_t at = 0;
  };

  template <typename Struct>
  std::string single(Mould& mould, const Struct& value, const Sample& sample) {
    if (mould.frame.empty()) {
      mould.frame = make({&sample, 1}, true, true);
      const telemetry::Series& series = *telemetry::GetFrame(mould.frame.data())->series()->Get(0);
      const void* place = series.points() != nullptr ? static_cast<const void*>(series.points()->Data())
                                                     : static_cast<const void*>(series.numbers()->Data());
      mould.at = static_cast<std::size_t>(static_cast<const char*>(place) - mould.frame.data());
    }
    std::string out = mould.frame;
    std::memcpy(out.data() + mould.at, &value, sizeof value);
    return out;
  }

  std::string make(std::span<const Sample> samples, bool key_outside, bool field_outside) {
    buffer_.Clear();
    used_ = 0;
    for (const Sample& sample : samples) add(group(sample), sample);
    series_.clear();
    for (std::size_t i = 0; i < used_; ++i) series_.push_back(finish(groups_[i], field_outside));
    flatbuffers::Offset<flatbuffers::String> key;
    if (!key_outside && !samples.empty()) key = text(samples.front().key);
    const auto series = buffer_.CreateVector(series_);
    telemetry::FinishFrameBuffer(buffer_, telemetry::CreateFrame(buffer_, key, series));
    return std::string{reinterpret_cast<const char*>(buffer_.GetBufferPointer()), buffer_.GetSize()};
  }

  flatbuffers::Offset<flatbuffers::String> text(std::string_view text) {
    return buffer_.CreateString(text.data(), text.size());
  }

  /// The group of a sample's field. Samples come field by field or in turns, so it is this group, the next, or to seek.
  Group& group(const Sample& sample) {
    for (std::size_t i = 0; i < used_; ++i) {
      if (last_ >= used_) last_ = 0;
      Group& group = groups_[last_];
      if (group.kind == sample.kind && group.field == sample.field) return group;
      ++last_;
    }
    last_ = used_;
    if (used_ == groups_.size()) groups_.emplace_back();
    Group& group = groups_[used_++];
    group.clear();
    group.field = sample.field;
    group.kind = sample.kind;
    return group;
  }

  void add(Group& group, const Sample& sample) {
    const std::int64_t time = sample.time.value_or(no_time);
    switch (sample.kind) {
      case Sample::Kind::number:
        group.numbers.emplace_back(time, sample.x);
        break;
      case Sample::Kind::point:
        group.points.emplace_back(time, sample.x, sample.y, sample.z);
        break;
      case Sample::Kind::text:
        group.texts.push_back(telemetry::CreateText(buffer_, time, text(sample.text)));
        break;
    }
  }

  flatbuffers::Offset<telemetry::Series> finish(const Group& group, bool field_outside) {
    const auto name = field_outside ? flatbuffers::Offset<flatbuffers::String>{} : text(group.field);
    flatbuffers::Offset<flatbuffers::Vector<const telemetry::Number*>> numbers;
    flatbuffers::Offset<flatbuffers::Vector<const telemetry::Point*>> points;
    flatbuffers::Offset<flatbuffers::Vector<flatbuffers::Offset<telemetry::Text>>> texts;
    if (!group.numbers.empty()) numbers = buffer_.CreateVectorOfStructs(group.numbers);
    if (!group.points.empty()) points = buffer_.CreateVectorOfStructs(group.points);
    if (!group.texts.empty()) texts = buffer_.CreateVector(group.texts);
    return telemetry::CreateSeries(buffer_, name, numbers, points, texts);
  }

  Mould number_, point_;
  flatbuffers::FlatBufferBuilder buffer_{1024};
  std::vector<Group> groups_;
  std::size_t used_ = 0;
  std::size_t last_ = 0;
  std::vector<flatbuffers::Offset<telemetry::Series>> series_;
};

class FlatBuffers final : public Codec {
 public:
  explicit FlatBuffers(const Settings&) {}

  std::expected<void, Reason> decode(const Message& message, SampleSink& out) const override {
    const Aligned aligned{message.payload};
    if (auto fine = check(message.payload, aligned); !fine) return fine;
    return Reader{message, out}.read(*telemetry::GetFrame(aligned.data()));
  }

  std::expected<std::string, std::string> renamed(const Message& message, const Renaming& renaming) const override {
    const Aligned aligned{message.payload};
    if (auto fine = check(message.payload, aligned); !fine) return std::unexpected(fine.error().text());
    const telemetry::Frame& frame = *telemetry::GetFrame(aligned.data());
    if (frame.key() == nullptr) return std::string{message.payload};
    if (shares_its_key(frame, aligned.data())) return std::unexpected("parts of the FlatBuffer overlap");
    return with_key(std::string{message.payload}, aligned.data(), frame, renaming(view(frame.key())));
  }

  std::expected<std::string, std::string> encode(std::span<const Sample> samples, bool key_outside,
                                                 bool field_outside) const override {
    static thread_local Builder builder;
    return builder.build(samples, key_outside, field_outside);
  }

 private:
  static std::expected<void, Reason> check(std::string_view payload, const Aligned& aligned) {
    if (payload.empty()) return std::unexpected(Reason{"empty_payload"});
    if (payload.size() < 8 || payload.size() >= FLATBUFFERS_MAX_BUFFER_SIZE) {
      return std::unexpected(
          Reason{"not_a_flatbuffer", std::to_string(payload.size()) + " bytes" + other_encoding(payload)});
    }
    if (!telemetry::FrameBufferHasIdentifier(aligned.data())) {
      return std::unexpected(
          Reason{"not_a_weir_frame", "the FlatBuffer's identifier is not WEIR" + other_encoding(payload)});
    }
    flatbuffers::Verifier::Options bounds;
    bounds.max_depth = 4;
    bounds.max_tables = static_cast<flatbuffers::uoffset_t>(payload.size() / sizeof(flatbuffers::uoffset_t));
    flatbuffers::Verifier verifier{aligned.data(), payload.size(), bounds};
    if (!telemetry::VerifyFrameBuffer(verifier))
      return std::unexpected(Reason{"not_a_flatbuffer", "its offsets do not fit"});
    return {};
  }

  /// Whether bytes of the key are another part's too, which must not change with it.
  static bool shares_its_key(const telemetry::Frame& frame, const std::uint8_t* base) {
    const auto place = [](const void* at) { return reinterpret_cast<std::uintptr_t>(at); };
    const auto size_of = [](const auto* list, std::size_t each) {
      return sizeof(flatbuffers::uoffset_t) + list->size() * each;
    };
    const std::uintptr_t begin = place(frame.key()), end = begin + size_of(frame.key(), 1) + 1;
    const auto meets = [&](const void* at, std::size_t size) { return place(at) < end && begin < place(at) + size; };
    const auto list = [&](const auto* at, std::size_t each) { return at != nullptr && meets(at, size_of(at, each)); };
    const auto text = [&](const flatbuffers::String* at) { return at != nullptr && meets(at, size_of(at, 1) + 1); };
    const auto table = [&](const void* at) {
      const std::uint8_t* sizes = static_cast<const flatbuffers::Table*>(at)->GetVTable();  // its own, the table's
      return meets(sizes, flatbuffers::ReadScalar<flatbuffers::voffset_t>(sizes)) ||
             meets(at, flatbuffers::ReadScalar<flatbuffers::voffset_t>(sizes + sizeof(flatbuffers::voffset_t)));
    };
    constexpr std::size_t head = sizeof(flatbuffers::uoffset_t) + flatbuffers::kFileIdentifierLength;
    constexpr std::size_t offset = sizeof(flatbuffers::uoffset_t);
    if (meets(base, head) || table(&frame) || list(frame.series(), offset)) return true;
    if (frame.series() == nullptr) return false;
    return std::ranges::any_of(*frame.series(), [&](const telemetry::Series* series) {
      if (table(series) || text(series->field()) || list(series->numbers(), sizeof(telemetry::Number)) ||
          list(series->points(), sizeof(telemetry::Point)) || list(series->texts(), offset))
        return true;
      return series->texts() != nullptr && std::ranges::any_of(*series->texts(), [&](const telemetry::Text* one) {
               return table(one) || text(one->text());
             });
    });
  }

  /// The frame with another key: that is appended, and the bytes of the old one are overwritten. All else, what only a
  /// later schema knows too, stays as it is.
  static std::string with_key(std::string out, const std::uint8_t* base, const telemetry::Frame& frame,
                              std::string_view key) {
    using flatbuffers::uoffset_t;
    const auto place = [&](const void* in) {
      return static_cast<std::size_t>(static_cast<const std::uint8_t*>(in) - base);
    };
    const std::size_t field =
        place(flatbuffers::GetRoot<flatbuffers::Table>(base)->GetAddressOf(telemetry::Frame::VT_KEY));
    const std::size_t old = place(frame.key()->Data()), old_size = frame.key()->size();
    std::fill_n(out.begin() + static_cast<std::ptrdiff_t>(old), old_size, '\0');
    out.resize((out.size() + sizeof(uoffset_t) - 1) / sizeof(uoffset_t) * sizeof(uoffset_t));
    const auto offset = static_cast<uoffset_t>(out.size() - field), size = static_cast<uoffset_t>(key.size());
    flatbuffers::WriteScalar(out.data() + field, offset);
    out.resize(out.size() + sizeof size);
    flatbuffers::WriteScalar(out.data() + out.size() - sizeof size, size);
    return out.append(key).append(1, '\0');
  }
};

const Spec spec =
    Spec::codec("compact binary frames of one vehicle's samples (schemas/telemetry.fbs)")
        .details(
            "One frame holds samples of one key, grouped by field; a single number takes 72 bytes. Key and field may "
            "be left out where the subject says them. Frames are verified before they are read: a corrupt one goes to "
            "the dead letters, as does one with NaN or infinite values.")
        .example(R"({ "codec": "flatbuffers" })");
}  // namespace

WEIR_OPERATOR(codecs, flatbuffers, FlatBuffers, spec)
