/// Faults on real servers: a faulty fleet through JetStream into PostgreSQL, while everything is killed, stopped, cut
/// and moved. Then the tables are compared, row by row, with what the reference makes of the streams.
///
///   weir_faults [--seed S] [--kills N] [--for 10m] [--only KIND]… [--break WHAT] [--partitions N] [--workers K]
///               [--nats N] [--databases N] [--together N] [--talk]
///   weir_faults --self-test     every kind of fault once, then every kind of damage, each of which must be noticed
///   weir_faults --list          the kinds of both
///
/// A run of many faults is made of episodes with seeds of their own, S, S + 1, …; one that fails is told with its seed.
/// They have one nats-server and a cluster of three in turn, unless it is said how many; so with one database and two.
/// --together: so many faults of different things at once, each beginning while the one before is at work.
/// Exit: 0 all rows are as they must be, 1 they are not, 64 a mistake in the command.
#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <cstdio>
#include <functional>
#include <limits>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <weir/clock.hpp>
#include <weir/format.hpp>
#include <weir/units.hpp>

#include "faults/harness/report.hpp"

namespace weir::faults {
namespace {

constexpr int differs = 1, usage = 64;
constexpr std::size_t most_rounds = 64;  // of an episode, two of each kind
constexpr std::size_t cluster = 3;       // of nats-servers

struct Command {
  Play play;
  std::size_t kills = 0, nats = 0, databases = 0;
  std::optional<Duration> length;
  bool self_test = false, list = false;
};

void complain(const std::string& text) { std::fprintf(stderr, "weir_faults: %s\n", text.c_str()); }

template <typename Number>
bool read_number(std::string_view text, Number least, Number& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc{} && end == text.data() + text.size() && out >= least;
}

/// False: there is no such option, or its value is none.
bool take(Command& command, std::string_view option, std::string_view value) {
  if (option == "--seed") return read_number<std::uint64_t>(value, 0, command.play.seed);
  if (option == "--kills") return read_number<std::size_t>(value, 1, command.kills);
  if (option == "--partitions") return read_number<std::uint32_t>(value, 2, command.play.partitions);
  if (option == "--workers") return read_number<std::size_t>(value, 1, command.play.workers);
  if (option == "--nats") return read_number<std::size_t>(value, 1, command.nats);
  if (option == "--databases") return read_number<std::size_t>(value, 1, command.databases) && command.databases <= 2;
  if (option == "--together") return read_number<std::size_t>(value, 1, command.play.together);
  if (option == "--only") {
    command.play.kinds.push_back(fault_called(value));
    return command.play.kinds.back() != nullptr;
  }
  if (option == "--break") return (command.play.broken = break_called(value)) != nullptr;
  const auto length = parse_duration(value);
  if (option != "--for" || !length) return false;
  command.length = *length;
  return true;
}

std::optional<Command> read(std::span<char*> words) {
  Command command;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string_view option = words[i];
    if (option == "--self-test") {
      command.self_test = true;
    } else if (option == "--list") {
      command.list = true;
    } else if (option == "--talk") {
      command.play.talk = true;
    } else if (i + 1 == words.size() || !take(command, option, words[i + 1])) {
      complain(
          weir::format("can't do \"{}{}{}\"; there are --seed, --kills, --for, --only, --break, --partitions, "
                       "--workers, --nats, --databases, --together, --talk, --self-test and --list",
                       option, i + 1 < words.size() ? " " : "", i + 1 < words.size() ? words[i + 1] : ""));
      return {};
    } else {
      ++i;
    }
  }
  if (command.play.kinds.empty()) {
    for (const Fault& fault : faults()) command.play.kinds.push_back(&fault);
  }
  return command;
}

void list() {
  for (const Fault& fault : faults())
    std::printf("--only %-20s %s\n", std::string{fault.name}.c_str(), std::string{fault.what}.c_str());
  for (const Break& one : breaks())
    std::printf("--break %-19s %s\n", std::string{one.name}.c_str(), std::string{one.what}.c_str());
}

double seconds_since(Timestamp begin) { return static_cast<double>(system_clock().steady() - begin) * 1e-9; }

/// The next episode of a run with so many faults left to do.
Play episode(const Command& command, std::size_t number, std::size_t left) {
  const auto for_cluster = [](const Fault* kind) { return kind->servers == cluster; };
  Play play = command.play;
  play.seed += number;
  play.nats_servers = command.nats;
  const auto clusters = static_cast<std::size_t>(std::ranges::count_if(play.kinds, for_cluster));
  if (command.nats == 0) {
    const bool others = clusters < play.kinds.size();
    play.nats_servers = clusters > 0 && (!others || number % 2 == 1) ? cluster : 1;
    if (play.nats_servers == cluster && left <= clusters)
      std::erase_if(play.kinds, [&](const Fault* kind) { return !for_cluster(kind); });
  }
  const bool all_pairs = std::ranges::all_of(play.kinds, [](const Fault* kind) { return kind->databases > 1; });
  play.databases = command.databases != 0 ? command.databases : all_pairs || number % 3 == 2 ? 2 : 1;
  std::erase_if(play.kinds, [&](const Fault* kind) { return !kind->fits(play.nats_servers, play.databases); });
  play.rounds = std::min({left, most_rounds, clusters > 0 && command.nats == 0 ? play.kinds.size() : most_rounds});
  return play;
}

/// Episodes until enough faults were done, or one has failed.
int run(const Command& command) {
  const Timestamp begin = system_clock().steady();
  std::size_t left = command.kills != 0 ? command.kills
                     : command.length   ? std::numeric_limits<std::size_t>::max()
                                        : command.play.kinds.size();
  const Timestamp until = command.length ? begin + *command.length : end_of_time;
  Report report;
  bool fine = true;
  for (std::size_t number = 0; fine && left > 0 && system_clock().steady() < until; ++number) {
    Play play = episode(command, number, left);
    play.until = until;
    if (play.kinds.empty()) {
      complain(weir::format("none of these faults is for {} nats-servers and {} databases", play.nats_servers,
                            play.databases));
      return usage;
    }
    left -= play.rounds;
    const Outcome outcome = faults::play(play);
    report.add(outcome);
    fine = outcome.fine();
    if (!fine) print_failure(play, outcome);
  }
  report.print(seconds_since(begin));
  return fine ? 0 : differs;
}

/// How it was noticed, in a few words; empty: it was not. A worker that does not start, or a server, notices nothing.
std::string how_noticed(const Outcome& outcome) {
  if (outcome.fine() || outcome.harmless || (!outcome.failure.empty() && !outcome.astray)) return {};
  if (!outcome.failure.empty()) return outcome.failure.substr(0, outcome.failure.find('\n'));
  const Verdict& verdict = outcome.verdict;
  std::string out;
  const std::array tables{std::pair{"rows", &verdict.rows}, std::pair{"twins", &verdict.twins},
                          std::pair{"copies", &verdict.copies}, std::pair{"sessions", &verdict.sessions},
                          std::pair{"dead letters", &verdict.letters}};
  const std::array ways{std::pair{"lost", &Comparison::lost}, std::pair{"duplicated", &Comparison::duplicated},
                        std::pair{"changed", &Comparison::changed}, std::pair{"foreign", &Comparison::foreign},
                        std::pair{"misordered", &Comparison::misordered}};
  for (const auto& [name, comparison] : tables) {
    for (const auto& [what, count] : ways) {
      if (comparison->*count > 0)
        out += weir::format("{}{} {} {}", out.empty() ? "" : ", ", comparison->*count, name, what);
    }
  }
  const std::array others{std::pair{"messages gone", verdict.gone}, std::pair{"counts wrong", verdict.unbalanced},
                          std::pair{"current values outdated", verdict.outdated},
                          std::pair{"snapshot named, but not stored", verdict.unstored}};
  for (const auto& [what, count] : others) {
    if (count > 0) out += weir::format("{}{} {}", out.empty() ? "" : ", ", count, what);
  }
  return out;
}

/// Plays kinds of faults once and every break, a few at a time: most of their time they wait.
class SelfTest {
 public:
  explicit SelfTest(const Command& command) : command_{command} {
    auto kinds = command.play.kinds;
    const auto split = [&kinds](auto from, auto keep) {
      return std::ranges::stable_partition(from, kinds.end(), keep).begin();
    };
    const auto pairs = split(kinds.begin(), [](const Fault* kind) { return kind->fits(1, 1); });
    const auto rest = std::ranges::stable_partition(kinds.begin(), pairs, &Fault::orderly).begin();
    const auto others = split(pairs, [](const Fault* kind) { return kind->fits(1, 2); });
    add({kinds.begin(), rest}, {.nats_servers = 1}, true);
    const std::span of_one{rest, pairs};
    for (std::size_t part = 0; part < parts; ++part) {
      const std::size_t from = of_one.size() * part / parts, to = of_one.size() * (part + 1) / parts;
      add({of_one.begin() + static_cast<std::ptrdiff_t>(from), of_one.begin() + static_cast<std::ptrdiff_t>(to)}, {});
    }
    add({pairs, others}, {.databases = 2});
    add({others, kinds.end()}, {.nats_servers = cluster});
    add({rest, pairs}, {.rounds = most_combined, .together = 3});
    for (const Break& one : breaks()) {
      if (one.when == Break::When::always && one.shown_by.empty()) continue;  // another safeguard stands in for it
      if (one.when != Break::When::finished) todo_.emplace_back([this, &one] { play_broken(one); });
    }
  }

