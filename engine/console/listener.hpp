/// Accepts connections and waits for their requests.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <weir/types.hpp>

#include "console/address.hpp"

namespace weir {

/// A connection whose request has come as far as the end of its head; nothing of it has been read yet.
struct Connection {
  int socket = -1;             ///< the receiver's, who closes it
  std::string remote_address;  ///< numeric
  int remote_port = 0;
  std::string line;  ///< the first of the request: "GET /ping HTTP/1.1"
};

/// Listens on every address of a name. One thread waits for the heads of all requests, so a client that connects and
/// says nothing, or little by little, holds no thread of those that answer.
///
/// Bounds    a head has `patience` in all to come and at most 8 KiB; 512 connections wait at once. Beyond, the one that
///           has waited longest is closed.
/// Threads   has its own, in which `arrived` is called; that must not block.
class Listener {
 public:
  static constexpr Duration patience = 2 * second;

  /// Binds; accepts nothing before start(). Port 0 takes a free one, the same on all addresses. No host: the loopback
  /// addresses. unreachable: an address of the name can't be bound; says which and why.
  static Result<std::unique_ptr<Listener>> bind(const Address& at);
  ~Listener();  ///< closes what still waits

  void start(std::function<void(Connection)> arrived);
  int port() const;
  /// Numeric, as bound.
  const std::vector<std::string>& hosts() const;
  /// Whether other machines reach one of them.
  bool is_public() const;

 private:
  struct Impl;
  explicit Listener(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace weir
