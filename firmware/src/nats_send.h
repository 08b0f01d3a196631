/// What the client sends: lines put together in the send buffer, whole or not at all.
#ifndef WEIR_NATS_SEND_H
#define WEIR_NATS_SEND_H

#include "weir_nats.h"

/// All return WEIR_OK, or WEIR_ERROR_BUSY and queue nothing.
int weir_send_line(WeirNats* nats, const char* line);
int weir_send_subscription(WeirNats* nats, const WeirNatsSubscription* subscription);
int weir_send_unsubscription(WeirNats* nats, const WeirNatsSubscription* subscription);

/// CONNECT with the credentials, and the PING whose PONG says that they were accepted. Errors:
/// WEIR_ERROR_AUTHORIZATION, WEIR_ERROR_TOO_LARGE.
int weir_send_connect(WeirNats* nats, bool with_tls);

/// Gives what is queued to the port. Errors: WEIR_ERROR_LINK.
int weir_send_queued(WeirNats* nats);

#endif