  /// Whether all was as it should be.
  bool run() {
    const Timestamp begin = system_clock().steady();
    {
      std::vector<std::jthread> threads;
      for (std::size_t i = 0; i < at_once; ++i) threads.emplace_back([this] { work(); });
    }
    report_.print(seconds_since(begin));
    return fine_;
  }

 private:
  static constexpr std::size_t parts = 6, at_once = 3, most_combined = 5, most_tries = 6;

  /// An episode of these kinds, each once, or of so many rounds.
  void add(std::vector<const Fault*> kinds, Play play, bool damages = false) {
    if (kinds.empty()) return;
    const std::size_t rounds = play.together > 1 ? play.rounds : kinds.size();
    play.rounds = std::min(rounds, kinds.size());
    play.seed = command_.play.seed + todo_.size();
    play.partitions = command_.play.partitions;
    play.workers = command_.play.workers;
    play.talk = command_.play.talk;
    play.kinds = std::move(kinds);
    todo_.emplace_back([this, play = std::move(play), damages] { play_all(play, damages); });
  }

  void work() {
    for (std::size_t next = next_++; next < todo_.size(); next = next_++) todo_[next]();
  }

  /// On a busy machine a lane may be lost, and what the workers counted is not compared: the next seed may do better.
  void play_all(Play play, bool damages) {
    std::set<std::string_view> told;
    bool open = true;
    for (std::size_t tries = 1; std::exchange(open, false); ++tries, ++play.seed) {
      const auto notice = [&](const Break& one, const Outcome& outcome) {
        if (one.of_counts && !outcome.verdict.balanced && tries < most_tries) {
          open = true;
        } else if (told.insert(one.name).second) {
          tell(one, how_noticed(outcome));
        }
      };
      const Outcome outcome = faults::play(play, damages ? Noticed{notice} : Noticed{});
      const std::scoped_lock lock{mutex_};
      report_.add(outcome);
      if (!outcome.fine()) print_failure(play, outcome);
      fine_ = fine_ && outcome.fine();
    }
  }

