/// What commands print with `--format json`, and pages serve: names never change, instants are RFC 3339, what is not
/// known is null.
#pragma once

#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <weir/rfc3339.hpp>
#include <weir/types.hpp>

namespace weir {

/// One JSON value, written from its beginning to its end.
class JsonWriter {
 public:
  JsonWriter() { json_.SetMaxDecimalPlaces(3); }

  /// `fill` writes what is inside.
  template <typename Fill>
  void object(const Fill& fill) {
    json_.StartObject();
    fill();
    json_.EndObject();
  }
  template <typename Fill>
  void array(const Fill& fill) {
    json_.StartArray();
    fill();
    json_.EndArray();
  }

  /// The name of what is written next.
  JsonWriter& key(std::string_view name) {
    json_.Key(name.data(), static_cast<rapidjson::SizeType>(name.size()));
    return *this;
  }
  void text(std::string_view value) { json_.String(value.data(), static_cast<rapidjson::SizeType>(value.size())); }
  void text(std::string_view name, const std::optional<std::string>& value) {
    key(name);
    value ? text(*value) : (void)json_.Null();
  }
  void flag(bool value) { json_.Bool(value); }
  void time(std::string_view name, Timestamp value) {
    text(name, value == no_time ? std::nullopt : std::optional{format_rfc3339(value)});
  }
  void number(std::string_view name, std::uint64_t value) {
    key(name);
    json_.Uint64(value);
  }
  void seconds(std::string_view name, std::optional<Duration> value) {
    key(name);
    value ? json_.Double(static_cast<double>(*value) / static_cast<double>(second)) : json_.Null();
  }

  std::string_view result() const { return {buffer_.GetString(), buffer_.GetSize()}; }

 private:
  rapidjson::StringBuffer buffer_;
  rapidjson::Writer<rapidjson::StringBuffer> json_{buffer_};
};

}  // namespace weir
