/// Reads the members of a JSON object byte by byte: no tree, no look-ahead, whatever the object's size.
#ifndef WEIR_JSON_H
#define WEIR_JSON_H

#include "weir_nats.h"

/// Prepares for the first byte of an object.
void weir_json_begin(WeirJson* json);

/// Takes one byte. Returns 1 when a member is complete: `key`, `value` (text without quotes, escapes as they came; an
/// object or array gives its own members instead) and the `depth` of the object that holds it, from 1. Returns 0
/// otherwise, -1 for what can't be JSON.
int weir_json_take(WeirJson* json, char byte);

/// Whether the object that began has ended.
bool weir_json_is_complete(const WeirJson* json);

/// Whether the member that is complete has this key at this depth.
bool weir_json_is(const WeirJson* json, uint8_t depth, const char* key);

/// The value as a number without sign; UINT32_MAX if it is larger, 0 if it is none.
uint32_t weir_json_number(const WeirJson* json);

/// The value is `true`.
bool weir_json_is_true(const WeirJson* json);

#endif
