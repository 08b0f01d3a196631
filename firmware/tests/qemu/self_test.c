// The client on a Cortex-M4: a sensor, a port in memory and a server of a few lines. Prints one line for each check by
// semihosting; the exit status is the number of checks that failed.
#include <string.h>

#include "memory.h"
#include "weir_flash.h"
#include "weir_sensor.h"

extern uint32_t bss_begin, bss_end, stack_top;
void reset(void);

__attribute__((section(".vectors"), used)) static const void* const vectors[2] = {&stack_top, (const void*)reset};

static int semihost(int operation, const void* argument) {
  register int r0 __asm__("r0") = operation;
  register const void* r1 __asm__("r1") = argument;
  __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
  return r0;
}

static void print(const char* text) { (void)semihost(0x04, text); }

static int failed;

static void check(const char* what, bool holds) {
  print(holds ? "ok     " : "FAILED ");
  print(what);
  print("\n");
  failed += holds ? 0 : 1;
}

// --- A server --------------------------------------------------------------------------------------------------------

static WeirMemoryPort memory;
static WeirPort port;
static uint8_t incoming[1024], outgoing[4096];
static uint32_t links, frames;

static void say(const char* text, size_t size) {
  if (memory.incoming_at == memory.incoming_size) memory.incoming_at = memory.incoming_size = 0;
  memcpy(incoming + memory.incoming_size, text, size);
  memory.incoming_size += (uint32_t)size;
}

static const char* find(const char* text, const char* end, const char* words) {
  const size_t size = strlen(words);
  for (; text + size <= end; text++) {
    if (memcmp(text, words, size) == 0) return text;
  }
  return NULL;
}

/// Answers PING and acknowledges each frame, whose reply subject is the third word of HPUB.
static void serve(void) {
  static const char greeting[] = "INFO {\"headers\":true,\"max_payload\":1048576}\r\n";
  static const char ack[] = " 1 22\r\n{\"stream\":\"S\",\"seq\":1}\r\n";
  const char* at = (const char*)outgoing;
  const char* end = at + memory.outgoing_size;
  if (memory.opens != links) say(greeting, sizeof greeting - 1U);
  links = memory.opens;
  if (find(at, end, "PING\r\n") != NULL) say("PONG\r\n", 6);
  for (at = find(at, end, "HPUB "); at != NULL; at = find(at, end, "HPUB ")) {
    const char* reply = find(at, end, " _INBOX") + 1;
    say("MSG ", 4);
    say(reply, (size_t)(find(reply, end, " ") - reply));
    say(ack, sizeof ack - 1U);
    frames++;
    at = reply;
  }
  memory.outgoing_size = 0;
}

// --- A flash ---------------------------------------------------------------------------------------------------------

static uint8_t flash_bytes[4 * 512];

static int flash_read(void* context, uint32_t address, void* data, uint32_t size) {
  (void)context;
  memcpy(data, flash_bytes + address, size);
  return 0;
}

static int flash_write(void* context, uint32_t address, const void* data, uint32_t size) {
  (void)context;
  memcpy(flash_bytes + address, data, size);
  return 0;
}

static int flash_erase(void* context, uint32_t page) {
  (void)context;
  memset(flash_bytes + 512U * page, 0xff, 512);
  return 0;
}

// --- The sensor ------------------------------------------------------------------------------------------------------

static uint8_t frame[128], outbox[2048], send_buffer[512], receive_buffer[128];
static WeirSensorConfig config;
static WeirSensor sensor;
static WeirFlash flash;
static WeirFlashConfig flash_config;

static void configure(void) {
  weir_memory_port_init(&memory, &port);
  memory.incoming = incoming;
  memory.outgoing = outgoing;
  memory.outgoing_capacity = sizeof outgoing;
  config.nats.port = &port;
  config.nats.host = "server";
  config.nats.send_buffer = send_buffer;
  config.nats.send_size = sizeof send_buffer;
  config.nats.receive_buffer = receive_buffer;
  config.nats.receive_size = sizeof receive_buffer;
  config.vehicle = "v1";
  config.sensor = "speed";
  config.frame_buffer = frame;
  config.frame_size = sizeof frame;
  config.outbox_buffer = outbox;
  config.outbox_size = sizeof outbox;
}

static void run(int steps) {
  for (int i = 0; i < steps; i++) {
    memory.now += 10000000;
    (void)weir_sensor_poll(&sensor);
    serve();
  }
}

static void test_sensor(void) {
  check("the configuration with an outbox of 2 kB is valid", weir_sensor_init(&sensor, &config) == WEIR_OK);
  for (int i = 0; i < 40; i++) (void)weir_sensor_sample(&sensor, memory.now, 0.5 * i);
  run(300);
  check("40 samples are stored in 10 frames", sensor.statistics.frames_stored == 10U && weir_sensor_is_empty(&sensor));
  weir_memory_port_cut(&memory);
  (void)weir_sensor_position(&sensor, memory.now, 52.5, 13.4, 40);
  run(500);
  check("a cut link is opened again", memory.opens == 2U && sensor.statistics.frames_stored == 11U && frames == 11U);
  check("v1 is in partition 8 of 16", weir_partition("v1", 16) == 8U);
}

static void test_flash(void) {
  flash_config.read = flash_read;
  flash_config.write = flash_write;
  flash_config.erase = flash_erase;
  flash_config.page_size = 512;
  flash_config.page_count = 4;
  flash_config.write_size = 8;
  memset(flash_bytes, 0xff, sizeof flash_bytes);
  weir_memory_port_cut(&memory);
  check("an erased flash is an empty outbox", weir_flash_open(&flash, &flash_config, &config.store) == WEIR_OK);
  (void)weir_sensor_init(&sensor, &config);
  for (int i = 0; i < 3; i++) {
    (void)weir_sensor_sample(&sensor, memory.now, i);
    weir_sensor_flush(&sensor);
  }
  (void)weir_flash_open(&flash, &flash_config, &config.store);
  (void)weir_sensor_init(&sensor, &config);
  run(500);
  check("three frames survive a restart", sensor.statistics.frames_stored == 3U && weir_sensor_is_empty(&sensor));
}

void reset(void) {
  for (uint32_t* at = &bss_begin; at < &bss_end; at++) *at = 0;
  configure();
  test_sensor();
  test_flash();
  const uint32_t result[2] = {0x20026U, (uint32_t)failed};  // ADP_Stopped_ApplicationExit
  (void)semihost(0x20, result);
  for (;;) {
  }
}
