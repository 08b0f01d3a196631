#include <weir/dictionary.hpp>

#include <algorithm>
#include <bit>
#include <cstring>

namespace weir {
namespace {

constexpr std::size_t first_block = 1u << 10;
constexpr std::size_t largest_block = 256u << 10;

std::uint64_t read64(const char* from) {
  std::uint64_t value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

std::uint64_t fold(std::uint64_t a, std::uint64_t b) {
  __extension__ using Wide = unsigned __int128;
  const Wide product = static_cast<Wide>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

/// Multiply and fold, 16 bytes a step. `seed` differs per table, so that keys that collide here can't be prepared.
std::uint32_t hash_of(std::string_view text, std::uint64_t seed) {
  constexpr std::uint64_t p0 = 0xa0761d6478bd642fULL;
  constexpr std::uint64_t p1 = 0xe7037ed1a0b428dbULL;
  const char* at = text.data();
  std::size_t left = text.size();
  std::uint64_t state = seed ^ p0;
  for (; left > 16; at += 16, left -= 16) state = fold(read64(at) ^ p1, read64(at + 8) ^ state);
  std::uint64_t a = 0;
  std::uint64_t b = 0;
  if (left >= 8) {
    a = read64(at);
    b = read64(at + left - 8);
  } else if (left >= 4) {
    std::uint32_t low = 0;
    std::uint32_t high = 0;
    std::memcpy(&low, at, 4);
    std::memcpy(&high, at + left - 4, 4);
    a = low;
    b = high;
  } else if (left > 0) {
    const auto byte = [&](std::size_t i) { return static_cast<std::uint64_t>(static_cast<unsigned char>(at[i])); };
    a = byte(0) << 16 | byte(left >> 1) << 8 | byte(left - 1);
  }
  const std::uint64_t hash = fold(p1 ^ text.size(), fold(a ^ p1, b ^ state));
  return static_cast<std::uint32_t>(hash ^ (hash >> 32));
}

}  // namespace

Dictionary::Dictionary(std::uint32_t limit)
    : limit_{limit}, chunks_((static_cast<std::size_t>(limit) + chunk_size - 1) / chunk_size), slots_(64) {
  bytes_ = chunks_.size() * sizeof(chunks_[0]) + slots_.size() * sizeof(Slot);
}

Dictionary::~Dictionary() {
  for (auto& chunk : chunks_) delete[] chunk.load(std::memory_order_relaxed);
}

std::optional<std::uint32_t> Dictionary::find(std::string_view text) const {
  const std::uint32_t hash = hash_of(text, std::bit_cast<std::uintptr_t>(this));
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t i = hash & mask; slots_[i].id_plus_one != 0; i = (i + 1) & mask) {
    const Slot& slot = slots_[i];
    if (slot.hash == hash && at(slot.id_plus_one - 1) == text) return slot.id_plus_one - 1;
  }
  return std::nullopt;
}

std::optional<std::uint32_t> Dictionary::intern(std::string_view text) {
  const std::uint32_t hash = hash_of(text, std::bit_cast<std::uintptr_t>(this));
  const std::size_t mask = slots_.size() - 1;
  std::size_t i = hash & mask;
  for (; slots_[i].id_plus_one != 0; i = (i + 1) & mask) {
    const Slot& slot = slots_[i];
    if (slot.hash == hash && at(slot.id_plus_one - 1) == text) return slot.id_plus_one - 1;
  }
  const std::uint32_t id = size_.load(std::memory_order_relaxed);
  if (id >= limit_) return std::nullopt;

  auto& chunk = chunks_[id >> chunk_bits];
  std::string_view* views = chunk.load(std::memory_order_relaxed);
  if (views == nullptr) {
    views = new std::string_view[chunk_size];
    bytes_.fetch_add(chunk_size * sizeof(std::string_view), std::memory_order_relaxed);
  }
  views[id & chunk_mask] = store(text);
  chunk.store(views, std::memory_order_release);
  size_.store(id + 1, std::memory_order_release);
  slots_[i] = {hash, id + 1};
  if ((static_cast<std::size_t>(id) + 1) * 5 > slots_.size() * 3) grow();
  return id;
}

std::string_view Dictionary::store(std::string_view text) {
  if (text.empty()) return {};
  if (arena_.empty() || arena_size_ - arena_used_ < text.size()) {
    const std::size_t doubled = std::clamp(arena_size_ * 2, first_block, largest_block);
    arena_size_ = std::max(doubled, text.size());
    arena_used_ = 0;
    arena_.push_back(std::make_unique_for_overwrite<char[]>(arena_size_));
    bytes_.fetch_add(arena_size_, std::memory_order_relaxed);
  }
  char* to = arena_.back().get() + arena_used_;
  std::memcpy(to, text.data(), text.size());
  arena_used_ += text.size();
  return {to, text.size()};
}

void Dictionary::grow() {
  std::vector<Slot> wider(slots_.size() * 2);
  const std::size_t mask = wider.size() - 1;
  for (const Slot& slot : slots_) {
    if (slot.id_plus_one == 0) continue;
    std::size_t i = slot.hash & mask;
    while (wider[i].id_plus_one != 0) i = (i + 1) & mask;
    wider[i] = slot;
  }
  bytes_.fetch_add(slots_.size() * sizeof(Slot), std::memory_order_relaxed);
  slots_ = std::move(wider);
}

}  // namespace weir
