#include <string.h>

#include "flash_record.h"

static uint32_t address_of(const WeirFlash* flash, uint32_t generation, uint32_t at) {
  return generation % flash->config->page_count * flash->config->page_size + at;
}

static int read_at(const WeirFlash* flash, uint32_t generation, uint32_t at, WeirRecord* record) {
  const WeirFlashConfig* config = flash->config;
  return weir_record_read(config, address_of(flash, generation, at), config->page_size - at, record);
}

static bool is_empty(const WeirFlash* flash) { return flash->done_number == flash->last_number; }

// --- Places in the log -----------------------------------------------------------------------------------------------

/// Moves the front to the first frame at or behind it that is to be sent, and reads its record.
static int find_front(WeirFlash* flash, WeirRecord* record) {
  while (!is_empty(flash)) {
    if (read_at(flash, flash->front_generation, flash->front_at, record) != WEIR_OK) return WEIR_ERROR_STORAGE;
    if (record->type == WEIR_RECORD_FRAME && record->number > flash->done_number) return WEIR_OK;
    if (record->type >= WEIR_RECORD_PAGE) {
      flash->front_at += weir_record_size(flash->config, record);
    } else if (flash->front_generation == flash->newest) {
      flash->done_number = flash->last_number;  // the rest was damaged
    } else {
      flash->front_generation++;
      flash->front_at = 0;
    }
  }
  flash->front_generation = flash->newest;
  flash->front_at = flash->end;
  return WEIR_OK;
}

/// Whether the oldest page holds no frame that is to be sent.
static bool is_oldest_free(const WeirFlash* flash) {
  return is_empty(flash) ? flash->oldest != flash->newest : flash->front_generation != flash->oldest;
}

static bool is_ring_full(const WeirFlash* flash) {
  return flash->newest - flash->oldest + 1U >= flash->config->page_count;
}

/// Begins the next page; the place where it lies must be free. Its first record keeps what is done until now.
static int begin_page(WeirFlash* flash) {
  const WeirFlashConfig* config = flash->config;
  const uint32_t generation = flash->newest + 1U;
  if (is_ring_full(flash)) flash->oldest++;
  flash->end = config->page_size;  // until the page is whole, nothing is written behind
  if (config->erase(config->context, generation % config->page_count) < 0) return WEIR_ERROR_STORAGE;
  flash->newest = generation;
  WeirRecord record = {WEIR_RECORD_PAGE, 0, {0, 0, 0, 0, 0, 0}};
  record.number = generation;
  record.info.sequence = flash->done_number;
  const int result = weir_record_write(config, address_of(flash, generation, 0), &record, NULL);
  if (result == WEIR_OK) flash->end = WEIR_RECORD_SIZE;
  return result;
}

/// Counts the frames of the oldest page that were to be sent, and lets them go.
static int drop_oldest_page(WeirFlash* flash, WeirDropped* dropped) {
  WeirRecord record;
  if (find_front(flash, &record) != WEIR_OK) return WEIR_ERROR_STORAGE;
  while (!is_empty(flash) && flash->front_generation == flash->oldest) {
    dropped->frames++;
    dropped->samples += record.info.samples;
    dropped->reason = (uint8_t)WEIR_DROPPED_OLDEST;
    flash->done_number = record.number;
    if (find_front(flash, &record) != WEIR_OK) return WEIR_ERROR_STORAGE;
  }
  return WEIR_OK;
}

// --- The store's calls -----------------------------------------------------------------------------------------------

static int store_append(void* context, const WeirFrameInfo* info, const uint8_t* frame, bool front_is_sent,
                        WeirDropped* dropped) {
  WeirFlash* flash = context;
  WeirRecord record = {WEIR_RECORD_FRAME, 0, {0, 0, 0, 0, 0, 0}};
  (void)front_is_sent;  // a page goes as a whole, also with a frame that is on its way
  memset(dropped, 0, sizeof *dropped);
  record.number = flash->last_number + 1U;
  record.info = *info;
  const uint32_t size = weir_record_size(flash->config, &record);
  if (size > flash->config->page_size - (uint32_t)WEIR_RECORD_SIZE) return WEIR_ERROR_STORAGE;
  if (size > flash->config->page_size - flash->end) {
    if (is_ring_full(flash) && !is_oldest_free(flash)) {
      if (flash->config->policy == (uint8_t)WEIR_DROP_NEWEST) {
        dropped->frames = 1;
        dropped->samples = info->samples;
        dropped->reason = (uint8_t)WEIR_DROPPED_NEWEST;
        return WEIR_OK;
      }
      if (drop_oldest_page(flash, dropped) != WEIR_OK) return WEIR_ERROR_STORAGE;
    }
    if (begin_page(flash) != WEIR_OK) return WEIR_ERROR_STORAGE;
  }
  const uint32_t at = flash->end;
  flash->end = flash->config->page_size;  // a record that can't be written ends the page
  const int result = weir_record_write(flash->config, address_of(flash, flash->newest, at), &record, frame);
  if (result != WEIR_OK) return result;
  flash->end = at + size;
  if (is_empty(flash)) {
    flash->front_generation = flash->newest;
    flash->front_at = at;
  }
  flash->last_number++;
  return WEIR_OK;
}

static bool store_front(void* context, WeirFrameInfo* info) {
  WeirFlash* flash = context;
  WeirRecord record;
  if (find_front(flash, &record) != WEIR_OK || is_empty(flash)) return false;
  *info = record.info;
  return true;
}

