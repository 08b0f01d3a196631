#include "core/dead_letters.hpp"

#include <fcntl.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace weir {
namespace {

/// RFC 4648, section 4.
std::string base64(std::string_view bytes) {
  static constexpr char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t group = 0;
    for (std::size_t j = 0; j < 3; ++j)
      group = group << 8 | (i + j < bytes.size() ? static_cast<unsigned char>(bytes[i + j]) : 0u);
    for (std::size_t j = 0; j < 4; ++j) out += i + j > bytes.size() ? '=' : digits[group >> (18 - 6 * j) & 63];
  }
  return out;
}

class File final : public DeadLetterBox {
 public:
  File(std::string path, std::string pipeline) : path_{std::move(path)}, pipeline_{std::move(pipeline)} {}
  ~File() override {
    if (file_ >= 0) ::close(file_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  Result<void> keep(const std::vector<Sink::DeadLetter>& letters) override {
    if (letters.empty()) return {};
    if (file_ < 0) file_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    if (file_ < 0) return problem("open");
    std::string text;
    for (const auto& letter : letters) text += line(letter);
    for (std::string_view rest = text; !rest.empty();) {
      const auto written = ::write(file_, rest.data(), rest.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return problem("write to");
      rest.remove_prefix(static_cast<std::size_t>(written));
    }
    if (::fdatasync(file_) != 0 && errno != EINVAL) return problem("synchronise");
    return {};
  }

 private:
  Result<void> problem(const char* what) const {
    return fail(Error::Kind::unreachable, std::string{"can't "} + what + " the dead-letter file " + path_ + ": " +
                                              std::strerror(errno) +
                                              "; free space or set another path in \"dead_letters\"");
  }

  std::string line(const Sink::DeadLetter& letter) const {
    rapidjson::StringBuffer buffer;
    rapidjson::Writer<rapidjson::StringBuffer> json{buffer};
    const auto text = [&](const char* name, std::string_view value) {
      json.Key(name);
      json.String(value.data(), static_cast<rapidjson::SizeType>(value.size()));
    };
    json.StartObject();
    text("pipeline", pipeline_);
    text("node", letter.node);
    text("reason", letter.reason);
    json.Key("partition");
    json.Uint(letter.partition);
    json.Key("position");
    json.Uint64(letter.position);
    json.Key("ordinal");
    json.Uint(letter.ordinal);
    json.Key("arrival");
    json.Int64(letter.arrival);
    text("subject", letter.subject);
    text("payload", base64(letter.payload));
    json.EndObject();
    return std::string{buffer.GetString(), buffer.GetSize()} + "\n";
  }

  std::string path_;
  std::string pipeline_;
  int file_ = -1;
};

}  // namespace

std::unique_ptr<DeadLetterBox> dead_letter_file(std::string path, std::string pipeline) {
  return std::make_unique<File>(std::move(path), std::move(pipeline));
}

}  // namespace weir
