/// A NATS client for small devices: one connection, no threads, no heap; the caller brings the memory.
///
/// Protocol  https://docs.nats.io/reference/reference-protocols/nats-protocol; headers: ADR-4; NKeys: ADR-14.
///           INFO, CONNECT, PUB, HPUB, SUB, UNSUB, MSG, HMSG, PING, PONG, +OK, -ERR, lame duck mode.
/// Memory    a WeirNats, the two buffers of the configuration, and what the configuration points to. All of it stays in
///           place and unchanged (but for the buffers) from weir_nats_init on.
/// Threads   one task at a time per client. No call may be made from an interrupt.
/// Blocking  never longer than the port's calls and the caller's own callbacks.
#ifndef WEIR_NATS_H
#define WEIR_NATS_H

#include <stdbool.h>

#include "weir_port.h"

#ifdef __cplusplus
extern "C" {
#endif

/// Results of the client's calls, and reasons for which a link was lost. 0 is success, errors are below 0.
typedef enum WeirResult {
  WEIR_OK = 0,
  WEIR_ERROR_CONFIG = -1,         ///< a value of the configuration is out of its bounds
  WEIR_ERROR_BUSY = -2,           ///< not connected, or the send buffer has no room: try again later
  WEIR_ERROR_TOO_LARGE = -3,      ///< more than the server's max_payload or than the buffer can ever hold
  WEIR_ERROR_LINK = -4,           ///< the port reported the loss of the link
  WEIR_ERROR_TIMEOUT = -5,        ///< the server did not answer in time
  WEIR_ERROR_PROTOCOL = -6,       ///< bytes that are no NATS protocol, or not expected now
  WEIR_ERROR_TLS = -7,            ///< TLS is configured and the server offers none, or the reverse, or it failed
  WEIR_ERROR_AUTHORIZATION = -8,  ///< the server rejected the credentials, or sign() failed
  WEIR_ERROR_SERVER = -9,         ///< any other -ERR of the server
  WEIR_ERROR_HEADERS = -10,       ///< the server has no headers (older than 2.2)
  WEIR_ERROR_VALUE = -11,         ///< a sample is NaN, infinite or too large for a frame
  WEIR_ERROR_STORAGE = -12        ///< the flash reported an error
} WeirResult;

typedef enum WeirTls {
  WEIR_TLS_OFF,         ///< plain text; a server that requires TLS is an error
  WEIR_TLS_AFTER_INFO,  ///< the server's default: plain INFO, then TLS; a server without TLS is an error
  WEIR_TLS_FIRST        ///< TLS before INFO (`handshake_first` in the server's configuration)
} WeirTls;

/// Signs the server's nonce with the Ed25519 key of the user: weir_sign_with_seed (weir_sign.h) or a secure element.
/// Returns 0, or < 0 if it can't. May block; it is called once per connect.
typedef int (*WeirSign)(void* context, const uint8_t* nonce, size_t size, uint8_t signature[64]);

/// Numbers: 0 stands for the default. Texts: NULL is "none"; they are zero-terminated UTF-8.
typedef struct WeirNatsConfig {
  const WeirPort* port;  ///< required

  const char* host;         ///< required; name or address, as the port understands it
  uint16_t tcp_port;        ///< 1 to 65535; default 4222
  uint8_t tls;              ///< a WeirTls; default WEIR_TLS_OFF
  const char* name;         ///< of this client in the server's monitoring
  const char* user;         ///< with password
  const char* password;     ///< with user
  const char* token;        ///< instead of user and password
  const char* nkey;         ///< public key of the user ("U…", 56 characters); needs sign
  const char* jwt;          ///< user JWT, often 400 to 1,000 bytes; needs sign
  WeirSign sign;            ///< signs the nonce
  void* sign_context;       ///< passed to sign
  uint8_t* send_buffer;     ///< required; holds CONNECT and every message to send
  uint32_t send_size;       ///< bytes; at least 256, and 256 more than the credentials or the largest payload
  uint8_t* receive_buffer;  ///< required; holds one message that arrives, with its control line
  uint32_t receive_size;    ///< bytes; at least 128; a larger message is discarded and counted

  uint32_t connect_timeout_ms;  ///< from open to ready; 100 to 600,000; default 10,000
  uint32_t ping_interval_ms;    ///< 100 to 3,600,000; default 30,000; unanswered for as long, the link is lost
  uint32_t backoff_min_ms;      ///< bound of the first wait before a reconnect; 1 to 3,600,000; default 500
  uint32_t backoff_max_ms;      ///< bound of all waits; backoff_min_ms to 3,600,000; default 60,000
} WeirNatsConfig;

/// A message that arrived. Everything points into the receive buffer and is valid during the callback only.
typedef struct WeirNatsMessage {
  const char* subject;
  const char* reply;       ///< NULL if the publisher expects none
  const uint8_t* headers;  ///< "NATS/1.0…" to the empty line; NULL if there are none
  uint32_t headers_size;
  const uint8_t* payload;
  uint32_t payload_size;
  uint16_t status;  ///< from the headers' first line, e.g. 503 (no responders); else 0
} WeirNatsMessage;

/// A subscription: caller-owned, stays in place until weir_nats_unsubscribe. It is renewed after each reconnect.
typedef struct WeirNatsSubscription {
  const char* subject;                                                ///< stays valid; wildcards as in NATS
  const char* queue;                                                  ///< queue group, or NULL
  void (*on_message)(void* context, const WeirNatsMessage* message);  ///< may publish; may not (un)subscribe or poll
  void* context;

  struct WeirNatsSubscription* next;  ///< the client's own, as is all below
  uint32_t id;
  bool sent;
} WeirNatsSubscription;

/// Counters since weir_nats_init. They wrap at 2^32.
typedef struct WeirNatsStatistics {
  uint32_t connects;            ///< connections that became ready
  uint32_t losses;              ///< links lost, also while connecting
  uint32_t messages_discarded;  ///< larger than the receive buffer
  uint32_t permission_errors;   ///< -ERR 'Permissions Violation …'; the link stays
  int8_t last_error;            ///< a WeirResult: why the last link was lost
} WeirNatsStatistics;

/// What the server says of itself in INFO, as far as the client needs it.
typedef struct WeirNatsInfo {
  uint32_t max_payload;
  uint8_t flags;
  uint8_t nonce_size;
  char nonce[48];
} WeirNatsInfo;

/// The client's own; members are no part of the contract.
typedef struct WeirJson {
  char key[14];
  char value[48];
  uint8_t key_size, value_size, depth, state;
  bool in_string, escaped, is_key, is_cut, is_closing;
} WeirJson;

/// The client's own; members are no part of the contract.
typedef struct WeirParser {
  uint8_t* buffer;
  uint32_t capacity, used, remaining, payload_at;
  uint32_t sid, headers_size, payload_size;
  uint16_t reply_at;
  uint8_t state, operation, name_size;
  bool has_reply, too_large;
  char name[4];
  union {  // INFO and messages are never parsed at the same time
    WeirJson json;
    char error[24];
  } u;
  WeirNatsInfo info;
} WeirParser;

/// A client. Members are no part of the contract.
typedef struct WeirNats {
  const WeirNatsConfig* config;
  WeirNatsSubscription* subscriptions;
  WeirParser parser;
  WeirNatsStatistics statistics;
  int64_t deadline, ready_since, leave_at;
  uint32_t send_begin, send_end;
  uint32_t next_id;
  uint32_t attempts;
  uint8_t state;
  bool awaits_pong, owes_ping, owes_pong, leaves;
} WeirNats;

/// Checks the configuration and prepares the client; opens nothing. Errors: WEIR_ERROR_CONFIG.
int weir_nats_init(WeirNats* nats, const WeirNatsConfig* config);

/// One step: connects, sends, receives, calls back. Call it in a loop, whenever the link has bytes, and at least every
/// 100 ms. Returns 1: ready; 0: connecting or waiting to reconnect; < 0: the link was lost in this call and is opened
/// again by later calls, after a random wait of up to backoff_min_ms · 2^losses, at most backoff_max_ms.
int weir_nats_poll(WeirNats* nats);

/// Whether messages can be published: connected, authorised, and every subscription is on its way.
bool weir_nats_is_ready(const WeirNats* nats);

/// Queues one message; at most once. `reply`: NULL or the subject for replies. `headers`: NULL, or lines that each end
/// in "\r\n". Errors: WEIR_ERROR_BUSY, WEIR_ERROR_TOO_LARGE; WEIR_ERROR_CONFIG for a subject with spaces.
int weir_nats_publish(WeirNats* nats, const char* subject, const char* reply, const char* headers, const void* payload,
                      uint32_t size);

/// The same without a copy: reserves the payload's `size` bytes in the send buffer and sets *payload to them. The
/// caller fills them in before it makes any other call.
int weir_nats_reserve(WeirNats* nats, const char* subject, const char* reply, const char* headers, uint32_t size,
                      uint8_t** payload);

/// Adds a subscription: it is sent by the next polls, and again after each reconnect.
void weir_nats_subscribe(WeirNats* nats, WeirNatsSubscription* subscription);

/// Ends a subscription; its struct is the caller's again. WEIR_ERROR_BUSY: UNSUB has no room in the send buffer and
/// nothing has changed.
int weir_nats_unsubscribe(WeirNats* nats, WeirNatsSubscription* subscription);

/// Closes the link at once, without a wait for what is queued; the next poll opens it again.
void weir_nats_close(WeirNats* nats);

#ifdef __cplusplus
}
#endif

#endif
