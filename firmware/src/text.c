#include "text.h"

#include <string.h>

WeirWriter weir_writer(void* bytes, uint32_t capacity) {
  WeirWriter writer = {0};
  writer.bytes = bytes;
  writer.capacity = capacity;
  return writer;
}

void weir_write_bytes(WeirWriter* writer, const void* bytes, size_t size) {
  if (writer->is_full || size > writer->capacity - writer->size) {
    writer->is_full = true;
    return;
  }
  memcpy(writer->bytes + writer->size, bytes, size);
  writer->size += (uint32_t)size;
}

void weir_write_text(WeirWriter* writer, const char* text) { weir_write_bytes(writer, text, strlen(text)); }

void weir_write_number(WeirWriter* writer, uint32_t number) {
  char digits[10];
  size_t at = sizeof digits;
  uint32_t rest = number;
  do {
    at--;
    digits[at] = (char)('0' + (int)(rest % 10U));
    rest /= 10U;
  } while (rest > 0U);
  weir_write_bytes(writer, digits + at, sizeof digits - at);
}

static char hex_digit(unsigned value) { return "0123456789abcdef"[value & 15U]; }

void weir_write_hex(WeirWriter* writer, uint64_t number) {
  char digits[16];
  for (unsigned i = 0; i < sizeof digits; i++) digits[i] = hex_digit((unsigned)(number >> (60U - 4U * i)));
  weir_write_bytes(writer, digits, sizeof digits);
}

void weir_write_json_text(WeirWriter* writer, const char* text) {
  for (const char* at = text; *at != '\0'; at++) {
    const unsigned byte = (unsigned char)*at;
    if (byte < 0x20U) {
      char escape[] = "\\u0000";
      escape[4] = hex_digit(byte >> 4U);
      escape[5] = hex_digit(byte);
      weir_write_text(writer, escape);
      continue;
    }
    if (*at == '"' || *at == '\\') weir_write_bytes(writer, "\\", 1);
    weir_write_bytes(writer, at, 1);
  }
}

void weir_write_base64url(WeirWriter* writer, const uint8_t* bytes, size_t size) {
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  uint32_t bits = 0;
  unsigned count = 0;
  for (size_t i = 0; i < size; i++) {
    bits = (bits << 8U) | bytes[i];
    for (count += 8U; count >= 6U; count -= 6U) weir_write_bytes(writer, &digits[(bits >> (count - 6U)) & 63U], 1);
  }
  if (count > 0U) weir_write_bytes(writer, &digits[(bits << (6U - count)) & 63U], 1);
}

bool weir_text_equals(const char* text, size_t size, const char* zero_terminated) {
  return strlen(zero_terminated) == size && memcmp(text, zero_terminated, size) == 0;
}

uint32_t weir_text_number(const char* text, size_t size) {
  uint32_t number = 0;
  for (size_t i = 0; i < size; i++) {
    if (text[i] < '0' || text[i] > '9') return 0;
    const uint32_t digit = (uint32_t)(text[i] - '0');
    if (number > (UINT32_MAX - digit) / 10U) return UINT32_MAX;
    number = number * 10U + digit;
  }
  return number;
}
