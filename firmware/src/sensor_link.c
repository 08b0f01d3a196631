#include "sensor_link.h"

#include <string.h>

#include "backoff.h"
#include "frame.h"
#include "json.h"
#include "nats_send.h"
#include "outbox.h"
#include "text.h"
#include "time_source.h"

enum { ns_per_ms = 1000000, ask_again_ms = 3000 };

static uint32_t or_default(uint32_t value, uint32_t otherwise) { return value != 0U ? value : otherwise; }

static int64_t ns_of(uint32_t ms) { return (int64_t)ms * ns_per_ms; }

// --- Subjects --------------------------------------------------------------------------------------------------------

// The subscription's subject with its last token, "*", replaced; `mark` tells questions and frames apart.
static void write_reply(const WeirSensor* sensor, WeirWriter* writer, const char* mark, uint32_t number) {
  weir_write_bytes(writer, sensor->inbox_subject, strlen(sensor->inbox_subject) - 1U);
  weir_write_text(writer, mark);
  weir_write_number(writer, number);
  weir_write_bytes(writer, "", 1);
}

static void write_subject(const WeirSensorConfig* config, WeirWriter* writer) {
  if (config->partitions > 0U) {
    weir_write_text(writer, "p.");
    weir_write_number(writer, weir_partition(config->vehicle, config->partitions));
    weir_write_text(writer, ".");
  }
  weir_write_text(writer, "vehicle.");
  weir_write_text(writer, config->vehicle);
  weir_write_text(writer, ".");
  weir_write_text(writer, config->sensor);
  weir_write_bytes(writer, "", 1);
}

// --- Acknowledgements ------------------------------------------------------------------------------------------------

typedef enum Verdict { stored, not_stored, rejected } Verdict;

// {"stream":"S","seq":7} or {"error":{"code":503,"err_code":10077,…}}; ADR-1 of nats-architecture-and-design.
static Verdict read_ack(const WeirNatsMessage* message) {
  enum { message_exceeds_maximum = 10054 };
  if (message->status != 0U) return not_stored;
  WeirJson json;
  bool has_stream = false;
  bool has_sequence = false;
  weir_json_begin(&json);
  for (uint32_t i = 0; i < message->payload_size; i++) {
    const int result = weir_json_take(&json, (char)message->payload[i]);
    if (result < 0) return not_stored;
    if (result == 0) continue;
    if (json.depth == 2U) {
      if (!weir_json_is(&json, 2, "err_code")) continue;
      return weir_json_number(&json) == (uint32_t)message_exceeds_maximum ? rejected : not_stored;
    }
    if (weir_json_is(&json, 1, "stream")) has_stream = true;
    if (weir_json_is(&json, 1, "seq")) has_sequence = weir_json_number(&json) > 0U;
  }
  return weir_json_is_complete(&json) && has_stream && has_sequence ? stored : not_stored;
}

void weir_link_front_changed(WeirSensor* sensor) {
  WeirFrameInfo info;
  const bool has_front = weir_outbox_of_sensor_front(sensor, &info);
  if (has_front && info.boot == sensor->sent_boot && info.sequence == sensor->sent_sequence) return;
  sensor->ticket++;
  sensor->is_sent = false;
  sensor->sent_sequence = 0;
}

static void pop(WeirSensor* sensor) {
  const WeirStore* store = sensor->config->store;
  if (store != NULL) {
    (void)store->pop(store->context);  // it forgets the frame in any case, if only until the next start
  } else {
    weir_outbox_pop(&sensor->outbox);
  }
  sensor->ticket++;
  sensor->is_sent = false;
  sensor->sent_sequence = 0;
  sensor->refusals = 0;
}

static void reject(WeirSensor* sensor, const WeirFrameInfo* info, WeirDropReason reason) {
  WeirDropped dropped = {0};
  dropped.frames = 1;
  dropped.samples = info->samples;
  dropped.reason = (uint8_t)reason;
  pop(sensor);
  weir_report_drop(sensor, &dropped);
}

