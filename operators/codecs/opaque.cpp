#include <weir/operator.hpp>

namespace {
using namespace weir;

class Opaque final : public Codec {
 public:
  explicit Opaque(const Settings&) {}

  std::expected<void, Reason> decode(const Message&, SampleSink&) const override { return {}; }

  std::expected<std::string, std::string> encode(std::span<const Sample>, bool, bool) const override {
    return std::unexpected("the encoding \"opaque\" holds no samples");
  }
};

const Spec spec = Spec::codec("payloads that are not looked into")
                      .details(
                          "No payload gives a sample, and none is refused: for sinks that take messages as they were "
                          "received, whatever they hold.")
                      .example(R"({ "codec": "opaque" })");
}  // namespace

WEIR_OPERATOR(codecs, opaque, Opaque, spec)
