#include "core/checkpoint/dead_letters.hpp"

#include <fcntl.h>
#include <rapidjson/document.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <map>
#include <set>
#include <utility>

#include <weir/format.hpp>
#include <weir/rfc3339.hpp>

namespace weir {
namespace {

constexpr std::size_t block_size = 1u << 20;
constexpr off_t look_back = off_t{64} << 20;

using Json = rapidjson::Writer<rapidjson::StringBuffer>;

void write(Json& json, std::string_view value) {
  json.String(value.data(), static_cast<rapidjson::SizeType>(value.size()));
}

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

/// What tells a letter from all others, and is the same when a replay gives it again. The batch that a refused row came
/// in may have been cut elsewhere then, so its position does not count.
std::string identity(const Sink::DeadLetter& letter) {
  return letter.row ? weir::format("{} row {} {}", letter.node, *letter.row, letter.arrival)
                    : weir::format("{} {}.{} {}", letter.node, letter.position, letter.ordinal, letter.arrival);
}

/// The parts of a line that matter for its identity; nothing if it is not one of a pipeline's letters.
std::optional<Sink::DeadLetter> parse_line(std::string_view line, std::string_view pipeline) {
  rapidjson::Document json;
  json.Parse<rapidjson::kParseIterativeFlag>(line.data(), line.size());
  if (!json.IsObject()) return {};
  const auto text = [&](const char* name) {
    const auto it = json.FindMember(name);
    return it != json.MemberEnd() && it->value.IsString()
               ? std::string_view{it->value.GetString(), it->value.GetStringLength()}
               : std::string_view{};
  };
  const auto number = [&](const char* name) -> std::optional<std::uint64_t> {
    const auto it = json.FindMember(name);
    if (it == json.MemberEnd() || !it->value.IsUint64()) return {};
    return it->value.GetUint64();
  };
  if (text("pipeline") != pipeline) return {};
  Sink::DeadLetter letter;
  letter.node = text("node");
  letter.partition = static_cast<Partition>(number("partition").value_or(0));
  letter.position = number("position").value_or(0);
  letter.ordinal = static_cast<std::uint32_t>(number("ordinal").value_or(0));
  letter.row = number("row");
  if (const auto it = json.FindMember("arrival"); it != json.MemberEnd() && it->value.IsInt64())
    letter.arrival = it->value.GetInt64();
  return letter;
}

/// How each line begins, see File::line().
constexpr std::string_view begins_line = R"({"pipeline":")";

bool is_object(std::string_view text) {
  rapidjson::Document json;
  json.Parse<rapidjson::kParseIterativeFlag>(text.data(), text.size());
  return !json.HasParseError() && json.IsObject();
}

constexpr Duration day = 24 * 60 * minute;

/// "2026-01-31"
std::string name_of_day(std::int64_t number) { return format_rfc3339(number * day).substr(0, 10); }

/// The day that such a name is of; nothing if it is none.
std::optional<std::int64_t> day_in(std::string_view name) {
  const auto begin = name.size() == 10 ? parse_rfc3339(std::string{name} + "T00:00:00Z") : std::nullopt;
  return begin ? std::optional{*begin / day} : std::nullopt;
}

/// The files of former days beside one, by day.
std::map<std::int64_t, std::string> former_days(const std::string& path) {
  const std::filesystem::path whole{path};
  const std::string begins = whole.filename().string() + ".";
  std::map<std::int64_t, std::string> out;
  std::error_code problem;
  const auto folder = whole.has_parent_path() ? whole.parent_path() : std::filesystem::path{"."};
  for (const auto& entry : std::filesystem::directory_iterator{folder, problem}) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(begins)) continue;
    if (const auto of = day_in(std::string_view{name}.substr(begins.size()))) out.emplace(*of, entry.path().string());
  }
  return out;
}

/// Whether weir wrote the file: its first line begins as all of ours do.
bool is_ours(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return false;
  std::string head(begins_line.size(), '\0');
  const bool whole = ::pread(file, head.data(), head.size(), 0) == static_cast<ssize_t>(head.size());
  ::close(file);
  return whole && head == begins_line;
}

