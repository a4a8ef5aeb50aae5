#ifndef PICKET_AGENT_STAMP_H
#define PICKET_AGENT_STAMP_H

#include "agent/port.h"

/* Texts that messages bear: GUIDs, times and numbers, made without an operating system. All are terminated. */
#define PICKET_TIME_SIZE 40
#define PICKET_NUMBER_SIZE 21

void picket_guid_make(const struct picket_port *port, char out[PICKET_GUID_SIZE]); /* random, version 4 */
bool picket_guid_valid(const char *text, size_t count);

/* "2018-08-10T11:01:21.000Z", and with its offset "2018-08-10T13:01:21.000+02:00". Years 1970 to 9999. */
void picket_time_print_utc(int64_t utc_ms, char out[PICKET_TIME_SIZE]);
void picket_time_print_local(int64_t utc_ms, int32_t offset_s, char out[PICKET_TIME_SIZE]);

size_t picket_number_print(uint64_t number, char out[PICKET_NUMBER_SIZE]); /* returns its length */
/* Decimal digits only; false, with `out` untouched, when malformed or too large. */
bool picket_number_read(const char *digits, size_t count, uint64_t *out);

#endif
