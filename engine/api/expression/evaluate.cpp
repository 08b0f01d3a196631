#include <array>
#include <cassert>
#include <utility>

#include "expression/memory.hpp"

namespace weir::expression {
namespace {

/// Calls use(block, values) for one block of rows after the other.
template <typename F>
void for_each_block(const Node& root, const Batch& batch, Memory* history, std::uint64_t& undefined, F&& use) {
  std::array<std::byte, 32 * block_rows> room;
  for (std::size_t begin = 0; begin < batch.rows; begin += block_rows) {
    std::pmr::monotonic_buffer_resource memory{room.data(), room.size()};
    Block block{batch, begin, std::min(block_rows, batch.rows - begin), &memory, history};
    use(block, block.values(root));
    undefined += block.undefined;
  }
}

template <typename T, typename Made, typename Blocks>
Column collected(const Blocks& blocks, std::size_t rows, Column (*finish)(Made, Validity)) {
  Made out;
  Validity valid;
  blocks([&](Block& block, const Values& values) {
    const T* const data = block.as<T>(values);
    if constexpr (std::is_same_v<T, Text>) {
      for (std::size_t i = 0; i < block.rows; ++i) out.push(values.valid[i] != 0 ? data[i] : Text{});
    } else {
      out.resize(rows);
      std::copy_n(data, block.rows, out.data() + block.begin);
    }
    if (values.valid == all_valid.data() && valid.all()) return;
    for (std::size_t i = 0; i < block.rows; ++i) valid.push(values.valid[i] != 0, block.begin + i);
  });
  return finish(std::move(out), std::move(valid));
}

bool any_looks_back(const Node& n) {
  return (n.form != nullptr && n.form->looks_back) || std::ranges::any_of(n.args, any_looks_back);
}

}  // namespace
}  // namespace weir::expression

namespace weir {

using namespace expression;

Expression::Expression(std::shared_ptr<const Program> program) : program_{std::move(program)} {}
Expression::Expression(const Expression&) = default;
Expression& Expression::operator=(const Expression&) = default;
Expression::Expression(Expression&&) noexcept = default;
Expression& Expression::operator=(Expression&&) noexcept = default;
Expression::~Expression() = default;

Result<Expression> Expression::compile(std::string_view text) {
  return expression::parse(text).transform([&](expression::Node&& root) {
    return Expression{std::make_shared<const Program>(std::string{text}, std::move(root))};
  });
}

Result<Expression> Expression::bind(const Schema& schema, History* history) const {
  Program bound = *program_;
  return expression::bind(bound.root, schema, history == nullptr ? nullptr : &history->memory_->slots).transform([&] {
    return Expression{std::make_shared<const Program>(std::move(bound))};
  });
}

const std::string& Expression::text() const { return program_->text; }
bool Expression::looks_back() const { return expression::any_looks_back(program_->root); }
Type Expression::type() const { return program_->root.type; }

Column Expression::evaluate(const Batch& batch, Evaluation& evaluation) const {
  const expression::Node& root = program_->root;
  if (root.is_name && root.column != arrival_column) return batch.columns[root.column];
  const auto blocks = [&](auto&& use) {
    for_each_block(root, batch, evaluation.history == nullptr ? nullptr : evaluation.history->memory_.get(),
                   evaluation.undefined, use);
  };
  if (root.type == Type::int64) return collected<std::int64_t>(blocks, batch.rows, Column::int64);
  if (root.type == Type::timestamp) return collected<std::int64_t>(blocks, batch.rows, Column::timestamp);
  if (root.type == Type::float64) return collected<double>(blocks, batch.rows, Column::float64);
  if (root.type == Type::boolean) return collected<Byte>(blocks, batch.rows, Column::boolean);
  return collected<Text>(blocks, batch.rows, Column::string);
}

std::vector<std::uint8_t> Expression::test(const Batch& batch, Evaluation& evaluation) const {
  assert(type() == Type::boolean);
  std::vector<std::uint8_t> out(batch.rows);
  for_each_block(program_->root, batch, evaluation.history == nullptr ? nullptr : evaluation.history->memory_.get(),
                 evaluation.undefined, [&](Block& block, const Values& values) {
                   std::copy_n(block.both(block.as<Byte>(values), values.valid), block.rows, out.data() + block.begin);
                 });
  return out;
}

Column Expression::evaluate(const Batch& batch) const {
  Evaluation evaluation;
  return evaluate(batch, evaluation);
}

std::vector<std::uint8_t> Expression::test(const Batch& batch) const {
  Evaluation evaluation;
  return test(batch, evaluation);
}

}  // namespace weir
