/// A port on POSIX sockets: Linux, the BSDs, and the RTOSes with that interface. No TLS: see mbedtls.h.
///
/// Blocking  the look-up of a host name blocks, as getaddrinfo does; an address in digits needs none. Nothing else
///           blocks: connect, send and receive are non-blocking.
/// Memory    a WeirPosixPort; getaddrinfo allocates.
#ifndef WEIR_PORTS_POSIX_H
#define WEIR_PORTS_POSIX_H

#include "weir_port.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct WeirPosixPort {
  int socket;         ///< to wait on with poll(2) between steps; -1: none
  int random;         ///< /dev/urandom; -1: not open
  int64_t utc_ahead;  ///< of CLOCK_MONOTONIC, at most so far
} WeirPosixPort;

/// Fills in `port`. Its clock, where `is_utc` is not 0, is the system's time, so that the sensor needs no time server:
/// it follows a time that is set forward, and ignores one that is set back. Else it is CLOCK_MONOTONIC. Returns 0, or
/// -1 without a source of random numbers.
int weir_posix_port_init(WeirPosixPort* posix, WeirPort* port, int is_utc);

/// Closes what is open.
void weir_posix_port_close(WeirPosixPort* posix);

#ifdef __cplusplus
}
#endif

#endif
