#include "store/fence.h"

#include <assert.h>
#include <stdio.h>

#include "runtime/buf.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "store/alerts.h"
#include "store/columns.h"

#define NUMBER_SIZE 24
#define HOLD_MS 3000 /* for the last holder to end its transaction: revoked properly it did so before it let go */
#define ENDS_BEFORE_CARE 2 /* without progress: then records are taken one by one */
#define ENDS_ALONE 2       /* with one record alone in hand: then it is its doing, and no operator's kill */

struct numbers { /* parameters as text */
    char text[4][NUMBER_SIZE];
    const char *parameters[4];
};

static void numbers_set(struct numbers *numbers, int64_t a, int64_t b, int64_t c, int64_t d);
static enum status topic_find(struct fence *fence, struct db *db, struct problem *why);
static enum status row_find(struct fence *fence, struct db *db, int32_t partition, struct db_rows **out,
                            struct problem *why);
static enum status row_hold(struct fence *fence, struct db *db, int32_t partition, const struct db_rows *row,
                            struct problem *why);
static void holder_end(struct fence *fence, struct db *db, int32_t partition);
static enum status gap_write(struct fence *fence, struct db *db, int32_t partition, int64_t expected, int64_t available,
                             struct problem *why);

void fence_init(struct fence *fence, struct text cluster, struct text topic, int64_t careful_records,
                uint32_t timeout_ms)
{
    *fence = (struct fence){
        .cluster = cluster,
        .topic = topic,
        .careful_records = careful_records,
        .timeout_ms = timeout_ms,
    };
}

enum status fence_assign(struct fence *fence, struct db *db, int32_t partition, int64_t *next, struct problem *why)
{
    struct db_rows *rows = NULL;
    enum status status = fence->bus_topic_id ? STATUS_OK : topic_find(fence, db, why);

    if (!status)
        status = row_find(fence, db, partition, &rows, why);
    if (!status)
        status = row_hold(fence, db, partition, rows, why);
    if (!status)
        *next = fence_find(fence, partition)->next;
    db_rows_free(rows);
    return status;
}

void fence_release(struct fence *fence, struct db *db, int32_t partition)
{
    static const char release[] = "UPDATE picket.bus_offset SET held = false, attempts = 0, attempt_alone = false"
                                  " WHERE bus_topic_id = $1::smallint AND partition = $2::int AND next_offset = $3::bigint";
    struct fence_partition *ours = fence_find(fence, partition);
    struct numbers numbers;
    struct problem why;

    if (!ours)
        return;
    numbers_set(&numbers, fence->bus_topic_id, partition, ours->next, 0);
    if (db_query(db, release, numbers.parameters, 3, fence->timeout_ms, NULL, &why))
        log_info("store.release_failed", "partition=%d reason=\"%s\"", (int)partition, why.text);
    fence_forget(fence, partition);
}

void fence_release_all(struct fence *fence, struct db *db)
{
    while (fence->count)
        fence_release(fence, db, fence->partitions[fence->count - 1].partition);
}

void fence_forget(struct fence *fence, int32_t partition)
{
    struct fence_partition *ours = fence_find(fence, partition);
    if (ours)
        *ours = fence->partitions[--fence->count];
}

struct fence_partition *fence_find(struct fence *fence, int32_t partition)
{
    for (size_t i = 0; i < fence->count; i++)
        if (fence->partitions[i].partition == partition)
            return &fence->partitions[i];
    return NULL;
}

enum status fence_gap(struct fence *fence, struct db *db, int32_t partition, int64_t expected, int64_t available,
                      struct problem *why)
{
    enum status status = db_begin(db, fence->timeout_ms, why);
    if (!status)
        status = gap_write(fence, db, partition, expected, available, why);
    if (!status)
        status = db_commit(db, fence->timeout_ms, why);
    if (status) {
        db_rollback(db);
        return status;
    }
    log_error("store.bus_gap", "topic=%.*s partition=%d expected=%lld available=%lld", TEXT_ARGS(fence->topic),
              (int)partition, (long long)expected, (long long)available);
    struct fence_partition *ours = fence_find(fence, partition);
    if (ours)
        ours->next = available;
    return STATUS_OK;
}

enum status fence_move(struct fence *fence, struct db *db, const struct fence_move *moves, size_t count, bool *moved,
                       int32_t *lost, struct problem *why)
{
    static const char move[] =
        "UPDATE picket.bus_offset o SET next_offset = k.next, moved_at = now(), attempts = 0, attempt_alone = false"
        " FROM unnest($1::smallint[], $2::int[], $3::bigint[], $4::bigint[]) AS k (topic, partition, known, next)"
        " WHERE o.bus_topic_id = k.topic AND o.partition = k.partition AND o.next_offset = k.known"
        " RETURNING o.partition";
    struct columns columns;
    struct db_rows *rows = NULL;

    columns_open(&columns, 4);
    for (size_t i = 0; i < count; i++) {
        const struct fence_partition *ours = fence_find(fence, moves[i].partition);
        columns_i64(&columns, 0, fence->bus_topic_id);
        columns_i64(&columns, 1, moves[i].partition);
        columns_i64(&columns, 2, ours ? ours->next : -1);
        columns_i64(&columns, 3, moves[i].next);
    }
    enum status status = columns_query(&columns, db, move, fence->timeout_ms, &rows, why);
    if (!status) {
        *moved = db_rows_count(rows) == count;
        for (size_t i = 0; i < count; i++) {
            bool found = false;
            for (size_t row = 0; row < db_rows_count(rows); row++)
                found = found || db_i64(rows, row, 0) == moves[i].partition;
            if (!found)
                *lost = moves[i].partition;
        }
    }
    db_rows_free(rows);
    return status;
}

