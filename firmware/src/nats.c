#include <string.h>

#include "backoff.h"
#include "nats_send.h"
#include "parser.h"
#include "weir_nats.h"

enum {           // WeirNats.state
  waiting,       // for the deadline, then open
  opening,       // the port connects
  starting_tls,  // the port's handshake
  awaiting_info,
  connecting,  // CONNECT and PING are sent, PONG is awaited
  ready
};

enum {
  chunk_size = 64,          // bytes that are received at once, on the stack
  chunks_a_poll = 64,       // so that one step is bounded
  stable_ms = 5000,         // a link that held so long begins the back-off from its start
  lame_duck_ms = 5000,      // the server's shortest grace period is 10 s
  largest_ms = 3600 * 1000  // of any interval
};

static int64_t ns_of(uint32_t ms) { return (int64_t)ms * 1000000; }

static uint32_t or_default(uint32_t value, uint32_t otherwise) { return value != 0U ? value : otherwise; }

static int64_t now_of(const WeirNats* nats) { return nats->config->port->now(nats->config->port->context); }

// --- Configuration ---------------------------------------------------------------------------------------------------

static bool is_within(uint32_t value, uint32_t least, uint32_t most) {
  return value == 0U || (value >= least && value <= most);
}

static bool has_port(const WeirPort* port) {
  return port != NULL && port->open != NULL && port->start_tls != NULL && port->send != NULL && port->receive != NULL &&
         port->close != NULL && port->now != NULL && port->random != NULL;
}

int weir_nats_init(WeirNats* nats, const WeirNatsConfig* config) {
  memset(nats, 0, sizeof *nats);
  nats->config = config;
  const bool is_signed = config->nkey != NULL || config->jwt != NULL;
  if (!has_port(config->port) || config->host == NULL || config->send_buffer == NULL || config->send_size < 256U ||
      config->receive_buffer == NULL || config->receive_size < 128U || config->tls > (uint8_t)WEIR_TLS_FIRST ||
      (is_signed && config->sign == NULL) || (config->user == NULL) != (config->password == NULL) ||
      !is_within(config->connect_timeout_ms, 100, 600000) || !is_within(config->ping_interval_ms, 100, largest_ms) ||
      !is_within(config->backoff_min_ms, 1, largest_ms) || !is_within(config->backoff_max_ms, 1, largest_ms) ||
      or_default(config->backoff_min_ms, 500) > or_default(config->backoff_max_ms, 60000)) {
    return WEIR_ERROR_CONFIG;
  }
  nats->deadline = INT64_MIN;  // the first connect does not wait
  return WEIR_OK;
}

// --- The life of a link ----------------------------------------------------------------------------------------------

static void close_link(WeirNats* nats, int64_t deadline) {
  const WeirPort* port = nats->config->port;
  port->close(port->context);
  for (WeirNatsSubscription* each = nats->subscriptions; each != NULL; each = each->next) each->sent = false;
  nats->send_begin = 0;
  nats->send_end = 0;
  nats->state = waiting;
  nats->deadline = deadline;
}

static int lose(WeirNats* nats, WeirResult reason) {
  const int64_t now = now_of(nats);
  if (nats->state == (uint8_t)ready && now - nats->ready_since >= ns_of(stable_ms)) nats->attempts = 0;
  close_link(nats, now + ns_of(weir_backoff_ms(nats->config, nats->attempts)));
  nats->attempts++;
  nats->statistics.losses++;
  nats->statistics.last_error = (int8_t)reason;
  return (int)reason;
}

void weir_nats_close(WeirNats* nats) {
  if (nats->state != (uint8_t)waiting) close_link(nats, INT64_MIN);
}

static void begin_link(WeirNats* nats) {
  const WeirNatsConfig* config = nats->config;
  weir_parser_begin(&nats->parser, config->receive_buffer, config->receive_size);
  nats->state = opening;
  nats->deadline = now_of(nats) + ns_of(or_default(config->connect_timeout_ms, 10000));
  nats->awaits_pong = false;
  nats->owes_ping = false;
  nats->owes_pong = false;
  nats->leaves = false;
}

static int begin_tls(WeirNats* nats) {
  nats->state = starting_tls;
  return WEIR_OK;
}

