/// transform/window-join with everything around it; what it sends is kept as text.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "fakes/context.hpp"

namespace weir {
Operator weir_operator_transforms_window_join();
}

namespace weir::fakes {

/// The settings of the tests, and what they may change.
struct JoinOptions {
  Duration every = second, wait = 2 * second, disorder = 0, timeout = 30 * second;
  std::int64_t max_pending = 65536;
  std::vector<ProjectedField> projection = {{"a", FieldKind::number}, {"p", FieldKind::point}, {"t", FieldKind::text}};
  Duration forget = 24 * 60 * minute;
  bool session = true;
};

inline Settings settings_of(const JoinOptions& o) {
  Settings s{"rows"};
  for (const auto& [name, value] : {std::pair{"every", o.every},
                                    {"wait", o.wait},
                                    {"disorder", o.disorder},
                                    {"max_ahead", 5 * second},
                                    {"max_behind", 24 * 60 * minute},
                                    {"max_pending", o.max_pending}}) {
    s.set(name, std::int64_t{value});
  }
  if (!o.session) return s;
  auto session = std::make_shared<Settings>("rows");
  session->set("field", std::string{"power"});
  session->set("on", 1.0);
  session->set("off", 0.0);
  session->set("timeout", std::int64_t{o.timeout});
  s.set("session", std::shared_ptr<const Settings>{session});
  return s;
}

/// A transform with all around it; what it sends is kept as text, port by port.
class Joined {
 public:
  explicit Joined(JoinOptions options = {}) : options_{std::move(options)}, context{options_.projection} {
    context.forget_after = options_.forget;
    make();
  }

  void feed(const BatchPtr& in) {
    FakeOutput out{context};
    ASSERT_TRUE(join->process(0, in, out));
    for (const auto& [port, batch] : out.emitted) write(*batch, texts.at(port));
    for (const auto& [row, reason] : out.refused) texts[3] += reason + "\n";
  }
  void mark(Timestamp reached) { feed(SampleBatch{context}.take(reached)); }

  /// Goes on in a new instance with the state of the old one.
  void restart() {
    StateWriter out;
    join->save(out);
    make();
    const std::string bytes = out.take();
    StateReader in{bytes};
    ASSERT_TRUE(join->load(in));
    ASSERT_TRUE(in.ok() && in.at_end());
  }

  std::string state() const {
    StateWriter out;
    join->save(out);
    return out.take();
  }

 private:
  JoinOptions options_;

 public:
  FakeContext context;
  std::unique_ptr<Transform> join;
  std::array<std::string, 4> texts;  ///< brackets, late, sessions, refused

 private:
  void make() {
    const Operator op = weir_operator_transforms_window_join();
    for (const ProjectedField& wanted : options_.projection) context.fields()->intern(wanted.name);  // as a lane does
    join = op.make_transform(settings_of(options_), context);
    ASSERT_TRUE(join->bind_schema({samples::schema()}));
  }

  static void write(const Batch& batch, std::string& to) {
    std::ostringstream out;
    for (std::size_t row = 0; row < batch.rows; ++row) {
      out << batch.arrival[row];
      for (const Column& column : batch.columns) {
        out << ' ';
        if (!column.valid(row)) {
          out << '-';
        } else if (column.type() == Type::float64) {
          out << column.float64s()[row];
        } else if (column.type() == Type::timestamp) {
          out << column.int64s()[row];
        } else {
          out << column.text(row);
        }
      }
      out << '\n';
    }
    to += out.str();
  }
};

}  // namespace weir::fakes
