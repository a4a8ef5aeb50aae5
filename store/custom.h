#ifndef PICKET_STORE_CUSTOM_H
#define PICKET_STORE_CUSTOM_H

#include "detect/event.h"
#include "store/columns.h"
#include "store/device_message.h"

/* Alerts that people set themselves, by security group: picket.custom_rule. What a batch's events do is gathered here, by the types that
 * rules can be about, and judged by picket.custom_judge() in the batch's transaction. Beside that, which address failed to log in where, whoever
 * set a rule: picket.addresses_judge() looks over all devices. */
struct custom_types {
    unsigned wanted; /* bits of the table of types in custom.c; 0: it is not open */
    size_t count;    /* rows gathered */
    struct columns columns;
};

/* Which types of rules are in force anywhere. One small statement. */
MUST_CHECK enum status custom_open(struct custom_types *custom, struct db *db, uint32_t timeout_ms, struct problem *why);
void custom_note_message(struct custom_types *custom, const struct device_message *message);
void custom_note_event(struct custom_types *custom, const struct device_message *message, const struct event *event);
/* Judges what was gathered; frees it, also on failure. Statuses as db_query(). */
MUST_CHECK enum status custom_judge(struct custom_types *custom, struct db *db, uint32_t timeout_ms, struct problem *why);
void custom_done(struct custom_types *custom);

/* What happened too seldom in a window that is over. Housekeeping only. */
MUST_CHECK enum status custom_judge_few(struct db *db, uint32_t timeout_ms, struct problem *why);

#endif
