#define _POSIX_C_SOURCE 200809L

#include "posix.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static int try_address(const struct addrinfo* address) {
  const int fd = socket(address->ai_family, address->ai_socktype, address->ai_protocol);
  if (fd < 0) return -1;
  const int on = 1;
  (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // slower without, no worse
  if (fd < FD_SETSIZE && fcntl(fd, F_SETFL, O_NONBLOCK) == 0 &&
      (connect(fd, address->ai_addr, address->ai_addrlen) == 0 || errno == EINPROGRESS)) {
    return fd;
  }
  (void)close(fd);
  return -1;
}

static int begin_connect(const char* host, uint16_t tcp_port) {
  char service[8];
  struct addrinfo hints;
  struct addrinfo* addresses = NULL;
  memset(&hints, 0, sizeof hints);
  hints.ai_socktype = SOCK_STREAM;
  (void)snprintf(service, sizeof service, "%u", (unsigned)tcp_port);
  if (getaddrinfo(host, service, &hints, &addresses) != 0) return -1;
  int fd = -1;
  for (const struct addrinfo* each = addresses; each != NULL && fd < 0; each = each->ai_next) fd = try_address(each);
  freeaddrinfo(addresses);
  return fd;
}

/// 1: connected or failed; 0: not yet.
static int has_finished(int fd) {
  fd_set writable;
  struct timeval none = {0, 0};
  FD_ZERO(&writable);
  FD_SET(fd, &writable);
  return select(fd + 1, NULL, &writable, NULL, &none) > 0;
}

static int posix_open(void* context, const char* host, uint16_t tcp_port) {
  WeirPosixPort* posix = context;
  if (posix->socket < 0) posix->socket = begin_connect(host, tcp_port);
  if (posix->socket < 0) return -1;
  if (!has_finished(posix->socket)) return 0;
  int error = 0;
  socklen_t size = sizeof error;
  if (getsockopt(posix->socket, SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error != 0) return -1;
  return 1;
}

static int posix_start_tls(void* context, const char* host) {
  (void)context;
  (void)host;
  return -1;
}

static int not_now(void) { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? 0 : -1; }

static int posix_send(void* context, const void* data, size_t size) {
  const WeirPosixPort* posix = context;
  const ssize_t sent = send(posix->socket, data, size, MSG_NOSIGNAL);
  return sent >= 0 ? (int)sent : not_now();
}

static int posix_receive(void* context, void* data, size_t size) {
  const WeirPosixPort* posix = context;
  const ssize_t received = recv(posix->socket, data, size, 0);
  if (received == 0) return -1;  // the end of the stream
  return received > 0 ? (int)received : not_now();
}

static void posix_close(void* context) {
  WeirPosixPort* posix = context;
  if (posix->socket >= 0) (void)close(posix->socket);
  posix->socket = -1;
}

static int64_t now_by(clockid_t clock) {
  struct timespec now = {0, 0};
  (void)clock_gettime(clock, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int64_t posix_now(void* context) {
  (void)context;
  return now_by(CLOCK_MONOTONIC);
}

/// Follows a clock that is set forward; one that is set back would stop all timers.
static int64_t posix_now_utc(void* context) {
  WeirPosixPort* posix = context;
  const int64_t monotonic = now_by(CLOCK_MONOTONIC);
  const int64_t ahead = now_by(CLOCK_REALTIME) - monotonic;
  if (ahead > posix->utc_ahead) posix->utc_ahead = ahead;
  return monotonic + posix->utc_ahead;
}

static uint32_t posix_random(void* context) {
  const WeirPosixPort* posix = context;
  uint32_t number = 0;
  if (read(posix->random, &number, sizeof number) != (ssize_t)sizeof number) {
    number = (uint32_t)now_by(CLOCK_MONOTONIC) * 2654435761U;
  }
  return number;
}

int weir_posix_port_init(WeirPosixPort* posix, WeirPort* port, int is_utc) {
  posix->socket = -1;
  posix->utc_ahead = INT64_MIN;
  posix->random = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
  port->context = posix;
  port->open = posix_open;
  port->start_tls = posix_start_tls;
  port->send = posix_send;
  port->receive = posix_receive;
  port->close = posix_close;
  port->now = is_utc != 0 ? posix_now_utc : posix_now;
  port->random = posix_random;
  return posix->random >= 0 ? 0 : -1;
}

void weir_posix_port_close(WeirPosixPort* posix) {
  posix_close(posix);
  if (posix->random >= 0) (void)close(posix->random);
  posix->random = -1;
}
