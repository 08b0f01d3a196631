/// Lane state as bytes: what save() writes, load() reads back.
#pragma once

#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include <weir/types.hpp>

namespace weir {

/// Appends values in the machine's byte order (snapshots are read by the same build and platform; the fingerprint says
/// so).
class StateWriter {
 public:
  template <typename T>
    requires std::is_trivially_copyable_v<T>
  void put(const T& value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  template <typename T>
    requires std::is_trivially_copyable_v<T>
  void put_all(std::span<const T> values) {
    put(static_cast<std::uint64_t>(values.size()));
    bytes_.append(reinterpret_cast<const char*>(values.data()), values.size_bytes());
  }
  void put_text(std::string_view text) { put_all(std::span<const char>{text}); }
  const std::string& bytes() const { return bytes_; }
  std::string take() { return std::move(bytes_); }

 private:
  std::string bytes_;
};

/// Reads what a StateWriter wrote. After reading past the end every value is zero and ok() is false; check it once.
class StateReader {
 public:
  explicit StateReader(std::string_view bytes) : rest_{bytes} {}

  template <typename T>
    requires std::is_trivially_copyable_v<T>
  T get() {
    T value{};
    if (need(sizeof value)) {
      std::memcpy(&value, rest_.data(), sizeof value);
      rest_.remove_prefix(sizeof value);
    }
    return value;
  }
  /// The bytes of a put_all() or put_text(), valid as long as the reader's input.
  std::string_view get_text() { return raw(get<std::uint64_t>()); }
  template <typename Container>
  void get_all(Container& out) {
    using T = typename Container::value_type;
    const auto count = get<std::uint64_t>();
    if (count > rest_.size() / sizeof(T)) {
      ok_ = false;
      return;
    }
    out.resize(count);
    if (count != 0) std::memcpy(out.data(), rest_.data(), count * sizeof(T));
    rest_.remove_prefix(count * sizeof(T));
  }
  bool ok() const { return ok_; }
  bool at_end() const { return rest_.empty(); }

 private:
  bool need(std::size_t size) {
    if (rest_.size() < size) {
      ok_ = false;
      rest_ = {};
    }
    return ok_;
  }
  std::string_view raw(std::uint64_t size) {
    if (!need(size)) return {};
    const auto text = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return text;
  }

  std::string_view rest_;
  bool ok_ = true;
};

}  // namespace weir
