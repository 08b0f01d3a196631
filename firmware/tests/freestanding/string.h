/// <string.h> for a compiler without a C library: what the firmware uses of it.
#ifndef WEIR_FREESTANDING_STRING_H
#define WEIR_FREESTANDING_STRING_H

#include <stddef.h>

void* memcpy(void* to, const void* from, size_t size);
void* memmove(void* to, const void* from, size_t size);
void* memset(void* to, int value, size_t size);
int memcmp(const void* a, const void* b, size_t size);
size_t strlen(const char* text);

#endif
