/* A vehicle's control unit on Linux: one client per sensor, signals from a seed.
 *
 *   weir_vehicle HOST:PORT VEHICLE SECONDS SEED [SENSOR=RATE ...]
 *
 * Each SENSOR publishes RATE samples a second, 0.01 to 1000, to vehicle.<VEHICLE>.<SENSOR>; "position" publishes
 * places, all others numbers. Without sensors: position=5 speed=10 torque=20 charge=0.2. The field "power" is 1 at the
 * start and 0 at the end. At the end it waits up to 10 s for the acknowledgements, and prints what was stored; exit
 * status 0: all.
 */
#define _POSIX_C_SOURCE 200809L

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "posix.h"
#include "weir_sensor.h"

enum { most_sensors = 16, poll_ms = 5 };

typedef struct Unit {
  char name[41];
  WeirPosixPort posix;
  WeirPort port;
  WeirSensorConfig config;
  WeirSensor sensor;
  int64_t interval, due; /* ns; interval 0: sampled by main alone */
  uint32_t phase;
  uint8_t frame[512], outbox[8192], send[1024], receive[256];
} Unit;

typedef struct Vehicle {
  char host[256], name[41];
  uint16_t tcp_port;
  uint32_t seed;
  int64_t seconds;
  int count;
  Unit units[most_sensors];
} Vehicle;

static int add_unit(Vehicle* vehicle, const char* name, size_t size, double rate) {
  if (vehicle->count == most_sensors || size == 0 || size > 40) return -1;
  Unit* unit = &vehicle->units[vehicle->count];
  WeirSensorConfig* config = &unit->config;
  memcpy(unit->name, name, size);
  if (weir_posix_port_init(&unit->posix, &unit->port, 1) != 0) return -1;
  config->nats.port = &unit->port;
  config->nats.host = vehicle->host;
  config->nats.tcp_port = vehicle->tcp_port;
  config->nats.name = unit->name;
  config->nats.send_buffer = unit->send;
  config->nats.send_size = sizeof unit->send;
  config->nats.receive_buffer = unit->receive;
  config->nats.receive_size = sizeof unit->receive;
  config->vehicle = vehicle->name;
  config->sensor = unit->name;
  config->frame_buffer = unit->frame;
  config->frame_size = sizeof unit->frame;
  config->outbox_buffer = unit->outbox;
  config->outbox_size = sizeof unit->outbox;
  unit->interval = rate > 0 ? (int64_t)(1e9 / rate) : 0;
  unit->phase = vehicle->seed * 2654435761U + (uint32_t)vehicle->count * 40503U;
  vehicle->count++;
  return weir_sensor_init(&unit->sensor, config);
}

/* 0 to 1 and back in `period` s: what it is depends on the time and the seed alone. */
static double wave(const Unit* unit, int64_t now, double period) {
  const double turns = (double)(now % 1000000000000) / 1e9 / period + (double)(unit->phase % 1000U) / 1000.0;
  const double part = turns - (double)(int64_t)turns;
  return part < 0.5 ? 2 * part : 2 - 2 * part;
}

static void sample(Unit* unit, int64_t now) {
  if (strcmp(unit->name, "position") == 0) {
    (void)weir_sensor_position(&unit->sensor, now, 52.4 + 0.2 * wave(unit, now, 900), 13.2 + 0.4 * wave(unit, now, 700),
                               30 + 20 * wave(unit, now, 120));
  } else {
    (void)weir_sensor_sample(&unit->sensor, now, 100 * wave(unit, now, 60));
  }
}

static void step(Vehicle* vehicle, int64_t now, int samples) {
  for (int i = 0; i < vehicle->count; i++) {
    Unit* unit = &vehicle->units[i];
    for (; samples != 0 && unit->interval > 0 && unit->due <= now; unit->due += unit->interval) sample(unit, unit->due);
    (void)weir_sensor_poll(&unit->sensor);
  }
}

