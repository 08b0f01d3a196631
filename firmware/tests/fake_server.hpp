/// A NATS server with one JetStream stream and a time server, behind a port in memory.
#pragma once

#include <charconv>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <weir/format.hpp>
#include <weir/operator.hpp>

#include "fakes/codecs.hpp"
#include "memory.h"

namespace weir {
Operator weir_operator_codecs_flatbuffers();
}

namespace weir::firmware {

/// One message that the client published.
struct Published {
  std::string subject, reply, headers, payload;
  std::string id() const {
    constexpr std::string_view name = "Nats-Msg-Id: ";
    const auto at = headers.find(name);
    if (at == std::string::npos) return {};
    return headers.substr(at + name.size(), headers.find("\r\n", at) - at - name.size());
  }
};

/// Reads what the client sends as strictly as a server in pedantic mode; std::runtime_error says what is wrong.
class FakeServer {
 public:
  FakeServer(WeirMemoryPort& memory, WeirPort& port) : memory_{memory} {
    weir_memory_port_init(&memory, &port);
    outgoing_.resize(1 << 16);
    memory_.outgoing = outgoing_.data();
    memory_.outgoing_capacity = static_cast<std::uint32_t>(outgoing_.size());
  }

  // What it answers; change it at any time.
  std::string info =
      R"({"server_id":"N","version":"2.14.3","proto":1,"headers":true,"max_payload":1048576,"nested":{"max_payload":1},"nonce":"bm9uY2U"})";
  bool stores = true, acknowledges = true, tells_time = true, accepts = true, pongs = true;
  std::string refusal;          ///< the answer instead of storing
  std::int64_t time_ahead = 0;  ///< of the port's clock

  std::vector<std::string> stored;  ///< samples, in the stream's order: "field time value"
  std::vector<Published> published;
  std::vector<std::string> lines;  ///< control lines of the client
  std::size_t duplicates = 0;
  std::vector<std::string> withheld;  ///< acknowledgements not sent yet

  /// Sends INFO on each new link, and answers what has arrived since the last step.
  void step() {
    if (memory_.opens != links_) {
      links_ = memory_.opens;
      text_.clear();
      subscriptions_.clear();
      incoming_.clear();
      under_way_.clear();
      memory_.incoming_at = 0;
      memory_.incoming_size = 0;
      memory_.outgoing_size = 0;
      if (greets) say("INFO " + info + "\r\n");
    }
    for (; !under_way_.empty() && under_way_.front().first <= memory_.now; under_way_.pop_front()) {
      arrive(under_way_.front().second);
    }
    text_.append(reinterpret_cast<const char*>(outgoing_.data()), memory_.outgoing_size);
    memory_.outgoing_size = 0;
    while (take_line()) {
    }
  }
  bool greets = true;

  /// Puts bytes on the link, where they take `delay`.
  void say(const std::string& bytes) {
    if (delay == 0) return arrive(bytes);
    under_way_.emplace_back(memory_.now + delay, bytes);
  }

  std::int64_t delay = 0;

  /// A message to each subscription that matches.
  void deliver(const std::string& subject, const std::string& payload, const std::string& headers = {}) {
    for (const auto& [sid, pattern] : subscriptions_) {
      if (!matches(pattern, subject)) continue;
      const auto sizes = headers.empty() ? "" : std::to_string(headers.size()) + " ";
      say(weir::format("{}MSG {} {} {}{}\r\n{}{}\r\n", headers.empty() ? "" : "H", subject, sid, sizes,
                       headers.size() + payload.size(), headers, payload));
    }
  }

 private:
  void arrive(const std::string& bytes) {
    incoming_.append(bytes);
    memory_.incoming = reinterpret_cast<std::uint8_t*>(incoming_.data());
    memory_.incoming_size = static_cast<std::uint32_t>(incoming_.size());
  }

