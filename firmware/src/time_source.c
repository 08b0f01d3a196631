#include "time_source.h"

enum { ns_per_ms = 1000000 };

static bool read_time(const uint8_t* text, uint32_t size, int64_t* time) {
  int64_t value = 0;
  if (size == 0U || size > 19U) return false;
  for (uint32_t i = 0; i < size; i++) {
    if (text[i] < (uint8_t)'0' || text[i] > (uint8_t)'9') return false;
    const int64_t digit = text[i] - (uint8_t)'0';
    if (value > INT64_MAX / 10 || value * 10 > INT64_MAX - digit) return false;
    value = value * 10 + digit;
  }
  *time = value;
  return true;
}

// ns · ppm / 10^6 without a division: 2^-20 + 2^-24 is a little more than 10^-6.
static int64_t drift_of(const WeirSensorConfig* config, int64_t elapsed) {
  const uint64_t ns = elapsed > 0 ? (uint64_t)elapsed : 0U;
  const uint32_t ppm = config->clock_drift_ppm != 0U ? config->clock_drift_ppm : 100U;
  return (int64_t)(((ns >> 20U) + (ns >> 24U) + 2U) * ppm);
}

int64_t weir_time_error(const WeirTimeSource* time, const WeirSensorConfig* config, int64_t now) {
  return time->error + drift_of(config, now - time->measured_at);
}

static int64_t distance(int64_t a, int64_t b) { return a > b ? a - b : b - a; }

bool weir_time_answer(WeirTimeSource* time, const WeirSensorConfig* config, int64_t now, const uint8_t* text,
                      uint32_t size) {
  int64_t server = 0;
  const int64_t error = (now - time->asked_at) / 2 + 1;
  const uint32_t most_ms = config->clock_error_ms != 0U ? config->clock_error_ms : 1000U;
  if (error > (int64_t)most_ms * ns_per_ms || !read_time(text, size, &server)) return false;
  const int64_t offset = server - time->asked_at - (error - 1);
  if (time->is_known) {
    const int64_t known = weir_time_error(time, config, now);
    // Bounds that do not meet: the server's clock was set.
    if (error > known && distance(offset, time->offset) <= error + known) return true;
  }
  time->offset = offset;
  time->error = error;
  time->measured_at = now;
  time->is_known = true;
  return true;
}
