#include "ingest/roster_loader.h"

#include <assert.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "ingest/ingest_metrics.h"
#include "runtime/clock.h"
#include "runtime/db_schema.h"
#include "runtime/log.h"
#include "runtime/process.h"

#define PART "ingest.roster"
#define POLL_MS 1000
#define QUERY_MS 10000
#define FETCH_MS 120000 /* the first of a million rows may wait for a sort or a hash table */
#define XID_SIZE 24
#define WORKSPACES_MAX 100000
#define HOSTS_MAX 1000000
#define AUTHORITIES_A_TIME 20 /* with a list of half a megabyte each at most */
#define FINGERPRINT_SIZE 33   /* MD5 in hex */

/* The columns of all readings of identities. */
#define COLUMNS                                                                                                      \
    "SELECT d.workspace_id, d.device_id, d.module_id, d.status, d.messages_per_second, d.bytes_per_second, "         \
    "c.kind, coalesce(c.sealed_primary, c.thumbprint_primary), coalesce(c.sealed_secondary, c.thumbprint_secondary) " \
    "FROM picket.device d LEFT JOIN picket.credential c "                                                            \
    "ON c.workspace_id = d.workspace_id AND c.device_id = d.device_id AND c.module_id = d.module_id "

struct roster_loader {
    struct db *db, *listener;
    struct secret_master master;
    struct roster *roster;
    pthread_t thread;
    _Atomic bool stopping;
    bool schema_checked, away;
    uint64_t cursor; /* everything with a smaller commit_xid was read; 0: nothing was */
    int64_t answered_ms; /* when the database last told us all there was */
    struct problem full; /* why an identity found no room, "" while all do */
    bool room_made;      /* one was removed after that */
    char authorities_seen[FINGERPRINT_SIZE]; /* of those in the roster */
    struct arena arena;
};

static void *loader_run(void *context);
static enum status refresh(struct roster_loader *loader, struct problem *why);
static enum status horizon_read(struct roster_loader *loader, struct db_rows **rows, uint64_t *horizon,
                                uint64_t *newest, struct problem *why);
static enum status read_everything(struct roster_loader *loader, struct problem *why);
static enum status read_changes(struct roster_loader *loader, uint64_t horizon, uint64_t newest, struct problem *why);
static enum status cursor_drain(struct roster_loader *loader, const char *declare, const char *const *parameters,
                                size_t count, struct problem *why);
static enum status workspaces_read(struct roster_loader *loader, struct problem *why);
static enum status authorities_refresh(struct roster_loader *loader, struct problem *why);
static enum status authorities_read(struct roster_loader *loader, struct authority *list, size_t *count, struct problem *why);
static bool authority_row(struct roster_loader *loader, const struct db_rows *rows, size_t row, struct authority *out);
static void row_apply(struct roster_loader *loader, const struct db_rows *rows, size_t row);
static enum roster_credential credential_read(const struct db_rows *rows, size_t row);
static size_t thumbprint_read(struct roster_loader *loader, const struct db_rows *rows, size_t row, int column,
                              uint8_t out[PICKET_KEY_MAX]);
static size_t key_open(struct roster_loader *loader, const struct identity *identity, const struct db_rows *rows,
                       size_t row, int column, uint8_t key[PICKET_KEY_MAX]);
static void readiness_tell(struct roster_loader *loader, enum status status, const struct problem *why);

enum status roster_loader_open(const char *conninfo, const struct secret_master *master, struct roster *roster,
                               struct roster_loader **out, struct problem *why)
{
    struct roster_loader *loader = calloc(1, sizeof *loader);
    enum status status;

    if (!loader)
        abort();
    loader->master = *master;
    loader->roster = roster;
    loader->answered_ms = clock_monotonic_ms();
    arena_init(&loader->arena);
    status = db_open(conninfo, "picket_ingest", "picket ingest", &loader->db, why);
    if (!status)
        status = db_open(conninfo, "picket_ingest", "picket ingest (wake-ups)", &loader->listener, why);
    process_set_ready(PART, false, "the list of devices was not read yet");
    if (!status && pthread_create(&loader->thread, NULL, loader_run, loader))
        status = problem_set(why, STATUS_FAULT, "no thread for reading the list of devices");
    if (status) {
        db_close(loader->listener);
        db_close(loader->db);
        free(loader);
        return status;
    }
    pthread_setname_np(loader->thread, "ingest-roster");
    *out = loader;
    return STATUS_OK;
}