class File final : public DeadLetterBox {
 public:
  File(std::string path, std::string pipeline, const DeadLetterBounds& bounds, const Clock& clock)
      : path_{std::move(path)},
        pipeline_{std::move(pipeline)},
        retention_{bounds.retention},
        quota_{bounds},
        clock_{clock} {}
  ~File() override {
    if (file_ >= 0) ::close(file_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  void resume(Partition partition, Position committed) override {
    known_[partition].clear();
    unread_[partition] = committed;
  }
  void committed(Partition partition, Position position) override {
    if (const auto lane = unread_.find(partition); lane != unread_.end()) lane->second = position;
    if (const auto lane = known_.find(partition); lane != known_.end())
      std::erase_if(lane->second, [&](const auto& letter) { return letter.second <= position; });
    const Timestamp now = clock_.steady();
    if (tidied_ != no_time && now - tidied_ < 60 * minute) return;
    tidied_ = now;
    put_aside();
    expire();
  }

  Result<std::vector<std::size_t>> keep(const std::vector<Sink::DeadLetter>& letters) override {
    if (letters.empty()) return {};
    put_aside();
    if (file_ >= 0 && !is_at(path_)) {
      // What is in a file that somebody has taken away may be gone.
      const auto days = former_days(path_);
      if (std::ranges::none_of(days, [&](const auto& one) { return is_at(one.second); })) known_.clear();
      ::close(std::exchange(file_, -1));
    }
    if (file_ < 0) file_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    if (file_ < 0) return problem("open");
    if (::flock(file_, LOCK_EX) != 0) return problem("lock");
    auto done = mend().and_then([&] { return append(letters); });
    (void)::flock(file_, LOCK_UN);
    return done;
  }

 private:
  /// Whether the path means the file that is open: it may have been moved away, as logs are, or deleted.
  bool is_at(const std::string& path) const {
    struct stat open{};
    struct stat there{};
    return ::fstat(file_, &open) == 0 && ::stat(path.c_str(), &there) == 0 && open.st_dev == there.st_dev &&
           open.st_ino == there.st_ino;
  }

  /// Names the file after the day on which it was last written to, if that is over. What fails is tried again the next
  /// time.
  void put_aside() const {
    struct stat there{};
    if (::stat(path_.c_str(), &there) != 0 || !S_ISREG(there.st_mode)) return;
    const std::int64_t written = there.st_mtim.tv_sec / (day / second);
    if (written >= clock_.now() / day || !is_ours(path_)) return;
    // A link, unlike a new name, takes no other file's place.
    if (::link(path_.c_str(), (path_ + "." + name_of_day(written)).c_str()) == 0) ::unlink(path_.c_str());
  }

  /// Deletes the files of days whose time is over.
  void expire() const {
    for (const auto& [number, name] : former_days(path_)) {
      if ((number + 1) * day + retention_ > clock_.now()) break;
      if (is_ours(name)) ::unlink(name.c_str());
    }
  }

  /// Ends the last line, or cuts off the half of it that a crash has left, and learns what is there of lanes that go
  /// on. Not of a file that somebody else has written.
  Result<void> mend() {
    const off_t size = ::lseek(file_, 0, SEEK_END);
    if (size < 0) return problem("read");
    const auto head = before(std::min<off_t>(size, begins_line.size()), begins_line.size());
    if (!head) return std::unexpected(head.error());
    if (!begins_line.starts_with(*head)) {
      return fail(Error::Kind::unreachable, "the file " + path_ + " holds something else than dead letters; move it " +
                                                "away, or set another path in \"dead_letters\"");
    }
    off_t whole = size;
    for (std::size_t most = 1; whole > 0; most = block_size) {  // the last byte is all right as a rule
      const auto block = before(whole, most);
      if (!block) return std::unexpected(block.error());
      const auto end = block->rfind('\n');
      whole -= static_cast<off_t>(end == std::string::npos ? block->size() : block->size() - end - 1);
      if (end != std::string::npos) break;
    }
    if (whole < size) {
      const auto last = before(size, static_cast<std::size_t>(size - whole));
      if (!last) return std::unexpected(last.error());
      if (!is_object(*last)) {
        if (::ftruncate(file_, whole) != 0) return problem("mend");
      } else if (auto ended = write_through("\n"); !ended) {
        return ended;
      } else {
        whole = size + 1;
      }
    }
    if (unread_.empty()) return {};
    return read_all(whole).transform([this] { unread_.clear(); });
  }

  /// This file, and those of the days before, until all is known.
  Result<void> read_all(off_t whole) {
    off_t left = look_back;
    if (auto done = read(file_, whole, left); !done) return done;
    const auto days = former_days(path_);
    for (auto one = days.rbegin(); one != days.rend() && left > 0 && !unread_.empty(); ++one) {
      const int file = ::open(one->second.c_str(), O_RDONLY | O_CLOEXEC);
      if (file < 0) continue;
      auto done = read(file, ::lseek(file, 0, SEEK_END), left);
      ::close(file);
      if (!done) return done;
    }
    return {};
  }

  /// The file's bytes that end there, `most` of them if there are as many.
  Result<std::string> before(off_t end, std::size_t most) const { return before(file_, end, most); }
  Result<std::string> before(int file, off_t end, std::size_t most) const {
    std::string bytes(std::min(most, static_cast<std::size_t>(end)), '\0');
    const off_t begin = end - static_cast<off_t>(bytes.size());
    for (std::size_t have = 0; have < bytes.size();) {
      const auto got = ::pread(file, bytes.data() + have, bytes.size() - have, begin + static_cast<off_t>(have));
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) return problem("read");
      have += static_cast<std::size_t>(got);
    }
    return bytes;
  }

  /// From behind, as commits wait for it, until each lane has shown a letter that its commit covers: a lane's letters
  /// lie in the order of their positions, but for some that a worker wrote late, so the block that this one is in is
  /// read to its beginning. For a lane that has none it would be all of the file: `look_back` is enough for what a
  /// crash leaves.
  Result<void> read(int file, off_t size, off_t& left) {
    std::string text;  // from `at` on, without the lines that were read
    for (off_t at = size; at > 0 && left > 0 && !unread_.empty();) {
      // A long line is put together of ever longer blocks, not moved once for each of many.
      auto block = before(file, at, std::max(block_size, text.size()));
      if (!block) return std::unexpected(block.error());
      at -= static_cast<off_t>(block->size());
      left -= static_cast<off_t>(block->size());
      text.insert(0, *block);
      std::set<Partition> covered;
      const std::size_t first = at == 0 ? 0 : text.find('\n') + 1;  // of whole lines; it ends with one
      for (std::size_t begin = first; begin < text.size();) {
        const std::size_t end = std::min(text.find('\n', begin), text.size());  // a former day's may end in half a line
        note(std::string_view{text}.substr(begin, end - begin), covered);
        begin = end + 1;
      }
      text.resize(first);
      for (const Partition partition : covered) unread_.erase(partition);
    }
    return {};
  }

  void note(std::string_view line, std::set<Partition>& covered) {
    const auto letter = parse_line(line, pipeline_);
    if (!letter) return;
    const auto lane = unread_.find(letter->partition);
    if (lane == unread_.end()) return;
    if (letter->position > lane->second) {
      known_[letter->partition].emplace(identity(*letter), letter->position);
    } else {
      covered.insert(letter->partition);
    }
  }

  Result<std::vector<std::size_t>> append(const std::vector<Sink::DeadLetter>& letters) {
    std::string text;
    std::vector<std::size_t> left_out;
    RejectedRowQuota quota = quota_;
    for (std::size_t i = 0; i < letters.size(); ++i) {
      if (known_[letters[i].partition].contains(identity(letters[i]))) continue;
      quota.takes(letters[i]) ? void(text += line(letters[i])) : left_out.push_back(i);
    }
    const off_t before = ::lseek(file_, 0, SEEK_END);
    if (before < 0) return problem("read");
    if (auto written = write_through(text); !written) {
      // The part that found room would be there twice when these letters are given again.
      return ::ftruncate(file_, before) == 0 ? std::unexpected(written.error()) : problem("mend");
    }
    for (const auto& letter : letters) known_[letter.partition].emplace(identity(letter), letter.position);
    quota_ = std::move(quota);
    return left_out;
  }

  Result<void> write_through(std::string_view text) {
    while (!text.empty()) {
      const auto written = ::write(file_, text.data(), text.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return problem("write to");
      text.remove_prefix(static_cast<std::size_t>(written));
    }
    return ::fdatasync(file_) == 0 || errno == EINVAL ? Result<void>{} : problem("synchronise");
  }

  std::unexpected<Error> problem(const char* what) const {
    return fail(Error::Kind::unreachable, std::string{"can't "} + what + " the dead-letter file " + path_ + ": " +
                                              std::strerror(errno) +
                                              "; free space or set another path in \"dead_letters\"");
  }

  std::string line(const Sink::DeadLetter& letter) const {
    rapidjson::StringBuffer buffer;
    Json json{buffer};
    const auto text = [&](const char* name, std::string_view value) {
      json.Key(name);
      write(json, value);
    };
    json.StartObject();
    text("pipeline", pipeline_);
    text("node", letter.node);
    text("reason", letter.reason.code);
    text("detail", letter.reason.detail);
    json.Key("partition");
    json.Uint(letter.partition);
    json.Key("position");
    json.Uint64(letter.position);
    json.Key(letter.row ? "row" : "ordinal");
    json.Uint64(letter.row.value_or(letter.ordinal));
    json.Key("arrival");
    json.Int64(letter.arrival);
    text("subject", letter.subject);
    text("payload", base64(letter.payload));
    json.EndObject();
    return std::string{buffer.GetString(), buffer.GetSize()} + "\n";
  }

  std::string path_;
  std::string pipeline_;
  Duration retention_;
  RejectedRowQuota quota_;
  const Clock& clock_;
  Timestamp tidied_ = no_time;  // steady time
  int file_ = -1;
  std::map<Partition, Position> unread_;                        // lanes whose letters in the file are not known yet
  std::map<Partition, std::map<std::string, Position>> known_;  // letters beyond the commit, by their identity
};

}  // namespace

std::unique_ptr<DeadLetterBox> dead_letter_file(std::string path, std::string pipeline, const DeadLetterBounds& bounds,
                                                const Clock& clock) {
  return std::make_unique<File>(std::move(path), std::move(pipeline), bounds, clock);
}

}  // namespace weir
