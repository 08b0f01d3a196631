/// Logins by NKey and JWT with a key in memory, as WeirNatsConfig.sign. A device with a secure element has a function
/// of its own instead, and its key never leaves the element.
///
/// Protocol  NKeys: ADR-14 of nats-architecture-and-design; Ed25519: RFC 8032.
/// Blocking  one signature: some 100 ms on a Cortex-M4. Threads: any. Memory: the stack, see README.md.
#ifndef WEIR_SIGN_H
#define WEIR_SIGN_H

#include "weir_nats.h"

#ifdef __cplusplus
extern "C" {
#endif

/// `context` is the seed of a user: "SU…", 58 characters and a zero. Returns WEIR_ERROR_CONFIG if it is none.
int weir_sign_with_seed(void* context, const uint8_t* nonce, size_t size, uint8_t signature[64]);

#ifdef __cplusplus
}
#endif

#endif