void roster_loader_close(struct roster_loader *take_loader)
{
    if (!take_loader)
        return;
    atomic_store(&take_loader->stopping, true);
    db_interrupt(take_loader->db);
    db_interrupt(take_loader->listener);
    pthread_join(take_loader->thread, NULL);
    db_close(take_loader->listener);
    db_close(take_loader->db);
    arena_done(&take_loader->arena);
    secret_wipe(&take_loader->master, sizeof take_loader->master);
    free(take_loader);
}

static void *loader_run(void *context)
{
    struct roster_loader *loader = context;
    struct problem why;

    while (!atomic_load(&loader->stopping)) {
        enum status status = refresh(loader, &why);
        if (atomic_load(&loader->stopping))
            break;
        readiness_tell(loader, status, &why);
        (void)db_listen_wait(loader->listener, "picket_roster", POLL_MS);
    }
    return NULL;
}

static enum status refresh(struct roster_loader *loader, struct problem *why)
{
    struct db_rows *rows = NULL;
    uint64_t horizon = 0, newest = 0;

    enum status status = loader->schema_checked ? STATUS_OK
                                                : db_schema_check(loader->db, ROSTER_SCHEMA_NEEDED, QUERY_MS, why);
    loader->schema_checked = !status;
    if (!status)
        status = workspaces_read(loader, why);
    if (!status)
        status = authorities_refresh(loader, why);
    if (!status && loader->cursor)
        status = horizon_read(loader, &rows, &horizon, &newest, why);
    db_rows_free(rows);
    if (status)
        return status;
    /* Transaction numbers never go back, but for a database that was restored or a replica that took over. */
    if (!loader->cursor || horizon < loader->cursor)
        status = read_everything(loader, why);
    else
        status = read_changes(loader, horizon, newest, why);
    if (status)
        return status;
    loader->answered_ms = clock_monotonic_ms();
    if (loader->full.text[0] && loader->room_made)
        loader->cursor = 0; /* somebody waits outside, and only reading everything tells who */
    return STATUS_OK;
}

static uint64_t xid_read(const struct db_rows *rows, size_t row, int column)
{
    uint64_t xid = 0;

    (void)text_to_u64(db_text(rows, row, column), &xid); /* NULL: there is no row */
    return xid;
}

/* The newest commit is asked for by the index alone, so that this costs nothing when nothing changed, whatever the
 * planner believes of the table. Without its d. the order would be that of the text, in which 999 comes after 1000. */
static enum status horizon_read(struct roster_loader *loader, struct db_rows **rows, uint64_t *horizon,
                                uint64_t *newest, struct problem *why)
{
    static const char select_horizon[] =
        "SELECT pg_snapshot_xmin(pg_current_snapshot())::text, "
        "(SELECT d.commit_xid::text FROM picket.device d ORDER BY d.commit_xid DESC LIMIT 1)";

    enum status status = db_query(loader->db, select_horizon, NULL, 0, QUERY_MS, rows, why);
    if (status)
        return status;
    *horizon = xid_read(*rows, 0, 0);
    *newest = xid_read(*rows, 0, 1);
    return STATUS_OK;
}

/* One snapshot, so that the horizon and the rows belong together; a server-side cursor, so that memory stays flat and
 * the two tables are joined once. */
static enum status read_everything(struct roster_loader *loader, struct problem *why)
{
    static const char declare[] = "DECLARE roster_rows NO SCROLL CURSOR FOR " COLUMNS "WHERE d.status <> 'deleted'";
    struct db_rows *rows = NULL;
    uint64_t horizon = 0, newest = 0;
    int64_t started_ms = clock_monotonic_ms();

    loader->full.text[0] = 0;
    loader->room_made = false;
    roster_round_begin(loader->roster);
    enum status status = db_begin(loader->db, QUERY_MS, why);
    if (status)
        return status;
    status = db_query(loader->db, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY", NULL, 0, QUERY_MS, NULL,
                      why);
    if (!status)
        status = db_query(loader->db, "SET LOCAL cursor_tuple_fraction = 1", NULL, 0, QUERY_MS, NULL, why);
    if (!status)
        status = horizon_read(loader, &rows, &horizon, &newest, why);
    db_rows_free(rows);
    if (!status)
        status = cursor_drain(loader, declare, NULL, 0, why);
    db_rollback(loader->db); /* it only read */
    if (status)
        return status;
    roster_round_end(loader->roster);
    loader->cursor = horizon;
    roster_set_loaded(loader->roster);
    log_info("roster.loaded", "identities=%zu took_ms=%lld", roster_count(loader->roster),
             (long long)(clock_monotonic_ms() - started_ms));
    return STATUS_OK;
}

