/// Messages as a source received them, before decoding.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <weir/types.hpp>

namespace weir {

/// One message. The views live as long as the Messages that holds it.
struct Message {
  std::string_view subject = {};  ///< as published; for a partition stream without its `p.<k>.` prefix
  std::string_view payload = {};
  Position sequence = 0;        ///< place in its partition; ascending, each once
  Timestamp arrival = no_time;  ///< the stream's own timestamp (core NATS: receipt). It may go back, as a new leader's
                                ///< clock does; the engine makes of it the greatest so far in the partition
  std::string_view key = {};    ///< the token that `subject` says is the key; empty if there is none
  std::string_view field = {};  ///< the token that `subject` says is the field; empty if there is none
  bool marker = false;          ///< says only that arrival time has come this far; nothing to decode
  bool own_marker = false;      ///< and this instance of the source wrote it
  std::string_view refused = {};  ///< not empty: the source can't accept it and this is why, as Reason::text(); it goes
                                  ///< to dead letters
  std::span<const std::pair<std::string_view, std::string_view>> headers = {};
};

/// A pull's worth of messages and whatever keeps their bytes alive.
struct Messages {
  std::vector<Message> items;
  std::shared_ptr<const void> owner;
};

}  // namespace weir
