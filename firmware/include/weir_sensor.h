/// Publishes the samples of one sensor of a vehicle: frames of schemas/telemetry.fbs, acknowledged by JetStream.
///
/// Subject    vehicle.<vehicle>.<sensor>, or p.<k>.vehicle.<vehicle>.<sensor> if the account has no subject mapping.
/// Delivery   at least once. A frame is sent again, under the same Nats-Msg-Id, until JetStream has stored it; inside
///            the stream's duplicate window it is stored once. A frame leaves the outbox only when it was stored or
///            dropped, and each drop is counted and reported.
/// Order      one frame at a time is unacknowledged, so the samples of a sensor are stored in the order in which they
///            were given, also after an outage. The price: at most one frame per round trip.
/// Memory     a WeirSensor and what the configuration points to; all of it stays in place from weir_sensor_init on.
/// Threads    one task at a time per sensor. Not from an interrupt: queue the value there, give it to the sensor in the
///            task that polls.
/// Blocking   weir_sensor_poll: as the port. The functions that take samples: as the flash, when they complete a frame;
///            else never.
#ifndef WEIR_SENSOR_H
#define WEIR_SENSOR_H

#include "weir_nats.h"

#ifdef __cplusplus
extern "C" {
#endif

/// The time of a sample when the device has no clock: arrival at the server stands in.
#define WEIR_NO_TIME INT64_MIN

/// What happens to frames when the outbox is full. In RAM, the frame that is on its way is never dropped.
typedef enum WeirPolicy {
  WEIR_DROP_OLDEST,  ///< frames from the front make room
  WEIR_DROP_NEWEST,  ///< the new frame is dropped
  WEIR_THIN_OUT      ///< every second frame is dropped, and from then on of the new ones too: gaps are evenly spread
} WeirPolicy;

typedef enum WeirDropReason {
  WEIR_DROPPED_OLDEST,    ///< by WEIR_DROP_OLDEST
  WEIR_DROPPED_NEWEST,    ///< by WEIR_DROP_NEWEST, or one frame alone is larger than the outbox
  WEIR_DROPPED_THINNED,   ///< by WEIR_THIN_OUT
  WEIR_DROPPED_REJECTED,  ///< larger than the server or the stream accepts
  WEIR_DROPPED_STORAGE,   ///< the flash could not keep it
  WEIR_DROP_REASONS       ///< how many there are
} WeirDropReason;

/// One frame in an outbox.
typedef struct WeirFrameInfo {
  uint64_t boot;      ///< the start of the device in which the frame was made
  uint32_t sequence;  ///< of frames in that start, from 1
  uint32_t size;      ///< bytes of the frame
  uint16_t samples;
  uint8_t kind;    ///< the client's own
  uint8_t is_utc;  ///< 1: times are ns since 1970; 0: they are the port's clock
} WeirFrameInfo;

/// What a full outbox dropped to take a frame.
typedef struct WeirDropped {
  uint32_t frames, samples;
  uint8_t reason;  ///< a WeirDropReason
} WeirDropped;

/// An outbox that survives a restart, in place of the one in RAM: weir_flash.h.
typedef struct WeirStore {
  void* context;
  /// Keeps the frame behind all others. `front_is_sent`: the first frame is on its way. *dropped: what made room, or
  /// this frame. Errors: WEIR_ERROR_STORAGE.
  int (*append)(void* context, const WeirFrameInfo* info, const uint8_t* frame, bool front_is_sent,
                WeirDropped* dropped);
  /// The first frame's facts; false: there is none.
  bool (*front)(void* context, WeirFrameInfo* info);
  /// Copies the first frame's bytes. Errors: WEIR_ERROR_STORAGE.
  int (*read)(void* context, uint8_t* frame);
  /// Forgets the first frame. Errors: WEIR_ERROR_STORAGE.
  int (*pop)(void* context);
} WeirStore;

/// Numbers: 0 stands for the default.
typedef struct WeirSensorConfig {
  WeirNatsConfig nats;  ///< the connection; send_size at least frame_size + 384

  const char* vehicle;  ///< required; one token of a subject, 1 to 40 bytes
  const char* sensor;   ///< required; the field's name: one token, 1 to 40 bytes
  const char* inbox;    ///< prefix of the subjects for replies; 1 to 40 bytes; default "_INBOX"
  uint32_t partitions;  ///< 1 to 65,535: the device publishes to p.<k>.… itself; default 0: the account maps subjects

  uint8_t* frame_buffer;  ///< required; the frame that grows
  uint32_t frame_size;    ///< bytes; 128 to 65,536; 56 and 16 per number or 32 per position
  uint32_t max_age_ms;    ///< a frame is complete so long after its first sample; 1 to 3,600,000; default 1,000

  uint8_t* outbox_buffer;  ///< required unless `store` is set
  uint32_t outbox_size;    ///< bytes; at least frame_size + 24; each frame takes its size and 24
  uint8_t policy;          ///< a WeirPolicy; default WEIR_DROP_OLDEST
  const WeirStore* store;  ///< keeps frames over a restart; NULL: the outbox is in RAM

  uint32_t ack_timeout_ms;  ///< without an acknowledgement a frame is sent again; 100 to 600,000; default 5,000
  uint32_t
      clock_interval_ms;     ///< asks time.<vehicle> so often; 1,000 to 86,400,000; default 0: the port's clock is UTC
  uint32_t clock_wait_ms;    ///< so long after a connect frames wait for the first answer, then WEIR_NO_TIME is sent;
                             ///< 1 to 3,600,000; default 10,000
  uint32_t clock_drift_ppm;  ///< of the port's clock; 1 to 1,000; default 100
  uint32_t clock_error_ms;   ///< an answer with a larger error is discarded; 1 to 60,000; default 1,000

  /// Reports each drop, or NULL. May read statistics; may not call the sensor otherwise.
  void (*on_drop)(void* context, const WeirDropped* dropped);
  void* drop_context;
} WeirSensorConfig;

/// Counters since weir_sensor_init. They wrap at 2^32.
typedef struct WeirSensorStatistics {
  uint32_t samples;          ///< taken
  uint32_t samples_invalid;  ///< NaN, infinite, or a text too long for a frame: not taken
  uint32_t frames_sent;      ///< each time that a frame was given to the link
  uint32_t frames_stored;    ///< acknowledged by JetStream
  uint32_t frames_untimed;   ///< sent with WEIR_NO_TIME, as the clock was not known
  uint32_t frames_dropped[WEIR_DROP_REASONS];
  uint32_t samples_dropped[WEIR_DROP_REASONS];
  uint32_t acks_missing;   ///< none within ack_timeout_ms
  uint32_t acks_negative;  ///< JetStream said that it did not store the frame
} WeirSensorStatistics;

/// The client's own; members are no part of the contract.
typedef struct WeirFrame {
  uint8_t* bytes;
  uint32_t capacity, size;
  uint16_t samples;
  uint8_t kind;
} WeirFrame;

/// The client's own; members are no part of the contract.
typedef struct WeirOutbox {
  uint8_t* bytes;
  uint32_t capacity, used;
  uint8_t policy, thinning;
} WeirOutbox;

/// The client's own; members are no part of the contract.
typedef struct WeirTimeSource {
  int64_t offset, error, measured_at, asked_at, ask_at;
  uint32_t question;
  bool is_known, is_asking;
} WeirTimeSource;

/// A sensor. Members are no part of the contract.
typedef struct WeirSensor {
  const WeirSensorConfig* config;
  WeirNats nats;
  WeirNatsSubscription inbox;
  WeirFrame frame;
  WeirOutbox outbox;
  WeirTimeSource time;
  WeirSensorStatistics statistics;
  uint64_t boot;
  int64_t frame_due, ack_due, retry_at, untimed_from;
  uint64_t sent_boot;
  uint32_t sequence, sent_sequence, ticket, refusals;
  bool is_sent, was_ready;
  char inbox_subject[61];
} WeirSensor;

/// Checks the configuration and prepares the sensor; opens nothing. Draws the boot identifier from the port's random
/// numbers. Errors: WEIR_ERROR_CONFIG.
int weir_sensor_init(WeirSensor* sensor, const WeirSensorConfig* config);

/// Takes one number. `time_ns`: of the measurement, by the port's clock, or WEIR_NO_TIME; not before the sample given
/// last. Errors: WEIR_ERROR_VALUE: NaN or infinite.
int weir_sensor_sample(WeirSensor* sensor, int64_t time_ns, double value);

/// Takes a position as one sample: degrees (WGS 84) and metres; `altitude` NaN: unknown.
int weir_sensor_position(WeirSensor* sensor, int64_t time_ns, double latitude, double longitude, double altitude);

/// Takes a text of `size` bytes of UTF-8. Errors: WEIR_ERROR_VALUE: too long for a frame.
int weir_sensor_text(WeirSensor* sensor, int64_t time_ns, const char* text, uint32_t size);

/// Completes the frame now, whatever its size and age: before the device sleeps or switches off.
void weir_sensor_flush(WeirSensor* sensor);

/// One step of everything: link, frame's age, outbox, acknowledgements, clock. When and how often: weir_nats_poll.
/// Returns what weir_nats_poll returned.
int weir_sensor_poll(WeirSensor* sensor);

/// Whether nothing waits: no samples in the frame, no frames in the outbox.
bool weir_sensor_is_empty(WeirSensor* sensor);

/// Converts the port's clock to ns since 1970. *error_ns: a bound, half the round trip and the drift since. False: the
/// clock is not known yet.
bool weir_sensor_utc(const WeirSensor* sensor, int64_t time_ns, int64_t* utc_ns, int64_t* error_ns);

/// FNV-1a 32 of the vehicle's token, modulo `partitions` (> 0): what `{{partition(n,1)}}` of nats-server computes.
uint32_t weir_partition(const char* vehicle, uint32_t partitions);

#ifdef __cplusplus
}
#endif

#endif
