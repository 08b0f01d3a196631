/// Records of the log in flash: how their bytes lie, and their checksums.
#ifndef WEIR_FLASH_RECORD_H
#define WEIR_FLASH_RECORD_H

#include "weir_flash.h"

typedef enum WeirRecordType {
  WEIR_RECORD_NONE,   ///< erased: the page ends here
  WEIR_RECORD_BAD,    ///< damaged: nothing behind it in this page counts
  WEIR_RECORD_PAGE,   ///< the first of a page: number is the page's generation, sequence the frames done by then
  WEIR_RECORD_FRAME,  ///< number counts frames
  WEIR_RECORD_DONE    ///< frames up to number need not be sent
} WeirRecordType;

enum { WEIR_RECORD_SIZE = 32 };

typedef struct WeirRecord {
  WeirRecordType type;
  uint32_t number;
  WeirFrameInfo info;  ///< of a frame; size: bytes behind the record
} WeirRecord;

/// Bytes of a record with what is behind it.
uint32_t weir_record_size(const WeirFlashConfig* config, const WeirRecord* record);

/// Writes a record and its `info.size` bytes at an address. Errors: WEIR_ERROR_STORAGE.
int weir_record_write(const WeirFlashConfig* config, uint32_t address, const WeirRecord* record, const uint8_t* bytes);

/// Reads the record at an address, with `room` bytes to the end of its page, and verifies it with what is behind it.
/// Errors: WEIR_ERROR_STORAGE.
int weir_record_read(const WeirFlashConfig* config, uint32_t address, uint32_t room, WeirRecord* record);

#endif
