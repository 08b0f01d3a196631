#include "frame.h"

#include <string.h>

// Where things lie: root and identifier, Frame's vtable, Frame, its vector of one series, Series' vtable, Series, and
// the vector of samples, whose elements are aligned to 8.
enum {
  frame_vtable_at = 8,
  frame_at = 16,
  series_list_at = 24,
  series_vtable_at = 32,
  series_at = 44,
  samples_at = 52,
  first_sample_at = 56,
  number_size = 16,
  point_size = 32,
  text_vtable_at = first_sample_at + 4 * WEIR_TEXTS_PER_FRAME,
  first_text_at = text_vtable_at + 8,
  text_size = 16  // without its string
};

static void put16(uint8_t* at, unsigned value) {
  at[0] = (uint8_t)value;
  at[1] = (uint8_t)(value >> 8U);
}

static void put32(uint8_t* at, uint32_t value) {
  put16(at, value & 0xffffU);
  put16(at + 2, value >> 16U);
}

static void put64(uint8_t* at, uint64_t value) {
  put32(at, (uint32_t)value);
  put32(at + 4, (uint32_t)(value >> 32U));
}

static uint32_t get32(const uint8_t* at) {
  return at[0] | ((uint32_t)at[1] << 8U) | ((uint32_t)at[2] << 16U) | ((uint32_t)at[3] << 24U);
}

static uint64_t bits_of(double value) {
  typedef char double_is_ieee_754_binary64[sizeof(double) == sizeof(uint64_t) ? 1 : -1];
  (void)sizeof(double_is_ieee_754_binary64);
  uint64_t bits = 0;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

bool weir_is_finite(double value) { return ((bits_of(value) >> 52U) & 0x7ffU) != 0x7ffU; }

bool weir_is_infinite(double value) { return (bits_of(value) << 1U) == (uint64_t)0x7ff << 53U; }

void weir_frame_init(WeirFrame* frame, uint8_t* bytes, uint32_t capacity) {
  memset(frame, 0, sizeof *frame);
  frame->bytes = bytes;
  frame->capacity = capacity;
}

void weir_frame_begin(WeirFrame* frame, WeirKind kind) {
  uint8_t* bytes = frame->bytes;
  const uint32_t size = kind == WEIR_TEXTS ? (uint32_t)first_text_at : (uint32_t)first_sample_at;
  memset(bytes, 0, size);
  put32(bytes, frame_at);
  memcpy(bytes + 4, "WEIR", 4);
  put16(bytes + frame_vtable_at, 8);
  put16(bytes + frame_vtable_at + 2, 8);
  put16(bytes + frame_vtable_at + 6, 4);  // series; key is absent: the subject says it
  put32(bytes + frame_at, frame_at - frame_vtable_at);
  put32(bytes + frame_at + 4, series_list_at - (frame_at + 4));
  put32(bytes + series_list_at, 1);
  put32(bytes + series_list_at + 4, series_at - (series_list_at + 4));
  put16(bytes + series_vtable_at, 12);
  put16(bytes + series_vtable_at + 2, 8);
  put16(bytes + series_vtable_at + 6 + 2 * (int)kind, 4);  // field is absent: the subject says it
  put32(bytes + series_at, series_at - series_vtable_at);
  put32(bytes + series_at + 4, samples_at - (series_at + 4));
  if (kind == WEIR_TEXTS) {
    put16(bytes + text_vtable_at, 8);
    put16(bytes + text_vtable_at + 2, text_size);
    put16(bytes + text_vtable_at + 4, 8);  // time
    put16(bytes + text_vtable_at + 6, 4);  // text
  }
  frame->size = size;
  frame->samples = 0;
  frame->kind = (uint8_t)kind;
}

static bool has_room(const WeirFrame* frame, uint32_t size) {
  return frame->samples < UINT16_MAX && size <= frame->capacity - frame->size;
}

static void count(WeirFrame* frame, uint32_t size) {
  frame->size += size;
  frame->samples++;
  put32(frame->bytes + samples_at, frame->samples);
}

bool weir_frame_add_number(WeirFrame* frame, int64_t time, double value) {
  if (!has_room(frame, number_size)) return false;
  uint8_t* at = frame->bytes + frame->size;
  put64(at, (uint64_t)time);
  put64(at + 8, bits_of(value));
  count(frame, number_size);
  return true;
}

bool weir_frame_add_point(WeirFrame* frame, int64_t time, const double place[3]) {
  if (!has_room(frame, point_size)) return false;
  uint8_t* at = frame->bytes + frame->size;
  put64(at, (uint64_t)time);
  for (int i = 0; i < 3; i++) put64(at + 8 + 8 * i, bits_of(place[i]));
  count(frame, point_size);
  return true;
}

static uint32_t size_with_text(uint32_t size) { return (text_size + 4U + size + 1U + 7U) & ~7U; }

bool weir_frame_holds_text(const WeirFrame* frame, uint32_t size) {
  return size <= frame->capacity && (uint32_t)first_text_at + size_with_text(size) <= frame->capacity;
}

// A Text (offset of its vtable, offset of its string, time) and its string: length, bytes, zero, up to the next 8.
bool weir_frame_add_text(WeirFrame* frame, int64_t time, const char* text, uint32_t size) {
  if (size > frame->capacity) return false;
  const uint32_t all = size_with_text(size);
  if (frame->samples >= (unsigned)WEIR_TEXTS_PER_FRAME || !has_room(frame, all)) return false;
  uint8_t* at = frame->bytes + frame->size;
  const uint32_t slot = (uint32_t)first_sample_at + 4U * frame->samples;
  memset(at, 0, all);
  put32(frame->bytes + slot, frame->size - slot);
  put32(at, frame->size - (uint32_t)text_vtable_at);
  put32(at + 4, text_size - 4);
  put64(at + 8, (uint64_t)time);
  put32(at + text_size, size);
  if (size > 0U) memcpy(at + text_size + 4, text, size);
  count(frame, all);
  return true;
}

static void shift_time(uint8_t* at, int64_t offset) {
  const uint64_t time = get32(at) | ((uint64_t)get32(at + 4) << 32U);
  const uint64_t none = (uint64_t)WEIR_NO_TIME;
  if (time == none) return;
  put64(at, offset == WEIR_NO_TIME ? none : time + (uint64_t)offset);
}

// Where the time of sample `i` lies.
static uint32_t time_at(const uint8_t* bytes, const WeirFrameInfo* info, uint32_t i) {
  if (info->kind == (uint8_t)WEIR_NUMBERS) return (uint32_t)first_sample_at + number_size * i;
  if (info->kind == (uint8_t)WEIR_POINTS) return (uint32_t)first_sample_at + point_size * i;
  const uint32_t slot = (uint32_t)first_sample_at + 4U * i;
  return slot + 4U <= info->size ? slot + get32(bytes + slot) + 8U : UINT32_MAX;
}

void weir_frame_shift(uint8_t* bytes, const WeirFrameInfo* info, int64_t offset) {
  for (uint32_t i = 0; i < info->samples; i++) {
    const uint32_t at = time_at(bytes, info, i);
    if (info->size < 8U || at > info->size - 8U) return;  // not a frame of this version
    shift_time(bytes + at, offset);
  }
}