/// JetStream has no stream, or no room in it: again after a wait as between reconnects.
static void try_later(WeirSensor* sensor) {
  const WeirNatsConfig* nats = &sensor->config->nats;
  sensor->retry_at = nats->port->now(nats->port->context) + ns_of(weir_backoff_ms(nats, sensor->refusals));
  sensor->refusals++;
  sensor->is_sent = false;
}

static void take_ack(WeirSensor* sensor, const WeirNatsMessage* message) {
  WeirFrameInfo info;
  if (!weir_outbox_of_sensor_front(sensor, &info)) return;
  switch (read_ack(message)) {
    case stored:
      pop(sensor);
      sensor->statistics.frames_stored++;
      return;
    case rejected:
      sensor->statistics.acks_negative++;
      reject(sensor, &info, WEIR_DROPPED_REJECTED);
      return;
    default:
      sensor->statistics.acks_negative++;
      try_later(sensor);
      return;
  }
}

static void take_time(WeirSensor* sensor, const WeirNatsMessage* message) {
  const WeirSensorConfig* config = sensor->config;
  const int64_t now = config->nats.port->now(config->nats.port->context);
  sensor->time.is_asking = false;
  if (message->status == 0U && weir_time_answer(&sensor->time, config, now, message->payload, message->payload_size)) {
    sensor->time.ask_at = now + ns_of(config->clock_interval_ms);
  }
}

static void on_reply(void* context, const WeirNatsMessage* message) {
  WeirSensor* sensor = context;
  const size_t prefix = strlen(sensor->inbox_subject) - 1U;
  const size_t size = strlen(message->subject);
  if (size < prefix + 2U) return;
  const char* token = message->subject + prefix;
  const uint32_t number = weir_text_number(token + 1, size - prefix - 1U);
  if (token[0] == 'f' && number == sensor->ticket && sensor->sent_sequence != 0U) take_ack(sensor, message);
  if (token[0] == 't' && number == sensor->time.question && sensor->time.is_asking) take_time(sensor, message);
}

void weir_link_init(WeirSensor* sensor) {
  const char* inbox = sensor->config->inbox != NULL ? sensor->config->inbox : "_INBOX";
  WeirWriter writer = weir_writer(sensor->inbox_subject, sizeof sensor->inbox_subject);
  weir_write_text(&writer, inbox);
  weir_write_text(&writer, ".");
  weir_write_hex(&writer, sensor->boot);
  weir_write_text(&writer, ".*");
  weir_write_bytes(&writer, "", 1);
  sensor->inbox.subject = sensor->inbox_subject;
  sensor->inbox.on_message = on_reply;
  sensor->inbox.context = sensor;
  sensor->time.ask_at = INT64_MIN;
  weir_nats_subscribe(&sensor->nats, &sensor->inbox);
}

// --- Frames ----------------------------------------------------------------------------------------------------------

/// Reserves the message in the send buffer.
static int reserve(WeirSensor* sensor, const WeirFrameInfo* info, uint8_t** payload) {
  char subject[112];
  char reply[80];
  char id[56];
  WeirWriter writer = weir_writer(subject, sizeof subject);
  write_subject(sensor->config, &writer);
  writer = weir_writer(reply, sizeof reply);
  write_reply(sensor, &writer, "f", sensor->ticket);
  writer = weir_writer(id, sizeof id);
  weir_write_text(&writer, "Nats-Msg-Id: ");
  weir_write_hex(&writer, info->boot);
  weir_write_text(&writer, "-");
  weir_write_number(&writer, info->sequence);
  weir_write_text(&writer, "\r\n");
  weir_write_bytes(&writer, "", 1);
  return weir_nats_reserve(&sensor->nats, subject, reply, id, info->size, payload);
}

static int read_front(WeirSensor* sensor, uint8_t* frame) {
  const WeirStore* store = sensor->config->store;
  if (store != NULL) return store->read(store->context, frame);
  weir_outbox_read(&sensor->outbox, frame);
  return WEIR_OK;
}

