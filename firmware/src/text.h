/// Text without the C library: numbers, comparisons, and a writer into memory that ends.
#ifndef WEIR_TEXT_H
#define WEIR_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// Writes into `bytes`; what has no room is left out and sets `is_full`.
typedef struct WeirWriter {
  uint8_t* bytes;
  uint32_t size, capacity;
  bool is_full;
} WeirWriter;

WeirWriter weir_writer(void* bytes, uint32_t capacity);
void weir_write_bytes(WeirWriter* writer, const void* bytes, size_t size);
void weir_write_text(WeirWriter* writer, const char* text);
void weir_write_number(WeirWriter* writer, uint32_t number);
void weir_write_hex(WeirWriter* writer, uint64_t number);
/// Escapes what JSON does not allow in a string.
void weir_write_json_text(WeirWriter* writer, const char* text);
/// RFC 4648, section 5, without padding.
void weir_write_base64url(WeirWriter* writer, const uint8_t* bytes, size_t size);

bool weir_text_equals(const char* text, size_t size, const char* zero_terminated);
/// Decimal digits; UINT32_MAX for more than that, 0 for anything else.
uint32_t weir_text_number(const char* text, size_t size);

#endif