static int introduce(WeirNats* nats) {
  if ((nats->parser.info.flags & WEIR_INFO_HEADERS) == 0U) return WEIR_ERROR_HEADERS;
  nats->state = connecting;
  return weir_send_connect(nats, nats->config->tls != (uint8_t)WEIR_TLS_OFF);
}

static int open_step(WeirNats* nats) {
  const WeirNatsConfig* config = nats->config;
  const int result = config->port->open(config->port->context, config->host,
                                        config->tcp_port != 0U ? config->tcp_port : (uint16_t)4222);
  if (result < 0) return WEIR_ERROR_LINK;
  if (result == 0) return WEIR_OK;
  if (config->tls == (uint8_t)WEIR_TLS_FIRST) return begin_tls(nats);
  nats->state = awaiting_info;
  return WEIR_OK;
}

static int tls_step(WeirNats* nats) {
  const WeirNatsConfig* config = nats->config;
  const int result = config->port->start_tls(config->port->context, config->host);
  if (result < 0) return WEIR_ERROR_TLS;
  if (result == 0) return WEIR_OK;
  if (config->tls == (uint8_t)WEIR_TLS_AFTER_INFO) return introduce(nats);
  nats->state = awaiting_info;
  return WEIR_OK;
}

// --- What the server says --------------------------------------------------------------------------------------------

static int take_info(WeirNats* nats, bool more_follows) {
  const uint8_t flags = nats->parser.info.flags;
  if (nats->state == (uint8_t)awaiting_info) {
    if (nats->config->tls == (uint8_t)WEIR_TLS_OFF && (flags & WEIR_INFO_TLS_REQUIRED) != 0U) return WEIR_ERROR_TLS;
    if (nats->config->tls != (uint8_t)WEIR_TLS_AFTER_INFO) return introduce(nats);
    if ((flags & (WEIR_INFO_TLS_REQUIRED | WEIR_INFO_TLS_AVAILABLE)) == 0U) return WEIR_ERROR_TLS;
    // Plain text behind INFO would be taken as if it had come through TLS.
    return more_follows ? WEIR_ERROR_PROTOCOL : begin_tls(nats);
  }
  if ((flags & WEIR_INFO_LAME_DUCK) != 0U && !nats->leaves) {
    nats->leaves = true;
    nats->leave_at = now_of(nats) + ns_of(weir_random_up_to(nats->config->port, lame_duck_ms));
  }
  return WEIR_OK;
}

static int take_error(WeirNats* nats) {
  const WeirResult reason = weir_parser_error(&nats->parser);
  if (reason == WEIR_OK) nats->statistics.permission_errors++;
  return (int)reason;
}

static int take_pong(WeirNats* nats) {
  nats->awaits_pong = false;
  if (nats->state != (uint8_t)connecting) return WEIR_OK;
  nats->state = ready;
  nats->ready_since = now_of(nats);
  nats->deadline = nats->ready_since + ns_of(or_default(nats->config->ping_interval_ms, 30000));
  nats->statistics.connects++;
  return WEIR_OK;
}

static void deliver(WeirNats* nats) {
  uint32_t id = 0;
  const WeirNatsMessage message = weir_parser_message(&nats->parser, &id);
  for (WeirNatsSubscription* each = nats->subscriptions; each != NULL; each = each->next) {
    if (each->id != id) continue;
    each->on_message(each->context, &message);
    return;
  }
}

static int take_event(WeirNats* nats, WeirEvent event, bool more_follows) {
  if (nats->state == (uint8_t)awaiting_info && event != WEIR_EVENT_INFO && event != WEIR_EVENT_NONE &&
      event != WEIR_EVENT_ERR) {
    return WEIR_ERROR_PROTOCOL;
  }
  switch (event) {
    case WEIR_EVENT_INFO:
      return take_info(nats, more_follows);
    case WEIR_EVENT_MSG:
      deliver(nats);
      return WEIR_OK;
    case WEIR_EVENT_PING:
      nats->owes_pong = true;
      return WEIR_OK;
    case WEIR_EVENT_PONG:
      return take_pong(nats);
    case WEIR_EVENT_ERR:
      return take_error(nats);
    case WEIR_EVENT_TOO_LARGE:
      nats->statistics.messages_discarded++;
      return WEIR_OK;
    case WEIR_EVENT_INVALID:
      return WEIR_ERROR_PROTOCOL;
    default:
      return WEIR_OK;
  }
}

// --- Steps -----------------------------------------------------------------------------------------------------------