/* All that is committed behind the horizon, in order; then, without moving the cursor, the newest rows in front of it.
 * The horizon stands still while any transaction writes for long, and revoking a device must not wait for that. */
static enum status read_changes(struct roster_loader *loader, uint64_t horizon, uint64_t newest, struct problem *why)
{
    static const char declare_behind[] =
        "DECLARE roster_rows NO SCROLL CURSOR FOR " COLUMNS
        "WHERE d.commit_xid >= $1::xid8 AND d.commit_xid < $2::xid8 ORDER BY d.commit_xid";
    static const char declare_ahead[] = "DECLARE roster_rows NO SCROLL CURSOR FOR " COLUMNS
                                        "WHERE d.commit_xid >= $1::xid8 ORDER BY d.commit_xid DESC LIMIT 1000";
    char from[XID_SIZE], to[XID_SIZE];
    const char *parameters[] = {from, to}, *ahead[] = {to};
    enum status status = STATUS_OK;

    snprintf(from, sizeof from, "%" PRIu64, loader->cursor);
    snprintf(to, sizeof to, "%" PRIu64, horizon);
    if (newest >= loader->cursor && horizon > loader->cursor) {
        status = db_begin(loader->db, QUERY_MS, why);
        if (!status)
            status = cursor_drain(loader, declare_behind, parameters, 2, why);
        db_rollback(loader->db);
    }
    if (!status)
        loader->cursor = horizon;
    if (!status && newest >= horizon) {
        status = db_begin(loader->db, QUERY_MS, why);
        if (!status)
            status = cursor_drain(loader, declare_ahead, ahead, 1, why);
        db_rollback(loader->db);
    }
    return status;
}

/* Inside a transaction. */
static enum status cursor_drain(struct roster_loader *loader, const char *declare, const char *const *parameters,
                                size_t count, struct problem *why)
{
    size_t fetched = 1;

    enum status status = db_query(loader->db, declare, parameters, count, QUERY_MS, NULL, why);
    while (!status && fetched && !atomic_load(&loader->stopping)) {
        struct db_rows *rows = NULL;
        status = db_query(loader->db, "FETCH 20000 FROM roster_rows", NULL, 0, FETCH_MS, &rows, why);
        if (status)
            break;
        fetched = db_rows_count(rows);
        for (size_t row = 0; row < fetched; row++)
            row_apply(loader, rows, row);
        db_rows_free(rows);
    }
    if (!status && fetched)
        status = problem_set(why, STATUS_RETRY, "stopping");
    return status;
}

static int64_t limit_read(const struct db_rows *rows, size_t row, int column)
{
    if (db_is_null(rows, row, column))
        return ROSTER_LIMIT_DEFAULT;
    int64_t limit = db_i64(rows, row, column);
    return limit < 0 ? 0 : limit;
}

static void workspace_row(struct arena *arena, const struct db_rows *rows, size_t row, struct roster_host *out)
{
    struct text name = db_text(rows, row, 1);

    out->name = name.bytes ? arena_text(arena, name) : TEXT("");
    out->workspace = (struct roster_workspace){(uint32_t)db_i64(rows, row, 0), limit_read(rows, row, 2),
                                               limit_read(rows, row, 3)};
}

static enum status workspaces_read(struct roster_loader *loader, struct problem *why)
{
    static const char select_workspaces[] =
        "SELECT w.workspace_id, lower(h.name), w.messages_per_second, w.bytes_per_second FROM picket.workspace w "
        "LEFT JOIN LATERAL unnest(w.host_names) AS h(name) ON true";
    struct db_rows *rows = NULL;

    enum status status = db_query(loader->db, select_workspaces, NULL, 0, QUERY_MS, &rows, why);
    if (status)
        return status;
    size_t count = db_rows_count(rows);
    arena_clear(&loader->arena);
    struct roster_host *hosts = ARENA_ARRAY(&loader->arena, struct roster_host, count);
    for (size_t row = 0; row < count; row++)
        workspace_row(&loader->arena, rows, row, &hosts[row]);
    roster_workspaces_set(loader->roster, hosts, count);
    db_rows_free(rows);
    return STATUS_OK;
}

