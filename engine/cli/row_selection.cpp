#include "cli/row_selection.hpp"

#include <stdlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <utility>

#include <weir/format.hpp>
#include <weir/spelling.hpp>

#include "cli/node_text.hpp"
#include "console/json_writer.hpp"

namespace weir::cli {
namespace {

constexpr std::size_t most_rows = 20;

std::string_view named(Comparison::Row::What what) {
  switch (what) {
    case Comparison::Row::What::missing:
      return "missing";
    case Comparison::Row::What::unexpected:
      return "unexpected";
    case Comparison::Row::What::changed:
      break;
  }
  return "changed";
}

std::string listed(const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& name : names) out += (out.empty() ? "" : ", ") + name;
  return out;
}

std::string shown(const Comparison::Row& row) {
  std::string out = weir::format("  {:<10}  {}", named(row.what), row.at);
  for (const Comparison::Cell& cell : row.cells) {
    const std::string expected = cell.expected.value_or("NULL"), got = cell.got.value_or("NULL");
    out += weir::format("  {}: ", cell.column);
    out += row.what == Comparison::Row::What::changed   ? weir::format("{} → {}", expected, got)
           : row.what == Comparison::Row::What::missing ? expected
                                                        : got;
  }
  return out + "\n";
}

void write(const Comparison::Row& row, JsonWriter& out) {
  out.object([&] {
    out.text("what", std::string{named(row.what)});
    out.text("at", row.at);
    out.key("cells").array([&] {
      for (const Comparison::Cell& cell : row.cells) {
        out.object([&] {
          out.text("column", cell.column);
          out.text("expected", cell.expected);
          out.text("got", cell.got);
        });
      }
    });
  });
}

void write(std::string_view node, const std::string& file, const Comparison& comparison, JsonWriter& out) {
  const auto names = [&](const char* name, const std::vector<std::string>& all) {
    out.key(name).array([&] {
      for (const std::string& one : all) out.text(one);
    });
  };
  out.object([&] {
    out.text("node", std::string{node});
    out.text("compared_with", file);
    out.key("equal").flag(comparison.equal());
    out.number("rows", comparison.rows);
    out.number("expected", comparison.expected);
    out.number("changed", comparison.changed);
    out.number("missing", comparison.missing);
    out.number("unexpected", comparison.unexpected);
    names("columns_missing", comparison.columns_missing);
    names("columns_unexpected", comparison.columns_unexpected);
    out.key("first").array([&] {
      for (const Comparison::Row& row : comparison.first) write(row, out);
    });
  });
}

bool is_name(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  });
}

/// Ids of the sinks that write rows.
std::vector<std::string> row_sinks(const Document& pipeline, const Registry& registry) {
  std::vector<std::string> out;
  const Value* nodes = pipeline.root.find("nodes");
  if (nodes == nullptr) return out;
  for (const Value& node : nodes->items) {
    const Value *id = node.find("id"), *name = node.find(to_string(Role::sink));
    if (id == nullptr || name == nullptr) continue;
    const Operator* op = registry.find(Role::sink, name->text);
    if (op == nullptr || !op->spec.of_messages) out.push_back(id->text);
  }
  return out;
}

}  // namespace

std::string shown(std::string_view node, const Comparison& comparison) {
  if (comparison.equal()) return weir::format("{}: {} rows, all as expected\n", node, comparison.rows);
  std::string out =
      weir::format("{}: {} rows, {} expected: {} changed, {} missing, {} unexpected\n", node, comparison.rows,
                   comparison.expected, comparison.changed, comparison.missing, comparison.unexpected);
  const auto columns = [&](std::string_view what, const std::vector<std::string>& names) {
    if (!names.empty())
      out += weir::format("  {:<10}  column{} {}\n", what, names.size() == 1 ? "" : "s", listed(names));
  };
  columns("missing", comparison.columns_missing);
  columns("unexpected", comparison.columns_unexpected);
  for (const Comparison::Row& row : comparison.first) out += shown(row);
  const std::uint64_t all = comparison.changed + comparison.missing + comparison.unexpected;
  if (all > comparison.first.size()) out += weir::format("  … {} more\n", all - comparison.first.size());
  return out;
}

