/// SHA-512 (FIPS 180-4), for signatures.
#ifndef WEIR_SHA512_H
#define WEIR_SHA512_H

#include <stddef.h>
#include <stdint.h>

typedef struct WeirSha512 {
  uint64_t state[8];
  uint8_t block[128];
  uint32_t size;  // of all bytes; messages are shorter than 2^28 bytes
} WeirSha512;

void weir_sha512_begin(WeirSha512* hash);
void weir_sha512_take(WeirSha512* hash, const uint8_t* bytes, size_t size);
/// The hash may not be used afterwards.
void weir_sha512_end(WeirSha512* hash, uint8_t digest[64]);

#endif