void fence_committed(struct fence *fence, const struct fence_move *moves, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct fence_partition *ours = fence_find(fence, moves[i].partition);
        assert(ours);
        ours->next = moves[i].next;
        ours->doomed = -1;
    }
}

enum status fence_note_alone(struct fence *fence, struct db *db, int32_t partition, struct problem *why)
{
    static const char note[] = "UPDATE picket.bus_offset SET attempt_offset = $3::bigint, attempt_alone = true"
                               " WHERE bus_topic_id = $1::smallint AND partition = $2::int AND next_offset = $4::bigint";
    const struct fence_partition *ours = fence_find(fence, partition);
    struct numbers numbers;

    assert(ours);
    numbers_set(&numbers, fence->bus_topic_id, partition, ours->next, ours->next);
    return db_query(db, note, numbers.parameters, 4, fence->timeout_ms, NULL, why);
}

static void numbers_set(struct numbers *numbers, int64_t a, int64_t b, int64_t c, int64_t d)
{
    const int64_t values[] = {a, b, c, d};
    for (size_t i = 0; i < 4; i++) {
        snprintf(numbers->text[i], NUMBER_SIZE, "%lld", (long long)values[i]);
        numbers->parameters[i] = numbers->text[i];
    }
}

static enum status topic_find(struct fence *fence, struct db *db, struct problem *why)
{
    static const char find[] = "SELECT bus_topic_id FROM picket.bus_topic WHERE cluster = $1 AND topic = $2";
    static const char add[] = "INSERT INTO picket.bus_topic (cluster, topic) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    struct arena arena;
    struct db_rows *rows = NULL;

    arena_init(&arena);
    const char *const parameters[] = {arena_string(&arena, fence->cluster), arena_string(&arena, fence->topic)};
    enum status status = db_query(db, find, parameters, 2, fence->timeout_ms, &rows, why);
    if (!status && db_rows_count(rows) == 0) {
        db_rows_free(rows);
        rows = NULL;
        status = db_query(db, add, parameters, 2, fence->timeout_ms, NULL, why);
        if (!status)
            status = db_query(db, find, parameters, 2, fence->timeout_ms, &rows, why);
    }
    if (!status && db_rows_count(rows))
        fence->bus_topic_id = (int)db_i64(rows, 0, 0);
    else if (!status)
        status = problem_set(why, STATUS_RETRY, "the bus topic's row went away");
    db_rows_free(rows);
    arena_done(&arena);
    return status;
}

static enum status row_find(struct fence *fence, struct db *db, int32_t partition, struct db_rows **out,
                            struct problem *why)
{
    static const char find[] =
        "SELECT next_offset, held, coalesce(attempt_offset, -1), attempts, attempt_alone FROM picket.bus_offset"
        " WHERE bus_topic_id = $1::smallint AND partition = $2::int";
    struct numbers numbers;

    numbers_set(&numbers, fence->bus_topic_id, partition, 0, 0);
    return db_query(db, find, numbers.parameters, 2, fence->timeout_ms, out, why);
}

/* Takes hold of the row, and judges from how the last holder left it how to go on. */
static enum status row_hold(struct fence *fence, struct db *db, int32_t partition, const struct db_rows *row,
                            struct problem *why)
{
    static const char add[] = "INSERT INTO picket.bus_offset (bus_topic_id, partition, next_offset, held)"
                              " VALUES ($1::smallint, $2::int, 0, true) ON CONFLICT DO NOTHING";
    static const char hold[] =
        "UPDATE picket.bus_offset SET held = true, attempt_offset = $3::bigint, attempts = $4::int,"
        " attempt_alone = false WHERE bus_topic_id = $1::smallint AND partition = $2::int AND next_offset = $3::bigint";
    const struct fence_partition *before = fence_find(fence, partition);
    bool known = db_rows_count(row) > 0;
    struct fence_partition ours = {.partition = partition, .next = known ? db_i64(row, 0, 0) : 0, .doomed = -1};
    int64_t attempts = 0;
    struct numbers numbers;

