/// Asks a running worker for what it serves on --http.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include <weir/types.hpp>

namespace weir {

struct Page {
  int status = 0;
  std::string body;
};

/// Threads   one.
/// Errors    unreachable: nobody answers, or what came ended in the middle.
class ConsoleClient {
 public:
  /// `address` is host:port, or :port of this machine. invalid: it is not.
  static Result<ConsoleClient> at(const std::string& address);
  ConsoleClient(ConsoleClient&&) noexcept;
  ~ConsoleClient();

  /// Waits some seconds at most.
  Result<Page> get(const std::string& path);

  /// A page that goes on, piece by piece as it comes, while `take` says true; one of another status than 200 as get()
  /// answers it. Ends with unreachable if nothing comes for longer than TapStream::longest_silence allows.
  Result<Page> follow(const std::string& path, const std::multimap<std::string, std::string>& query,
                      const std::function<bool(std::string_view)>& take);

 private:
  struct Impl;
  explicit ConsoleClient(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace weir
