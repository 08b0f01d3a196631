/// A port in memory, for tests on the host and on the device: the test is the server, the clock and the faults.
#ifndef WEIR_PORTS_MEMORY_H
#define WEIR_PORTS_MEMORY_H

#include <stdbool.h>

#include "weir_port.h"

#ifdef __cplusplus
extern "C" {
#endif

#define WEIR_NEVER UINT32_MAX

/// Set the members before the port is used, change the faults at any time.
typedef struct WeirMemoryPort {
  int64_t now;    ///< what the clock says
  uint32_t seed;  ///< of the random numbers; not 0

  uint8_t* incoming;  ///< what the server sends
  uint32_t incoming_size, incoming_at;
  uint8_t* outgoing;  ///< what the client has sent
  uint32_t outgoing_capacity, outgoing_size;

  uint32_t receive_most, send_most;    ///< bytes that one call takes; 0: no bound
  uint32_t receives_until_cut;         ///< bytes that still arrive before the link is cut, or WEIR_NEVER
  uint32_t sends_until_cut;            ///< bytes that are still taken before the link is cut, or WEIR_NEVER
  uint32_t open_pending, tls_pending;  ///< calls that answer "not yet"
  bool open_fails, tls_fails, stalls;  ///< stalls: nothing passes, in either direction

  bool is_open, is_tls;
  uint32_t opens;  ///< links so far
} WeirMemoryPort;

/// No faults, no memory: give it `incoming` and `outgoing`.
void weir_memory_port_init(WeirMemoryPort* memory, WeirPort* port);

/// Cuts the link now: what was under way in either direction is lost.
void weir_memory_port_cut(WeirMemoryPort* memory);

#ifdef __cplusplus
}
#endif

#endif