static void convert_times(WeirSensor* sensor, const WeirFrameInfo* info, uint8_t* frame) {
  if (info->is_utc != 0U) return;
  const bool is_known = info->boot == sensor->boot && sensor->time.is_known;
  weir_frame_shift(frame, info, is_known ? sensor->time.offset : WEIR_NO_TIME);
  if (!is_known) sensor->statistics.frames_untimed++;
}

static void send_front(WeirSensor* sensor, const WeirFrameInfo* info, int64_t now) {
  const uint32_t before = sensor->nats.send_end - sensor->nats.send_begin;
  uint8_t* payload = NULL;
  const int result = reserve(sensor, info, &payload);
  if (result == WEIR_ERROR_TOO_LARGE) reject(sensor, info, WEIR_DROPPED_REJECTED);
  if (result != WEIR_OK) return;
  if (read_front(sensor, payload) != WEIR_OK) {
    sensor->nats.send_end = sensor->nats.send_begin + before;  // takes the message back
    reject(sensor, info, WEIR_DROPPED_STORAGE);
    return;
  }
  convert_times(sensor, info, payload);
  sensor->is_sent = true;
  sensor->sent_boot = info->boot;
  sensor->sent_sequence = info->sequence;
  sensor->ack_due = now + ns_of(or_default(sensor->config->ack_timeout_ms, 5000));
  sensor->statistics.frames_sent++;
}

/// Frames without UTC wait for the time server, though not for ever.
static bool waits_for_time(const WeirSensor* sensor, const WeirFrameInfo* info, int64_t now) {
  return info->is_utc == 0U && info->boot == sensor->boot && !sensor->time.is_known && now < sensor->untimed_from;
}

static void frame_step(WeirSensor* sensor, int64_t now) {
  WeirFrameInfo info;
  if (sensor->is_sent && now >= sensor->ack_due) {
    sensor->statistics.acks_missing++;
    sensor->is_sent = false;
  }
  if (sensor->is_sent || now < sensor->retry_at || !weir_outbox_of_sensor_front(sensor, &info)) return;
  if (!waits_for_time(sensor, &info, now)) send_front(sensor, &info, now);
}

// --- Time ------------------------------------------------------------------------------------------------------------

static void time_step(WeirSensor* sensor, int64_t now) {
  const WeirSensorConfig* config = sensor->config;
  if (config->clock_interval_ms == 0U || now < sensor->time.ask_at) return;
  char subject[48];
  char reply[80];
  WeirWriter writer = weir_writer(subject, sizeof subject);
  weir_write_text(&writer, "time.");
  weir_write_text(&writer, config->vehicle);
  weir_write_bytes(&writer, "", 1);
  writer = weir_writer(reply, sizeof reply);
  write_reply(sensor, &writer, "t", sensor->time.question + 1U);
  if (weir_nats_publish(&sensor->nats, subject, reply, NULL, "", 0) != WEIR_OK) return;
  sensor->time.question++;
  sensor->time.is_asking = true;
  sensor->time.asked_at = now;
  sensor->time.ask_at = now + ns_of(ask_again_ms);
}

bool weir_sensor_utc(const WeirSensor* sensor, int64_t time_ns, int64_t* utc_ns, int64_t* error_ns) {
  const bool is_utc = sensor->config->clock_interval_ms == 0U;
  if (!is_utc && !sensor->time.is_known) return false;
  *utc_ns = is_utc ? time_ns : time_ns + sensor->time.offset;
  *error_ns = is_utc ? 0 : weir_time_error(&sensor->time, sensor->config, time_ns);
  return true;
}

void weir_link_step(WeirSensor* sensor, int64_t now, bool is_ready) {
  if (!is_ready) {
    sensor->is_sent = false;
    sensor->was_ready = false;
    return;
  }
  if (!sensor->was_ready) {
    sensor->was_ready = true;
    sensor->retry_at = INT64_MIN;
    sensor->untimed_from = now + ns_of(or_default(sensor->config->clock_wait_ms, 10000));
  }
  time_step(sensor, now);
  frame_step(sensor, now);
  (void)weir_send_queued(&sensor->nats);  // a lost link is found by the next weir_nats_poll
}
