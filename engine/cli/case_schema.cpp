/// The JSON Schema of files of cases, see core/cases.hpp.
#include "cli/command.hpp"

namespace weir::cli {

std::string_view case_schema() {
  return R"({
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "title": "weir tests",
  "type": "object",
  "required": ["pipeline", "tests"],
  "additionalProperties": false,
  "properties": {
    "$schema": { "type": "string" },
    "pipeline": { "type": ["string", "object"], "description": "a file beside this one, or the pipeline itself" },
    "set": { "$ref": "#/$defs/set" },
    "variables": { "$ref": "#/$defs/variables" },
    "tests": {
      "type": "array",
      "items": {
        "type": "object",
        "required": ["name", "script"],
        "additionalProperties": false,
        "properties": {
          "name": { "type": "string", "description": "what it shows" },
          "set": { "$ref": "#/$defs/set" },
          "variables": { "$ref": "#/$defs/variables" },
          "script": { "type": "array", "items": { "$ref": "#/$defs/step" },
            "description": "what arrives instead of the source, and what happens, in virtual time" },
          "expect": { "$ref": "#/$defs/expectations" }
        }
      }
    }
  },
  "$defs": {
    "set": { "type": "object", "description": "settings as -s has them: \"rows.wait\": \"5s\"; null removes one" },
    "variables": { "type": "object", "additionalProperties": { "type": "string" },
      "description": "for ${NAME} in the pipeline; before the environment's" },
    "instant": { "type": "string", "description": "1.5s, 1m30s after 1970, or 2026-01-31T08:00:00Z" },
    "node": { "type": "string", "description": "a node's id; of a port besides the main one, node.port" },
    "table": { "type": "array", "items": { "type": "string" },
      "description": "the first line names the columns; 1s..9s/1s stands for many lines, 0..90 beside it for as many values, - is no value" },
    "rows": { "anyOf": [ { "$ref": "#/$defs/table" },
                         { "type": "string", "description": "a file beside this one; weir test --update writes it" } ] },
    "expectations": { "type": "array", "items": { "$ref": "#/$defs/expectation" } },
    "step": { "anyOf": [
      { "type": "object", "additionalProperties": false, "properties": {
          "at": { "$ref": "#/$defs/instant" },
          "advance": { "type": "string", "description": "so much arrival time passes: 60s" },
          "node": { "type": "string", "description": "the source's id" },
          "samples": { "$ref": "#/$defs/table" },
          "messages": { "type": "array", "description": "as devices send them, through the source's subject and encoding",
            "items": { "type": "object", "required": ["subject"], "additionalProperties": false, "properties": {
              "subject": { "type": "string" },
              "payload": { "description": "a text stands for itself, anything else for the JSON that is written there" },
              "hex": { "type": "string", "description": "the payload's bytes: 0a ff" } } } } } },
      { "type": "object", "required": ["replay"], "additionalProperties": false, "properties": {
          "replay": { "type": "string", "description": "a recording beside this file: its messages, when they arrived" },
          "from": { "$ref": "#/$defs/instant" }, "until": { "$ref": "#/$defs/instant" } } },
      { "type": "object", "required": ["commit"], "additionalProperties": false, "properties": {
          "commit": { "const": true, "description": "one try; else all is committed at the end of the script" } } },
      { "type": "object", "required": ["snapshot"], "additionalProperties": false, "properties": {
          "snapshot": { "const": true, "description": "which the next commit names" } } },
      { "type": "object", "required": ["crash"], "additionalProperties": false, "properties": {
          "crash": { "const": true, "description": "what was not committed is lost with the worker, and the next one goes on" } } },
      { "type": "object", "required": ["fail"], "additionalProperties": false, "properties": {
          "fail": { "type": "string", "description": "the sink whose next commits fail" },
          "times": { "type": "integer", "minimum": 1, "maximum": 100 },
          "answer": { "const": "lost", "description": "they are done, and nobody hears" } } },
      { "type": "object", "required": ["expect"], "additionalProperties": false, "properties": {
          "expect": { "$ref": "#/$defs/expectations" } } }
    ] },
    "expectation": { "anyOf": [
      { "type": "object", "required": ["node", "rows"], "additionalProperties": false, "properties": {
          "node": { "$ref": "#/$defs/node" }, "rows": { "$ref": "#/$defs/rows" } } },
      { "type": "object", "required": ["node", "contains"], "additionalProperties": false, "properties": {
          "node": { "$ref": "#/$defs/node" }, "contains": { "$ref": "#/$defs/table" } } },
      { "type": "object", "required": ["counter", "is"], "additionalProperties": false, "properties": {
          "counter": { "type": "string", "description": "node.counter" }, "is": { "type": "integer", "minimum": 0 },
          "reason": { "type": "string", "description": "only those of this reason" } } },
      { "type": "object", "required": ["state", "keys"], "additionalProperties": false, "properties": {
          "state": { "type": "string", "description": "a transform's id" }, "keys": { "type": "integer", "minimum": 0 } } },
      { "type": "object", "required": ["acknowledged"], "additionalProperties": false, "properties": {
          "acknowledged": { "type": "integer", "minimum": 0, "description": "of the script's samples and messages" } } },
      { "type": "object", "required": ["dead_letters"], "additionalProperties": false, "properties": {
          "dead_letters": { "$ref": "#/$defs/table" } } }
    ] }
  }
})";
}

}  // namespace weir::cli
