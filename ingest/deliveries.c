#include "ingest/deliveries.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "runtime/buf.h"
#include "runtime/clock.h"
#include "runtime/db.h"
#include "runtime/db_schema.h"
#include "runtime/log.h"
#include "runtime/secret.h"

/* A round reads all rows from the cursor on, also those that are in front of the horizon; then the cursor moves to the
 * horizon. So nothing that commits late is missed, and nothing has to wait for another's long transaction. Rows between
 * the two are read again in the next round: being told twice of a message that waits, or of a version that is known, is
 * harmless, and a method call is claimed before it is handed on. */

#define POLL_MS 1000
#define QUERY_MS 10000
#define FIRST_MS 2000 /* for the place where news begin: nobody is served before */
#define ROWS_MAX 10000 /* of one kind in a round; more come with the next */
#define NOTES_MAX 1000 /* connections written in one statement */
#define NOTES_WAITING_MAX 1000000 /* while the database is away; beyond that the oldest go */
#define ALIVE_MS 5000
#define SCHEMA_NEEDED 17
#define UUID_SIZE 37

/* A connection that was made or ended. */
struct note {
    struct note *next;
    uint32_t workspace;
    bool connected;
    int64_t connected_at_us, at_us;
    const char *transport;
    char peer[48];
    uint8_t device_count, module_count;
    char ids[];
};

struct deliveries {
    struct deliveries_hooks hooks;
    struct db *db, *listener;
    pthread_t thread;
    bool started;
    _Atomic bool stopping;
    char replica[UUID_SIZE];
    uint64_t cursor; /* 0: all that lies there is told */
    int64_t alive_ms;
    bool schema_checked, away;
    struct arena arena;
    pthread_mutex_t lock;
    struct note *notes, **notes_end;
    size_t note_count;
};

static void *deliveries_run(void *context);
static enum status round_run(struct deliveries *deliveries, struct problem *why);
static enum status horizon_read(struct db *db, uint32_t timeout_ms, uint64_t *horizon, struct problem *why);
static enum status notes_write(struct deliveries *deliveries, struct problem *why);
static enum status methods_read(struct deliveries *deliveries, struct problem *why);
static enum status methods_claim(struct deliveries *deliveries, const char *numbers, struct problem *why);
static enum status cloud_read(struct deliveries *deliveries, const char *from, struct problem *why);
static enum status desired_read(struct deliveries *deliveries, const char *from, struct problem *why);
static enum status connections_read(struct deliveries *deliveries, const char *from, struct problem *why);

enum status deliveries_open(const char *conninfo, const struct deliveries_hooks *hooks, struct deliveries **out,
                            struct problem *why)
{
    struct deliveries *deliveries = calloc(1, sizeof *deliveries);
    struct problem away;
    uint8_t id[16];
    char hex[2 * sizeof id + 1];

    if (!deliveries)
        abort();
    deliveries->hooks = *hooks;
    deliveries->notes_end = &deliveries->notes;
    pthread_mutex_init(&deliveries->lock, NULL);
    arena_init(&deliveries->arena);
    secret_random(id, sizeof id);
    text_hex_encode(id, sizeof id, hex);
    snprintf(deliveries->replica, sizeof deliveries->replica, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16,
             hex + 20);
    enum status status = db_open(conninfo, "picket_ingest", "picket ingest deliveries", &deliveries->db, why);
    if (!status)
        status = db_open(conninfo, "picket_ingest", "picket ingest deliveries (wake-ups)", &deliveries->listener, why);
    /* Who connects from now on asks for what waits, so only news are of interest. Without a database to say where they
     * begin, those who are here by the time it is back are told of everything. */
    if (!status && horizon_read(deliveries->db, FIRST_MS, &deliveries->cursor, &away))
        deliveries->cursor = 0;
    if (!status && pthread_create(&deliveries->thread, NULL, deliveries_run, deliveries))
        status = problem_set(why, STATUS_FAULT, "no thread for deliveries to devices");
    deliveries->started = !status;
    if (status) {
        deliveries_close(deliveries);
        return status;
    }
    pthread_setname_np(deliveries->thread, "deliveries");
    *out = deliveries;
    return STATUS_OK;
}

