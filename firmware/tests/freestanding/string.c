// The functions of string.h that the firmware uses, where there is no C library; small, not fast.
#include <string.h>

void* memcpy(void* to, const void* from, size_t size) {
  unsigned char* at = to;
  const unsigned char* source = from;
  while (size-- > 0) *at++ = *source++;
  return to;
}

void* memmove(void* to, const void* from, size_t size) {
  unsigned char* at = to;
  const unsigned char* source = from;
  if (at <= source) return memcpy(to, from, size);
  while (size-- > 0) at[size] = source[size];
  return to;
}

void* memset(void* to, int value, size_t size) {
  unsigned char* at = to;
  while (size-- > 0) *at++ = (unsigned char)value;
  return to;
}

int memcmp(const void* a, const void* b, size_t size) {
  const unsigned char* left = a;
  const unsigned char* right = b;
  for (; size > 0; size--, left++, right++) {
    if (*left != *right) return *left < *right ? -1 : 1;
  }
  return 0;
}

size_t strlen(const char* text) {
  size_t size = 0;
  while (text[size] != '\0') size++;
  return size;
}
