/// The part of a sensor that speaks to the server: one frame on its way, its acknowledgement, and the time.
#ifndef WEIR_SENSOR_LINK_H
#define WEIR_SENSOR_LINK_H

#include "weir_sensor.h"

/// Subscribes to the replies.
void weir_link_init(WeirSensor* sensor);

/// Sends the first frame, or sends it again; asks for the time.
void weir_link_step(WeirSensor* sensor, int64_t now, bool is_ready);

/// The outbox has another first frame than before: an acknowledgement of the former one is of no use.
void weir_link_front_changed(WeirSensor* sensor);

// Of sensor.c:
bool weir_outbox_of_sensor_front(WeirSensor* sensor, WeirFrameInfo* info);
void weir_report_drop(WeirSensor* sensor, const WeirDropped* dropped);

#endif