/* Until a link has bytes, at most poll_ms. */
static void wait_for_links(const Vehicle* vehicle) {
  struct pollfd links[most_sensors];
  for (int i = 0; i < vehicle->count; i++) {
    links[i].fd = vehicle->units[i].posix.socket; /* -1 is skipped */
    links[i].events = POLLIN;
  }
  (void)poll(links, (nfds_t)vehicle->count, poll_ms);
}

static int is_empty(Vehicle* vehicle) {
  for (int i = 0; i < vehicle->count; i++) {
    if (!weir_sensor_is_empty(&vehicle->units[i].sensor)) return 0;
  }
  return 1;
}

static void drive(Vehicle* vehicle) {
  Unit* power = &vehicle->units[0];
  const int64_t begin = power->port.now(power->port.context);
  const int64_t end = begin + vehicle->seconds * 1000000000;
  for (int i = 0; i < vehicle->count; i++) vehicle->units[i].due = begin;
  (void)weir_sensor_sample(&power->sensor, begin, 1);
  int64_t now = begin;
  for (; now < end; now = power->port.now(power->port.context)) {
    step(vehicle, now, 1);
    wait_for_links(vehicle);
  }
  (void)weir_sensor_sample(&power->sensor, now, 0);
  for (int i = 0; i < vehicle->count; i++) weir_sensor_flush(&vehicle->units[i].sensor);
  while (!is_empty(vehicle) && now < end + 10000000000) {
    now = power->port.now(power->port.context);
    step(vehicle, now, 0);
    wait_for_links(vehicle);
  }
}

static int report(const Vehicle* vehicle) {
  int missing = 0;
  for (int i = 0; i < vehicle->count; i++) {
    const WeirSensorStatistics* all = &vehicle->units[i].sensor.statistics;
    uint32_t dropped = 0;
    for (int reason = 0; reason < (int)WEIR_DROP_REASONS; reason++) dropped += all->samples_dropped[reason];
    missing += all->frames_sent == 0 || dropped > 0;
    printf("%s %u samples %u frames %u dropped\n", vehicle->units[i].name, (unsigned)all->samples,
           (unsigned)all->frames_stored, (unsigned)dropped);
  }
  return missing;
}

static int read_arguments(Vehicle* vehicle, int argc, char** argv) {
  static const char* const defaults[] = {"position=5", "speed=10", "torque=20", "charge=0.2"};
  const char* colon = argc >= 5 ? strrchr(argv[1], ':') : NULL;
  if (colon == NULL || (size_t)(colon - argv[1]) >= sizeof vehicle->host || strlen(argv[2]) > 40) return -1;
  memcpy(vehicle->host, argv[1], (size_t)(colon - argv[1]));
  memcpy(vehicle->name, argv[2], strlen(argv[2]));
  vehicle->tcp_port = (uint16_t)strtoul(colon + 1, NULL, 10);
  vehicle->seconds = strtol(argv[3], NULL, 10);
  vehicle->seed = (uint32_t)strtoul(argv[4], NULL, 10);
  if (vehicle->seconds < 1 || add_unit(vehicle, "power", 5, 0) != WEIR_OK) return -1;
  const int given = argc - 5;
  for (int i = 0; i < (given > 0 ? given : 4); i++) {
    const char* text = given > 0 ? argv[5 + i] : defaults[i];
    const char* equal = strchr(text, '=');
    const double rate = equal != NULL ? strtod(equal + 1, NULL) : 0;
    if (!(rate >= 0.01 && rate <= 1000) || add_unit(vehicle, text, (size_t)(equal - text), rate) != WEIR_OK) return -1;
  }
  return 0;
}

int main(int argc, char** argv) {
  static Vehicle vehicle;
  if (read_arguments(&vehicle, argc, argv) != 0) {
    fprintf(stderr, "usage: weir_vehicle HOST:PORT VEHICLE SECONDS SEED [SENSOR=RATE ...]\n");
    return 64;
  }
  drive(&vehicle);
  const int complete = is_empty(&vehicle) && report(&vehicle) == 0;
  for (int i = 0; i < vehicle.count; i++) {
    vehicle.units[i].port.close(vehicle.units[i].port.context);
    weir_posix_port_close(&vehicle.units[i].posix);
  }
  return complete ? 0 : 1;
}
