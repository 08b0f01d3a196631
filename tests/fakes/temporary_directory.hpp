/// A directory for a test's files, removed with the object.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>

namespace weir::fakes {

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    if (::mkdtemp(path_.data()) == nullptr) throw std::runtime_error{"can't make " + path_};
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  const std::string& path() const { return path_; }
  std::string file(const std::string& name) const { return path_ + "/" + name; }
  /// Replaces the file as a whole; answers its path.
  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream{file(name + ".new")} << text;
    std::filesystem::rename(file(name + ".new"), file(name));
    return file(name);
  }

 private:
  std::string path_ = (std::filesystem::temp_directory_path() / "weir-test-XXXXXX").string();
};

}  // namespace weir::fakes
