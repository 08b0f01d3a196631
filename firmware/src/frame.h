/// Frames of schemas/telemetry.fbs, written byte by byte: one series of one kind, its samples at the end, so that it
/// grows in place. Layout of a FlatBuffer: https://flatbuffers.dev/internals
#ifndef WEIR_FRAME_H
#define WEIR_FRAME_H

#include "weir_sensor.h"

typedef enum WeirKind { WEIR_NUMBERS, WEIR_POINTS, WEIR_TEXTS } WeirKind;

enum { WEIR_TEXTS_PER_FRAME = 8 };

void weir_frame_init(WeirFrame* frame, uint8_t* bytes, uint32_t capacity);
/// Begins an empty frame.
void weir_frame_begin(WeirFrame* frame, WeirKind kind);

/// Add one sample; false: the frame has no room, and is unchanged. Values are finite (but for altitude).
bool weir_frame_add_number(WeirFrame* frame, int64_t time, double value);
bool weir_frame_add_point(WeirFrame* frame, int64_t time, const double place[3]);
bool weir_frame_add_text(WeirFrame* frame, int64_t time, const char* text, uint32_t size);

/// Whether an empty frame has room for a text of this size.
bool weir_frame_holds_text(const WeirFrame* frame, uint32_t size);

/// Adds `offset` to the time of each sample of a frame that weir_frame_add_… made; WEIR_NO_TIME as offset removes the
/// times. What has no time keeps none.
void weir_frame_shift(uint8_t* bytes, const WeirFrameInfo* info, int64_t offset);

/// Neither NaN nor infinite.
bool weir_is_finite(double value);
/// Infinite, but not NaN.
bool weir_is_infinite(double value);

#endif