/// A folder that nobody else can look into.
struct RowSelection::Folder {
  explicit Folder(std::string at) : path{std::move(at)} {}
  ~Folder() {
    std::error_code problem;
    if (!stays) std::filesystem::remove_all(path, problem);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  std::string path;
  bool stays = false;
};

Result<RowSelection> RowSelection::of(const std::vector<std::string>& saves,
                                      const std::vector<std::string>& differences, const Document& pipeline,
                                      const Registry& registry) {
  RowSelection out;
  for (const std::string_view name : registry.names(Role::sink)) {
    if (registry.find(Role::sink, name)->spec.kept_rows.compare) out.rows_operator_ = name;
  }
  const Operator* rows_op = registry.find(Role::sink, out.rows_operator_);
  if (rows_op == nullptr) {
    if (saves.empty() && differences.empty()) return out;
    return fail(Error::Kind::refused, "no sink of this weir keeps rows in a file, to save and compare them");
  }
  const auto sinks = row_sinks(pipeline, registry);
  const auto add = [&](const std::string& text, bool save) -> Result<void> {
    const std::string option = save ? "--save " : "--diff ";
    const std::size_t equals = text.find('=');
    const bool names = equals != std::string::npos && is_name(std::string_view{text}.substr(0, equals));
    Entry entry{names ? text.substr(0, equals) : "", names ? text.substr(equals + 1) : text, save};
    if (!names && sinks.size() == 1) entry.node = sinks.front();
    if (entry.node.empty() || entry.file.empty()) {
      return fail(Error::Kind::invalid, weir::format("{}{}: say of which sink: {}NODE=FILE, NODE one of {}", option,
                                                     text, option, listed(sinks)));
    }
    if (!std::ranges::contains(sinks, entry.node))
      return fail(Error::Kind::invalid, weir::format("{}{}: there is no sink {} that writes rows; there are: {}",
                                                     option, text, weir::quoted(entry.node), listed(sinks)));
    const auto& endings = save ? rows_op->spec.kept_rows.saved_as : rows_op->spec.kept_rows.compared_with;
    if (std::ranges::none_of(endings, [&](const std::string& ending) { return entry.file.ends_with(ending); })) {
      return fail(Error::Kind::invalid,
                  weir::format("{}{}: the file's name must end in one of {}", option, text, listed(endings)));
    }
    std::error_code problem;
    if (!save && !std::filesystem::exists(entry.file, problem))
      return fail(Error::Kind::refused, weir::format("{}{}: there is no file {}", option, text, entry.file));
    out.selection_.push_back(std::move(entry));
    return {};
  };
  // Compared first: a file may be compared with, and replaced.
  for (const auto* all : {&differences, &saves}) {
    for (const std::string& text : *all) {
      if (auto added = add(text, all == &saves); !added) return std::unexpected(added.error());
    }
  }
  return out;
}

bool RowSelection::about(std::string_view node) const { return std::ranges::contains(selection_, node, &Entry::node); }

Result<std::string> RowSelection::private_file(const std::string& node) {
  if (!folder_) {
    std::error_code problem;
    std::string path = (std::filesystem::temp_directory_path(problem) / "weir-replay-XXXXXX").string();
    if (problem || ::mkdtemp(path.data()) == nullptr) {
      return fail(Error::Kind::refused, weir::format("can't make a folder for the rows ({}): {}; TMPDIR says where",
                                                     path, problem ? problem.message() : std::strerror(errno)));
    }
    folder_ = std::make_shared<Folder>(std::move(path));
  }
  return folder_->path + "/" + node + "." + rows_operator_;
}

int RowSelection::carry_out(const Pipeline& pipeline, bool json) const {
  int exit = fine;
  JsonWriter out;
  const auto all = [&] { exit = carry_out(pipeline, json ? &out : nullptr); };
  if (!json) return all(), exit;
  out.array(all);
  std::cout << out.result() << '\n';
  return exit;
}

int RowSelection::carry_out(const Pipeline& pipeline, JsonWriter* json) const {
  int exit = fine;
  const auto complain = [&](const Error& error) {
    std::cerr << "weir replay: " << error.message << "\n";
    exit = error.kind == Error::Kind::invalid ? usage : internal;
  };
  for (const Entry& entry : selection_) {
    const auto node = std::ranges::find(pipeline.nodes, entry.node, &Node::id);
    const bool keeps = node != pipeline.nodes.end() && node->op->spec.kept_rows.compare;
    if (!keeps) {
      complain({Error::Kind::invalid,
                weir::format("{} keeps no rows to save or compare: let it be a sink {}", entry.node, rows_operator_)});
      continue;
    }
    const KeptRows& rows = node->op->spec.kept_rows;
    if (entry.save) {
      const auto saved = rows.save(node->settings, entry.file);
      if (saved && json != nullptr)
        json->object([&] {
          json->text("node", entry.node);
          json->text("saved_in", entry.file);
          json->number("rows", *saved);
        });
      else if (saved)
        std::cerr << weir::format("weir replay: {} rows of {} are in {}\n", *saved, entry.node, entry.file);
      else
        complain(saved.error());
    } else if (const auto compared = rows.compare(node->settings, entry.file, most_rows); !compared) {
      complain(compared.error());
    } else {
      if (json != nullptr)
        write(entry.node, entry.file, *compared, *json);
      else
        std::cout << cli::shown(entry.node, *compared);
      if (!compared->equal() && exit == fine) exit = findings;
    }
    const auto letters = folder_ ? rows.dead_letters(node->settings) : Result<std::uint64_t>{0};
    if (letters && *letters > 0 && !std::exchange(folder_->stays, true))
      std::cerr << weir::format("weir replay: dead letters are in {}, which stays\n", folder_->path);
  }
  return exit;
}

}  // namespace weir::cli
