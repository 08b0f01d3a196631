#include <string.h>

#include "frame.h"
#include "outbox.h"
#include "sensor_link.h"
#include "text.h"

enum { longest_token = 40, ns_per_ms = 1000000, hour_ms = 3600 * 1000 };

// --- Configuration ---------------------------------------------------------------------------------------------------

static bool is_token(const char* text) {
  if (text == NULL) return false;
  size_t size = 0;
  for (; text[size] != '\0'; size++) {
    const unsigned char byte = (unsigned char)text[size];
    if (size == (size_t)longest_token || byte <= 0x20U || byte == 0x7fU || text[size] == '.' || text[size] == '*' ||
        text[size] == '>') {
      return false;
    }
  }
  return size > 0U;
}

static bool is_within(uint32_t value, uint32_t least, uint32_t most) {
  return value == 0U || (value >= least && value <= most);
}

static bool is_prefix(const char* text) {
  return text == NULL || (text[0] != '\0' && strlen(text) <= (size_t)longest_token);
}

static bool has_outbox(const WeirSensorConfig* config) {
  if (config->store != NULL) return true;
  return config->outbox_buffer != NULL && config->outbox_size >= config->frame_size + sizeof(WeirFrameInfo);
}

static bool is_valid(const WeirSensorConfig* config) {
  return is_token(config->vehicle) && is_token(config->sensor) && is_prefix(config->inbox) &&
         config->partitions <= 65535U && config->frame_buffer != NULL && config->frame_size >= 128U &&
         config->frame_size <= 65536U && config->nats.send_size >= config->frame_size + 384U && has_outbox(config) &&
         config->policy <= (uint8_t)WEIR_THIN_OUT && is_within(config->max_age_ms, 1, hour_ms) &&
         is_within(config->ack_timeout_ms, 100, 600000) && is_within(config->clock_interval_ms, 1000, 24U * hour_ms) &&
         is_within(config->clock_wait_ms, 1, hour_ms) && is_within(config->clock_drift_ppm, 1, 1000) &&
         is_within(config->clock_error_ms, 1, 60000);
}

int weir_sensor_init(WeirSensor* sensor, const WeirSensorConfig* config) {
  memset(sensor, 0, sizeof *sensor);
  sensor->config = config;
  const int result = weir_nats_init(&sensor->nats, &config->nats);
  if (result != WEIR_OK || !is_valid(config)) return WEIR_ERROR_CONFIG;
  const WeirPort* port = config->nats.port;
  sensor->boot = (uint64_t)port->random(port->context) << 32U;
  sensor->boot |= port->random(port->context);
  weir_frame_init(&sensor->frame, config->frame_buffer, config->frame_size);
  if (config->store == NULL) {
    weir_outbox_init(&sensor->outbox, config->outbox_buffer, config->outbox_size, (WeirPolicy)config->policy);
  }
  weir_link_init(sensor);
  return WEIR_OK;
}

// --- Outbox ----------------------------------------------------------------------------------------------------------

static int append(WeirSensor* sensor, const WeirFrameInfo* info, WeirDropped* dropped) {
  const WeirStore* store = sensor->config->store;
  if (store != NULL) return store->append(store->context, info, sensor->frame.bytes, sensor->is_sent, dropped);
  weir_outbox_append(&sensor->outbox, info, sensor->frame.bytes, sensor->is_sent, dropped);
  return WEIR_OK;
}

bool weir_outbox_of_sensor_front(WeirSensor* sensor, WeirFrameInfo* info) {
  const WeirStore* store = sensor->config->store;
  return store != NULL ? store->front(store->context, info) : weir_outbox_front(&sensor->outbox, info);
}

void weir_report_drop(WeirSensor* sensor, const WeirDropped* dropped) {
  if (dropped->frames == 0U || dropped->reason >= (uint8_t)WEIR_DROP_REASONS) return;
  sensor->statistics.frames_dropped[dropped->reason] += dropped->frames;
  sensor->statistics.samples_dropped[dropped->reason] += dropped->samples;
  if (sensor->config->on_drop != NULL) sensor->config->on_drop(sensor->config->drop_context, dropped);
}

// --- Samples ---------------------------------------------------------------------------------------------------------

/// The frame's times become UTC if they can; else weir_link_step converts them when the frame is sent.
static void convert_times(WeirSensor* sensor, WeirFrameInfo* info) {
  if (sensor->config->clock_interval_ms == 0U) {
    info->is_utc = 1;
  } else if (sensor->time.is_known) {
    weir_frame_shift(sensor->frame.bytes, info, sensor->time.offset);
    info->is_utc = 1;
  } else {
    info->is_utc = 0;
  }
}

