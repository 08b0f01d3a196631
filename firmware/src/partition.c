#include "weir_sensor.h"

uint32_t weir_partition(const char* vehicle, uint32_t partitions) {
  uint32_t hash = 2166136261U;
  for (const char* at = vehicle; *at != '\0'; at++) hash = (hash ^ (uint32_t)(unsigned char)*at) * 16777619U;
  return hash % partitions;
}