/* They are few and change seldom, so they are read anew whenever one did. Those that are read may be newer than the
 * fingerprint, which then differs again. */
static enum status authorities_refresh(struct roster_loader *loader, struct problem *why)
{
    static const char select_fingerprint[] =
        "SELECT coalesce(md5(string_agg(authority_id || ' ' || extract(epoch FROM changed_at), ',' ORDER BY authority_id)), '')"
        " FROM picket.certificate_authority WHERE status = 'verified'";
    char seen[FINGERPRINT_SIZE] = "";
    struct db_rows *rows = NULL;
    struct authority *list = NULL;
    size_t count = 0;

    enum status status = db_query(loader->db, select_fingerprint, NULL, 0, QUERY_MS, &rows, why);
    if (!status)
        snprintf(seen, sizeof seen, "%.*s", TEXT_ARGS(db_text(rows, 0, 0)));
    db_rows_free(rows);
    if (status || strcmp(seen, loader->authorities_seen) == 0)
        return status;
    list = calloc(AUTHORITIES_MAX, sizeof *list);
    if (!list)
        abort();
    status = authorities_read(loader, list, &count, why);
    if (status) {
        authorities_list_free(list, count);
        return status;
    }
    authorities_set(roster_authorities(loader->roster), list, count);
    memcpy(loader->authorities_seen, seen, sizeof seen);
    log_info("roster.authorities", "count=%zu", count);
    return STATUS_OK;
}

/* `*count` also says on failure how many are in `list`. */
static enum status authorities_read(struct roster_loader *loader, struct authority *list, size_t *count, struct problem *why)
{
    static const char select_authorities[] =
        "SELECT authority_id, workspace_id, certificate, crl FROM picket.certificate_authority"
        " WHERE status = 'verified' AND authority_id > $1::bigint ORDER BY authority_id LIMIT $2::int";
    char last[XID_SIZE] = "0", a_time[XID_SIZE];
    const char *parameters[] = {last, a_time};
    size_t got = AUTHORITIES_A_TIME;

    snprintf(a_time, sizeof a_time, "%d", AUTHORITIES_A_TIME);
    while (got == AUTHORITIES_A_TIME) {
        struct db_rows *rows = NULL;
        enum status status = db_query(loader->db, select_authorities, parameters, 2, QUERY_MS, &rows, why);
        if (status)
            return status;
        got = db_rows_count(rows);
        for (size_t row = 0; row < got && *count < AUTHORITIES_MAX; row++)
            *count += authority_row(loader, rows, row, &list[*count]);
        if (got)
            snprintf(last, sizeof last, "%lld", (long long)db_i64(rows, got - 1, 0));
        db_rows_free(rows);
        if (*count == AUTHORITIES_MAX) {
            log_error("roster.authorities", "reason=\"more than %d are verified: the others let nobody in\"", AUTHORITIES_MAX);
            break;
        }
    }
    return STATUS_OK;
}

/* False: it is no use, which the API that took it would have said as well. */
static bool authority_row(struct roster_loader *loader, const struct db_rows *rows, size_t row, struct authority *out)
{
    struct problem why;

    arena_clear(&loader->arena);
    struct text certificate = db_bytea(rows, row, 2, &loader->arena);
    struct text revocations = db_is_null(rows, row, 3) ? TEXT_NONE : db_bytea(rows, row, 3, &loader->arena);
    out->id = db_i64(rows, row, 0);
    out->workspace = (uint32_t)db_i64(rows, row, 1);
    if (x509_authority_new(certificate, revocations, &out->certificate, &why) == STATUS_OK)
        return true;
    log_error("roster.authority", "workspace=%u authority=%lld reason=\"%s\"", (unsigned)out->workspace,
              (long long)out->id, why.text);
    return false;
}

