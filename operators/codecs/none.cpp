#include <weir/operator.hpp>

namespace {
using namespace weir;

class None final : public Codec {
 public:
  explicit None(const Settings&) {}

  std::expected<void, std::string> decode(const Message&, SampleSink&) const override { return {}; }

  std::expected<std::string, std::string> encode(std::span<const Sample>, bool, bool) const override {
    return std::unexpected("the encoding \"none\" holds no samples");
  }
};

const Spec spec = Spec::codec("payloads that are not looked into")
                      .details(
                          "No payload gives a sample, and none is refused: for sinks that take messages as they were "
                          "received, whatever they hold.")
                      .example(R"({ "codec": "none" })");
}  // namespace

WEIR_OPERATOR(codecs, none, None, spec)
