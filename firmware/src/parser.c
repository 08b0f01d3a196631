#include "parser.h"

#include <string.h>

#include "json.h"
#include "text.h"

enum { in_name, in_info, in_arguments, in_error, in_line_end, in_payload, in_payload_end };  // WeirParser.state
enum { no_operation, info, msg, hmsg, ping, pong, okay, err };                               // WeirParser.operation
enum { largest_payload = 64 * 1024 * 1024 };  // the server's own bound for max_payload

void weir_parser_begin(WeirParser* parser, uint8_t* buffer, uint32_t capacity) {
  memset(parser, 0, sizeof *parser);
  parser->buffer = buffer;
  parser->capacity = capacity;
}

static WeirEvent next_operation(WeirParser* parser, WeirEvent event) {
  parser->state = in_name;
  parser->name_size = 0;
  return event;
}

// --- Names of operations ---------------------------------------------------------------------------------------------

static uint8_t operation_of(const char* name, size_t size) {
  static const struct {
    char name[5];
    uint8_t operation;
  } all[] = {{"MSG", msg},   {"HMSG", hmsg}, {"PING", ping}, {"PONG", pong},
             {"INFO", info}, {"+OK", okay},  {"-ERR", err}};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    if (weir_text_equals(name, size, all[i].name)) return all[i].operation;
  }
  return no_operation;
}

static WeirEvent begin_operation(WeirParser* parser) {
  parser->operation = operation_of(parser->name, parser->name_size);
  parser->used = 0;
  switch (parser->operation) {
    case info:
      memset(&parser->info, 0, sizeof parser->info);
      weir_json_begin(&parser->u.json);
      parser->state = in_info;
      return WEIR_EVENT_NONE;
    case msg:
    case hmsg:
      parser->too_large = false;
      parser->state = in_arguments;
      return WEIR_EVENT_NONE;
    case err:
      parser->state = in_error;
      return WEIR_EVENT_NONE;
    case ping:
    case pong:
    case okay:
      parser->state = in_line_end;
      return WEIR_EVENT_NONE;
    default:
      return WEIR_EVENT_INVALID;
  }
}

static WeirEvent end_line(WeirParser* parser) {
  switch (parser->operation) {
    case ping:
      return next_operation(parser, WEIR_EVENT_PING);
    case pong:
      return next_operation(parser, WEIR_EVENT_PONG);
    case okay:
      return next_operation(parser, WEIR_EVENT_OK);
    default:
      return WEIR_EVENT_INVALID;
  }
}

static WeirEvent take_name(WeirParser* parser, char byte) {
  const bool ends = byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
  if (ends) {
    const WeirEvent event = begin_operation(parser);
    if (event != WEIR_EVENT_NONE || byte != '\n') return event;
    return end_line(parser);
  }
  if (parser->name_size == sizeof parser->name) return WEIR_EVENT_INVALID;
  parser->name[parser->name_size] = byte;
  parser->name_size++;
  return WEIR_EVENT_NONE;
}

// --- INFO and -ERR ---------------------------------------------------------------------------------------------------

static void set_flag(WeirParser* parser, uint8_t flag) {
  if (weir_json_is_true(&parser->u.json)) parser->info.flags |= flag;
}

static void take_member(WeirParser* parser) {
  const WeirJson* json = &parser->u.json;
  if (weir_json_is(json, 1, "max_payload")) parser->info.max_payload = weir_json_number(json);
  if (weir_json_is(json, 1, "tls_required")) set_flag(parser, WEIR_INFO_TLS_REQUIRED);
  if (weir_json_is(json, 1, "tls_available")) set_flag(parser, WEIR_INFO_TLS_AVAILABLE);
  if (weir_json_is(json, 1, "headers")) set_flag(parser, WEIR_INFO_HEADERS);
  if (weir_json_is(json, 1, "ldm")) set_flag(parser, WEIR_INFO_LAME_DUCK);
  if (weir_json_is(json, 1, "nonce") && !json->is_cut) {
    memcpy(parser->info.nonce, json->value, json->value_size);
    parser->info.nonce_size = json->value_size;
  }
}

