#ifndef PICKET_RUNTIME_CLOCK_H
#define PICKET_RUNTIME_CLOCK_H

#include "runtime/text.h"

int64_t clock_utc_us(void);       /* microseconds since 1970-01-01 UTC */
int64_t clock_monotonic_ms(void); /* for deadlines; never goes back */

/* Every form of time that reference agents send (T or blank, fraction or none, Z, offset, UTC, GMT or
 * no zone, which means UTC) and ISO 8601 dates. False when it is none of them or outside years 1 to 9999. */
bool clock_parse(struct text text, int64_t *utc_us);

#define CLOCK_TEXT_SIZE 32
/* "2026-01-02T03:04:05.678901Z", terminated. */
void clock_format(int64_t utc_us, char out[CLOCK_TEXT_SIZE]);

/* "90s", "15m", "24h", "7d", "2w" and ISO 8601 "PT7M", "P1D" to microseconds; false when malformed. */
bool clock_parse_duration(struct text text, int64_t *us);

#endif
