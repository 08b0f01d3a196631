#include "ed25519.h"

#include <string.h>

#include "sha512.h"

// An element of the field modulo 2^255 - 19: 16 limbs of 16 bits and a sign. Right shifts of negative limbs copy the
// sign, as the compilers of all targets do.
typedef int64_t Element[16];
typedef Element Point[4];  // x, y, z, t: extended coordinates

static const Element twice_d = {0xf159, 0x26b2, 0x9b94, 0xebd6, 0xb156, 0x8283, 0x149a, 0x00e0,
                                0xd130, 0xeef3, 0x80f2, 0x198e, 0xfce7, 0x56df, 0xd9dc, 0x2406};
static const Element base_x = {0xd51a, 0x8f25, 0x2d60, 0xc956, 0xa7b2, 0x9525, 0xc760, 0x692c,
                               0xdc5c, 0xfdd6, 0xe231, 0xc0a4, 0x53fe, 0xcd6e, 0x36d3, 0x2169};
static const Element base_y = {0x6658, 0x6666, 0x6666, 0x6666, 0x6666, 0x6666, 0x6666, 0x6666,
                               0x6666, 0x6666, 0x6666, 0x6666, 0x6666, 0x6666, 0x6666, 0x6666};
static const Element one = {1};

// --- The field -------------------------------------------------------------------------------------------------------

static void copy(Element to, const Element from) { memcpy(to, from, sizeof(Element)); }

static void carry(Element a) {
  for (int i = 0; i < 16; i++) {
    const int64_t over = a[i] >> 16;
    a[i] -= over * 65536;
    if (i < 15) {
      a[i + 1] += over;
    } else {
      a[0] += 38 * over;
    }
  }
}

/// Exchanges both where `bit` is 1, in the same time as where it is 0.
static void swap(Element a, Element b, int64_t bit) {
  const int64_t mask = -bit;
  for (int i = 0; i < 16; i++) {
    const int64_t both = mask & (a[i] ^ b[i]);
    a[i] ^= both;
    b[i] ^= both;
  }
}

static void add(Element to, const Element a, const Element b) {
  for (int i = 0; i < 16; i++) to[i] = a[i] + b[i];
}

static void subtract(Element to, const Element a, const Element b) {
  for (int i = 0; i < 16; i++) to[i] = a[i] - b[i];
}

static void multiply(Element to, const Element a, const Element b) {
  int64_t product[31] = {0};
  for (int i = 0; i < 16; i++) {
    for (int j = 0; j < 16; j++) product[i + j] += a[i] * b[j];
  }
  for (int i = 0; i < 15; i++) product[i] += 38 * product[i + 16];
  copy(to, product);
  carry(to);
  carry(to);
}

/// By Fermat: a^(p - 2), whose bits are 1 but for two.
static void invert(Element to, const Element a) {
  Element power;
  copy(power, a);
  for (int i = 253; i >= 0; i--) {
    multiply(power, power, power);
    if (i != 2 && i != 4) multiply(power, power, a);
  }
  copy(to, power);
}

static void pack(uint8_t bytes[32], const Element a) {
  Element value;
  Element less;
  copy(value, a);
  carry(value);
  carry(value);
  carry(value);
  for (int round = 0; round < 2; round++) {  // subtracts p where the value is not below it
    less[0] = value[0] - 0xffed;
    for (int i = 1; i < 16; i++) {
      less[i] = value[i] - (i < 15 ? 0xffff : 0x7fff) - ((less[i - 1] >> 16) & 1);
      less[i - 1] &= 0xffff;
    }
    const int64_t is_below = (less[15] >> 16) & 1;
    less[15] &= 0xffff;
    swap(value, less, 1 - is_below);
  }
  for (int i = 0; i < 16; i++) {
    bytes[2 * i] = (uint8_t)value[i];
    bytes[2 * i + 1] = (uint8_t)(value[i] >> 8);
  }
}

// --- The curve -------------------------------------------------------------------------------------------------------

/// a += b
static void add_point(Point a, Point b) {
  Element e;
  Element f;
  Element g;
  Element h;
  subtract(e, a[1], a[0]);
  subtract(f, b[1], b[0]);
  multiply(g, e, f);
  add(e, a[0], a[1]);
  add(f, b[0], b[1]);
  multiply(h, e, f);
  subtract(e, h, g);
  add(h, h, g);
  multiply(f, a[3], b[3]);
  multiply(f, f, twice_d);
  multiply(g, a[2], b[2]);
  add(g, g, g);
  subtract(a[0], g, f);
  add(g, g, f);
  copy(f, a[0]);
  multiply(a[0], e, f);
  multiply(a[1], h, g);
  multiply(a[2], g, f);
  multiply(a[3], e, h);
}

