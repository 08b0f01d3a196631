#include "json.h"

#include <string.h>

#include "text.h"

enum { before_object, in_object, after_object };
enum { deepest = 32 };

void weir_json_begin(WeirJson* json) { memset(json, 0, sizeof *json); }

bool weir_json_is_complete(const WeirJson* json) { return json->state == after_object; }

static void collect(WeirJson* json, char byte) {
  if (json->is_key) {
    if (json->key_size < sizeof json->key) {
      json->key[json->key_size] = byte;
      json->key_size++;
    } else {
      json->is_cut = true;
    }
  } else if (json->value_size < sizeof json->value) {
    json->value[json->value_size] = byte;
    json->value_size++;
  } else {
    json->is_cut = true;
  }
}

static void forget_member(WeirJson* json) {
  json->key_size = 0;
  json->value_size = 0;
  json->is_cut = false;
}

static int open_bracket(WeirJson* json) {
  if (json->depth >= deepest) return -1;
  json->depth++;
  json->state = in_object;
  json->is_key = true;
  forget_member(json);
  return 0;
}

// The member that ends with its object is still asked for at that object's depth, which is counted down afterwards.
static int close_bracket(WeirJson* json) {
  if (json->depth == 1) json->state = after_object;
  json->is_closing = true;
  return json->value_size > 0 ? 1 : 0;
}

static void leave_object(WeirJson* json) {
  json->is_closing = false;
  json->depth--;
  forget_member(json);
}

static int take_in_string(WeirJson* json, char byte) {
  if ((unsigned char)byte < 0x20) return -1;
  if (json->escaped) {
    json->escaped = false;
  } else if (byte == '\\') {
    json->escaped = true;
  } else if (byte == '"') {
    json->in_string = false;
    return 0;
  } else {
    // an ordinary byte
  }
  collect(json, byte);
  return 0;
}

int weir_json_take(WeirJson* json, char byte) {
  if (json->in_string) return take_in_string(json, byte);
  if (byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n') return 0;
  if (json->state == after_object) return -1;
  if (json->is_closing) leave_object(json);
  if (json->state == before_object) return byte == '{' ? open_bracket(json) : -1;
  switch (byte) {
    case '"':
      if (json->is_key) forget_member(json);
      json->in_string = true;
      return 0;
    case ':':
      json->is_key = false;
      return 0;
    case '{':
    case '[':
      return open_bracket(json);
    case '}':
    case ']':
      return close_bracket(json);
    case ',': {
      const int member = json->value_size > 0 ? 1 : 0;
      json->is_key = true;
      return member;
    }
    default:
      collect(json, byte);
      return 0;
  }
}

bool weir_json_is(const WeirJson* json, uint8_t depth, const char* key) {
  return json->depth == depth && weir_text_equals(json->key, json->key_size, key);
}

uint32_t weir_json_number(const WeirJson* json) { return weir_text_number(json->value, json->value_size); }

bool weir_json_is_true(const WeirJson* json) {
  return !json->is_cut && weir_text_equals(json->value, json->value_size, "true");
}
