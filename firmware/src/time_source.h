/// The offset between the port's clock and UTC, from questions to a time server; pure.
#ifndef WEIR_TIME_SOURCE_H
#define WEIR_TIME_SOURCE_H

#include "weir_sensor.h"

/// Takes the answer to a question: the server's ns since 1970 as decimal text. Discards what is no time, or too
/// uncertain, or less certain than what is known. Returns whether the offset is now known as well as it can be.
bool weir_time_answer(WeirTimeSource* time, const WeirSensorConfig* config, int64_t now, const uint8_t* text,
                      uint32_t size);

/// The bound on the offset's error at `now`: half the round trip and the drift since.
int64_t weir_time_error(const WeirTimeSource* time, const WeirSensorConfig* config, int64_t now);

#endif