static WeirEvent take_info(WeirParser* parser, char byte) {
  if (byte == '\n') {
    return next_operation(parser, weir_json_is_complete(&parser->u.json) ? WEIR_EVENT_INFO : WEIR_EVENT_INVALID);
  }
  const int result = weir_json_take(&parser->u.json, byte);
  if (result < 0) return WEIR_EVENT_INVALID;
  if (result > 0) take_member(parser);
  return WEIR_EVENT_NONE;
}

static WeirEvent take_error(WeirParser* parser, char byte) {
  if (byte == '\n') return next_operation(parser, WEIR_EVENT_ERR);
  if (byte != '\'' && byte != '\r' && parser->used < sizeof parser->u.error) {
    parser->u.error[parser->used] = byte;
    parser->used++;
  }
  return WEIR_EVENT_NONE;
}

static bool error_begins(const WeirParser* parser, const char* words) {
  const size_t size = strlen(words);
  return parser->used >= size && memcmp(parser->u.error, words, size) == 0;
}

WeirResult weir_parser_error(const WeirParser* parser) {
  if (error_begins(parser, "Permissions Violation")) return WEIR_OK;
  if (error_begins(parser, "Authorization") || error_begins(parser, "Authentication") ||
      error_begins(parser, "User Authentication") || error_begins(parser, "Account Authentication")) {
    return WEIR_ERROR_AUTHORIZATION;
  }
  if (error_begins(parser, "Secure Connection")) return WEIR_ERROR_TLS;
  return WEIR_ERROR_SERVER;
}

// --- Messages --------------------------------------------------------------------------------------------------------

typedef struct Tokens {
  uint32_t at[5], size[5];
  unsigned count;
} Tokens;

// Splits the control line and ends each token with a zero. False: more tokens than any message has.
static bool split(WeirParser* parser, Tokens* tokens) {
  tokens->count = 0;
  uint32_t at = 0;
  while (at < parser->used) {
    if (parser->buffer[at] == ' ' || parser->buffer[at] == '\t') {
      parser->buffer[at] = 0;
      at++;
      continue;
    }
    if (tokens->count == 5U) return false;
    const uint32_t begin = at;
    while (at < parser->used && parser->buffer[at] != ' ' && parser->buffer[at] != '\t') at++;
    tokens->at[tokens->count] = begin;
    tokens->size[tokens->count] = at - begin;
    tokens->count++;
  }
  parser->buffer[parser->used] = 0;
  return true;
}

static bool read_number(const WeirParser* parser, const Tokens* tokens, unsigned i, uint32_t* number) {
  const char* text = (const char*)parser->buffer + tokens->at[i];
  *number = weir_text_number(text, tokens->size[i]);
  return *number != UINT32_MAX && (*number > 0U || weir_text_equals(text, tokens->size[i], "0"));
}

// subject sid [reply] [headers-size] size
static WeirEvent end_arguments(WeirParser* parser) {
  Tokens tokens;
  const unsigned numbers = parser->operation == hmsg ? 2U : 1U;
  if (!split(parser, &tokens) || tokens.count < 2U + numbers || tokens.count > 3U + numbers) return WEIR_EVENT_INVALID;
  parser->has_reply = tokens.count == 3U + numbers;
  parser->reply_at = (uint16_t)tokens.at[2];
  parser->headers_size = 0;
  if (tokens.at[0] != 0U || !read_number(parser, &tokens, 1, &parser->sid) ||
      !read_number(parser, &tokens, tokens.count - 1U, &parser->remaining) || parser->remaining > largest_payload) {
    return WEIR_EVENT_INVALID;
  }
  if (parser->operation == hmsg && (!read_number(parser, &tokens, tokens.count - 2U, &parser->headers_size) ||
                                    parser->headers_size > parser->remaining)) {
    return WEIR_EVENT_INVALID;
  }
  parser->payload_size = parser->remaining - parser->headers_size;
  parser->payload_at = parser->used + 1U;
  parser->used = parser->payload_at;
  parser->too_large = parser->remaining > parser->capacity - parser->used;
  parser->state = parser->remaining > 0U ? in_payload : in_payload_end;
  return WEIR_EVENT_NONE;
}

