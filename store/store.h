#ifndef PICKET_STORE_STORE_H
#define PICKET_STORE_STORE_H

#include "runtime/bus.h"
#include "runtime/settings.h"

/* Bus to database: write, judge, and only then tell the bus it is done. */
struct store_settings {
    const char *database;            /* conninfo; without a user it is picket_store */
    int64_t store_workers;           /* readers side by side; direct: at most bus_shards */
    int64_t batch_records_max, batch_bytes_max, batch_linger_ms;
    int64_t event_retention_days, resend_window_days;
    int64_t partitions_ahead_days;
    int64_t json_depth_max;          /* as ingest's */
    bool detection;                  /* events are judged as they are stored */
};
extern const struct setting store_settings_table[];
extern const size_t store_settings_count;

struct store;

/* Starts the workers and the housekeeping thread; they retry while the database is away. `bus` is borrowed until
 * store_close(). With the direct bus, open store before ingest. */
MUST_CHECK enum status store_open(const struct store_settings *settings, struct bus *bus, struct store **out,
                                  struct problem *why);
void store_close(struct store *take_store); /* finishes the batch at hand */

#endif
