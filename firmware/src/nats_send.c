#include "nats_send.h"

#include <string.h>

#include "parser.h"
#include "text.h"

// The free end of the send buffer, after what is queued was moved to its front.
static WeirWriter begin_line(WeirNats* nats) {
  const WeirNatsConfig* config = nats->config;
  if (nats->send_begin > 0U) {
    nats->send_end -= nats->send_begin;
    memmove(config->send_buffer, config->send_buffer + nats->send_begin, nats->send_end);
    nats->send_begin = 0;
  }
  return weir_writer(config->send_buffer + nats->send_end, config->send_size - nats->send_end);
}

static int end_line(WeirNats* nats, const WeirWriter* writer) {
  if (writer->is_full) return WEIR_ERROR_BUSY;
  nats->send_end += writer->size;
  return WEIR_OK;
}

int weir_send_line(WeirNats* nats, const char* line) {
  WeirWriter writer = begin_line(nats);
  weir_write_text(&writer, line);
  return end_line(nats, &writer);
}

int weir_send_subscription(WeirNats* nats, const WeirNatsSubscription* subscription) {
  WeirWriter writer = begin_line(nats);
  weir_write_text(&writer, "SUB ");
  weir_write_text(&writer, subscription->subject);
  weir_write_text(&writer, " ");
  if (subscription->queue != NULL) {
    weir_write_text(&writer, subscription->queue);
    weir_write_text(&writer, " ");
  }
  weir_write_number(&writer, subscription->id);
  weir_write_text(&writer, "\r\n");
  return end_line(nats, &writer);
}

int weir_send_unsubscription(WeirNats* nats, const WeirNatsSubscription* subscription) {
  WeirWriter writer = begin_line(nats);
  weir_write_text(&writer, "UNSUB ");
  weir_write_number(&writer, subscription->id);
  weir_write_text(&writer, "\r\n");
  return end_line(nats, &writer);
}

// --- CONNECT ---------------------------------------------------------------------------------------------------------

static void write_member(WeirWriter* writer, const char* begin, const char* value) {
  if (value == NULL) return;
  weir_write_text(writer, begin);
  weir_write_json_text(writer, value);
  weir_write_text(writer, "\"");
}

static int write_signature(WeirWriter* writer, const WeirNats* nats) {
  const WeirNatsConfig* config = nats->config;
  const WeirNatsInfo* info = &nats->parser.info;
  if (config->sign == NULL || info->nonce_size == 0U) return WEIR_OK;
  uint8_t signature[64];
  if (config->sign(config->sign_context, (const uint8_t*)info->nonce, info->nonce_size, signature) < 0) {
    return WEIR_ERROR_AUTHORIZATION;
  }
  weir_write_text(writer, ",\"sig\":\"");
  weir_write_base64url(writer, signature, sizeof signature);
  weir_write_text(writer, "\"");
  return WEIR_OK;
}

int weir_send_connect(WeirNats* nats, bool with_tls) {
  const WeirNatsConfig* config = nats->config;
  WeirWriter writer = begin_line(nats);
  weir_write_text(&writer,
                  "CONNECT {\"verbose\":false,\"pedantic\":false,\"protocol\":1,\"headers\":true,"
                  "\"no_responders\":true,\"lang\":\"c99\",\"version\":\"0.1\",\"tls_required\":");
  weir_write_text(&writer, with_tls ? "true" : "false");
  write_member(&writer, ",\"name\":\"", config->name);
  write_member(&writer, ",\"user\":\"", config->user);
  write_member(&writer, ",\"pass\":\"", config->password);
  write_member(&writer, ",\"auth_token\":\"", config->token);
  write_member(&writer, ",\"nkey\":\"", config->nkey);
  write_member(&writer, ",\"jwt\":\"", config->jwt);
  const int result = write_signature(&writer, nats);
  weir_write_text(&writer, "}\r\nPING\r\n");
  if (result != WEIR_OK) return result;
  return end_line(nats, &writer) == WEIR_OK ? WEIR_OK : WEIR_ERROR_TOO_LARGE;
}

// --- Messages --------------------------------------------------------------------------------------------------------

static bool is_subject(const char* text) {
  for (const char* at = text; *at != '\0'; at++) {
    if ((unsigned char)*at <= 0x20U) return false;
  }
  return *text != '\0';
}

static void write_control_line(WeirWriter* writer, const char* subject, const char* reply, const char* headers,
                               uint32_t size) {
  static const char version[] = "NATS/1.0\r\n";
  weir_write_text(writer, headers != NULL ? "HPUB " : "PUB ");
  weir_write_text(writer, subject);
  weir_write_text(writer, " ");
  if (reply != NULL) {
    weir_write_text(writer, reply);
    weir_write_text(writer, " ");
  }
  const uint32_t headers_size = headers != NULL ? (uint32_t)(sizeof version - 1U + strlen(headers) + 2U) : 0U;
  if (headers != NULL) {
    weir_write_number(writer, headers_size);
    weir_write_text(writer, " ");
  }
  weir_write_number(writer, headers_size + size);
  weir_write_text(writer, "\r\n");
  if (headers == NULL) return;
  weir_write_text(writer, version);
  weir_write_text(writer, headers);
  weir_write_text(writer, "\r\n");
}

int weir_nats_reserve(WeirNats* nats, const char* subject, const char* reply, const char* headers, uint32_t size,
                      uint8_t** payload) {
  if (!is_subject(subject) || (reply != NULL && !is_subject(reply))) return WEIR_ERROR_CONFIG;
  if (!weir_nats_is_ready(nats)) return WEIR_ERROR_BUSY;
  const size_t headers_size = headers != NULL ? strlen(headers) + 12U : 0U;
  if (size > nats->parser.info.max_payload || headers_size > nats->parser.info.max_payload - size) {
    return WEIR_ERROR_TOO_LARGE;
  }
  WeirWriter writer = begin_line(nats);
  write_control_line(&writer, subject, reply, headers, size);
  if (writer.is_full || size + 2U > writer.capacity - writer.size) {
    return nats->send_end == 0U ? WEIR_ERROR_TOO_LARGE : WEIR_ERROR_BUSY;
  }
  *payload = writer.bytes + writer.size;
  (*payload)[size] = '\r';
  (*payload)[size + 1U] = '\n';
  nats->send_end += writer.size + size + 2U;
  return WEIR_OK;
}

int weir_nats_publish(WeirNats* nats, const char* subject, const char* reply, const char* headers, const void* payload,
                      uint32_t size) {
  uint8_t* reserved = NULL;
  const int result = weir_nats_reserve(nats, subject, reply, headers, size, &reserved);
  if (result == WEIR_OK && size > 0U) memcpy(reserved, payload, size);
  return result;
}

int weir_send_queued(WeirNats* nats) {
  const WeirPort* port = nats->config->port;
  while (nats->send_begin < nats->send_end) {
    const uint32_t size = nats->send_end - nats->send_begin;
    const int sent = port->send(port->context, nats->config->send_buffer + nats->send_begin, size);
    if (sent < 0 || (uint32_t)sent > size) return WEIR_ERROR_LINK;
    if (sent == 0) return WEIR_OK;
    nats->send_begin += (uint32_t)sent;
  }
  return WEIR_OK;
}
