/// The server's side of the NATS protocol, byte by byte: pure, no clock, no link.
#ifndef WEIR_PARSER_H
#define WEIR_PARSER_H

#include "weir_nats.h"

typedef enum WeirEvent {
  WEIR_EVENT_NONE,  ///< all bytes are taken, nothing is complete
  WEIR_EVENT_INFO,  ///< parser->info is new
  WEIR_EVENT_MSG,   ///< weir_parser_message gives it, until the next byte
  WEIR_EVENT_PING,
  WEIR_EVENT_PONG,
  WEIR_EVENT_OK,
  WEIR_EVENT_ERR,        ///< weir_parser_error says what it means
  WEIR_EVENT_TOO_LARGE,  ///< a message that is larger than the buffer was skipped
  WEIR_EVENT_INVALID     ///< these bytes are no NATS protocol; the parser must begin again
} WeirEvent;

enum {  // WeirNatsInfo.flags
  WEIR_INFO_TLS_REQUIRED = 1,
  WEIR_INFO_TLS_AVAILABLE = 2,
  WEIR_INFO_HEADERS = 4,
  WEIR_INFO_LAME_DUCK = 8
};

/// Prepares for the first byte of a connection; messages are put together in `buffer`.
void weir_parser_begin(WeirParser* parser, uint8_t* buffer, uint32_t capacity);

/// Takes bytes up to the end of one event and returns it; *taken is how many.
WeirEvent weir_parser_take(WeirParser* parser, const uint8_t* bytes, size_t size, size_t* taken);

/// The message that is complete, and the subscription that it belongs to.
WeirNatsMessage weir_parser_message(const WeirParser* parser, uint32_t* sid);

/// WEIR_OK for a permission error, which leaves the link; else why the server is about to close it.
WeirResult weir_parser_error(const WeirParser* parser);

#endif