static void swap_points(Point a, Point b, int64_t bit) {
  for (int i = 0; i < 4; i++) swap(a[i], b[i], bit);
}

/// The point scalar · base, packed.
static void multiply_base(uint8_t bytes[32], const uint8_t scalar[32]) {
  Point sum;
  Point other;
  memset(sum, 0, sizeof sum);
  copy(sum[1], one);
  copy(sum[2], one);
  copy(other[0], base_x);
  copy(other[1], base_y);
  copy(other[2], one);
  multiply(other[3], base_x, base_y);
  for (int i = 255; i >= 0; i--) {
    const int64_t bit = (scalar[i / 8] >> (i & 7)) & 1;
    swap_points(sum, other, bit);
    add_point(other, sum);
    add_point(sum, sum);
    swap_points(sum, other, bit);
  }
  uint8_t x[32];
  invert(other[0], sum[2]);
  multiply(other[1], sum[0], other[0]);
  multiply(other[2], sum[1], other[0]);
  pack(x, other[1]);
  pack(bytes, other[2]);
  bytes[31] ^= (uint8_t)((x[0] & 1U) << 7U);
}

// --- Scalars, modulo the order of the curve
// ----------------------------------------------------------------------------

static const uint8_t order[32] = {0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7,
                                  0xa2, 0xde, 0xf9, 0xde, 0x14, 0,    0,    0,    0,    0,    0,
                                  0,    0,    0,    0,    0,    0,    0,    0,    0,    0x10};

static void reduce(uint8_t to[32], int64_t x[64]) {
  for (int i = 63; i >= 32; i--) {
    int64_t over = 0;
    for (int j = i - 32; j < i - 12; j++) {
      x[j] += over - 16 * x[i] * order[j - (i - 32)];
      over = (x[j] + 128) >> 8;
      x[j] -= over * 256;
    }
    x[i - 12] += over;
    x[i] = 0;
  }
  int64_t over = 0;
  const int64_t top = x[31] >> 4;
  for (int j = 0; j < 32; j++) {
    x[j] += over - top * order[j];
    over = x[j] >> 8;
    x[j] &= 255;
  }
  for (int j = 0; j < 32; j++) x[j] -= over * order[j];
  for (int i = 0; i < 32; i++) {
    x[i + 1] += x[i] >> 8;
    to[i] = (uint8_t)(x[i] & 255);
  }
}

static void reduce_digest(uint8_t to[32], const uint8_t digest[64]) {
  int64_t x[64];
  for (int i = 0; i < 64; i++) x[i] = digest[i];
  reduce(to, x);
}

/// to = r + h · a
static void multiply_add(uint8_t to[32], const uint8_t r[32], const uint8_t h[32], const uint8_t a[32]) {
  int64_t x[64] = {0};
  for (int i = 0; i < 32; i++) x[i] = r[i];
  for (int i = 0; i < 32; i++) {
    for (int j = 0; j < 32; j++) x[i + j] += (int64_t)h[i] * a[j];
  }
  reduce(to, x);
}

// --- Signatures ------------------------------------------------------------------------------------------------------

/// The first half becomes the scalar, the second one the prefix.
static void expand(const uint8_t secret[32], uint8_t expanded[64]) {
  WeirSha512 hash;
  weir_sha512_begin(&hash);
  weir_sha512_take(&hash, secret, 32);
  weir_sha512_end(&hash, expanded);
  expanded[0] &= 248U;
  expanded[31] = (uint8_t)((expanded[31] & 127U) | 64U);
}

void weir_ed25519_public(const uint8_t secret[32], uint8_t public_key[32]) {
  uint8_t expanded[64];
  expand(secret, expanded);
  multiply_base(public_key, expanded);
}

void weir_ed25519_sign(const uint8_t secret[32], const uint8_t* message, size_t size, uint8_t signature[64]) {
  uint8_t expanded[64];
  uint8_t digest[64];
  uint8_t r[32];
  WeirSha512 hash;
  expand(secret, expanded);
  weir_sha512_begin(&hash);
  weir_sha512_take(&hash, expanded + 32, 32);
  weir_sha512_take(&hash, message, size);
  weir_sha512_end(&hash, digest);
  reduce_digest(r, digest);
  multiply_base(signature, r);
  multiply_base(signature + 32, expanded);  // the public key, until its place is needed
  weir_sha512_begin(&hash);
  weir_sha512_take(&hash, signature, 64);
  weir_sha512_take(&hash, message, size);
  weir_sha512_end(&hash, digest);
  reduce_digest(digest, digest);
  multiply_add(signature + 32, r, digest, expanded);
}