    if (!before && fence->count == FENCE_PARTITIONS_MAX)
        return problem_set(why, STATUS_FAULT, "one reader has more than %d partitions", FENCE_PARTITIONS_MAX);
    if (before && before->next == ours.next) { /* asked again because a transaction failed: nobody ended */
        ours = *before;
        attempts = known ? db_i64(row, 0, 3) : 0;
    } else if (known && db_bool(row, 0, 1)) {
        bool stuck = db_i64(row, 0, 2) == ours.next, alone = stuck && db_bool(row, 0, 4);
        /* The direct bus does not hand a record out again: its numbers say nothing about what comes next. */
        bool repeats = !text_equal(fence->cluster, TEXT("direct"));
        attempts = stuck ? db_i64(row, 0, 3) + 1 : 1;
        if (alone && attempts <= ENDS_BEFORE_CARE)
            attempts = ENDS_BEFORE_CARE + 1;
        if (!alone && attempts > ENDS_BEFORE_CARE)
            attempts = ENDS_BEFORE_CARE; /* an end with many or none in hand accuses no record */
        if (repeats && attempts >= ENDS_BEFORE_CARE)
            ours.careful_until = ours.next + fence->careful_records;
        if (repeats && alone && attempts >= ENDS_BEFORE_CARE + ENDS_ALONE)
            ours.doomed = ours.next;
    }
    numbers_set(&numbers, fence->bus_topic_id, partition, ours.next, attempts);
    enum status status = known ? db_query(db, hold, numbers.parameters, 4, HOLD_MS, NULL, why)
                               : db_query(db, add, numbers.parameters, 2, fence->timeout_ms, NULL, why);
    if (status == STATUS_RETRY && known)
        holder_end(fence, db, partition);
    if (status)
        return status;
    fence_forget(fence, partition);
    fence->partitions[fence->count++] = ours;
    return STATUS_OK;
}

/* A store that froze, or whose host went away without a word, may have left a transaction open that moved this offset.
 * PostgreSQL would wait for it as long as its connection lives, so it is ended: the bus says that the partition is
 * ours. Only store's own are, and none that is younger than our patience. */
static void holder_end(struct fence *fence, struct db *db, int32_t partition)
{
    static const char end[] =
        "SELECT a.pid, pg_terminate_backend(a.pid) FROM picket.bus_offset o" /* not in WHERE: it could come first there */
        " JOIN pg_locks l ON l.locktype = 'transactionid' AND l.granted AND l.transactionid = o.xmax"
        " JOIN pg_stat_activity a ON a.pid = l.pid WHERE o.bus_topic_id = $1::smallint"
        " AND o.partition = $2::int AND a.usename = current_user AND a.pid <> pg_backend_pid()"
        " AND a.xact_start < clock_timestamp() - $3::int * interval '1 ms'";
    struct numbers numbers;
    struct db_rows *rows = NULL;
    struct problem why;

    numbers_set(&numbers, fence->bus_topic_id, partition, HOLD_MS, 0);
    if (db_query(db, end, numbers.parameters, 3, fence->timeout_ms, &rows, &why))
        log_warn("store.holder_stays", "partition=%d reason=\"%s\"", (int)partition, why.text);
    else if (db_rows_count(rows))
        log_warn("store.holder_ended", "partition=%d backend=%lld", (int)partition, (long long)db_i64(rows, 0, 0));
    db_rows_free(rows);
}

static enum status gap_write(struct fence *fence, struct db *db, int32_t partition, int64_t expected, int64_t available,
                             struct problem *why)
{
    static const char record[] =
        "INSERT INTO picket.bus_gap (bus_topic_id, partition, expected, available)"
        " VALUES ($1::smallint, $2::int, $3::bigint, $4::bigint) ON CONFLICT DO NOTHING";
    static const char skip[] =
        "UPDATE picket.bus_offset SET next_offset = $4::bigint, moved_at = now() WHERE bus_topic_id = $1::smallint"
        " AND partition = $2::int AND next_offset <= $3::bigint RETURNING 1";
    struct numbers numbers;
    struct db_rows *rows = NULL;
    struct buf details;
    char cause[64];

    numbers_set(&numbers, fence->bus_topic_id, partition, expected, available);
    enum status status = db_query(db, record, numbers.parameters, 4, fence->timeout_ms, NULL, why);
    if (!status)
        status = db_query(db, skip, numbers.parameters, 4, fence->timeout_ms, &rows, why);
    if (!status && db_rows_count(rows) == 0)
        status = problem_set(why, STATUS_RETRY, "another store moved partition %d meanwhile", (int)partition);
    db_rows_free(rows);
    if (status)
        return status;
    buf_init(&details, 4096);
    buf_string(&details, "{\"Topic\":");
    buf_json_string(&details, fence->topic);
    buf_format(&details, ",\"Partition\":%d,\"Expected\":%lld,\"Available\":%lld}", (int)partition, (long long)expected,
               (long long)available);
    snprintf(cause, sizeof cause, "%d/%d", fence->bus_topic_id, (int)partition);
    const struct alert_note note = {
        .rule = "bus.gap",
        .cause = cause,
        .severity = "High",
        .title = "Records were lost on the bus before they were stored",
        .details = buf_as_text(&details),
        .at_us = clock_utc_us(),
    };
    status = alerts_raise_everywhere(db, &note, fence->timeout_ms, why);
    buf_done(&details);
    return status;
}
