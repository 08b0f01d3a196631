#include <weir/blocks.hpp>

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cassert>

namespace weir {
namespace {

constexpr std::size_t page = 4096;
constexpr std::size_t huge_page = 2u << 20;

std::size_t alignment(std::size_t slab) { return slab >= huge_page ? huge_page : page; }

}  // namespace

Blocks::~Blocks() {
  for (const auto& [slab, size] : slabs_) ::operator delete(slab, std::align_val_t{alignment(size)});
}

std::size_t Blocks::rounded(std::size_t bytes) {
  if (bytes <= small) return std::max((bytes + half_line - 1) / half_line, std::size_t{1}) * half_line;
  const std::size_t lines = (bytes + line - 1) / line;
  const std::size_t step = std::bit_floor(lines) / 4;  // four sizes for each doubling
  return (lines + step - 1) / step * step * line;
}

std::size_t Blocks::class_of(std::size_t rounded_bytes) {
  if (rounded_bytes <= small) return rounded_bytes / half_line - 1;
  const std::size_t lines = rounded_bytes / line;
  const auto doubling = static_cast<std::size_t>(std::bit_width(lines)) - 6;  // 33..63 lines: 0
  return small / half_line + doubling * 4 + (lines >> (doubling + 3)) - 4;
}

void* Blocks::take(std::size_t bytes) {
  const std::size_t size = rounded(bytes);
  used_ += size;
  if (size > largest) {
    held_ += size;
    return ::operator new(size, std::align_val_t{page});
  }
  Free*& head = free_[class_of(size)];
  if (head != nullptr) return std::exchange(head, head->next);
  if (rest_ % line != 0 && size % line == 0) {  // slabs end at a line
    Free*& half = free_[class_of(half_line)];
    half = new (next_) Free{half};
    next_ += half_line;
    rest_ -= half_line;
  }
  if (rest_ < size) add_slab(size);
  rest_ -= size;
  return std::exchange(next_, next_ + size);
}

void Blocks::give(void* block, std::size_t bytes) {
  const std::size_t size = rounded(bytes);
  assert(used_ >= size);
  used_ -= size;
  if (size > largest) {
    held_ -= size;
    ::operator delete(block, std::align_val_t{page});
    return;
  }
  Free*& head = free_[class_of(size)];
  head = new (block) Free{head};
}

void Blocks::add_slab(std::size_t at_least) {
  std::size_t size = slabs_.empty() ? first_slab : std::min(slabs_.back().second * 2, largest_slab);
  size = std::max(size, std::bit_ceil(at_least));
  void* slab = ::operator new(size, std::align_val_t{alignment(size)});
  // Keys are met in random order: without huge pages every one of them costs walks of the page table.
  if (size >= huge_page) (void)madvise(slab, size, MADV_HUGEPAGE);
  slabs_.emplace_back(slab, size);
  held_ += size;
  next_ = static_cast<std::byte*>(slab);
  rest_ = size;
}

}  // namespace weir
