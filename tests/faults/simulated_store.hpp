/// A store in memory that several workers use, each over its own wire, and by which they may share partitions.
#pragma once

#include <functional>
#include <map>
#include <string>

#include <weir/store.hpp>

#include "faults/misfortune.hpp"

namespace weir::faults {

/// What the workers' stores have in common.
struct Stored {
  struct Value {
    std::string text;
    std::uint64_t revision = 0;
    Timestamp changed = 0;
  };
  std::map<std::string, Value, std::less<>> values;
  std::uint64_t last_revision = 0;
  Timestamp now = 0;
  std::string violation;  ///< a lease that was taken while it ran, a snapshot removed that is named; empty: neither
  std::function<bool(std::string_view)> named = [](std::string_view) { return false; };  ///< by a database

  /// A snapshot that is whole: its manifest is written last.
  bool has(const std::string& snapshot) const { return values.contains(snapshot + "/manifest"); }

  std::uint64_t put(std::string_view name, std::string_view text) {
    values[std::string{name}] = {std::string{text}, ++last_revision, now};
    return last_revision;
  }
};

/// Answers, or does not.
class SimulatedStore final : public Store {
 public:
  /// `shortest`: how long a lease must have been unchanged at the least before another may take it.
  SimulatedStore(Stored& stored, Wire& wire, Duration shortest) : stored_{stored}, wire_{wire}, shortest_{shortest} {}

  Result<void> open() override { return {}; }
  Result<void> put(std::string_view name, std::string_view text) override {
    return wire_.ask([&]() -> Result<void> {
      stored_.put(name, text);
      return {};
    });
  }
  Result<std::optional<std::string>> get(std::string_view name) override {
    return newest(name).transform([](auto value) { return value ? std::optional{value->value} : std::nullopt; });
  }
  Result<void> remove(std::string_view name) override {
    return wire_.ask([&]() -> Result<void> {
      if (stored_.named(name.substr(0, name.find('/'))))
        stored_.violation = std::string{name} + " was removed while a database named it";
      if (const auto value = stored_.values.find(name); value != stored_.values.end()) stored_.values.erase(value);
      return {};
    });
  }
  Result<std::vector<std::string>> names(std::string_view prefix) override {
    return wire_.ask([&]() -> Result<std::vector<std::string>> {
      std::vector<std::string> out;
      for (auto it = stored_.values.lower_bound(prefix); it != stored_.values.end() && it->first.starts_with(prefix);
           ++it)
        out.push_back(it->first);
      return out;
    });
  }
  bool durable() const override { return true; }
  Duration lease() const override { return lease_length; }
  Result<std::optional<Versioned>> newest(std::string_view name) override {
    return wire_.ask([&]() -> Result<std::optional<Versioned>> {
      const auto value = stored_.values.find(name);
      if (value == stored_.values.end()) return std::nullopt;
      return Versioned{value->second.text, value->second.revision};
    });
  }
  Result<std::optional<std::uint64_t>> put_if(std::string_view name, std::string_view text,
                                              std::uint64_t revision) override {
    return wire_.ask([&]() -> Result<std::optional<std::uint64_t>> {
      const auto value = stored_.values.find(name);
      const bool there = value != stored_.values.end();
      if ((there ? value->second.revision : 0) != revision) return std::nullopt;
      const bool taken = there && name.contains(".lease.") && !value->second.text.empty() && !text.empty() &&
                         value->second.text != text;
      if (taken && stored_.now - value->second.changed < shortest_)
        stored_.violation = std::string{name} + " was taken from " + value->second.text + ", whose lease ran";
      return stored_.put(name, text);
    });
  }

 private:
  Stored& stored_;
  Wire& wire_;
  Duration shortest_;
};

}  // namespace weir::faults