static int receive_chunk(WeirNats* nats, bool* was_empty) {
  const WeirPort* port = nats->config->port;
  uint8_t chunk[chunk_size];
  const int received = port->receive(port->context, chunk, sizeof chunk);
  *was_empty = received == 0;
  if (received < 0 || received > chunk_size) return WEIR_ERROR_LINK;
  size_t at = 0;
  while (at < (size_t)received) {
    size_t taken = 0;
    const WeirEvent event = weir_parser_take(&nats->parser, chunk + at, (size_t)received - at, &taken);
    at += taken;
    const int result = take_event(nats, event, at < (size_t)received);
    if (result != WEIR_OK) return result;
  }
  return WEIR_OK;
}

static int receive_step(WeirNats* nats) {
  bool was_empty = false;
  for (int i = 0; i < chunks_a_poll && !was_empty && nats->state >= (uint8_t)awaiting_info; i++) {
    const int result = receive_chunk(nats, &was_empty);
    if (result != WEIR_OK) return result;
  }
  return WEIR_OK;
}

/// What is to be sent besides messages; what has no room comes with a later step.
static void owe_step(WeirNats* nats) {
  if (nats->owes_pong) nats->owes_pong = weir_send_line(nats, "PONG\r\n") != WEIR_OK;
  if (nats->owes_ping) nats->owes_ping = weir_send_line(nats, "PING\r\n") != WEIR_OK;
  if (nats->state != (uint8_t)ready) return;
  for (WeirNatsSubscription* each = nats->subscriptions; each != NULL; each = each->next) {
    if (!each->sent) each->sent = weir_send_subscription(nats, each) == WEIR_OK;
  }
}

static int watch_step(WeirNats* nats) {
  const int64_t now = now_of(nats);
  if (nats->state != (uint8_t)ready) return now >= nats->deadline ? WEIR_ERROR_TIMEOUT : WEIR_OK;
  if (nats->leaves && now >= nats->leave_at) {
    close_link(nats, INT64_MIN);
    return WEIR_OK;
  }
  if (now < nats->deadline) return WEIR_OK;
  if (nats->awaits_pong) return WEIR_ERROR_TIMEOUT;
  nats->awaits_pong = true;
  nats->owes_ping = true;
  nats->deadline = now + ns_of(or_default(nats->config->ping_interval_ms, 30000));
  return WEIR_OK;
}

static int link_step(WeirNats* nats) {
  int result = WEIR_OK;
  if (nats->state == (uint8_t)opening) result = open_step(nats);
  if (result == WEIR_OK && nats->state == (uint8_t)starting_tls) result = tls_step(nats);
  if (result == WEIR_OK) result = receive_step(nats);
  if (result == WEIR_OK) result = watch_step(nats);
  if (result == WEIR_OK) owe_step(nats);
  if (result == WEIR_OK && nats->state >= (uint8_t)connecting) result = weir_send_queued(nats);
  return result;
}

int weir_nats_poll(WeirNats* nats) {
  if (nats->state == (uint8_t)waiting) {
    if (now_of(nats) < nats->deadline) return 0;
    begin_link(nats);
  }
  const int result = link_step(nats);
  if (result != WEIR_OK) return lose(nats, (WeirResult)result);
  return nats->state == (uint8_t)ready ? 1 : 0;
}

bool weir_nats_is_ready(const WeirNats* nats) {
  if (nats->state != (uint8_t)ready) return false;
  for (const WeirNatsSubscription* each = nats->subscriptions; each != NULL; each = each->next) {
    if (!each->sent) return false;
  }
  return true;
}

// --- Subscriptions ---------------------------------------------------------------------------------------------------

void weir_nats_subscribe(WeirNats* nats, WeirNatsSubscription* subscription) {
  nats->next_id++;
  subscription->id = nats->next_id;
  subscription->sent = false;
  subscription->next = nats->subscriptions;
  nats->subscriptions = subscription;
}

int weir_nats_unsubscribe(WeirNats* nats, WeirNatsSubscription* subscription) {
  if (subscription->sent && weir_send_unsubscription(nats, subscription) != WEIR_OK) return WEIR_ERROR_BUSY;
  WeirNatsSubscription** at = &nats->subscriptions;
  while (*at != NULL && *at != subscription) at = &(*at)->next;
  if (*at != NULL) *at = subscription->next;
  return WEIR_OK;
}
