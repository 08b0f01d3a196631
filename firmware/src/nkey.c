#include <string.h>

#include "ed25519.h"
#include "weir_sign.h"

enum { seed_characters = 58, seed_bytes = 36 };  // prefix of 2, key of 32, checksum of 2

/// RFC 4648, section 6; false: not base32, or of another length.
static bool read_base32(const char* text, uint8_t bytes[seed_bytes]) {
  uint32_t bits = 0;
  unsigned count = 0;
  size_t used = 0;
  if (strlen(text) != (size_t)seed_characters) return false;
  for (const char* at = text; *at != '\0'; at++) {
    const bool is_letter = *at >= 'A' && *at <= 'Z';
    if (!is_letter && (*at < '2' || *at > '7')) return false;
    bits = (bits << 5U) | (uint32_t)(is_letter ? *at - 'A' : *at - '2' + 26);
    count += 5U;
    if (count < 8U) continue;
    count -= 8U;
    bytes[used] = (uint8_t)(bits >> count);
    used++;
  }
  return used == (size_t)seed_bytes;
}

/// CRC-16/XMODEM
static unsigned crc_of(const uint8_t* bytes, size_t size) {
  unsigned crc = 0;
  for (size_t i = 0; i < size; i++) {
    crc ^= (unsigned)bytes[i] << 8U;
    for (int bit = 0; bit < 8; bit++) crc = ((crc << 1U) ^ ((crc & 0x8000U) != 0U ? 0x1021U : 0U)) & 0xffffU;
  }
  return crc;
}

int weir_sign_with_seed(void* context, const uint8_t* nonce, size_t size, uint8_t signature[64]) {
  enum { prefix_seed = 18 << 3, prefix_user = 20 << 3 };
  uint8_t bytes[seed_bytes];
  if (context == NULL || !read_base32(context, bytes)) return WEIR_ERROR_CONFIG;
  const unsigned role = ((bytes[0] & 7U) << 5U) | (bytes[1] >> 3U);
  const unsigned crc = bytes[34] | ((unsigned)bytes[35] << 8U);
  if ((bytes[0] & 0xf8U) != (unsigned)prefix_seed || role != (unsigned)prefix_user || crc_of(bytes, 34) != crc) {
    return WEIR_ERROR_CONFIG;
  }
  weir_ed25519_sign(bytes + 2, nonce, size, signature);
  return WEIR_OK;
}
