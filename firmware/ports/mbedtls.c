#include "mbedtls.h"

#include <psa/crypto.h>
#include <string.h>

static int tls_open(void* context, const char* host, uint16_t tcp_port) {
  const WeirTlsPort* tls = context;
  return tls->below->open(tls->below->context, host, tcp_port);
}

// --- What Mbed TLS sends and receives through
// --------------------------------------------------------------------------

static int send_below(void* context, const unsigned char* data, size_t size) {
  WeirTlsPort* tls = context;
  const int result = tls->below->send(tls->below->context, data, size);
  if (result < 0) tls->is_below_lost = 1;
  if (result < 0) return MBEDTLS_ERR_SSL_CONN_EOF;
  return result > 0 ? result : MBEDTLS_ERR_SSL_WANT_WRITE;
}

static int receive_below(void* context, unsigned char* data, size_t size) {
  WeirTlsPort* tls = context;
  const int result = tls->below->receive(tls->below->context, data, size);
  if (result < 0) tls->is_below_lost = 1;
  if (result < 0) return MBEDTLS_ERR_SSL_CONN_EOF;
  return result > 0 ? result : MBEDTLS_ERR_SSL_WANT_READ;
}

static int not_now(WeirTlsPort* tls, int result) {
  const int is_later = result == MBEDTLS_ERR_SSL_WANT_READ || result == MBEDTLS_ERR_SSL_WANT_WRITE ||
                       result == MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET;
  if (is_later && tls->is_below_lost == 0) return 0;
  tls->last_error = result;
  return -1;
}

// --- The port's calls ------------------------------------------------------------------------------------------------

static int tls_start(void* context, const char* host) {
  WeirTlsPort* tls = context;
  if (tls->is_tls == 0) {
    tls->is_below_lost = 0;
    tls->unfinished = 0;
    tls->last_error = mbedtls_ssl_session_reset(&tls->ssl);
    if (tls->last_error == 0) tls->last_error = mbedtls_ssl_set_hostname(&tls->ssl, host);
    if (tls->last_error != 0) return -1;
    mbedtls_ssl_set_bio(&tls->ssl, tls, send_below, receive_below, NULL);
    tls->is_tls = 1;
  }
  const int result = mbedtls_ssl_handshake(&tls->ssl);
  return result == 0 ? 1 : not_now(tls, result);
}

static int tls_send(void* context, const void* data, size_t size) {
  WeirTlsPort* tls = context;
  if (tls->is_tls == 0) return tls->below->send(tls->below->context, data, size);
  // A record that could not leave whole is finished by a call of the same size, which the library then returns. By now
  // the client may offer more bytes behind those.
  if (tls->unfinished == 0U || tls->unfinished > size) tls->unfinished = size;
  const int result = mbedtls_ssl_write(&tls->ssl, data, tls->unfinished);
  if (result <= 0) return not_now(tls, result);
  tls->unfinished = 0;
  return result;
}

static int tls_receive(void* context, void* data, size_t size) {
  WeirTlsPort* tls = context;
  if (tls->is_tls == 0) return tls->below->receive(tls->below->context, data, size);
  const int result = mbedtls_ssl_read(&tls->ssl, data, size);
  if (result == 0) return -1;  // the end of the stream
  return result > 0 ? result : not_now(tls, result);
}

static void tls_close(void* context) {
  WeirTlsPort* tls = context;
  if (tls->is_tls != 0 && tls->is_below_lost == 0) (void)mbedtls_ssl_close_notify(&tls->ssl);  // a courtesy
  tls->is_tls = 0;
  tls->below->close(tls->below->context);
}

static int64_t tls_now(void* context) {
  const WeirTlsPort* tls = context;
  return tls->below->now(tls->below->context);
}

static uint32_t tls_random(void* context) {
  const WeirTlsPort* tls = context;
  return tls->below->random(tls->below->context);
}

// --- Configuration ---------------------------------------------------------------------------------------------------

static void init_parts(WeirTlsPort* tls) {
  memset(tls, 0, sizeof *tls);
  mbedtls_ssl_init(&tls->ssl);
  mbedtls_ssl_config_init(&tls->config);
  mbedtls_x509_crt_init(&tls->authorities);
  mbedtls_x509_crt_init(&tls->certificate);
  mbedtls_pk_init(&tls->key);
  mbedtls_entropy_init(&tls->entropy);
  mbedtls_ctr_drbg_init(&tls->random);
}

static int read_identity(WeirTlsPort* tls, const WeirTlsConfig* config) {
  if (config->certificate == NULL) return 0;
  int result = mbedtls_x509_crt_parse(&tls->certificate, config->certificate, config->certificate_size);
  if (result == 0) {
    result =
        mbedtls_pk_parse_key(&tls->key, config->key, config->key_size, NULL, 0, mbedtls_ctr_drbg_random, &tls->random);
  }
  return result == 0 ? mbedtls_ssl_conf_own_cert(&tls->config, &tls->certificate, &tls->key) : result;
}

static int configure(WeirTlsPort* tls, const WeirTlsConfig* config) {
  int result = mbedtls_ctr_drbg_seed(&tls->random, mbedtls_entropy_func, &tls->entropy, NULL, 0);
  if (result == 0) result = mbedtls_x509_crt_parse(&tls->authorities, config->authorities, config->authorities_size);
  if (result == 0) {
    result = mbedtls_ssl_config_defaults(&tls->config, MBEDTLS_SSL_IS_CLIENT, MBEDTLS_SSL_TRANSPORT_STREAM,
                                         MBEDTLS_SSL_PRESET_DEFAULT);
  }
  if (result != 0) return result;
  mbedtls_ssl_conf_authmode(&tls->config, MBEDTLS_SSL_VERIFY_REQUIRED);
  mbedtls_ssl_conf_ca_chain(&tls->config, &tls->authorities, NULL);
  mbedtls_ssl_conf_rng(&tls->config, mbedtls_ctr_drbg_random, &tls->random);
  result = read_identity(tls, config);
  return result == 0 ? mbedtls_ssl_setup(&tls->ssl, &tls->config) : result;
}

int weir_tls_port_init(WeirTlsPort* tls, WeirPort* port, const WeirTlsConfig* config) {
  init_parts(tls);
  tls->below = config->below;
  port->context = tls;
  port->open = tls_open;
  port->start_tls = tls_start;
  port->send = tls_send;
  port->receive = tls_receive;
  port->close = tls_close;
  port->now = tls_now;
  port->random = tls_random;
  if (psa_crypto_init() != PSA_SUCCESS) return MBEDTLS_ERR_SSL_INTERNAL_ERROR;  // TLS 1.3 needs it
  tls->last_error = configure(tls, config);
  return tls->last_error;
}

void weir_tls_port_free(WeirTlsPort* tls) {
  mbedtls_ssl_free(&tls->ssl);
  mbedtls_ssl_config_free(&tls->config);
  mbedtls_x509_crt_free(&tls->authorities);
  mbedtls_x509_crt_free(&tls->certificate);
  mbedtls_pk_free(&tls->key);
  mbedtls_entropy_free(&tls->entropy);
  mbedtls_ctr_drbg_free(&tls->random);
}
