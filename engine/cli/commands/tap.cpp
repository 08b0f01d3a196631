/// weir tap: rows as they pass a node of a running worker.
#include <rapidjson/document.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <iostream>
#include <map>
#include <memory>

#include <weir/ascii.hpp>
#include <weir/format.hpp>
#include <weir/spelling.hpp>

#include "cli/command.hpp"
#include "cli/kept.hpp"
#include "console/client.hpp"

namespace weir::cli {
namespace {

struct TapOptions {
  std::string target;
  PipelineOptions pipeline;
  std::string http = "localhost:8080";
  std::vector<std::string> keys, fields;
  std::string share, limit;
  std::string format = "text";
};

/// Rows under a heading, which comes again where the columns become others.
class RowTable {
 public:
  std::string add(const rapidjson::Value& row) {
    std::string out;
    std::vector<std::string> names;
    for (const auto& member : row.GetObject()) names.push_back(printable(text_of(member.name)));
    if (names != names_) {
      names_ = std::move(names);
      for (const std::string& name : names_) pad(out, name, name, name == "key" || name == "field");
      out += '\n';
    }
    std::size_t at = 0;
    for (const auto& member : row.GetObject()) {
      const bool null = member.value.IsNull();
      const bool text = member.value.IsString();
      pad(out, names_[at++], null ? "-" : text ? printable(text_of(member.value)) : written(member.value), text);
    }
    out.erase(out.find_last_not_of(' ') + 1);
    return out + '\n';
  }

 private:
  static std::string_view text_of(const rapidjson::Value& value) {
    return {value.GetString(), value.GetStringLength()};
  }
  static std::string written(const rapidjson::Value& value) {
    if (value.IsBool()) return value.GetBool() ? "true" : "false";
    if (value.IsInt64()) return weir::format("{}", value.GetInt64());
    return value.IsNumber() ? weir::format("{:.8g}", value.GetDouble()) : "?";
  }
  static void pad(std::string& line, const std::string& name, const std::string& cell, bool left) {
    const bool is_time = name == "tick" || name == "time" || name.ends_with("_time");
    const std::size_t width = std::max<std::size_t>(name.size(), is_time ? 24 : 10);
    if (!line.empty() && line.back() != '\n') line += "  ";
    line += left || is_time ? weir::format("{:<{}}", cell, width) : weir::format("{:>{}}", cell, width);
  }

  std::vector<std::string> names_;
};

/// Prints what comes: rows to standard output, what the worker says of them to the other one.
class Printer {
 public:
  explicit Printer(bool as_table) : as_table_{as_table} {}

  /// False: nobody reads any more.
  bool print(std::string_view text) {
    rest_ += text;
    std::string rows;
    std::size_t begin = 0;
    for (std::size_t end = 0; (end = rest_.find('\n', begin)) != std::string::npos; begin = end + 1) {
      const std::string line = rest_.substr(begin, end - begin);
      if (line.starts_with('{'))
        rows += as_table_ ? table_.add(parsed(line)) : line + "\n";
      else if (!line.empty())
        std::cerr << "weir tap: " << printable(line.starts_with('"') ? said(line) : line) << "\n";
    }
    rest_.erase(0, begin);
    std::cout << rows << std::flush;
    return std::cout.good();
  }

 private:
  std::string said(const std::string& line) {
    const rapidjson::Document& text = parsed(line);
    return text.IsString() ? text.GetString() : line;
  }
  rapidjson::Document& parsed(const std::string& line) {
    document_.Parse(line.c_str());
    if (document_.HasParseError()) document_.SetObject();
    return document_;
  }

  bool as_table_;
  RowTable table_;
  std::string rest_;
  rapidjson::Document document_;
};

/// "fleet.json:rows.late" as the file and the place; nothing if there is no place.
std::optional<std::pair<std::string, std::string>> split(const std::string& target) {
  const auto colon = target.rfind(':');
  if (colon == std::string::npos || colon == 0 || colon + 1 == target.size()) return {};
  return std::pair{target.substr(0, colon), target.substr(colon + 1)};
}

int end(const std::string& message, int exit) {
  std::cerr << "weir tap: " << message << "\n";
  return exit;
}

/// Who has seen enough has made no mistake.
void end_quietly_on_signals() {
  for (const int one : {SIGINT, SIGTERM}) ::signal(one, [](int) { ::_exit(fine); });
}

int tap(const TapOptions& options, const Registry& registry) {
  const auto target = split(options.target);
  if (!target) return end("say what to look at as FILE:NODE or FILE:NODE.PORT, e.g. fleet.json:rows.late", usage);
  const auto& [file, place] = *target;
  const LoadedPipeline loaded = load_pipeline(file, options.pipeline, registry, false);
  if (!loaded.checked.pipeline) {
    print_findings(loaded);
    return bad_pipeline;
  }
  const auto is_plain = [](char c) {
    return is_digit(c) || (lower(c) >= 'a' && lower(c) <= 'z') || c == '-' || c == '_' || c == '.';
  };
  if (!std::ranges::all_of(place, is_plain)) return end("there is no node or port " + weir::quoted(place), usage);
  auto client = ConsoleClient::at(options.http);
  if (!client) return end("--http: " + client.error().message, usage);
  std::multimap<std::string, std::string> query;
  for (const std::string& key : options.keys) query.emplace("key", key);
  for (const std::string& field : options.fields) query.emplace("field", field);
  if (!options.share.empty()) query.emplace("share", options.share);
  if (!options.limit.empty()) query.emplace("limit", options.limit);
  end_quietly_on_signals();
  Printer printer{options.format == "text"};
  const auto answer = client->follow(weir::format("/pipelines/{}/tap/{}", loaded.checked.pipeline->name, place), query,
                                     [&](std::string_view text) { return printer.print(text); });
  if (!std::cout) return closed_pipe;
  if (!answer) return failed("weir tap", answer.error());
  if (answer->status == 200) return fine;
  const bool asked_wrongly = answer->status == 400 || answer->status == 404;
  return end(answer->body.substr(0, answer->body.find('\n')), asked_wrongly ? usage : unreachable);
}

}  // namespace

void add_tap(Arguments& program, Session& session) {
  auto options = std::make_shared<TapOptions>();
  auto command = program.command("tap", "shows rows as they pass a node of a running worker, without holding it up");
  command.needs("place", options->target, "pipeline file and node, or port of it: fleet.json:rows.late");
  add_pipeline_options(command, options->pipeline);
  command.option("--http", options->http, "where the worker serves its pages; without, localhost:8080");
  command.option("--key", options->keys, "only rows of this vehicle; may be given again");
  command.option("--field", options->fields, "only samples of this field; may be given again");
  command.option("--share", options->share, "only this share of the vehicles, always the same ones: 0.1");
  command.option("--limit", options->limit, "ends after so many rows");
  command.choice("--format", options->format, {"text", "json"}, "JSON: a line for each row");
  command.does([options, &session] { session.exit = tap(*options, session.registry); });
}

}  // namespace weir::cli
