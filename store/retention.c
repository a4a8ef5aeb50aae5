#include "store/retention.h"

#include "runtime/clock.h"
#include "runtime/log.h"

#define DAY_US INT64_C(86400000000)
#define KNOWN_FOR_MS INT64_C(3600000)

static enum status partitions_make(struct db *db, int64_t from_us, int64_t to_us, uint32_t timeout_ms,
                                   struct problem *why);

void retention_forget(struct retention_days *known)
{
    known->count = 0;
}

enum status retention_ensure(struct retention_days *known, struct db *db, int64_t received_at_us, uint32_t timeout_ms,
                             struct problem *why)
{
    int64_t day = received_at_us / DAY_US, now_ms = clock_monotonic_ms();

    if (now_ms - known->learnt_at_ms > KNOWN_FOR_MS || known->count == RETENTION_DAYS_KNOWN_MAX) {
        known->count = 0;
        known->learnt_at_ms = now_ms;
    }
    for (size_t i = 0; i < known->count; i++)
        if (known->days[i] == day)
            return STATUS_OK;
    enum status status = partitions_make(db, received_at_us, received_at_us, timeout_ms, why);
    if (!status)
        known->days[known->count++] = day;
    return status;
}

enum status retention_make_ahead(struct db *db, int64_t ahead_days, uint32_t timeout_ms, struct problem *why)
{
    int64_t now = clock_utc_us();
    return partitions_make(db, now - DAY_US, now + ahead_days * DAY_US, timeout_ms, why);
}

enum status retention_drop(struct db *db, int64_t event_days, int64_t message_days, uint32_t timeout_ms,
                           struct problem *why)
{
    static const char drop[] = "SELECT picket.partitions_drop($1::timestamptz, $2::timestamptz)";
    char events_before[CLOCK_TEXT_SIZE], messages_before[CLOCK_TEXT_SIZE];
    struct db_rows *rows = NULL;
    int64_t now = clock_utc_us();

    clock_format(now - event_days * DAY_US, events_before);
    clock_format(now - message_days * DAY_US, messages_before);
    const char *const parameters[] = {events_before, messages_before};
    enum status status = db_query(db, drop, parameters, 2, timeout_ms, &rows, why);
    for (size_t i = 0; !status && i < db_rows_count(rows); i++)
        log_info("store.partition_dropped", "name=%.*s", TEXT_ARGS(db_text(rows, i, 0)));
    db_rows_free(rows);
    return status ? status : db_query(db, "DELETE FROM picket.observable WHERE day < $1::timestamptz::date", parameters, 1, timeout_ms, NULL, why);
}

static enum status partitions_make(struct db *db, int64_t from_us, int64_t to_us, uint32_t timeout_ms,
                                   struct problem *why)
{
    static const char make[] = "SELECT picket.partitions_make($1::timestamptz, $2::timestamptz)";
    char from[CLOCK_TEXT_SIZE], to[CLOCK_TEXT_SIZE];

    clock_format(from_us, from);
    clock_format(to_us, to);
    const char *const parameters[] = {from, to};
    return db_query(db, make, parameters, 2, timeout_ms, NULL, why);
}
