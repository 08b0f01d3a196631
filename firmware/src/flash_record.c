#include "flash_record.h"

#include <string.h>

enum { largest_write = 32, seal_at = 28 };

static uint32_t write_size(const WeirFlashConfig* config) { return config->write_size != 0U ? config->write_size : 1U; }

static uint32_t rounded(const WeirFlashConfig* config, uint32_t size) {
  const uint32_t unit = write_size(config) - 1U;
  return (size + unit) & ~unit;
}

uint32_t weir_record_size(const WeirFlashConfig* config, const WeirRecord* record) {
  return (uint32_t)WEIR_RECORD_SIZE + rounded(config, record->info.size);
}

/// CRC-32 (IEEE 802.3) of more bytes; begins and ends with all bits inverted by the caller.
static uint32_t crc_of(uint32_t crc, const uint8_t* bytes, uint32_t size) {
  uint32_t value = crc;
  for (uint32_t i = 0; i < size; i++) {
    value ^= bytes[i];
    for (int bit = 0; bit < 8; bit++) value = (value >> 1U) ^ (0xedb88320U & (0U - (value & 1U)));
  }
  return value;
}

static void put32(uint8_t* at, uint32_t value) { memcpy(at, &value, sizeof value); }

static uint32_t get32(const uint8_t* at) {
  uint32_t value = 0;
  memcpy(&value, at, sizeof value);
  return value;
}

// type, kind, is_utc, 0x57 | number | size | sequence | boot | samples, 0 | checksum of these and of what is behind
static void pack(uint8_t* head, const WeirRecord* record) {
  memset(head, 0, WEIR_RECORD_SIZE);
  head[0] = (uint8_t)record->type;
  head[1] = record->info.kind;
  head[2] = record->info.is_utc;
  head[3] = 0x57;
  put32(head + 4, record->number);
  put32(head + 8, record->info.size);
  put32(head + 12, record->info.sequence);
  put32(head + 16, (uint32_t)record->info.boot);
  put32(head + 20, (uint32_t)(record->info.boot >> 32U));
  put32(head + 24, record->info.samples);
}

static bool unpack(const uint8_t* head, WeirRecord* record) {
  record->type = (WeirRecordType)head[0];
  record->info.kind = head[1];
  record->info.is_utc = head[2];
  record->number = get32(head + 4);
  record->info.size = get32(head + 8);
  record->info.sequence = get32(head + 12);
  record->info.boot = get32(head + 16) | ((uint64_t)get32(head + 20) << 32U);
  record->info.samples = (uint16_t)get32(head + 24);
  return head[3] == 0x57U && head[0] >= (uint8_t)WEIR_RECORD_PAGE && head[0] <= (uint8_t)WEIR_RECORD_DONE;
}

int weir_record_write(const WeirFlashConfig* config, uint32_t address, const WeirRecord* record, const uint8_t* bytes) {
  uint8_t head[largest_write];
  const uint32_t size = record->info.size;
  const uint32_t whole = size & ~(write_size(config) - 1U);
  pack(head, record);
  put32(head + seal_at, ~crc_of(crc_of(UINT32_MAX, head, seal_at), bytes, size));
  if (config->write(config->context, address, head, WEIR_RECORD_SIZE) < 0) return WEIR_ERROR_STORAGE;
  const uint32_t behind = address + (uint32_t)WEIR_RECORD_SIZE;
  if (whole > 0U && config->write(config->context, behind, bytes, whole) < 0) return WEIR_ERROR_STORAGE;
  if (whole == size) return WEIR_OK;
  memset(head, 0xff, sizeof head);
  memcpy(head, bytes + whole, size - whole);
  return config->write(config->context, behind + whole, head, write_size(config)) < 0 ? WEIR_ERROR_STORAGE : WEIR_OK;
}

static bool is_erased(const uint8_t* head) {
  for (int i = 0; i < WEIR_RECORD_SIZE; i++) {
    if (head[i] != 0xffU) return false;
  }
  return true;
}

int weir_record_read(const WeirFlashConfig* config, uint32_t address, uint32_t room, WeirRecord* record) {
  uint8_t head[WEIR_RECORD_SIZE];
  memset(record, 0, sizeof *record);
  if (room < (uint32_t)WEIR_RECORD_SIZE) return WEIR_OK;
  if (config->read(config->context, address, head, WEIR_RECORD_SIZE) < 0) return WEIR_ERROR_STORAGE;
  if (is_erased(head)) return WEIR_OK;
  if (!unpack(head, record) || record->info.size > room - (uint32_t)WEIR_RECORD_SIZE) {
    record->type = WEIR_RECORD_BAD;
    return WEIR_OK;
  }
  const uint32_t seal = get32(head + seal_at);
  uint32_t crc = crc_of(UINT32_MAX, head, seal_at);
  for (uint32_t at = 0; at < record->info.size; at += sizeof head) {
    const uint32_t rest = record->info.size - at;
    const uint32_t part = rest < sizeof head ? rest : (uint32_t)sizeof head;
    const uint32_t from = address + (uint32_t)WEIR_RECORD_SIZE + at;
    if (config->read(config->context, from, head, part) < 0) return WEIR_ERROR_STORAGE;
    crc = crc_of(crc, head, part);
  }
  if (~crc != seal) record->type = WEIR_RECORD_BAD;
  return WEIR_OK;
}
