#ifndef PICKET_STORE_LEDGER_H
#define PICKET_STORE_LEDGER_H

#include "runtime/db.h"
#include "store/departures.h"
#include "store/json_tree.h"

/* The loss ledger: which of the numbers that a sender gave its events arrived, and which it says it dropped. */
#define LEDGER_RANGES_MAX 500  /* ranges of one row, stored and dropped together: beyond, the oldest are settled */
#define LEDGER_RANGES_KEPT 400 /* what stays after settling, so that it is not done for every message */
#define LEDGER_DROPS_MAX 256   /* Dropped entries of one message */
#define LEDGER_NUMBER_MAX ((int64_t)1 << 53) /* what JSON numbers hold exactly */
#define LEDGER_REASONS_MAX 32  /* reasons told apart per row; others are summed as "other" */
#define LEDGER_REASON_TEXT_MAX 64

struct ledger_range {
    int64_t from, to; /* both inclusive */
};

/* Ascending, apart from each other by at least one missing number. */
struct ledger_ranges {
    struct ledger_range *items;
    size_t count, room;
};

/* Adds `from`..`to`; returns how many of these numbers were not there before. */
int64_t ledger_ranges_add(struct ledger_ranges *ranges, int64_t from, int64_t to, struct arena *arena);
/* How many numbers below `limit` are in the ranges. */
int64_t ledger_ranges_below(const struct ledger_ranges *ranges, int64_t limit);
/* Reads PostgreSQL's int8multirange text, "{[1,5),[9,10)}". False when malformed. */
bool ledger_ranges_read(struct text literal, struct ledger_ranges *out, struct arena *arena);
void ledger_ranges_print(const struct ledger_ranges *ranges, struct buf *out);

struct ledger_reason {
    struct text reason;
    int64_t count;
};

/* One row of picket.ledger in memory. */
struct ledger_state {
    struct ledger_ranges stored, dropped;
    struct ledger_reason reasons[LEDGER_REASONS_MAX];
    size_t reason_count;
    int64_t highest;
    int64_t settled_below, settled_stored, settled_lost;
    int64_t gap_from;     /* lowest missing number, 0 while nothing is missing */
    int64_t gap_since_us; /* receipt time at which that one was first missing */
    int64_t first_seen_us, last_seen_us;
};

/* What one message says: the parsed `Sequence`. */
struct ledger_drop {
    int64_t from, to;
    struct text reason;
};
struct ledger_report {
    char epoch[37]; /* GUID as PostgreSQL prints it */
    int stream;
    int64_t first, count; /* numbers that came: no more than there are events, whatever `Count` says */
    int64_t last;         /* greatest number that it tells of: what it numbered and did not bring is missing */
    const struct ledger_drop *drops;
    size_t drop_count;
};

/* False when `sequence` is not what docs/departures.md describes; its departures say why. */
bool ledger_report_read(const struct json_node *sequence, size_t events, struct arena *arena, struct ledger_report *out,
                        struct departures *departures);

/* Puts a report into a row. `*lost` becomes the count of newly dropped events whose reason is other than "policy". What
 * arrived before is not lost, whatever its sender believes: it may not have heard the acknowledgement. */
void ledger_apply(struct ledger_state *state, const struct ledger_report *report, int64_t received_at_us,
                  struct arena *arena, int64_t *lost);

/* Writes the reports of a batch's new messages inside the caller's transaction; losses told by senders become alerts
 * in the same one. Statuses as db_query(). */
struct ledger_entry {
    int workspace;
    struct text device, module;
    int64_t received_at_us;
    const struct ledger_report *report;
};
MUST_CHECK enum status ledger_write(struct db *db, const struct ledger_entry *entries, size_t count, struct arena *arena,
                                    uint32_t timeout_ms, struct problem *why);

#endif
