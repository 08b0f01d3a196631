#include "clients/nats_jetstream.hpp"

namespace weir::nats {

Spec with_stream(Spec spec) {
  spec.field("create", kind::boolean(), "creates the stream if it is absent; if it is there it is checked", "true")
      .optional("storage", kind::choice({"file", "memory"}),
                "where the stream keeps its messages; file if it is created")
      .optional("max_age", kind::duration(), "how long the stream keeps messages")
      .between(static_cast<double>(100 * millisecond), 9e18)
      .optional("max_bytes", kind::size(), "how many bytes the stream keeps")
      .optional("replicas", kind::integer(), "copies of the stream in a cluster")
      .between(1, 5)
      .free_to_change({"create", "storage", "max_age", "max_bytes", "replicas"});
  return spec;
}

StreamConfig StreamConfig::from(const Settings& settings, std::string name, std::vector<std::string> subjects) {
  StreamConfig out;
  out.name = std::move(name);
  out.subjects = std::move(subjects);
  out.create = settings.boolean("create");
  if (settings.has("storage")) out.memory = settings.text("storage") == "memory";
  if (settings.has("max_age")) out.max_age = settings.duration("max_age");
  if (settings.has("max_bytes")) out.max_bytes = static_cast<std::int64_t>(settings.size("max_bytes"));
  if (settings.has("replicas")) out.replicas = settings.integer("replicas");
  return out;
}

}  // namespace weir::nats
