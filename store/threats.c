#include "store/threats.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "detect/false_friends.h"

struct threats {
    _Atomic size_t held;
    int64_t state, expires_us; /* the earliest time that something in it is over */
    struct indicators *set;
    struct false_friends *friends;
};

/* What is being loaded. */
struct loading {
    struct indicators *into;
    const struct false_friends *friends;
    char feed[256];                     /* of the row before, and its number */
    uint16_t feed_number;
};

/* ---- loading ---- */

/* value, kind, feed */
static enum status threat_take(void *context, const struct db_rows *row, struct problem *why)
{
    struct loading *loading = context;
    struct text value = db_text(row, 0, 0), feed = db_text(row, 0, 2);

    (void)why;
    if (false_friends_have(loading->friends, db_text(row, 0, 1).bytes, value))
        return STATUS_OK;
    if (!text_equal(text_of(loading->feed), feed)) {
        snprintf(loading->feed, sizeof loading->feed, "%.*s", TEXT_ARGS(feed));
        loading->feed_number = indicators_feed(loading->into, feed);
    }
    (void)indicators_add(loading->into, loading->feed_number, value);
    return STATUS_OK;
}

static enum status friend_take(void *friends, const struct db_rows *row, struct problem *why)
{
    (void)why;
    (void)false_friends_add(friends, db_text(row, 0, 1), db_text(row, 0, 0));
    return STATUS_OK;
}

#define SELECT_VALUES                                                                                                              \
    "SELECT i.value, i.kind, i.feed FROM picket.feed f JOIN picket.indicator i ON i.workspace_id = f.workspace_id AND i.feed = f.name" \
    " AND i.generation = f.generation WHERE f.workspace_id = $1::int AND f.kind = $2 AND f.enabled"                                \
    " AND (i.valid_until IS NULL OR i.valid_until > now()) AND coalesce(i.confidence, 100) >= f.min_confidence"

static enum status values_load(struct db *db, int workspace, const char *kind, const char *feed, db_row_sink *take, void *context, uint32_t timeout_ms, struct problem *why)
{
    static const char select_all[] = SELECT_VALUES;
    static const char select_new[] = SELECT_VALUES
        " AND f.name = $3 AND NOT EXISTS (SELECT 1 FROM picket.indicator o WHERE o.workspace_id = i.workspace_id AND o.feed = i.feed AND o.generation < i.generation"
        " AND o.value = i.value)";
    char number[24];

    snprintf(number, sizeof number, "%d", workspace);
    const char *const parameters[] = {number, kind, feed};
    return db_each(db, feed ? select_new : select_all, parameters, feed ? 3 : 2, timeout_ms, take, context, why);
}

static enum status expiry_read(struct db *db, int workspace, uint32_t timeout_ms, int64_t *expires_us, struct problem *why)
{
    static const char select[] = "SELECT (extract(epoch FROM min(i.valid_until)) * 1000000)::bigint FROM picket.feed f JOIN picket.indicator i"
                                 " ON i.workspace_id = f.workspace_id AND i.feed = f.name AND i.generation = f.generation"
                                 " WHERE f.workspace_id = $1::int AND f.enabled AND i.valid_until > now()";
    struct db_rows *rows = NULL;
    char number[24];

    snprintf(number, sizeof number, "%d", workspace);
    const char *const parameters[] = {number};
    enum status status = db_query(db, select, parameters, 1, timeout_ms, &rows, why);
    if (!status)
        *expires_us = db_is_null(rows, 0, 0) ? INT64_MAX : db_i64(rows, 0, 0);
    db_rows_free(rows);
    return status;
}

enum status threats_state(struct db *db, int workspace, uint32_t timeout_ms, int64_t *state, struct problem *why)
{
    static const char select[] = "SELECT bit_xor(hashtextextended(concat_ws('/', name, kind, generation, min_confidence), 0)) FROM picket.feed"
                                 " WHERE workspace_id = $1::int AND enabled AND generation > 0";
    struct db_rows *rows = NULL;
    char number[24];

    snprintf(number, sizeof number, "%d", workspace);
    const char *const parameters[] = {number};
    enum status status = db_query(db, select, parameters, 1, timeout_ms, &rows, why);
    if (!status)
        *state = db_i64(rows, 0, 0);
    db_rows_free(rows);
    return status;
}

static enum status load(struct db *db, int workspace, const char *feed, uint32_t timeout_ms, struct threats **out, struct problem *why)
{
    struct threats *threats = calloc(1, sizeof *threats);

    if (!threats)
        abort();
    threats->held = 1;
    threats->set = indicators_new();
    threats->friends = false_friends_new();
    struct loading loading = {.into = threats->set, .friends = threats->friends};
    enum status status = threats_state(db, workspace, timeout_ms, &threats->state, why);
    if (!status)
        status = expiry_read(db, workspace, timeout_ms, &threats->expires_us, why);
    if (!status)
        status = values_load(db, workspace, "warning", NULL, friend_take, threats->friends, timeout_ms, why);
    if (!status)
        status = values_load(db, workspace, "threat", feed, threat_take, &loading, timeout_ms, why);
    if (!status && false_friends_count(threats->friends))
        indicators_spare(threats->set, false_friends_have, threats->friends);
    if (status)
        threats_drop(threats);
    else
        *out = threats;
    return status;
}

enum status threats_load(struct db *db, int workspace, uint32_t timeout_ms, struct threats **out, struct problem *why)
{
    return load(db, workspace, NULL, timeout_ms, out, why);
}

enum status threats_load_new(struct db *db, int workspace, const char *feed, uint32_t timeout_ms, struct threats **out, struct problem *why)
{
    return load(db, workspace, feed, timeout_ms, out, why);
}

struct threats *threats_hold(struct threats *threats)
{
    threats->held++;
    return threats;
}

void threats_drop(struct threats *threats)
{
    if (!threats || --threats->held)
        return;
    indicators_free(threats->set);
    false_friends_free(threats->friends);
    free(threats);
}

const struct indicators *threats_indicators(const struct threats *threats)
{
    return threats->set;
}

int64_t threats_expires_us(const struct threats *threats)
{
    return threats->expires_us;
}

bool threats_fresh(const struct threats *threats, int64_t state, int64_t now_us)
{
    return threats->state == state && now_us < threats->expires_us;
}