  static bool matches(std::string_view pattern, std::string_view subject) {
    if (pattern.ends_with('*')) {
      const auto stem = pattern.substr(0, pattern.size() - 1);
      return subject.starts_with(stem) && subject.substr(stem.size()).find('.') == std::string_view::npos;
    }
    return pattern == subject;
  }

  static std::vector<std::string> split(std::string_view text) {
    std::vector<std::string> out;
    while (!text.empty()) {
      const auto end = text.find(' ');
      out.emplace_back(text.substr(0, end));
      if (out.back().empty()) throw std::runtime_error{"an empty token"};
      text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
    }
    return out;
  }

  bool take_line() {
    const auto end = text_.find("\r\n");
    if (end == std::string::npos) return false;
    const auto words = split(std::string_view{text_}.substr(0, end));
    const auto& verb = words.at(0);
    const bool has_headers = verb == "HPUB";
    if (verb == "PUB" || has_headers) {
      const auto size = std::stoul(words.back());
      if (text_.size() < end + 2 + size + 2) return false;
      if (text_.compare(end + 2 + size, 2, "\r\n") != 0) throw std::runtime_error{"no line end behind a payload"};
      const std::size_t head = has_headers ? std::stoul(words.at(words.size() - 2)) : 0;
      const std::size_t numbers = has_headers ? 2 : 1;
      Published message{.subject = words.at(1),
                        .reply = words.size() == 3 + numbers ? words.at(2) : std::string{},
                        .headers = text_.substr(end + 2, head),
                        .payload = text_.substr(end + 2 + head, size - head)};
      lines.push_back(text_.substr(0, end));
      text_.erase(0, end + 2 + size + 2);
      take(std::move(message));
      return true;
    }
    lines.push_back(text_.substr(0, end));
    text_.erase(0, end + 2);
    if (verb == "PING") {
      if (pongs) say(accepts ? "PONG\r\n" : "-ERR 'Authorization Violation'\r\n");
    } else if (verb == "SUB") {
      subscriptions_[words.back()] = words.at(1);
    } else if (verb == "UNSUB") {
      subscriptions_.erase(words.at(1));
    } else if (verb != "CONNECT" && verb != "PONG") {
      throw std::runtime_error{"unknown operation: " + lines.back()};
    }
    return true;
  }

  void take(Published message) {
    published.push_back(message);
    if (message.subject.starts_with("time.")) {
      if (tells_time) {
        deliver(message.reply, std::to_string(memory_.now + time_ahead));
      } else {
        deliver(message.reply, "", "NATS/1.0 503\r\n\r\n");
      }
    } else if (!message.reply.empty()) {
      store(message);
    }
  }

  void store(const Published& message) {
    if (!stores) return deliver(message.reply, "", "NATS/1.0 503\r\n\r\n");
    if (!refusal.empty()) return deliver(message.reply, refusal);
    if (message.id().empty()) throw std::runtime_error{"a frame without Nats-Msg-Id"};
    const bool is_new = ids_.insert(message.id()).second;
    if (is_new) {
      last_++;
      static const auto codec = fakes::make_codec(weir_operator_codecs_flatbuffers());
      const auto field = message.subject.substr(message.subject.rfind('.') + 1);
      for (auto& line : fakes::decoded(*codec, message.payload, field)) {
        stored.push_back(line.starts_with("k ") ? line.substr(2) : line);
      }
    } else {
      duplicates++;
    }
    const auto ack =
        R"({"stream":"TELEMETRY", "seq":)" + std::to_string(last_) + (is_new ? "}" : R"(,"duplicate": true})");
    if (acknowledges) return deliver(message.reply, ack);
    withheld.push_back(message.reply);
  }

  WeirMemoryPort& memory_;
  std::vector<std::uint8_t> outgoing_;
  std::string incoming_, text_;
  std::deque<std::pair<std::int64_t, std::string>> under_way_;  ///< and when it arrives
  std::map<std::string, std::string> subscriptions_;
  std::set<std::string> ids_;
  std::uint64_t last_ = 0;
  std::uint32_t links_ = 0;
};

}  // namespace weir::firmware
