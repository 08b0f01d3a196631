#include <charconv>
#include <cmath>

#include <weir/operator.hpp>

namespace {
using namespace weir;

constexpr std::string_view blanks = " \t\r\n";

class Text final : public Codec {
 public:
  explicit Text(const Settings&) {}

  std::expected<void, Reason> decode(const Message& message, SampleSink& out) const override {
    std::string_view text = message.payload;
    text.remove_prefix(std::min(text.find_first_not_of(blanks), text.size()));
    text = text.substr(0, text.find_last_not_of(blanks) + 1);
    if (text.empty()) return std::unexpected(Reason{"empty_payload"});
    if (text.size() > 1 && text[0] == '+' && text[1] != '-') text.remove_prefix(1);
    Sample sample{.key = message.key, .field = message.field};
    const char* const end = text.data() + text.size();
    const auto [at, error] = std::from_chars(text.data(), end, sample.x);
    if (error == std::errc::result_out_of_range) return std::unexpected(Reason{"number_out_of_range"});
    if (error != std::errc{} || at != end) return std::unexpected(Reason{"not_a_number"});
    if (!std::isfinite(sample.x)) return std::unexpected(Reason{"not_finite"});
    out.add(sample);
    return {};
  }

  std::expected<std::string, std::string> renamed(const Message& message, const Renaming&) const override {
    return std::string{message.payload};
  }

  std::expected<std::string, std::string> encode(std::span<const Sample> samples, bool key_outside,
                                                 bool field_outside) const override {
    if (samples.size() != 1 || samples[0].kind != Sample::Kind::number || !key_outside || !field_outside) {
      return std::unexpected("a text payload holds one number: key and field must be in the subject");
    }
    if (!std::isfinite(samples[0].x)) return std::unexpected("NaN or infinite");
    char text[32];
    const auto end = std::to_chars(text, text + sizeof text, samples[0].x).ptr;
    return std::string{text, end};
  }
};

const Spec spec =
    Spec::codec("one decimal number as text")
        .details(
            "The whole payload is one number, such as 21.5 or -1e3; blanks around it are ignored. It has no time: "
            "arrival stands in, and a time that a sample has is not written. Key and field are in the subject.")
        .example(R"({ "codec": "text" })");
}  // namespace

WEIR_OPERATOR(codecs, text, Text, spec)
