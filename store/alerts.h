#ifndef PICKET_STORE_ALERTS_H
#define PICKET_STORE_ALERTS_H

#include "runtime/db.h"

/* Alerts that store itself raises: what was lost, and where. The same cause on the same device is one open alert that
 * repeats. */
struct alert_note {
    int workspace;
    struct text device, module; /* empty: the workspace as a whole */
    const char *rule;           /* "ledger.dropped" … */
    const char *cause;
    const char *severity; /* Informational, Low, Medium or High */
    const char *title;
    struct text details; /* JSON object */
    int64_t at_us;
    /* Where detection raises it, and else empty: JSON lists, texts. */
    struct text reasons, entities, remediation, description, tactics, techniques;
    bool found_later;
    struct text event_id; /* the evidence, with when it was received; TEXT_NONE: none */
    int64_t event_received_us;
};

/* Opens or repeats one alert, inside or outside a transaction of the caller's. Statuses as db_query(). */
MUST_CHECK enum status alerts_raise(struct db *db, const struct alert_note *note, uint32_t timeout_ms,
                                    struct problem *why);

/* A gap on the bus may hold messages of any workspace, so each one gets the alert; `note->workspace` is not read. */
MUST_CHECK enum status alerts_raise_everywhere(struct db *db, const struct alert_note *note, uint32_t timeout_ms,
                                               struct problem *why);

/* Ledger gaps that have been open for a day become alerts, and those that were filled since close theirs. Time is the
 * newest receipt that is stored, not the wall clock: while nothing arrives, nothing grows older. Housekeeping only. */
MUST_CHECK enum status alerts_judge_gaps(struct db *db, uint32_t timeout_ms, struct problem *why);

/* Devices of whom nothing was heard for 72 hours, by the newest receipt of all, and those that were heard again. One silence alerts
 * once, however it is closed. Housekeeping only. */
MUST_CHECK enum status alerts_judge_silence(struct db *db, uint32_t timeout_ms, struct problem *why);

#endif