void deliveries_close(struct deliveries *take_deliveries)
{
    struct deliveries *deliveries = take_deliveries;
    struct problem why;

    if (!deliveries)
        return;
    atomic_store(&deliveries->stopping, true);
    if (deliveries->listener)
        db_interrupt(deliveries->listener);
    if (deliveries->started)
        pthread_join(deliveries->thread, NULL);
    /* The last word on who was here; what does not come through ends when this server is not seen any more. */
    while (deliveries->schema_checked && deliveries->notes && !notes_write(deliveries, &why))
        ;
    for (struct note *note = deliveries->notes, *next; note; note = next) {
        next = note->next;
        free(note);
    }
    db_close(deliveries->listener);
    db_close(deliveries->db);
    arena_done(&deliveries->arena);
    pthread_mutex_destroy(&deliveries->lock);
    free(deliveries);
}

static void note_add(struct deliveries *deliveries, const struct identity *identity, struct note facts)
{
    struct note *note = malloc(sizeof *note + identity->device.count + identity->module.count), *oldest = NULL;

    if (!note)
        abort();
    *note = facts;
    note->next = NULL;
    note->workspace = identity->workspace;
    note->device_count = (uint8_t)identity->device.count;
    note->module_count = (uint8_t)identity->module.count;
    memcpy(note->ids, identity->device.bytes, identity->device.count);
    if (identity->module.count)
        memcpy(note->ids + identity->device.count, identity->module.bytes, identity->module.count);
    pthread_mutex_lock(&deliveries->lock);
    *deliveries->notes_end = note;
    deliveries->notes_end = &note->next;
    if (++deliveries->note_count > NOTES_WAITING_MAX) {
        oldest = deliveries->notes;
        deliveries->notes = oldest->next;
        deliveries->note_count--;
    }
    pthread_mutex_unlock(&deliveries->lock);
    free(oldest);
}

void deliveries_connected(struct deliveries *deliveries, const struct identity *identity, int64_t connected_at_us,
                          const char *peer, const char *transport)
{
    struct note note = {.connected = true, .connected_at_us = connected_at_us, .at_us = connected_at_us, .transport = transport};

    memccpy(note.peer, peer, 0, sizeof note.peer - 1);
    note_add(deliveries, identity, note);
}

void deliveries_disconnected(struct deliveries *deliveries, const struct identity *identity, int64_t connected_at_us,
                             const char *peer, const char *transport)
{
    struct note note = {.connected_at_us = connected_at_us, .at_us = clock_utc_us(), .transport = transport};

    memccpy(note.peer, peer, 0, sizeof note.peer - 1);
    note_add(deliveries, identity, note);
}

static void *deliveries_run(void *context)
{
    struct deliveries *deliveries = context;
    struct problem why;

    while (!atomic_load(&deliveries->stopping)) {
        enum status status = round_run(deliveries, &why);
        arena_clear(&deliveries->arena);
        if (atomic_load(&deliveries->stopping))
            break;
        if ((status != STATUS_OK) != deliveries->away) {
            deliveries->away = status != STATUS_OK;
            if (status)
                log_warn("deliveries.away", "reason=\"%s\"", why.text);
            else
                log_info("deliveries.back", "replica=%s", deliveries->replica);
        }
        (void)db_listen_wait(deliveries->listener, "picket_deliveries", POLL_MS);
    }
    return NULL;
}

static enum status round_run(struct deliveries *deliveries, struct problem *why)
{
    static const char alive_sql[] = "SELECT picket.ingest_alive($1::uuid)";
    const char *const replica[] = {deliveries->replica};
    uint64_t horizon;
    char from[24];

    if (!deliveries->schema_checked) {
        enum status status = db_schema_check(deliveries->db, SCHEMA_NEEDED, QUERY_MS, why);
        if (status)
            return status;
        deliveries->schema_checked = true;
    }
    if (clock_monotonic_ms() >= deliveries->alive_ms) {
        enum status status = db_query(deliveries->db, alive_sql, replica, 1, QUERY_MS, NULL, why);
        if (status)
            return status;
        deliveries->alive_ms = clock_monotonic_ms() + ALIVE_MS;
    }
    enum status status = notes_write(deliveries, why);
    if (!status)
        status = horizon_read(deliveries->db, QUERY_MS, &horizon, why);
    if (status)
        return status;
    snprintf(from, sizeof from, "%" PRIu64, deliveries->cursor);
    status = methods_read(deliveries, why);
    if (!status)
        status = cloud_read(deliveries, from, why);
    if (!status)
        status = desired_read(deliveries, from, why);
    if (!status)
        status = connections_read(deliveries, from, why);
    if (!status)
        deliveries->cursor = horizon;
    return status;
}

/* Before this transaction every other has ended. */
static enum status horizon_read(struct db *db, uint32_t timeout_ms, uint64_t *horizon, struct problem *why)
{
    struct db_rows *rows = NULL;