  void play_broken(const Break& broken) {
    Play play = command_.play;
    play.broken = &broken;
    play.kinds = {fault_called(broken.shown_by.empty() ? "worker-stop" : broken.shown_by)};
    play.rounds = broken.rounds;
    // Whether a fault meets what is broken is chance: the next seed may.
    std::string how;
    for (std::uint64_t tries = 0; tries < most_tries && how.empty(); ++tries) {
      play.seed = command_.play.seed + tries;
      how = how_noticed(faults::play(play));
    }
    tell(broken, how);
  }

  void tell(const Break& broken, const std::string& how) {
    const std::scoped_lock lock{mutex_};
    std::printf("%-14s %-56s %s\n", std::string{broken.name}.c_str(), std::string{broken.what}.c_str(),
                how.empty() ? "NOT NOTICED" : how.c_str());
    std::fflush(stdout);
    fine_ = fine_ && !how.empty();
  }

  const Command& command_;
  std::vector<std::function<void()>> todo_;
  std::atomic<std::size_t> next_{0};
  std::mutex mutex_;
  Report report_;
  bool fine_ = true;
};

int main_of(std::span<char*> words) {
  const auto command = read(words);
  if (!command) return usage;
  if (command->list) {
    list();
    return 0;
  }
  if (command->self_test) return SelfTest{*command}.run() ? 0 : differs;
  return run(*command);
}

}  // namespace
}  // namespace weir::faults

int main(int argc, char** argv) { return weir::faults::main_of({argv + 1, argv + argc}); }
