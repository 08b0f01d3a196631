#include "cli/log.hpp"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <memory>
#include <string_view>

namespace weir::cli {
namespace {

/// %l by weir's names: spdlog's says "warning" and "critical".
class LevelName final : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message, const std::tm&, spdlog::memory_buf_t& out) override {
    const std::string_view name = message.level >= spdlog::level::err    ? "error"
                                  : message.level == spdlog::level::warn ? "warn"
                                  : message.level == spdlog::level::info ? "info"
                                                                         : "debug";
    out.append(name.data(), name.data() + name.size());
  }
  std::unique_ptr<custom_flag_formatter> clone() const override { return std::make_unique<LevelName>(); }
};

/// %v for JSON: the message with quotes, backslashes and control characters escaped.
class EscapedMessage final : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message, const std::tm&, spdlog::memory_buf_t& out) override {
    const std::string text = quoted_whole({message.payload.data(), message.payload.size()});
    out.append(text.data(), text.data() + text.size());
  }
  std::unique_ptr<custom_flag_formatter> clone() const override { return std::make_unique<EscapedMessage>(); }

 private:
  static std::string quoted_whole(std::string_view text) {
    std::string out = "\"";
    for (const char c : text) {
      if (c == '"' || c == '\\') out += '\\';
      if (static_cast<unsigned char>(c) < 0x20)
        out += fmt::format("\\u{:04x}", static_cast<int>(c));
      else
        out += c;
    }
    return out + '"';
  }
};

}  // namespace

void set_up_log(const std::string& form, const std::string& level) {
  spdlog::drop("weir");  // a command that watches sets it up again and again
  spdlog::set_default_logger(spdlog::stderr_color_mt("weir"));
  spdlog::set_level(spdlog::level::from_str(level));
  auto formatter = std::make_unique<spdlog::pattern_formatter>(spdlog::pattern_time_type::utc);
  formatter->add_flag<LevelName>('~');
  if (form == "json") {
    formatter->add_flag<EscapedMessage>('*').set_pattern(
        R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%~","message":%*})");
  } else {
    // A line takes the place of the progress that is shown.
    const std::string clear = isatty(STDERR_FILENO) == 1 ? "\r\033[K" : "";
    formatter->set_pattern(clear + "%Y-%m-%dT%H:%M:%S.%eZ %^%~%$ %v");
  }
  spdlog::set_formatter(std::move(formatter));
}

}  // namespace weir::cli
