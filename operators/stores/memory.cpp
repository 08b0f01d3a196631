#include <map>
#include <mutex>

#include <weir/operator.hpp>

namespace {
using namespace weir;

class Memory final : public Store {
 public:
  explicit Memory(const Settings&) {}

  Result<void> open() override { return {}; }
  Result<void> put(std::string_view name, std::string_view value) override {
    const std::scoped_lock lock{mutex_};
    values_.insert_or_assign(std::string{name}, std::string{value});
    return {};
  }
  Result<std::optional<std::string>> get(std::string_view name) override {
    const std::scoped_lock lock{mutex_};
    const auto it = values_.find(name);
    return it == values_.end() ? std::nullopt : std::optional{it->second};
  }
  Result<void> remove(std::string_view name) override {
    const std::scoped_lock lock{mutex_};
    if (const auto it = values_.find(name); it != values_.end()) values_.erase(it);
    return {};
  }
  Result<std::vector<std::string>> names(std::string_view prefix) override {
    const std::scoped_lock lock{mutex_};
    std::vector<std::string> out;
    for (auto it = values_.lower_bound(prefix); it != values_.end() && it->first.starts_with(prefix); ++it) {
      out.push_back(it->first);
    }
    return out;
  }
  bool durable() const override { return false; }

 private:
  std::mutex mutex_;
  std::map<std::string, std::string, std::less<>> values_;
};

const Spec spec = Spec::store("keeps values in the worker's memory")
                      .details(
                          "Nothing outlives the process: after a restart a lane has no snapshot and reads its stream "
                          "from the beginning, if the stream still has it.")
                      .example(R"({ "store": "memory" })");
}  // namespace

WEIR_OPERATOR(stores, memory, Memory, spec)
