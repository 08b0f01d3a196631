#include "outbox.h"

#include <string.h>

enum { most_thinning = 16 };

void weir_outbox_init(WeirOutbox* outbox, uint8_t* bytes, uint32_t capacity, WeirPolicy policy) {
  memset(outbox, 0, sizeof *outbox);
  outbox->bytes = bytes;
  outbox->capacity = capacity;
  outbox->policy = (uint8_t)policy;
}

static WeirFrameInfo info_at(const WeirOutbox* outbox, uint32_t at) {
  WeirFrameInfo info;
  memcpy(&info, outbox->bytes + at, sizeof info);
  return info;
}

static uint32_t size_of(const WeirFrameInfo* info) { return (uint32_t)sizeof *info + info->size; }

static void erase_at(WeirOutbox* outbox, uint32_t at) {
  const WeirFrameInfo info = info_at(outbox, at);
  const uint32_t behind = at + size_of(&info);
  memmove(outbox->bytes + at, outbox->bytes + behind, outbox->used - behind);
  outbox->used -= size_of(&info);
}

static void count(WeirDropped* dropped, const WeirFrameInfo* info, WeirDropReason reason) {
  dropped->frames++;
  dropped->samples += info->samples;
  dropped->reason = (uint8_t)reason;
}

/// Where the first frame lies that may be dropped; `used` if there is none.
static uint32_t first_droppable(const WeirOutbox* outbox, bool front_is_sent) {
  if (!front_is_sent || outbox->used == 0U) return 0;
  const WeirFrameInfo front = info_at(outbox, 0);
  return size_of(&front);
}

static bool is_kept(const WeirOutbox* outbox, const WeirFrameInfo* info) {
  return (info->sequence & ((1U << outbox->thinning) - 1U)) == 0U;
}

static void thin(WeirOutbox* outbox, bool front_is_sent, WeirDropped* dropped) {
  outbox->thinning++;
  uint32_t at = first_droppable(outbox, front_is_sent);
  while (at < outbox->used) {
    const WeirFrameInfo info = info_at(outbox, at);
    if (is_kept(outbox, &info)) {
      at += size_of(&info);
    } else {
      count(dropped, &info, WEIR_DROPPED_THINNED);
      erase_at(outbox, at);
    }
  }
}

static bool has_room(const WeirOutbox* outbox, const WeirFrameInfo* info) {
  return size_of(info) <= outbox->capacity - outbox->used;
}

/// Drops what the policy says. False: the new frame is dropped.
static bool make_room(WeirOutbox* outbox, const WeirFrameInfo* info, bool front_is_sent, WeirDropped* dropped) {
  if (outbox->policy == (uint8_t)WEIR_THIN_OUT) {
    if (!is_kept(outbox, info)) return false;
    while (!has_room(outbox, info) && outbox->thinning < (uint8_t)most_thinning) {
      thin(outbox, front_is_sent, dropped);
      if (!is_kept(outbox, info)) return false;
    }
  }
  while (!has_room(outbox, info) && outbox->policy == (uint8_t)WEIR_DROP_OLDEST) {
    const uint32_t at = first_droppable(outbox, front_is_sent);
    if (at >= outbox->used) return false;
    const WeirFrameInfo oldest = info_at(outbox, at);
    count(dropped, &oldest, WEIR_DROPPED_OLDEST);
    erase_at(outbox, at);
  }
  return has_room(outbox, info);
}

void weir_outbox_append(WeirOutbox* outbox, const WeirFrameInfo* info, const uint8_t* frame, bool front_is_sent,
                        WeirDropped* dropped) {
  memset(dropped, 0, sizeof *dropped);
  if (!make_room(outbox, info, front_is_sent, dropped)) {
    const bool thins = outbox->policy == (uint8_t)WEIR_THIN_OUT;
    count(dropped, info, thins ? WEIR_DROPPED_THINNED : WEIR_DROPPED_NEWEST);
    return;
  }
  memcpy(outbox->bytes + outbox->used, info, sizeof *info);
  memcpy(outbox->bytes + outbox->used + sizeof *info, frame, info->size);
  outbox->used += size_of(info);
}

bool weir_outbox_front(const WeirOutbox* outbox, WeirFrameInfo* info) {
  if (outbox->used == 0U) return false;
  *info = info_at(outbox, 0);
  return true;
}

void weir_outbox_read(const WeirOutbox* outbox, uint8_t* frame) {
  const WeirFrameInfo info = info_at(outbox, 0);
  memcpy(frame, outbox->bytes + sizeof info, info.size);
}

void weir_outbox_pop(WeirOutbox* outbox) {
  if (outbox->used == 0U) return;
  erase_at(outbox, 0);
  if (outbox->used == 0U) outbox->thinning = 0;
}