    enum status status = db_query(db, "SELECT pg_snapshot_xmin(pg_current_snapshot())::text", NULL, 0, timeout_ms, &rows, why);
    if (!status && !text_to_u64(db_text(rows, 0, 0), horizon))
        status = problem_set(why, STATUS_FAULT, "the database told no transaction");
    db_rows_free(rows);
    return status;
}

static struct note *notes_peek(struct deliveries *deliveries, size_t *count)
{
    pthread_mutex_lock(&deliveries->lock);
    struct note *first = deliveries->notes;
    *count = 0;
    for (struct note *note = first; note && *count < NOTES_MAX; note = note->next)
        ++*count;
    pthread_mutex_unlock(&deliveries->lock);
    return first;
}

static void notes_drop(struct deliveries *deliveries, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        pthread_mutex_lock(&deliveries->lock);
        struct note *note = deliveries->notes;
        deliveries->notes = note->next;
        if (!deliveries->notes)
            deliveries->notes_end = &deliveries->notes;
        deliveries->note_count--;
        pthread_mutex_unlock(&deliveries->lock);
        free(note);
    }
}

enum { NOTE_COLUMNS = 8 };

static void note_print(const struct note *note, struct buf columns[NOTE_COLUMNS])
{
    db_array_i64(&columns[0], note->workspace);
    db_array_text(&columns[1], (struct text){note->ids, note->device_count});
    db_array_text(&columns[2], (struct text){note->ids + note->device_count, note->module_count});
    db_array_text(&columns[3], note->connected ? TEXT("t") : TEXT("f"));
    db_array_text(&columns[4], text_of(note->transport));
    db_array_text(&columns[5], text_of(note->peer));
    db_array_i64(&columns[6], note->connected_at_us);
    db_array_i64(&columns[7], note->at_us);
}

/* Only this thread takes notes off, so those it looked at stay while it writes. */
static enum status notes_write(struct deliveries *deliveries, struct problem *why)
{
    static const char write[] = "SELECT picket.connections_note($1::int[], $2::text[], $3::text[], $4::bool[], $9::uuid,"
                                " $5::text[], $6::text[], $7::bigint[], $8::bigint[])";
    struct buf columns[NOTE_COLUMNS];
    const char *parameters[NOTE_COLUMNS + 1];
    enum status status = STATUS_OK;
    size_t count;

    for (struct note *note; !status && (note = notes_peek(deliveries, &count));) {
        for (size_t i = 0; i < NOTE_COLUMNS; i++) {
            buf_init(&columns[i], SIZE_MAX / 2);
            db_array_open(&columns[i]);
        }
        for (size_t i = 0; i < count; i++, note = note->next)
            note_print(note, columns);
        for (size_t i = 0; i < NOTE_COLUMNS; i++) {
            db_array_close(&columns[i]);
            parameters[i] = columns[i].bytes;
        }
        parameters[NOTE_COLUMNS] = deliveries->replica;
        status = db_query(deliveries->db, write, parameters, NOTE_COLUMNS + 1, QUERY_MS, NULL, why);
        for (size_t i = 0; i < NOTE_COLUMNS; i++)
            buf_done(&columns[i]);
        if (!status)
            notes_drop(deliveries, count);
    }
    return status;
}

static struct identity identity_read(const struct db_rows *rows, size_t row)
{
    struct text module = db_text(rows, row, 2);

    return (struct identity){(uint32_t)db_i64(rows, row, 0), db_text(rows, row, 1), module.bytes ? module : TEXT("")};
}

/* All that wait are looked at each time: they are few, since those who asked wait as well. */
static enum status methods_read(struct deliveries *deliveries, struct problem *why)
{
    static const char read[] = "SELECT workspace_id, device_id, module_id, call_number FROM picket.method_call"
                               " WHERE state = 'queued' AND expires_at > now() ORDER BY call_number LIMIT $1::int";
    const char *const parameters[] = {arena_format(&deliveries->arena, "%d", ROWS_MAX)};
    const struct deliveries_hooks *hooks = &deliveries->hooks;
    struct db_rows *rows = NULL;
    struct buf numbers;
    size_t here = 0;

    enum status status = db_query(deliveries->db, read, parameters, 1, QUERY_MS, &rows, why);
    if (status)
        return status;
    buf_init(&numbers, SIZE_MAX / 2);
    db_array_open(&numbers);
    for (size_t i = 0; i < db_rows_count(rows); i++) {
        struct identity identity = identity_read(rows, i);
        if (!hooks->takes_methods(hooks->context, &identity))
            continue;
        db_array_i64(&numbers, db_i64(rows, i, 3));
        here++;
    }
    db_array_close(&numbers);
    db_rows_free(rows);
    if (here)
        status = methods_claim(deliveries, numbers.bytes, why);
    buf_done(&numbers);
    return status;
}