void weir_sensor_flush(WeirSensor* sensor) {
  if (sensor->frame.samples == 0U) return;
  WeirFrameInfo info = {0};
  WeirDropped dropped = {0};
  sensor->sequence++;
  info.boot = sensor->boot;
  info.sequence = sensor->sequence;
  info.size = sensor->frame.size;
  info.samples = sensor->frame.samples;
  info.kind = sensor->frame.kind;
  convert_times(sensor, &info);
  if (append(sensor, &info, &dropped) != WEIR_OK) {
    dropped.frames = 1;
    dropped.samples = info.samples;
    dropped.reason = (uint8_t)WEIR_DROPPED_STORAGE;
  }
  sensor->frame.samples = 0;
  weir_report_drop(sensor, &dropped);
  if (dropped.frames > 0U) weir_link_front_changed(sensor);
}

/// Makes the frame one that takes this kind.
static void prepare(WeirSensor* sensor, WeirKind kind) {
  if (sensor->frame.samples > 0U && sensor->frame.kind == (uint8_t)kind) return;
  weir_sensor_flush(sensor);
  weir_frame_begin(&sensor->frame, kind);
}

static void count_sample(WeirSensor* sensor) {
  const WeirSensorConfig* config = sensor->config;
  sensor->statistics.samples++;
  if (sensor->frame.samples != 1U) return;
  const uint32_t age_ms = config->max_age_ms != 0U ? config->max_age_ms : 1000U;
  sensor->frame_due = config->nats.port->now(config->nats.port->context) + (int64_t)age_ms * ns_per_ms;
}

static int refuse(WeirSensor* sensor) {
  sensor->statistics.samples_invalid++;
  return WEIR_ERROR_VALUE;
}

int weir_sensor_sample(WeirSensor* sensor, int64_t time_ns, double value) {
  if (!weir_is_finite(value)) return refuse(sensor);
  prepare(sensor, WEIR_NUMBERS);
  if (!weir_frame_add_number(&sensor->frame, time_ns, value)) {
    weir_sensor_flush(sensor);
    prepare(sensor, WEIR_NUMBERS);
    (void)weir_frame_add_number(&sensor->frame, time_ns, value);  // an empty frame has room
  }
  count_sample(sensor);
  return WEIR_OK;
}

int weir_sensor_position(WeirSensor* sensor, int64_t time_ns, double latitude, double longitude, double altitude) {
  const double place[3] = {latitude, longitude, altitude};
  if (!weir_is_finite(latitude) || !weir_is_finite(longitude) || weir_is_infinite(altitude)) {
    return refuse(sensor);
  }
  prepare(sensor, WEIR_POINTS);
  if (!weir_frame_add_point(&sensor->frame, time_ns, place)) {
    weir_sensor_flush(sensor);
    prepare(sensor, WEIR_POINTS);
    (void)weir_frame_add_point(&sensor->frame, time_ns, place);  // an empty frame has room
  }
  count_sample(sensor);
  return WEIR_OK;
}

int weir_sensor_text(WeirSensor* sensor, int64_t time_ns, const char* text, uint32_t size) {
  if (!weir_frame_holds_text(&sensor->frame, size)) return refuse(sensor);
  prepare(sensor, WEIR_TEXTS);
  if (!weir_frame_add_text(&sensor->frame, time_ns, text, size)) {
    weir_sensor_flush(sensor);
    prepare(sensor, WEIR_TEXTS);
    (void)weir_frame_add_text(&sensor->frame, time_ns, text, size);  // an empty frame has room
  }
  count_sample(sensor);
  return WEIR_OK;
}

// --- Steps -----------------------------------------------------------------------------------------------------------

int weir_sensor_poll(WeirSensor* sensor) {
  const WeirPort* port = sensor->config->nats.port;
  const int result = weir_nats_poll(&sensor->nats);
  const int64_t now = port->now(port->context);
  if (sensor->frame.samples > 0U && now >= sensor->frame_due) weir_sensor_flush(sensor);
  weir_link_step(sensor, now, result == 1);
  return result;
}

bool weir_sensor_is_empty(WeirSensor* sensor) {
  WeirFrameInfo info;
  return sensor->frame.samples == 0U && !weir_outbox_of_sensor_front(sensor, &info);
}