static int store_read(void* context, uint8_t* frame) {
  WeirFlash* flash = context;
  const WeirFlashConfig* config = flash->config;
  WeirRecord record;
  if (find_front(flash, &record) != WEIR_OK || is_empty(flash)) return WEIR_ERROR_STORAGE;
  const uint32_t from = address_of(flash, flash->front_generation, flash->front_at + (uint32_t)WEIR_RECORD_SIZE);
  return config->read(config->context, from, frame, record.info.size) < 0 ? WEIR_ERROR_STORAGE : WEIR_OK;
}

/// Keeps the acknowledgement, unless that costs a page that is still needed: then it lasts until the next start only.
static int keep_done(WeirFlash* flash) {
  if (flash->config->page_size - flash->end < (uint32_t)WEIR_RECORD_SIZE) {
    return is_ring_full(flash) && !is_oldest_free(flash) ? WEIR_OK : begin_page(flash);
  }
  WeirRecord record = {WEIR_RECORD_DONE, 0, {0, 0, 0, 0, 0, 0}};
  record.number = flash->done_number;
  const uint32_t at = flash->end;
  flash->end = flash->config->page_size;
  const int result = weir_record_write(flash->config, address_of(flash, flash->newest, at), &record, NULL);
  if (result == WEIR_OK) flash->end = at + (uint32_t)WEIR_RECORD_SIZE;
  return result;
}

static int store_pop(void* context) {
  WeirFlash* flash = context;
  WeirRecord record;
  if (find_front(flash, &record) != WEIR_OK) return WEIR_ERROR_STORAGE;
  if (is_empty(flash)) return WEIR_OK;
  flash->done_number = record.number;
  return find_front(flash, &record) != WEIR_OK ? WEIR_ERROR_STORAGE : keep_done(flash);
}

// --- Start -----------------------------------------------------------------------------------------------------------

/// The generation of the page at a place; false: it has none.
static bool generation_at(const WeirFlash* flash, uint32_t place, uint32_t* generation) {
  const WeirFlashConfig* config = flash->config;
  WeirRecord record;
  if (weir_record_read(config, place * config->page_size, config->page_size, &record) != WEIR_OK) return false;
  *generation = record.number;
  return record.type == WEIR_RECORD_PAGE && record.number % config->page_count == place;
}

static bool has_page(const WeirFlash* flash, uint32_t generation) {
  uint32_t found = 0;
  return generation_at(flash, generation % flash->config->page_count, &found) && found == generation;
}

/// Finds the newest page, and the oldest of those that lie before it without a gap.
static bool find_pages(WeirFlash* flash) {
  const uint32_t pages = flash->config->page_count;
  uint32_t generation = 0;
  bool has_any = false;
  for (uint32_t place = 0; place < pages; place++) {
    if (!generation_at(flash, place, &generation)) continue;
    if (!has_any || generation > flash->newest) flash->newest = generation;
    has_any = true;
  }
  flash->oldest = flash->newest;
  while (has_any && flash->oldest > 0U && flash->newest - flash->oldest + 1U < pages &&
         has_page(flash, flash->oldest - 1U)) {
    flash->oldest--;
  }
  return has_any;
}

/// Reads one page's records: the last frame, what is done, and where the page ends.
static int scan_page(WeirFlash* flash, uint32_t generation) {
  uint32_t at = 0;
  for (;;) {
    WeirRecord record;
    if (read_at(flash, generation, at, &record) != WEIR_OK) return WEIR_ERROR_STORAGE;
    if (record.type == WEIR_RECORD_NONE || record.type == WEIR_RECORD_BAD) {
      flash->end = record.type == WEIR_RECORD_NONE ? at : flash->config->page_size;
      return WEIR_OK;
    }
    const uint32_t done = record.type == WEIR_RECORD_PAGE ? record.info.sequence : record.number;
    if (record.type != WEIR_RECORD_FRAME && done > flash->done_number) flash->done_number = done;
    if (record.type == WEIR_RECORD_FRAME && record.number > flash->last_number) flash->last_number = record.number;
    at += weir_record_size(flash->config, &record);
  }
}

static bool is_valid(const WeirFlashConfig* config) {
  const uint32_t unit = config->write_size != 0U ? config->write_size : 1U;
  return config->read != NULL && config->write != NULL && config->erase != NULL && config->page_count >= 2U &&
         config->page_count <= 65536U && config->page_size >= 256U && config->page_size <= 1048576U && unit <= 32U &&
         (unit & (unit - 1U)) == 0U && config->page_size % 32U == 0U && config->policy <= (uint8_t)WEIR_DROP_NEWEST;
}

int weir_flash_open(WeirFlash* flash, const WeirFlashConfig* config, const WeirStore** store) {
  memset(flash, 0, sizeof *flash);
  if (!is_valid(config)) return WEIR_ERROR_CONFIG;
  flash->config = config;
  flash->store.context = flash;
  flash->store.append = store_append;
  flash->store.front = store_front;
  flash->store.read = store_read;
  flash->store.pop = store_pop;
  *store = &flash->store;
  flash->end = config->page_size;
  if (!find_pages(flash)) return WEIR_OK;
  for (uint32_t generation = flash->oldest; generation != flash->newest + 1U; generation++) {
    if (scan_page(flash, generation) != WEIR_OK) return WEIR_ERROR_STORAGE;
  }
  if (flash->last_number < flash->done_number) flash->last_number = flash->done_number;
  flash->front_generation = flash->oldest;
  WeirRecord record;
  return find_front(flash, &record);
}