static enum status methods_claim(struct deliveries *deliveries, const char *numbers, struct problem *why)
{
    static const char claim[] = "SELECT workspace_id, device_id, module_id, call_number, method, payload, expires_us"
                                " FROM picket.method_claim($1::bigint[]) ORDER BY call_number";
    const char *const parameters[] = {numbers};
    const struct deliveries_hooks *hooks = &deliveries->hooks;
    struct db_rows *rows = NULL;

    enum status status = db_query(deliveries->db, claim, parameters, 1, QUERY_MS, &rows, why);
    for (size_t i = 0; !status && i < db_rows_count(rows); i++) {
        struct identity identity = identity_read(rows, i);
        struct method_request request = {db_i64(rows, i, 3), db_text(rows, i, 4), db_text(rows, i, 5), db_i64(rows, i, 6)};
        hooks->method(hooks->context, &identity, &request);
    }
    db_rows_free(rows);
    return status;
}

static enum status cloud_read(struct deliveries *deliveries, const char *from, struct problem *why)
{
    static const char read[] = "SELECT DISTINCT workspace_id, device_id, NULL::text FROM picket.cloud_message"
                               " WHERE state = 'queued' AND commit_xid >= $1::xid8";
    const char *const parameters[] = {from};
    const struct deliveries_hooks *hooks = &deliveries->hooks;
    struct db_rows *rows = NULL;

    enum status status = db_query(deliveries->db, read, parameters, 1, QUERY_MS, &rows, why);
    for (size_t i = 0; !status && i < db_rows_count(rows); i++) {
        struct identity identity = identity_read(rows, i);
        hooks->cloud_messages(hooks->context, &identity);
    }
    db_rows_free(rows);
    return status;
}

/* Who is not here is told when it comes back and reads its twin, so only the ids of all that changed are fetched. */
static enum status desired_read(struct deliveries *deliveries, const char *from, struct problem *why)
{
    static const char read[] = "SELECT workspace_id, device_id, module_id FROM picket.twin WHERE commit_xid >= $1::xid8";
    static const char one[] = "SELECT version, last_patch_from, last_patch, effective FROM picket.twin"
                              " WHERE workspace_id = $1::int AND device_id = $2 AND module_id = $3";
    const char *const parameters[] = {from};
    const struct deliveries_hooks *hooks = &deliveries->hooks;
    struct db_rows *rows = NULL;

    enum status status = db_query(deliveries->db, read, parameters, 1, QUERY_MS, &rows, why);
    for (size_t i = 0; !status && i < db_rows_count(rows); i++) {
        struct identity identity = identity_read(rows, i);
        struct db_rows *twin = NULL;
        if (!hooks->here(hooks->context, &identity))
            continue;
        const char *const which[] = {arena_format(&deliveries->arena, "%u", (unsigned)identity.workspace),
                                     arena_string(&deliveries->arena, identity.device),
                                     arena_string(&deliveries->arena, identity.module)};
        status = db_query(deliveries->db, one, which, 3, QUERY_MS, &twin, why);
        if (!status && db_rows_count(twin)) {
            struct desired_change change = {db_i64(twin, 0, 0), db_i64(twin, 0, 1), db_text(twin, 0, 2), db_text(twin, 0, 3)};
            hooks->desired(hooks->context, &identity, &change);
        }
        db_rows_free(twin);
    }
    db_rows_free(rows);
    return status;
}

static enum status connections_read(struct deliveries *deliveries, const char *from, struct problem *why)
{
    static const char read[] =
        "SELECT workspace_id, device_id, module_id, (extract(epoch FROM connected_at) * 1000000)::bigint"
        " FROM picket.device_connection WHERE commit_xid >= $1::xid8 AND connected AND replica <> $2::uuid";
    const char *const parameters[] = {from, deliveries->replica};
    const struct deliveries_hooks *hooks = &deliveries->hooks;
    struct db_rows *rows = NULL;

    enum status status = db_query(deliveries->db, read, parameters, 2, QUERY_MS, &rows, why);
    for (size_t i = 0; !status && i < db_rows_count(rows); i++) {
        struct identity identity = identity_read(rows, i);
        hooks->connected_elsewhere(hooks->context, &identity, db_i64(rows, i, 3));
    }
    db_rows_free(rows);
    return status;
}
