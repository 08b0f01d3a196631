/// TLS 1.2 and 1.3 by Mbed TLS 3.6 over another port, e.g. that of posix.h: it adds start_tls to the other six calls.
///
/// Memory    a WeirTlsPort; Mbed TLS allocates its buffers (two of up to 16 kB, as its configuration says).
/// Blocking  as the port below, and one signature or key exchange: 50 to 500 ms on a Cortex-M4 without an accelerator.
/// The server's certificate is verified against `authorities` and the host's name; there is no way to switch that off.
#ifndef WEIR_PORTS_MBEDTLS_H
#define WEIR_PORTS_MBEDTLS_H

#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <mbedtls/pk.h>
#include <mbedtls/ssl.h>
#include <mbedtls/x509_crt.h>

#include "weir_port.h"

#ifdef __cplusplus
extern "C" {
#endif

/// What is trusted and who the device is: PEM with its final zero, or DER. Sizes in bytes, for PEM with the zero.
typedef struct WeirTlsConfig {
  const WeirPort* below;       ///< required; stays valid
  const uint8_t* authorities;  ///< required; certificates of the authorities that may sign the server's
  size_t authorities_size;
  const uint8_t* certificate;  ///< the device's own, or NULL
  size_t certificate_size;
  const uint8_t* key;  ///< of the certificate
  size_t key_size;
} WeirTlsConfig;

/// Members are no part of the contract, but for last_error.
typedef struct WeirTlsPort {
  const WeirPort* below;
  mbedtls_ssl_context ssl;
  mbedtls_ssl_config config;
  mbedtls_x509_crt authorities, certificate;
  mbedtls_pk_context key;
  mbedtls_entropy_context entropy;
  mbedtls_ctr_drbg_context random;
  int last_error;  ///< of Mbed TLS: what its mbedtls_strerror explains
  int is_tls, is_below_lost;
  size_t unfinished;
} WeirTlsPort;

/// Fills in `port`. Returns 0, or an error of Mbed TLS (< 0); then weir_tls_port_free is still to be called.
int weir_tls_port_init(WeirTlsPort* tls, WeirPort* port, const WeirTlsConfig* config);

/// Gives back what Mbed TLS allocated; the port below is the caller's.
void weir_tls_port_free(WeirTlsPort* tls);

#ifdef __cplusplus
}
#endif

#endif
