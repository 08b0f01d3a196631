/// Random streams of samples as a faulty fleet sends them, and settings to join them with. Generators for rapidcheck;
/// what fails shrinks to a short script that can be read.
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

#include <rapidcheck.h>

#include "reference/window_join.hpp"

namespace weir::property {

/// All times of the scripts are whole numbers of this.
inline constexpr Duration unit = 10 * millisecond;

/// One message: a sample of a field of a vehicle, or (field < 0) nothing but the time.
struct Event {
  int arrival = 0;
  int vehicle = 0;
  int field = 0;  ///< index into field_names()
  int time = 0;
  int value = 0;
};
using Script = std::vector<Event>;

/// speed, charge (numbers), power (number; the session field), position (point), mode (text), unused (in nobody's
/// projection).
const std::vector<std::string>& field_names();
enum FieldNumber { speed, charge, power, position, mode, unused };

/// The script as inputs, in order of arrival; events of the same arrival stay in order.
std::vector<reference::Input> inputs_of(const Script& script);

/// Settings in units, as small as possible so that everything that can meet does.
struct Plan {
  reference::JoinSettings join;
  bool power_is_wanted = false;
  std::vector<std::size_t> cuts;  ///< lengths of the batches, repeated
  std::vector<bool> restarts;     ///< after which of them state is saved and loaded into a new instance, repeated
};

/// Samples at random, close together: everything collides with everything.
rc::Gen<Script> colliding_script();
/// A fleet with on/off cycles, sensors of different rates, tunnels, bursts, duplicates, losses, disorder, dead sensors.
rc::Gen<Script> fleet_script();
rc::Gen<Plan> any_plan();

void showValue(const Script& script, std::ostream& os);
void showValue(const Plan& plan, std::ostream& os);

}  // namespace weir::property
