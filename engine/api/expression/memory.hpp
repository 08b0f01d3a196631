/// What expressions that look back remember. Not for operators.
#pragma once

#include <vector>

#include <weir/key_blocks.hpp>
#include <weir/state.hpp>
#include <weir/text_pool.hpp>

#include "expression/block.hpp"

namespace weir::expression {

/// Per key, and of samples per field of it, an entry: what each slot held in the row before.
///
/// Threads   one at a time.
/// Bound     keys are those of the lane; an entry without a row for `forget` is forgotten.
class Memory {
 public:
  explicit Memory(Duration forget) : forget_{forget} {}
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  std::vector<Slot> slots;  ///< what bound expressions remember

  /// Finds the entries of a batch's rows, and makes those that there are not. All slots are bound.
  void begin(const Batch& batch);

  /// What the slot held in the row before, per row; then it holds these values.
  Values exchange(Block& block, std::size_t slot, const Values& values);

  void save(StateWriter& state) const;
  /// Reads what save() wrote into an empty object; false if it can't have been that. Keys are below `keys`. Slots are
  /// found again by what they mean; others begin without a value.
  bool load(StateReader& state, std::uint32_t keys);

  std::size_t keys() const { return live_; }
  std::size_t bytes() const { return entries_.bytes() + texts_.bytes() + fields_.bytes(); }

 private:
  using Word = std::uint64_t;
  struct Entry {
    Entry* next;  ///< of the same key
    Timestamp last_arrival;
    Word valid;  ///< a bit per slot
    std::uint32_t field;
    Word* words() { return reinterpret_cast<Word*>(this + 1); }
    const Word* words() const { return reinterpret_cast<const Word*>(this + 1); }
  };
  static_assert(sizeof(Entry) % alignof(Word) == 0);
  static constexpr std::uint32_t no_key = UINT32_MAX;

  /// A row of a batch: its entry, and whether what that held until then is forgotten.
  struct Row {
    Entry* entry;
    bool begins;
  };

  std::size_t entry_bytes() const { return sizeof(Entry) + slots.size() * sizeof(Word); }
  static bool is_text(const Slot& slot) { return slot.type == Type::string || slot.type == Type::dictionary; }
  bool load_entry(StateReader& state, std::span<const Slot> kept, std::uint32_t key);
  Row find(std::uint32_t key, std::uint32_t field, Timestamp arrival);
  Entry* make(std::uint32_t key, std::uint32_t field);
  void number_fields(const Ids& fields);
  void sweep(Timestamp arrival);
  template <typename T, typename Load, typename Store>
  const T* exchanged(Block& block, std::size_t slot, const Values& values, Byte* valid, Load load, Store store);

  Duration forget_;
  KeyBlocks<Entry> entries_;  ///< the first of each key
  TextPool texts_;
  std::size_t live_ = 0;  ///< keys that have an entry
  std::uint32_t hand_ = 0;
  std::vector<Row> rows_;  ///< of the batch that began last
  /// Ids of fields change with their table, and state must outlive it.
  Dictionary fields_;
  std::weak_ptr<const Dictionary> numbered_;
  std::vector<std::uint32_t> numbers_;  ///< in fields_, by id in `numbered_`
};

}  // namespace weir::expression

struct weir::History::Memory : weir::expression::Memory {
  using weir::expression::Memory::Memory;
};
