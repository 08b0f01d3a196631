#include "memory.h"

#include <string.h>

static int memory_open(void* context, const char* host, uint16_t tcp_port) {
  WeirMemoryPort* memory = context;
  (void)host;
  (void)tcp_port;
  if (memory->open_fails) return -1;
  if (memory->open_pending > 0U) {
    memory->open_pending--;
    return 0;
  }
  memory->is_open = true;
  memory->opens++;
  return 1;
}

static int memory_start_tls(void* context, const char* host) {
  WeirMemoryPort* memory = context;
  (void)host;
  if (memory->tls_fails || !memory->is_open) return -1;
  if (memory->tls_pending > 0U) {
    memory->tls_pending--;
    return 0;
  }
  memory->is_tls = true;
  return 1;
}

static uint32_t least_of(uint32_t a, uint32_t b) { return a < b ? a : b; }

static uint32_t part_of(size_t size, uint32_t most, uint32_t until_cut) {
  const uint32_t asked = size < UINT32_MAX ? (uint32_t)size : UINT32_MAX;
  return least_of(least_of(asked, most > 0U ? most : UINT32_MAX), until_cut);
}

static int memory_send(void* context, const void* data, size_t size) {
  WeirMemoryPort* memory = context;
  if (memory->sends_until_cut == 0U) weir_memory_port_cut(memory);
  if (!memory->is_open) return -1;
  if (memory->stalls) return 0;
  const uint32_t room = memory->outgoing_capacity - memory->outgoing_size;
  const uint32_t part = least_of(part_of(size, memory->send_most, memory->sends_until_cut), room);
  memcpy(memory->outgoing + memory->outgoing_size, data, part);
  memory->outgoing_size += part;
  if (memory->sends_until_cut != WEIR_NEVER) memory->sends_until_cut -= part;
  return (int)part;
}

static int memory_receive(void* context, void* data, size_t size) {
  WeirMemoryPort* memory = context;
  if (memory->receives_until_cut == 0U) weir_memory_port_cut(memory);
  if (!memory->is_open) return -1;
  if (memory->stalls) return 0;
  const uint32_t waiting = memory->incoming_size - memory->incoming_at;
  const uint32_t part = least_of(part_of(size, memory->receive_most, memory->receives_until_cut), waiting);
  if (part > 0U) memcpy(data, memory->incoming + memory->incoming_at, part);
  memory->incoming_at += part;
  if (memory->receives_until_cut != WEIR_NEVER) memory->receives_until_cut -= part;
  return (int)part;
}

static void memory_close(void* context) {
  WeirMemoryPort* memory = context;
  memory->is_open = false;
  memory->is_tls = false;
  memory->incoming_at = memory->incoming_size;
}

static int64_t memory_now(void* context) { return ((WeirMemoryPort*)context)->now; }

/// xorshift32
static uint32_t memory_random(void* context) {
  WeirMemoryPort* memory = context;
  uint32_t x = memory->seed;
  x ^= x << 13U;
  x ^= x >> 17U;
  x ^= x << 5U;
  memory->seed = x;
  return x;
}

void weir_memory_port_init(WeirMemoryPort* memory, WeirPort* port) {
  memset(memory, 0, sizeof *memory);
  memory->seed = 1;
  memory->receives_until_cut = WEIR_NEVER;
  memory->sends_until_cut = WEIR_NEVER;
  port->context = memory;
  port->open = memory_open;
  port->start_tls = memory_start_tls;
  port->send = memory_send;
  port->receive = memory_receive;
  port->close = memory_close;
  port->now = memory_now;
  port->random = memory_random;
}

void weir_memory_port_cut(WeirMemoryPort* memory) {
  memory->is_open = false;
  memory->is_tls = false;
  memory->incoming_at = memory->incoming_size;
  memory->receives_until_cut = WEIR_NEVER;
  memory->sends_until_cut = WEIR_NEVER;
}
