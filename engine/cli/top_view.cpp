#include "cli/top_view.hpp"

#include <algorithm>
#include <ftxui/component/component.hpp>
#include <ftxui/component/event.hpp>
#include <ftxui/component/screen_interactive.hpp>
#include <ftxui/dom/elements.hpp>
#include <ftxui/screen/screen.hpp>
#include <ftxui/screen/string.hpp>
#include <mutex>
#include <thread>

#include <weir/clock.hpp>
#include <weir/format.hpp>

#include "cli/amounts.hpp"

namespace weir::cli {
namespace {

using ftxui::Element;

std::string rate(double value) {
  return value < 10 && value > 0 ? weir::format("{:.1f}", value) : grouped(static_cast<std::uint64_t>(value + 0.5));
}

std::string length(double seconds) {
  return seconds < 0.1 ? weir::format("{:.1f} ms", seconds * 1000) : weir::format("{:.1f} s", seconds);
}

std::string shown(const std::optional<std::pair<std::uint64_t, double>>& lag) {
  if (!lag) return "not known";
  return weir::format("{} message{}, {:.1f} s", grouped(lag->first), lag->first == 1 ? "" : "s", lag->second);
}

/// A table whose first row is its heading. The columns from `numbers` to `texts` stand at the right.
Element table(std::vector<std::vector<std::string>> rows, std::size_t numbers, std::size_t texts,
              const std::function<ftxui::Decorator(std::size_t row)>& look) {
  std::vector<std::vector<Element>> cells;
  for (std::size_t row = 0; row < rows.size(); ++row) {
    auto& line = cells.emplace_back();
    for (std::size_t column = 0; column < rows[row].size(); ++column) {
      ftxui::Elements parts{ftxui::text(rows[row][column])};
      if (column >= numbers && column < texts) parts.insert(parts.begin(), ftxui::filler());
      if (column + 1 < rows[row].size()) parts.push_back(ftxui::text("  "));
      const Element cell = ftxui::hbox(std::move(parts));
      line.push_back(row == 0 ? cell | ftxui::dim : cell | look(row - 1));
    }
  }
  return ftxui::gridbox(std::move(cells));
}

Element heading(const TopFrame& frame) {
  const std::string of_all =
      frame.sharing > frame.heard ? weir::format("{} of {}", frame.heard, frame.sharing) : std::to_string(frame.heard);
  std::string line = weir::format("   {} worker{}   {} samples/s in   {} rows/s out   lag: {}", of_all,
                                  of_all == "1" ? "" : "s", rate(frame.samples), rate(frame.rows), shown(frame.lag));
  if (frame.dead_letters > 0) line += weir::format("   {} dead letters", grouped(frame.dead_letters));
  return ftxui::hbox({ftxui::text(frame.pipeline) | ftxui::bold, ftxui::text(line)});
}

Element workers(const TopFrame& frame) {
  std::vector<std::vector<std::string>> rows{
      {"worker", "at", "partitions", "in flight", "memory", "commits/s", "commit", "state"}};
  for (const TopFrame::Worker& worker : frame.workers) {
    if (!worker.heard) {
      rows.push_back({"?", worker.address, "", "", "", "", "", worker.state});
      continue;
    }
    rows.push_back({worker.name, worker.address, worker.partitions,
                    shown_bytes(worker.in_flight) + " of " + shown_bytes(worker.in_flight_limit),
                    shown_bytes(worker.resident), rate(worker.commits), length(worker.commit), worker.state});
  }
  return table(std::move(rows), 3, 7, [&](std::size_t row) {
    return frame.workers[row].ready ? ftxui::nothing : ftxui::color(ftxui::Color::Red);
  });
}

Element nodes(const TopFrame& frame) {
  std::vector<std::vector<std::string>> rows{
      {"node", "operator", "in/s", "out/s", "batches/s", "busy", "", "invalid", "keys", "state", "other ports"}};
  for (const TopFrame::Node& node : frame.nodes) {
    std::string other;
    for (const auto& [port, rows_out] : node.other) {
      if (rows_out > 0) other += weir::format("{}{} {}/s", other.empty() ? "" : ", ", port, rate(rows_out));
    }
    const bool has_state = node.keys > 0 || node.bytes > 0;
    rows.push_back({node.id, node.op, rate(node.in), rate(node.out), rate(node.batches),
                    weir::format("{:.1f} %", node.busy * 100), node.slowest ? "◂ slowest" : "", grouped(node.invalid),
                    has_state ? grouped(node.keys) : "", has_state ? shown_bytes(node.bytes) : "", other});
  }
  return table(std::move(rows), 2, 10, [&](std::size_t row) {
    return frame.nodes[row].slowest ? ftxui::Decorator{ftxui::bold} : ftxui::Decorator{ftxui::nothing};
  });
}

Element parts(const TopFrame& frame) {
  std::vector<std::vector<std::string>> rows{{"partition", "position", "messages", "age", "owner"}};
  for (const TopFrame::Part& part : frame.parts) {
    const bool known = part.lag.has_value();
    rows.push_back({std::to_string(part.partition), grouped(part.position),
                    grouped(known ? part.lag->first : part.waiting),
                    known ? weir::format("{:.1f} s", part.lag->second) : "-",
                    (part.owner.empty() ? "nobody" : part.owner) + (part.replaying ? ", replays" : "")});
  }
  return table(std::move(rows), 0, 4, [&](std::size_t row) {
    return frame.parts[row].owner.empty() ? ftxui::color(ftxui::Color::Red) : ftxui::nothing;
  });
}

Element page(const TopFrame& frame) {
  ftxui::Elements lines{heading(frame), ftxui::text(""), workers(frame), ftxui::text(""), nodes(frame)};
  if (!frame.parts.empty()) lines.insert(lines.end(), {ftxui::text(""), parts(frame)});
  if (!frame.conditions.empty()) lines.push_back(ftxui::text(""));
  for (const std::string& condition : frame.conditions)
    lines.push_back(ftxui::text("! " + condition) | ftxui::color(ftxui::Color::Red));
  if (!frame.no_lag.empty())
    lines.insert(lines.end(), {ftxui::text(""), ftxui::text("lag: " + frame.no_lag) | ftxui::dim});
  return ftxui::vbox(std::move(lines));
}

/// The newest frame, and where in it the terminal stands.
struct Shown {
  std::mutex mutex;
  TopFrame frame;
  float place = 0;  // 0 is its top, 1 its bottom
};

bool scrolled(Shown& shown, const ftxui::Event& event) {
  constexpr float step = 0.1F;
  const float by = event == ftxui::Event::ArrowDown ? step : event == ftxui::Event::ArrowUp ? -step : 0;
  if (by == 0) return false;
  shown.place = std::clamp(shown.place + by, 0.0F, 1.0F);
  return true;
}

}  // namespace

std::string drawn(const TopFrame& frame) {
  const Element element = page(frame);
  element->ComputeRequirement();
  const int width = element->requirement().min_x;
  const int height = element->requirement().min_y;
  auto screen = ftxui::Screen::Create(ftxui::Dimension::Fixed(width), ftxui::Dimension::Fixed(height));
  ftxui::Render(screen, element);
  std::string out;
  for (int y = 0; y < height; ++y) {
    std::string line;
    for (int x = 0; x < width; ++x) {
      const std::string& cell = screen.PixelAt(x, y).character;
      line += cell.empty() ? " " : cell;
      if (ftxui::string_width(cell) == 2) ++x;
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  }
  return out;
}

void show_live(const std::function<TopFrame()>& look) {
  Shown shown;
  shown.frame = look();
  auto screen = ftxui::ScreenInteractive::Fullscreen();
  const auto root =
      ftxui::CatchEvent(ftxui::Renderer([&shown] {
                          const std::scoped_lock lock{shown.mutex};
                          return ftxui::vbox({page(shown.frame) | ftxui::focusPositionRelative(0, shown.place) |
                                                  ftxui::yframe | ftxui::yflex,
                                              ftxui::text("q ends   ↑ ↓ move") | ftxui::dim});
                        }),
                        [&](const ftxui::Event& event) {
                          const bool ends = event == ftxui::Event::Character('q') || event == ftxui::Event::Escape;
                          if (ends) screen.Exit();
                          return ends || scrolled(shown, event);
                        });
  const std::jthread looking{[&](const std::stop_token& stop) {
    while (system_clock().wait(second, stop)) {
      TopFrame frame = look();
      {
        const std::scoped_lock lock{shown.mutex};
        shown.frame = std::move(frame);
      }
      screen.PostEvent(ftxui::Event::Custom);
    }
  }};
  screen.Loop(root);
}

}  // namespace weir::cli
