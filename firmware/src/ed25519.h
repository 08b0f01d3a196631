/// Ed25519 signatures (RFC 8032, section 5.1): no branch and no address depends on the key.
#ifndef WEIR_ED25519_H
#define WEIR_ED25519_H

#include <stddef.h>
#include <stdint.h>

/// The public key of a secret one.
void weir_ed25519_public(const uint8_t secret[32], uint8_t public_key[32]);

/// Signs `size` bytes.
void weir_ed25519_sign(const uint8_t secret[32], const uint8_t* message, size_t size, uint8_t signature[64]);

#endif
