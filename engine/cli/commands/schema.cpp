/// weir schema: a JSON Schema of pipelines or tests, for editors.
#include <rapidjson/prettywriter.h>
#include <rapidjson/stringbuffer.h>

#include <array>
#include <iostream>

#include "cli/command.hpp"
#include "core/plan/draft.hpp"
#include "core/plan/pipeline_fields.hpp"

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
    member("name", [&] { name("progress and state are kept under it"); });
    fields(root_fields());
    member("limits", [&] { closed(limits_fields()); });
    member("commit", [&] { closed(commit_fields()); });
    member("state", [&] { by_operator(Role::store, "store", state_fields()); });
    member("nodes", [&] {
      text("type", "array");
      integer("minItems", 1);
      member("items", [&] { node(); });
    });
  }

  void closed(const std::vector<Field>& of) {
    text("type", "object");
    flag("additionalProperties", false);
    member("properties", [&] { fields(of); });
  }

  /// An object whose member `key` names an operator, which decides the rest. Only the case of that operator says what
  /// is wrong: an editor shows nothing of the others.
  void by_operator(Role role, const char* key, const std::vector<Field>& own) {
    text("type", "object");
    words("required", {key});
    member("properties", [&] { member(key, [&] { operator_names(role); }); });
    array("allOf", [&] {
      for (const auto name : registry_.names(role)) {
        const Spec& spec = registry_.find(role, name)->spec;
        given(key, name, [&] {
          text("description", spec.summary);
          flag("additionalProperties", false);
          required(spec.fields, {key});
          member("properties", [&] {
            member(key, [&] { text("const", name); });
            fields(own);
            fields(spec.fields);
          });
        });
      }
    });
  }

  /// { "if": this member has this value, "then": … }
  void given(const std::string& key, std::string_view value, auto then) {
    object([&] {
      member("if", [&] {
        words("required", {key});
        member("properties", [&] { member(key.c_str(), [&] { text("const", value); }); });
      });
      member("then", then);
    });
  }

  void operator_names(Role role) {
    array("enum", [&] {
      for (const auto name : registry_.names(role)) word(name);
    });
  }

  void node() {
    constexpr std::array roles{Role::source, Role::transform, Role::sink};
    text("type", "object");
    words("required", {"id"});
    member("properties", [&] {
      for (const Role role : roles) member(std::string{to_string(role)}.c_str(), [&] { operator_names(role); });
    });
    array("oneOf", [&] {
      for (const Role role : roles) object([&] { words("required", {std::string{to_string(role)}}); });
    });
    array("allOf", [&] {
      for (const Role role : roles) {
        for (const auto name : registry_.names(role))
          given(std::string{to_string(role)}, name, [&] { node(role, name); });
      }
    });
  }

  void node(Role role, std::string_view op) {
    const Spec& spec = registry_.find(role, op)->spec;
    const std::string key{to_string(role)};
    text("title", key + " " + std::string{op});
    text("description", spec.summary);
    flag("additionalProperties", false);
    std::vector<std::string> always{"id", key};
    if (role != Role::source) always.emplace_back("from");
    required(spec.fields, always);
    member("properties", [&] {
      member("id", [&] { name("progress and state are kept under it"); });
      member("description", [&] { text("type", "string"); });
      member(key.c_str(), [&] { text("const", op); });
      if (role != Role::source) member("from", [&] { input(); });
      if (role == Role::source || spec.has_encoding) member("encoding", [&] { encoding(); });
      fields(spec.fields);
      if (has_columns(spec)) fields(completing_fields());
      if (role == Role::sink) fields(sink_fields());
      if (role == Role::transform) fields(transform_fields());
    });
  }

  void input() {
    words("type", {"string", "array"});
    text("description", "node, or node.port; or several, whose rows are merged in the order of the stream");
    integer("minItems", 1);
    member("items", [&] { text("type", "string"); });
  }

  void encoding() {
    text("description", "a codec's name, or an object with its settings");
    words("type", {"string", "object"});
    member("if", [&] { text("type", "string"); });
    member("then", [&] { operator_names(Role::codec); });
    member("else", [&] { by_operator(Role::codec, "codec", {}); });
  }

  void name(std::string_view doc) {
    text("type", "string");
    text("pattern", "^[A-Za-z0-9_-]+$");
    text("description", doc);
  }

  void required(const std::vector<Field>& fields, std::vector<std::string> names) {
    for (const Field& field : fields) {
      if (field.required) names.push_back(field.name);
    }
    words("required", names);
  }

  void fields(const std::vector<Field>& fields) {
    for (const Field& field : fields) {
      member(field.name.c_str(), [&] {
        kind(field);
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

  void kind(const Field& field) {
    using Tag = Kind::Tag;
    const Kind& kind = field.kind;
    std::string doc = field.doc;
    switch (kind.tag) {
      case Tag::duration:
        written(field.or_none ? "([0-9]+([.][0-9]+)?(ns|us|ms|s|m|h|d))+|none"
                              : "([0-9]+([.][0-9]+)?(ns|us|ms|s|m|h|d))+");
        doc += " (a duration: \"1s\", \"250ms\")";
        break;
      case Tag::size:
        written("[0-9]+([.][0-9]+)?(B|kB|MB|GB|TB|KiB|MiB|GiB|TiB)");
        doc += " (a size: \"64MB\")";
        break;
      case Tag::rate:
        written("[0-9]+([.][0-9]+)?[kM]?/(s|m|h|d)");
        doc += " (a rate: \"5/s\")";
        break;
      case Tag::integer:
        or_variable("integer");
        bounds(field);
        break;
      case Tag::number:
        or_variable("number");
        bounds(field);
        break;
      case Tag::boolean:
        or_variable("boolean");
        break;
      case Tag::choice:
        choice(kind.choices);
        break;
      case Tag::texts:
        words("type", {"string", "array"});
        member("items", [&] { text("type", "string"); });
        break;
      case Tag::object:
        object_of(kind.fields);
        break;
      case Tag::objects:
        text("type", "array");
        member("items", [&] { object_of(kind.fields); });
        break;
      case Tag::map:
        text("type", "object");
        break;
      case Tag::columns:
        text("type", "object");
        integer("minProperties", 1);
        member("additionalProperties", [&] { closed(column_fields()); });
        break;
      default:
        text("type", "string");
    }
    text("description", doc);
  }

  void object_of(const std::vector<Field>& members) {
    closed(members);
    required(members, {});
  }

  /// A text of this form, or with a variable in it.
  void written(const std::string& form) {
    text("type", "string");
    text("pattern", "^(" + form + ")$|[$][{].*[}]");
  }

  /// A value of this type, or one variable that stands for it.
  void or_variable(const char* type) {
    words("type", {type, "string"});
    text("pattern", variable);
  }

  void choice(const std::vector<std::string>& choices) {
    text("type", "string");
    array("anyOf", [&] {
      object([&] { words("enum", choices); });
      object([&] { text("pattern", variable); });
    });
  }

  void bounds(const Field& field) {
    const auto bound = [&](const char* name, const std::optional<double>& value) {
      if (!value) return;
      json_.Key(name);
      json_.Double(*value);
    };
    bound("minimum", field.least);
    bound("maximum", field.most);
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
  void integer(const char* name, int value) {
    json_.Key(name);
    json_.Int(value);
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

  static constexpr const char* variable = "^[$][{].*[}]$";

  const Registry& registry_;
  rapidjson::StringBuffer buffer_;
  rapidjson::PrettyWriter<rapidjson::StringBuffer> json_{buffer_};
};

}  // namespace

std::string pipeline_schema(const Registry& registry) { return SchemaWriter{registry}.write(); }

void add_schema(Arguments& program, Session& session) {
  auto of = std::make_shared<std::string>("pipeline");
  auto command =
      program.command("schema", "prints a JSON Schema of pipelines, or of tests, for completion in an editor");
  command.choice("--of", *of, {"pipeline", "test"}, "what is to be completed");
  command.does([of, &session] {
    std::cout << (*of == "test" ? std::string{case_schema()} : pipeline_schema(session.registry)) << "\n";
  });
}

}  // namespace weir::cli
