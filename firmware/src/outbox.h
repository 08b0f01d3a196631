/// The outbox in RAM: frames one behind the other in the caller's buffer, the oldest first.
#ifndef WEIR_OUTBOX_H
#define WEIR_OUTBOX_H

#include "weir_sensor.h"

void weir_outbox_init(WeirOutbox* outbox, uint8_t* bytes, uint32_t capacity, WeirPolicy policy);

/// As WeirStore's calls of these names.
void weir_outbox_append(WeirOutbox* outbox, const WeirFrameInfo* info, const uint8_t* frame, bool front_is_sent,
                        WeirDropped* dropped);
bool weir_outbox_front(const WeirOutbox* outbox, WeirFrameInfo* info);
void weir_outbox_read(const WeirOutbox* outbox, uint8_t* frame);
void weir_outbox_pop(WeirOutbox* outbox);

#endif