static WeirEvent take_argument(WeirParser* parser, char byte) {
  if (byte == '\n') return end_arguments(parser);
  if (byte == '\r') return WEIR_EVENT_NONE;
  // One byte is kept for the zero behind the last token; reply_at has 16 bits.
  if (byte == '\0' || parser->used + 1U >= parser->capacity || parser->used >= UINT16_MAX) return WEIR_EVENT_INVALID;
  parser->buffer[parser->used] = (uint8_t)byte;
  parser->used++;
  return WEIR_EVENT_NONE;
}

static size_t take_payload(WeirParser* parser, const uint8_t* bytes, size_t size) {
  const uint32_t part = size < parser->remaining ? (uint32_t)size : parser->remaining;
  if (!parser->too_large) {
    memcpy(parser->buffer + parser->used, bytes, part);
    parser->used += part;
  }
  parser->remaining -= part;
  if (parser->remaining == 0U) parser->state = in_payload_end;
  return part;
}

static WeirEvent take_payload_end(WeirParser* parser, char byte) {
  if (byte == '\r') return WEIR_EVENT_NONE;
  if (byte != '\n') return WEIR_EVENT_INVALID;
  return next_operation(parser, parser->too_large ? WEIR_EVENT_TOO_LARGE : WEIR_EVENT_MSG);
}

// "NATS/1.0 503 No Responders\r\n\r\n"
static uint16_t status_of(const uint8_t* headers, uint32_t size) {
  static const char version[] = "NATS/1.0 ";
  if (size < sizeof version + 2U || memcmp(headers, version, sizeof version - 1U) != 0) return 0;
  return (uint16_t)weir_text_number((const char*)headers + sizeof version - 1U, 3);
}

WeirNatsMessage weir_parser_message(const WeirParser* parser, uint32_t* sid) {
  WeirNatsMessage message = {0};
  const uint8_t* body = parser->buffer + parser->payload_at;
  *sid = parser->sid;
  message.subject = (const char*)parser->buffer;
  message.reply = parser->has_reply ? (const char*)parser->buffer + parser->reply_at : NULL;
  if (parser->headers_size > 0U) {
    message.headers = body;
    message.headers_size = parser->headers_size;
    message.status = status_of(body, parser->headers_size);
  }
  message.payload = body + parser->headers_size;
  message.payload_size = parser->payload_size;
  return message;
}

static WeirEvent take_byte(WeirParser* parser, char byte) {
  switch (parser->state) {
    case in_name:
      return take_name(parser, byte);
    case in_info:
      return take_info(parser, byte);
    case in_arguments:
      return take_argument(parser, byte);
    case in_error:
      return take_error(parser, byte);
    case in_line_end:
      if (byte == '\n') return end_line(parser);
      return byte == '\r' || byte == ' ' ? WEIR_EVENT_NONE : WEIR_EVENT_INVALID;
    default:
      return take_payload_end(parser, byte);
  }
}

WeirEvent weir_parser_take(WeirParser* parser, const uint8_t* bytes, size_t size, size_t* taken) {
  WeirEvent event = WEIR_EVENT_NONE;
  size_t at = 0;
  while (at < size && event == WEIR_EVENT_NONE) {
    if (parser->state == in_payload) {
      at += take_payload(parser, bytes + at, size - at);
    } else {
      event = take_byte(parser, (char)bytes[at]);
      at++;
    }
  }
  *taken = at;
  return event;
}
