#include <weir/settings.hpp>

#include <algorithm>
#include <stdexcept>

#include <weir/format.hpp>
#include <weir/spelling.hpp>

namespace weir {
namespace {

template <typename T>
const T& get(const Settings& settings, std::string_view name, const char* kind) {
  const Setting* value = settings.find(name);
  const T* held = value == nullptr ? nullptr : std::get_if<T>(value);
  if (held != nullptr) return *held;
  throw std::logic_error{weir::format("{} asks for its setting {} as {}, but {}", settings.whose(), quoted(name), kind,
                                      value == nullptr
                                          ? "there is none: its Spec does not declare it, or it was left out"
                                          : "its Spec declares another kind")};
}

}  // namespace

const Setting* Settings::find(std::string_view name) const {
  const auto it = std::ranges::find(values_, name, &std::pair<std::string, Setting>::first);
  return it == values_.end() ? nullptr : &it->second;
}

bool Settings::has(std::string_view name) const {
  const Setting* value = find(name);
  return value != nullptr && !std::holds_alternative<std::monostate>(*value);
}

void Settings::set(std::string_view name, Setting value) {
  const auto it = std::ranges::find(values_, name, &std::pair<std::string, Setting>::first);
  if (it != values_.end()) {
    it->second = std::move(value);
  } else {
    values_.emplace_back(std::string{name}, std::move(value));
  }
}

const std::string& Settings::text(std::string_view name) const { return get<std::string>(*this, name, "a text"); }

std::int64_t Settings::integer(std::string_view name) const { return get<std::int64_t>(*this, name, "an integer"); }

double Settings::number(std::string_view name) const {
  const Setting* value = find(name);
  if (value != nullptr && std::holds_alternative<std::int64_t>(*value)) {
    return static_cast<double>(std::get<std::int64_t>(*value));
  }
  return get<double>(*this, name, "a number");
}

bool Settings::boolean(std::string_view name) const { return get<bool>(*this, name, "true or false"); }

Duration Settings::duration(std::string_view name) const { return get<std::int64_t>(*this, name, "a duration"); }

std::uint64_t Settings::size(std::string_view name) const {
  return static_cast<std::uint64_t>(get<std::int64_t>(*this, name, "a size"));
}

const std::vector<std::string>& Settings::list(std::string_view name) const {
  return get<std::vector<std::string>>(*this, name, "a list of texts");
}

const Settings& Settings::object(std::string_view name) const {
  return *get<std::shared_ptr<const Settings>>(*this, name, "an object");
}

const std::vector<std::shared_ptr<const Settings>>& Settings::objects(std::string_view name) const {
  return get<std::vector<std::shared_ptr<const Settings>>>(*this, name, "a list of objects");
}

const std::vector<RowColumn>& Settings::columns(std::string_view name) const {
  return get<std::vector<RowColumn>>(*this, name, "a map of columns");
}

const Expression& Settings::expression(std::string_view name) const {
  return *get<std::shared_ptr<const Expression>>(*this, name, "an expression");
}

}  // namespace weir
