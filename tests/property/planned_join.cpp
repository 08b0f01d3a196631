#include "property/planned_join.hpp"

#include <limits>

#include "fakes/registry.hpp"

namespace weir::property {

std::vector<ProjectedField> projection_of(const Plan& plan) {
  std::vector<ProjectedField> out;
  for (const std::string& field : plan.join.fields) {
    out.push_back({field, field == "position" ? FieldKind::point
                          : field == "mode"   ? FieldKind::text
                                              : FieldKind::number});
  }
  return out;
}

Settings settings_of(const Plan& plan) {
  const reference::JoinSettings& join = plan.join;
  Settings out{"rows"};
  out.set("every", Setting{join.every});
  out.set("wait", Setting{join.wait});
  out.set("disorder", Setting{join.disorder});
  out.set("max_ahead", Setting{join.max_ahead});
  out.set("max_behind", Setting{join.max_behind});
  out.set("max_pending", Setting{static_cast<std::int64_t>(join.max_pending)});
  if (!join.session) return out;
  auto session = std::make_shared<Settings>();
  session->set("field", Setting{join.session->field});
  session->set("on", Setting{join.session->on});
  session->set("off", Setting{join.session->off});
  session->set("timeout", Setting{join.timeout});
  out.set("session", Setting{std::shared_ptr<const Settings>{session}});
  return out;
}

const Operator& window_join() { return *fakes::registry().find(Role::transform, "window-join"); }

void add(fakes::SampleBatch& batch, const reference::Sample& s) {
  Sample sample{.key = s.key, .field = s.field, .time = s.time};
  sample.x = s.value.x;
  sample.kind = s.value.text ? Sample::Kind::text : s.value.y ? Sample::Kind::point : Sample::Kind::number;
  sample.y = s.value.y.value_or(0);
  sample.z = s.value.z.value_or(std::numeric_limits<double>::quiet_NaN());
  if (s.value.text) sample.text = *s.value.text;
  batch.add(sample, s.arrival);
}

}  // namespace weir::property
