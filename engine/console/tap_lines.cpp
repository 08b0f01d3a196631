#include "console/tap_lines.hpp"

#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include <charconv>

#include <weir/format.hpp>
#include <weir/json_rows.hpp>
#include <weir/partition.hpp>
#include <weir/spelling.hpp>

namespace weir {
namespace {

template <typename Number>
bool read_number(const std::string& text, Number& number) {
  const char* end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, number);
  return read.ec == std::errc{} && read.ptr == end;
}

std::unexpected<Error> wrong(const std::string& name, const std::string& value, const char* what) {
  return fail(Error::Kind::invalid, weir::format("{}={}: {}", name, value, what));
}

/// The column that tells whose a row is; null if there is none.
const Column* text_column(const Batch& batch, std::string_view name) {
  const auto at = batch.schema->find(name);
  if (!at || !json::is_text(batch.schema->columns[*at].type)) return nullptr;
  return &batch.columns[*at];
}

bool contains(const std::set<std::string, std::less<>>& wanted, const Column* column, std::size_t row) {
  return wanted.empty() || (column != nullptr && column->valid(row) && wanted.contains(column->text(row)));
}

}  // namespace

Result<TapSelection> TapSelection::read(const std::multimap<std::string, std::string>& query) {
  TapSelection selection;
  for (const auto& [name, value] : query) {
    if (name == "key") {
      selection.keys.insert(value);
    } else if (name == "field") {
      selection.fields.insert(value);
    } else if (name == "share") {
      if (!read_number(value, selection.share) || !(selection.share >= 0 && selection.share <= 1))
        return wrong(name, value, "a share is a number from 0 to 1");
    } else if (name == "limit") {
      if (!read_number(value, selection.limit.emplace())) return wrong(name, value, "not a number of rows");
    } else {
      return wrong(name, value, "a tap takes key, field, share and limit");
    }
  }
  return selection;
}

Result<void> TapSelection::fits(const Schema& schema) const {
  if (!fields.empty() && !schema.find("field"))
    return fail(Error::Kind::invalid,
                "--field (field=): these rows are no samples, they have no column \"field\" to choose by");
  if ((!keys.empty() || share < 1) && !schema.find("key"))
    return fail(Error::Kind::invalid, "--key, --share (key=, share=): these rows have no column \"key\" to choose by");
  return {};
}

void TapLines::add(const Batch& batch, Timestamp now, std::string& out) {
  const Column* const key = text_column(batch, "key");
  const Column* const field = text_column(batch, "field");
  if (second_ == no_time || now - second_ >= second) {
    second_ = now;
    in_second_ = 0;
  }
  for (std::size_t row = 0; row < batch.rows && !enough(); ++row) {
    if (!contains(only_.keys, key, row) || !contains(only_.fields, field, row)) continue;
    if (only_.share < 1 && (key == nullptr || !key->valid(row) || !in_share(key->text(row), only_.share))) continue;
    if (in_second_ == most_rows) {
      ++missed_;
      continue;
    }
    json::append_row(batch, row, out, json::Style::evidence);
    out += '\n';
    ++in_second_;
    ++shown_;
  }
}

void TapLines::say(std::string_view news, std::string& out) {
  rapidjson::StringBuffer buffer;
  rapidjson::Writer<rapidjson::StringBuffer> json{buffer};
  json.String(news.data(), static_cast<rapidjson::SizeType>(news.size()));
  out.append(buffer.GetString(), buffer.GetSize()).append("\n");
}

void TapLines::tell(Timestamp now, bool last, std::string& out) {
  if (missed_ == 0 || (!last && told_ != no_time && now - told_ < second)) return;
  say(weir::format("{} row{} not shown; at most {} a second are", missed_, missed_ == 1 ? " was" : "s were", most_rows),
      out);
  missed_ = 0;
  told_ = now;
}

Result<void> may_tap(TapFrom from, const Client& client) {
  if (from == TapFrom::all) return {};
  if (from == TapFrom::nobody)
    return fail(Error::Kind::refused, "this worker shows its rows to nobody (weir run --tap none)");
  const auto is_loopback = [](std::string_view address) {
    if (address.starts_with("::ffff:")) address.remove_prefix(7);
    const bool is_number = address.find_first_not_of("0123456789.") == std::string_view::npos;
    return address == "::1" || (address.starts_with("127.") && is_number);
  };
  std::string_view name = client.host;
  if (name.starts_with('['))
    name = name.substr(1, std::max<std::size_t>(name.find(']'), 1) - 1);
  else
    name = name.substr(0, name.find(':'));
  if (is_loopback(client.address) && !client.passed_on && (name == "localhost" || is_loopback(name))) return {};
  return fail(Error::Kind::refused,
              "rows are positions of vehicles: this worker shows them on its own machine only, as localhost; there, or "
              "by kubectl exec or port-forward, they can be looked at, else with weir run --tap all");
}

}  // namespace weir