static void row_apply(struct roster_loader *loader, const struct db_rows *rows, size_t row)
{
    struct identity identity = {(uint32_t)db_i64(rows, row, 0), db_text(rows, row, 1), db_text(rows, row, 2)};
    struct text state = db_text(rows, row, 3);
    struct roster_entry entry = {.enabled = text_equal(state, TEXT("enabled")),
                                 .credential = credential_read(rows, row),
                                 .messages_per_second = limit_read(rows, row, 4),
                                 .bytes_per_second = limit_read(rows, row, 5)};
    struct roster_keys keys;
    struct problem full;

    if (!identity_id_valid(identity.device) || (identity.module.count && !identity_id_valid(identity.module)))
        return; /* nobody can address it */
    if (text_equal(state, TEXT("deleted"))) {
        roster_remove(loader->roster, &identity);
        loader->room_made = true;
        return;
    }
    if (entry.credential == ROSTER_SAS) {
        keys.primary_count = key_open(loader, &identity, rows, row, 7, keys.primary);
        keys.secondary_count = key_open(loader, &identity, rows, row, 8, keys.secondary);
    } else {
        keys.primary_count = thumbprint_read(loader, rows, row, 7, keys.primary);
        keys.secondary_count = thumbprint_read(loader, rows, row, 8, keys.secondary);
    }
    if (roster_put(loader->roster, &identity, &entry, &keys, &full))
        loader->full = full;
    secret_wipe(&keys, sizeof keys);
}

/* An identity without a credential has one of no keys. */
static enum roster_credential credential_read(const struct db_rows *rows, size_t row)
{
    struct text kind = db_text(rows, row, 6);

    if (text_equal(kind, TEXT("thumbprint")))
        return ROSTER_THUMBPRINT;
    return text_equal(kind, TEXT("authority")) ? ROSTER_AUTHORITY : ROSTER_SAS;
}

static size_t thumbprint_read(struct roster_loader *loader, const struct db_rows *rows, size_t row, int column,
                              uint8_t out[PICKET_KEY_MAX])
{
    if (db_is_null(rows, row, column))
        return 0;
    arena_clear(&loader->arena);
    struct text thumbprint = db_bytea(rows, row, column, &loader->arena);
    if (thumbprint.count != X509_SHA1_BYTES && thumbprint.count != X509_SHA256_BYTES)
        return 0; /* the table allows no other */
    memcpy(out, thumbprint.bytes, thumbprint.count);
    return thumbprint.count;
}

/* Returns the length of the key; 0 when there is none or it cannot be used. */
static size_t key_open(struct roster_loader *loader, const struct identity *identity, const struct db_rows *rows,
                       size_t row, int column, uint8_t key[PICKET_KEY_MAX])
{
    static struct log_rate rate;
    const size_t envelope = SECRET_SEALED_BYTES(0);

    if (db_is_null(rows, row, column))
        return 0;
    arena_clear(&loader->arena);
    struct text sealed = db_bytea(rows, row, column, &loader->arena);
    bool fits = sealed.count >= envelope + PICKET_KEY_MIN && sealed.count <= envelope + PICKET_KEY_MAX;
    if (fits && secret_open(&loader->master, (const uint8_t *)sealed.bytes, sealed.count, key))
        return sealed.count - envelope;
    metric_add(&ingest_metrics.roster_unusable_keys, 1);
    log_rated(&rate, LOG_ERROR, "roster.key", "workspace=%u device=%.*s module=%.*s reason=\"%s\"",
              (unsigned)identity->workspace, TEXT_ARGS(identity->device), TEXT_ARGS(identity->module),
              fits ? "it was sealed with another master key" : "its length is wrong");
    return 0;
}

static void readiness_tell(struct roster_loader *loader, enum status status, const struct problem *why)
{
    bool loaded = roster_loaded(loader->roster), away = status != STATUS_OK;
    int64_t age_s = (clock_monotonic_ms() - loader->answered_ms) / 1000;
    char note[PROBLEM_TEXT_MAX + 64] = "";

    metric_set(&ingest_metrics.roster_devices, (int64_t)roster_count(loader->roster));
    metric_set(&ingest_metrics.roster_age_seconds, age_s);
    if (away != loader->away) {
        if (away)
            log_warn("roster.away", "reason=\"%s\"", why->text);
        else
            log_info("roster.back", "identities=%zu", roster_count(loader->roster));
        loader->away = away;
    }
    /* A roster that is old still serves those it knows: not ready is only one that was never read, or is not whole. */
    if (away)
        snprintf(note, sizeof note, "%s%s", loaded ? "the list of devices is not being renewed: " : "", why->text);
    else if (loader->full.text[0])
        snprintf(note, sizeof note, "%s", loader->full.text);
    process_set_ready(PART, loaded && !loader->full.text[0], note);
}
