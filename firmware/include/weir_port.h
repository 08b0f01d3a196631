/// What the firmware client needs of its platform: seven calls on one network link, a clock and random numbers.
///
/// Implementations: ports/posix.c (sockets), ports/mbedtls.c (TLS over another port). A port for an RTOS or a modem
/// takes about 100 lines.
///
/// Blocking  no call may wait for the network. The client blocks no longer than its port does.
/// Threads   one task at a time per port; the client calls from its poll function only.
/// Results   > 0: done, or the number of bytes. 0: not yet, call again. < 0: the link is lost; the client then calls
///           close(). The values below 0 are the port's own; the client does not distinguish them.
#ifndef WEIR_PORT_H
#define WEIR_PORT_H

#include <stddef.h>
#include <stdint.h>

typedef struct WeirPort {
  void* context;  ///< passed to every call

  /// Starts to connect, then reports progress: called again until the result is not 0. > 0: connected.
  int (*open)(void* context, const char* host, uint16_t tcp_port);

  /// Performs the TLS handshake on the open link and verifies that the server is `host`: called again until the result
  /// is not 0. > 0: from now on send and receive are encrypted. A port without TLS returns < 0.
  int (*start_tls)(void* context, const char* host);

  /// Takes up to `size` bytes, `size` > 0. > 0: so many were taken, the rest is offered again. 0: none now.
  int (*send)(void* context, const void* data, size_t size);

  /// Fills in up to `size` bytes, `size` > 0. > 0: so many. 0: none have arrived. The end of the stream is < 0, not 0.
  int (*receive)(void* context, void* data, size_t size);

  /// Closes the link, also one that is half open; harmless if there is none. After it open() starts anew.
  void (*close)(void* context);

  /// Nanoseconds from an origin of the port's choice; never decreases. Resolution: 1 ms or finer.
  int64_t (*now)(void* context);

  /// 32 random bits. They spread reconnects and make message identifiers unique: seed them from hardware, so that two
  /// devices, or two starts of one device, do not draw the same numbers.
  uint32_t (*random)(void* context);
} WeirPort;

#endif
