/// How long to wait before a reconnect, or before a frame that was not stored is sent again.
#ifndef WEIR_BACKOFF_H
#define WEIR_BACKOFF_H

#include "weir_nats.h"

/// 0 to `bound`, all alike.
uint32_t weir_random_up_to(const WeirPort* port, uint32_t bound);

/// Exponential back-off with full jitter, after so many attempts.
uint32_t weir_backoff_ms(const WeirNatsConfig* config, uint32_t attempts);

#endif
