/// weir schema: a JSON Schema of pipelines, for editors.
#include <rapidjson/prettywriter.h>
#include <rapidjson/stringbuffer.h>

#include <iostream>

#include "cli/command.hpp"

namespace weir::cli {
namespace {

/// Writes JSON Schema, draft 2020-12.
class SchemaWriter {
 public:
  explicit SchemaWriter(const Registry& registry) : registry_{registry} {}

  std::string write() {
    json_.SetIndent(' ', 2);
    object([&] {
      text("$schema", "https://json-schema.org/draft/2020-12/schema");
      text("title", "weir pipeline");
      text("type", "object");
      words("required", {"name", "nodes"});
      flag("additionalProperties", false);
      member("properties", [&] { root_properties(); });
    });
    return buffer_.GetString();
  }

 private:
  void root_properties() {
    member("$schema", [&] { text("type", "string"); });
    member("description", [&] { text("type", "string"); });
    member("name", [&] {
      text("type", "string");
      text("pattern", "^[A-Za-z0-9_-]+$");
      text("description", "progress and state are kept under this name");
    });
    member("dead_letters", [&] {
      text("type", "string");
      text("description", "file for dead letters where no sink keeps them");
    });
    member("shutdown_timeout", [&] { unit("^[0-9.]+(ns|us|ms|s|m|h|d)", "how long draining may take"); });
    member("on_stream_changed", [&] {
      words("enum", {"stop", "restart"});
      text("description", "what a lane does when its stream is not the one it has read");
    });
    member("limits", [&] {
      text("type", "object");
      member("properties", [&] {
        member("keys", [&] {
          text("type", "integer");
          text("description",
               "most distinct keys that a lane may meet, forgotten ones included; messages of further keys go to the "
               "dead letters");
        });
        member("forget",
               [&] { unit(duration_pattern, "arrival time without a sample after which a key leaves memory"); });
        member("memory", [&] { unit(size_pattern, "most bytes pulled and not yet committed"); });
      });
    });
    member("commit", [&] {
      text("type", "object");
      member("properties", [&] {
        member("every", [&] { unit(duration_pattern, "longest time that rows wait for their commit"); });
        member("rows", [&] {
          text("type", "integer");
          text("description", "rows that are committed at once without waiting");
        });
      });
    });
    member("state", [&] { one_of(Role::store, "store"); });
    member("nodes", [&] {
      text("type", "array");
      member("items", [&] {
        array("oneOf", [&] {
          for (const Role role : {Role::source, Role::transform, Role::sink}) {
            for (const auto name : registry_.names(role)) object([&] { node(role, name); });
          }
        });
      });
    });
  }

  void one_of(Role role, const char* key) {
    array("oneOf", [&] {
      for (const auto name : registry_.names(role)) {
        object([&] {
          const Spec& spec = registry_.find(role, name)->spec;
          text("type", "object");
          text("description", spec.summary);
          member("properties", [&] {
            member(key, [&] { text("const", name); });
            if (role == Role::store) member("every", [&] { unit(duration_pattern, "how often lane state is saved"); });
            fields(spec.fields);
          });
          flag("additionalProperties", false);
          required(spec.fields, {key});
        });
      }
    });
  }

  void node(Role role, std::string_view name) {
    const Spec& spec = registry_.find(role, name)->spec;
    const std::string key{to_string(role)};
    const bool encoded = role == Role::source || spec.has_encoding;
    text("type", "object");
    text("title", key + " " + std::string{name});
    text("description", spec.summary);
    member("properties", [&] {
      member("id", [&] { text("type", "string"); });
      member("description", [&] { text("type", "string"); });
      member(key.c_str(), [&] { text("const", name); });
      if (role != Role::source)
        member("from", [&] {
          text("type", "string");
          text("description", "node, or node.port");
        });
      if (encoded) {
        member("encoding", [&] {
          array("oneOf", [&] {
            object([&] {
              array("enum", [&] {
                for (const auto codec : registry_.names(Role::codec)) word(codec);
              });
            });
            object([&] { one_of(Role::codec, "codec"); });
          });
        });
      }
      fields(spec.fields);
    });
    flag("additionalProperties", false);
    std::vector<std::string> always{"id", key};
    if (role != Role::source) always.emplace_back("from");
    required(spec.fields, always);
  }

  void required(const std::vector<Field>& fields, std::vector<std::string> names) {
    for (const Field& field : fields) {
      if (field.required) names.push_back(field.name);
    }
    words("required", names);
  }

