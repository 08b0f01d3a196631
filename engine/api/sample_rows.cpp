#include <weir/sample_rows.hpp>

namespace weir {

void KeyRuns::find(const SampleRows& rows) {
  const std::size_t size = rows.size();
  const std::uint32_t* keys = keys_ = rows.keys.ids.data();
  const Timestamp* arrival = rows.arrival.data();
  begins_.resize(size + 1);
  std::uint32_t* begins = begins_.data();
  std::size_t n = 1;
  begins[0] = 0;
  for (std::size_t row = 1; row < size; ++row) {
    begins[n] = static_cast<std::uint32_t>(row);  // written always, counted if it is one: no branch to mispredict
    n += keys[row] != keys[row - 1] || arrival[row] != arrival[row - 1];
  }
  begins[n] = static_cast<std::uint32_t>(size);
  begins_.resize(n + 1);
}

}  // namespace weir
