#include "backoff.h"

uint32_t weir_random_up_to(const WeirPort* port, uint32_t bound) {
  return (uint32_t)(((uint64_t)port->random(port->context) * ((uint64_t)bound + 1U)) >> 32U);
}

uint32_t weir_backoff_ms(const WeirNatsConfig* config, uint32_t attempts) {
  const uint64_t least = config->backoff_min_ms != 0U ? config->backoff_min_ms : 500U;
  const uint32_t most = config->backoff_max_ms != 0U ? config->backoff_max_ms : 60000U;
  const uint64_t bound = least << (attempts < 22U ? attempts : 22U);
  return weir_random_up_to(config->port, bound < most ? (uint32_t)bound : most);
}