  void fields(const std::vector<Field>& fields) {
    for (const Field& field : fields) {
      if (field.kind.tag == Kind::Tag::columns)
        member("write_empty", [&] {
          text("type", "boolean");
          text("description", "write rows of NULLs only too");
        });
      member(field.name.c_str(), [&] {
        kind(field.kind, field.doc);
        if (!field.fallback.empty()) fallback(field);
      });
    }
  }

  void fallback(const Field& field) {
    json_.Key("default");
    const auto tag = field.kind.tag;
    const bool bare = tag == Kind::Tag::integer || tag == Kind::Tag::number || tag == Kind::Tag::boolean;
    if (bare)
      json_.RawValue(field.fallback.c_str(), field.fallback.size(), rapidjson::kNumberType);
    else
      word(field.fallback);
  }

  void kind(const Kind& kind, const std::string& doc) {
    using Tag = Kind::Tag;
    switch (kind.tag) {
      case Tag::duration:
        unit(duration_pattern, doc + " (a duration: \"1s\", \"250ms\")");
        return;
      case Tag::size:
        unit(size_pattern, doc + " (a size: \"64MB\")");
        return;
      case Tag::rate:
        unit("^[0-9.]+[kM]?/(s|m|h|d)$|^\\$\\{", doc + " (a rate: \"5/s\")");
        return;
      case Tag::integer:
        text("type", "integer");
        break;
      case Tag::number:
        text("type", "number");
        break;
      case Tag::boolean:
        text("type", "boolean");
        break;
      case Tag::choice:
        words("enum", kind.choices);
        break;
      case Tag::texts:
        words("type", {"string", "array"});
        break;
      case Tag::object:
        text("type", "object");
        member("properties", [&] { fields(kind.fields); });
        flag("additionalProperties", false);
        break;
      case Tag::objects:
        text("type", "array");
        member("items", [&] {
          text("type", "object");
          member("properties", [&] { fields(kind.fields); });
        });
        break;
      case Tag::map:
        text("type", "object");
        break;
      case Tag::columns:
        columns();
        break;
      default:
        text("type", "string");
    }
    text("description", doc);
  }

  void columns() {
    text("type", "object");
    member("additionalProperties", [&] {
      text("type", "object");
      flag("additionalProperties", false);
      member("properties", [&] {
        member("fill", [&] {
          words("enum", {"linear", "angle", "geo", "step"});
          text("description", "how a value between two samples is made");
        });
        member("type", [&] { words("enum", {"number", "text"}); });
        member("max_gap", [&] { unit(duration_pattern, "widest distance of two samples that is interpolated over"); });
        member("max_age", [&] { unit(duration_pattern, "oldest sample that is carried on; default: max_gap"); });
        member("period", [&] {
          text("type", "number");
          text("description", "of an angle, in its unit");
        });
        member("quality", [&] {
          text("type", "boolean");
          text("description", "adds <name>_quality");
        });
        member("unit", [&] { text("type", "string"); });
      });
    });
  }

  void unit(const char* pattern, const std::string& doc) {
    text("type", "string");
    text("pattern", pattern);
    text("description", doc);
  }

  // JSON.

  void object(auto inside) {
    json_.StartObject();
    inside();
    json_.EndObject();
  }
  void member(const char* name, auto inside) {
    json_.Key(name);
    object(inside);
  }
  void array(const char* name, auto inside) {
    json_.Key(name);
    json_.StartArray();
    inside();
    json_.EndArray();
  }
  void word(std::string_view value) { json_.String(value.data(), static_cast<rapidjson::SizeType>(value.size())); }
  void text(const char* name, std::string_view value) {
    json_.Key(name);
    word(value);
  }
  void flag(const char* name, bool value) {
    json_.Key(name);
    json_.Bool(value);
  }
  void words(const char* name, const std::vector<std::string>& values) {
    array(name, [&] {
      for (const std::string& value : values) word(value);
    });
  }

  static constexpr const char* duration_pattern = R"(^([0-9.]+(ns|us|ms|s|m|h|d))+$|^\$\{)";
  static constexpr const char* size_pattern = R"(^[0-9.]+(B|kB|MB|GB|TB|KiB|MiB|GiB|TiB)?$|^\$\{)";

  const Registry& registry_;
  rapidjson::StringBuffer buffer_;
  rapidjson::PrettyWriter<rapidjson::StringBuffer> json_{buffer_};
};

}  // namespace

void add_schema(CLI::App& app, Session& session) {
  CLI::App* command = app.add_subcommand("schema", "prints a JSON Schema of pipelines, for completion in an editor");
  command->callback([&session] { std::cout << SchemaWriter{session.registry}.write() << "\n"; });
}

}  // namespace weir::cli
