/// An outbox in flash memory: frames, and the identifiers under which they are published, survive a restart.
///
/// Form      a log over a ring of pages. Each frame is one record with a checksum; an acknowledgement is a record too.
///           A page is erased when all its frames are stored by JetStream, or dropped.
/// Power     a cut at any write or erase loses at most the frame that was being written. A frame whose acknowledgement
///           was being written is sent again under its identifier.
/// Wear      each frame takes 32 bytes and its size, each acknowledgement 32 bytes; every page is erased equally often.
/// Memory    a WeirFlash. Blocking: as the calls of the flash.
/// Threads   those of the sensor that uses it.
#ifndef WEIR_FLASH_H
#define WEIR_FLASH_H

#include "weir_sensor.h"

#ifdef __cplusplus
extern "C" {
#endif

/// The flash: three calls that return 0, or < 0 for an error.
typedef struct WeirFlashConfig {
  void* context;  ///< passed to every call

  /// Copies `size` bytes from `address`, which counts from the start of the area.
  int (*read)(void* context, uint32_t address, void* data, uint32_t size);
  /// Writes erased bytes. `address` and `size` are multiples of write_size; no byte is written twice between erases.
  int (*write)(void* context, uint32_t address, const void* data, uint32_t size);
  /// Sets all bytes of page `page` to 0xff.
  int (*erase)(void* context, uint32_t page);

  uint32_t page_size;   ///< bytes that are erased at once; required; at least frame_size + 128, at most 1 MB
  uint32_t page_count;  ///< pages of the area; required; 2 to 65,536
  uint32_t write_size;  ///< bytes that are written at once: 1, 2, 4, 8, 16 or 32; default 1
  uint8_t policy;       ///< WEIR_DROP_OLDEST: the oldest page goes, also with a frame on its way; or WEIR_DROP_NEWEST
} WeirFlashConfig;

/// The log. Members are no part of the contract.
typedef struct WeirFlash {
  const WeirFlashConfig* config;
  WeirStore store;
  uint32_t oldest, newest;  // generations of pages; a page's place is its generation modulo page_count
  uint32_t end;             // of what is written in the newest page; page_size: nothing more fits
  uint32_t last_number;     // of frames
  uint32_t done_number;     // frames up to this one need not be sent
  uint32_t front_generation, front_at;
} WeirFlash;

/// Reads what the log holds and sets *store to what WeirSensorConfig.store takes. An area without a log, or one that is
/// damaged, becomes an empty one. Errors: WEIR_ERROR_CONFIG; WEIR_ERROR_STORAGE: the flash can't be read.
int weir_flash_open(WeirFlash* flash, const WeirFlashConfig* config, const WeirStore** store);

#ifdef __cplusplus
}
#endif

#endif
