#include "programs/migrate.h"

#include <assert.h>
#include <dirent.h>
#include <libpq-fe.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/buf.h"
#include "runtime/db.h"
#include "runtime/process.h"

#define SCRIPT_BYTES_MAX (1024 * 1024)
#define FILES_MAX 1000
#define STATEMENT_MS 30000
#define SCRIPT_MS (60 * 60 * 1000) /* a migration may rewrite a large table */
#define PATH_SIZE 1024

struct file {
    int64_t number;
    char name[128]; /* "0001_foundation" */
    char digest[2 * crypto_hash_sha256_BYTES + 1];
};

struct plan {
    const struct migrate_wishes *wishes;
    struct db *db;
    struct file files[FILES_MAX];
    size_t count;
};

static enum status files_read(struct plan *plan, struct problem *why);
static int file_wanted(const struct dirent *entry);
static enum status script_read(const char *name, const char *ending, struct buf *out, struct problem *why);
static enum status encoding_check(struct db *db, struct problem *why);
static enum status applied_check(struct plan *plan, int64_t *newest, struct problem *why);
static enum status applied_exists(struct db *db, bool *there, struct problem *why);
static enum status applied_digest(struct db *db, const struct file *file, struct text *out, struct arena *arena,
                                  struct problem *why);
static enum status up(struct plan *plan, const struct file *file, struct problem *why);
static enum status up_locked(struct plan *plan, const struct file *file, const struct buf *script, bool *applied,
                             struct problem *why);
static enum status down(struct plan *plan, const struct file *file, struct problem *why);
static enum status helpers_load(struct plan *plan, struct problem *why);
static enum status helpers_replace(struct db *db, const struct buf *script, struct problem *why);
static enum status lock(struct db *db, struct problem *why);
static void tell(const struct plan *plan, enum migrate_step step, const struct file *file);
static enum status password_set(PGconn *connection, const char *role, const char *password, struct problem *why);

enum status migrate(const struct migrate_wishes *wishes, struct problem *why)
{
    struct plan *plan = calloc(1, sizeof *plan);
    int64_t newest = 0, to = wishes->to;
    enum status status;

    if (!plan)
        abort();
    plan->wishes = wishes;
    status = files_read(plan, why);
    if (!status)
        status = db_open(wishes->conninfo, NULL, "picket migrate", &plan->db, why);
    if (!status)
        status = encoding_check(plan->db, why);
    if (!status)
        status = applied_check(plan, &newest, why);
    if (!status && to > plan->files[plan->count - 1].number)
        status = problem_set(why, STATUS_REJECT, "there is no migration %lld; the newest is %lld", (long long)to,
                             (long long)plan->files[plan->count - 1].number);
    if (to == MIGRATE_NEWEST)
        to = plan->count ? plan->files[plan->count - 1].number : 0;
    for (size_t i = 0; !status && i < plan->count; i++) {
        if (plan->files[i].number > newest && plan->files[i].number <= to)
            status = up(plan, &plan->files[i], why);
    }
    for (size_t i = plan->count; !status && i-- > 0;) {
        if (plan->files[i].number <= newest && plan->files[i].number > to)
            status = down(plan, &plan->files[i], why);
    }
    if (!status && wishes->mode != MIGRATE_DRY_RUN)
        status = helpers_load(plan, why);
    db_close(plan->db);
    free(plan);
    return status;
}

enum status migrate_passwords(const char *conninfo, size_t *set, struct problem *why)
{
    static const char *const roles[][2] = {
        {"picket_ingest", "PICKET_INGEST_PASSWORD"},
        {"picket_store", "PICKET_STORE_PASSWORD"},
        {"picket_query", "PICKET_QUERY_PASSWORD"},
        {"picket_admin", "PICKET_ADMIN_PASSWORD"},
        {"picket_forward", "PICKET_FORWARD_PASSWORD"},
    };
    PGconn *connection = NULL;
    enum status status = STATUS_OK;

    *set = 0;
    for (size_t i = 0; !status && i < sizeof roles / sizeof roles[0]; i++) {
        const char *password = getenv(roles[i][1]);
        if (!password || !*password)
            continue;
        if (!connection)
            connection = PQconnectdb(conninfo);
        status = password_set(connection, roles[i][0], password, why);
        *set += !status;
    }
    PQfinish(connection);
    return status;
}

/* The files in the order of their numbers, with digests. */
static enum status files_read(struct plan *plan, struct problem *why)
{
    struct dirent **entries = NULL;
    char folder[PATH_SIZE];
    enum status status = STATUS_OK;
    struct buf script;

    snprintf(folder, sizeof folder, "%s/migrations", process_share_path());
    int count = scandir(folder, &entries, file_wanted, alphasort);
    if (count <= 0) {
        free(entries);
        return problem_set(why, STATUS_FAULT, "no migrations in %s: set PICKET_SHARE to the folder that has them", folder);
    }
    buf_init(&script, SCRIPT_BYTES_MAX);
    for (int i = 0; i < count; i++) {
        struct file *file = &plan->files[plan->count];
        struct text name = text_of(entries[i]->d_name), digits = {name.bytes, 4};
        unsigned char digest[crypto_hash_sha256_BYTES];
        if (!status && plan->count < FILES_MAX && text_to_i64(digits, &file->number)) {
            snprintf(file->name, sizeof file->name, "%.*s", (int)name.count - 4, name.bytes);
            status = script_read(file->name, ".sql", &script, why);
            crypto_hash_sha256(digest, (const unsigned char *)buf_as_text(&script).bytes, script.count);
            text_hex_encode(digest, sizeof digest, file->digest);
            plan->count++;
        }
        free(entries[i]);
    }
    free(entries);
    buf_done(&script);
    return status;
}

/* 0001_name.sql, without the down scripts. */
static int file_wanted(const struct dirent *entry)
{
    struct text name = text_of(entry->d_name);
    bool numbered = name.count > 9 && name.count < 124 && strspn(name.bytes, "0123456789") == 4 && name.bytes[4] == '_';
    return numbered && text_ends(name, TEXT(".sql")) && !text_ends(name, TEXT(".down.sql"));
}

static enum status script_read(const char *name, const char *ending, struct buf *out, struct problem *why)
{
    char path[PATH_SIZE];

    buf_clear(out);
    snprintf(path, sizeof path, "%s/migrations/%s%s", process_share_path(), name, ending);
    enum status status = process_read_file(path, SCRIPT_BYTES_MAX, out, why);
    return status ? STATUS_FAULT : STATUS_OK;
}

/* Compares what was applied with the files; `*newest` is the highest number applied, 0 for an empty database. */
static enum status applied_check(struct plan *plan, int64_t *newest, struct problem *why)
{
    static const char select_applied[] = "SELECT max(number) FROM picket.migration";
    struct db_rows *rows = NULL;
    struct arena arena;
    bool there = false;

    enum status status = applied_exists(plan->db, &there, why);
    if (status || !there)
        return status;
    status = db_query(plan->db, select_applied, NULL, 0, STATEMENT_MS, &rows, why);
    if (!status)
        *newest = db_i64(rows, 0, 0);
    db_rows_free(rows);
    arena_init(&arena);
    for (size_t i = 0; !status && i < plan->count; i++) {
        struct text digest = TEXT_NONE;
        const struct file *file = &plan->files[i];
        status = applied_digest(plan->db, file, &digest, &arena, why);
        if (!status && digest.bytes && !text_equal(digest, text_of(file->digest)))
            status = problem_set(why, STATUS_REJECT,
                                 "migrations/%s.sql was edited after it was applied: put the old file back and write the "
                                 "change as a new one",
                                 file->name);
        if (!status && !digest.bytes && file->number < *newest)
            status = problem_set(why, STATUS_REJECT, "migrations/%s.sql was not applied, yet later ones were", file->name);
    }
    arena_done(&arena);
    if (!status && *newest > plan->files[plan->count - 1].number)
        status = problem_set(why, STATUS_REJECT, "the database has migration %lld, which this build does not know: use a newer picket",
                             (long long)*newest);
    return status;
}

/* The first migration makes the table that the migrations are written in. Read from the catalogue itself: to_regclass()
 * may answer from what this session remembers of a time before the lock. */
/* What a database was made with cannot be changed, so it is said before anything is written. */
static enum status encoding_check(struct db *db, struct problem *why)
{
    struct db_rows *rows = NULL;

    enum status status = db_query(db, "SELECT pg_catalog.current_database(), pg_catalog.current_setting('server_encoding')", NULL, 0, STATEMENT_MS, &rows, why);
    if (!status && !text_equal(db_text(rows, 0, 1), TEXT("UTF8")))
        status = problem_set(why, STATUS_REJECT, "the database %.*s is encoded in %.*s, and UTF8 is needed: make another, CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0",
                             TEXT_ARGS(db_text(rows, 0, 0)), TEXT_ARGS(db_text(rows, 0, 1)));
    db_rows_free(rows);
    return status;
}

static enum status applied_exists(struct db *db, bool *there, struct problem *why)
{
    static const char exists[] = "SELECT EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n "
                                 "ON n.oid = c.relnamespace WHERE n.nspname = 'picket' AND c.relname = 'migration')";
    struct db_rows *rows = NULL;

    enum status status = db_query(db, exists, NULL, 0, STATEMENT_MS, &rows, why);
    *there = !status && db_bool(rows, 0, 0);
    db_rows_free(rows);
    return status;
}

/* TEXT_NONE when the file was not applied. */
static enum status applied_digest(struct db *db, const struct file *file, struct text *out, struct arena *arena,
                                  struct problem *why)
{
    static const char select_digest[] = "SELECT encode(digest, 'hex') FROM picket.migration WHERE number = $1::int";
    struct db_rows *rows = NULL;
    char number[24];
    const char *parameters[] = {number};

    snprintf(number, sizeof number, "%lld", (long long)file->number);
    enum status status = db_query(db, select_digest, parameters, 1, STATEMENT_MS, &rows, why);
    if (!status)
        *out = db_rows_count(rows) ? arena_text(arena, db_text(rows, 0, 0)) : TEXT_NONE;
    db_rows_free(rows);
    return status;
}

static enum status up(struct plan *plan, const struct file *file, struct problem *why)
{
    bool applied = false;
    struct buf script;
    enum status status;

    if (plan->wishes->mode == MIGRATE_DRY_RUN) {
        tell(plan, MIGRATE_STEP_UP, file);
        return STATUS_OK;
    }
    buf_init(&script, SCRIPT_BYTES_MAX);
    status = script_read(file->name, ".sql", &script, why);
    if (!status)
        status = db_begin(plan->db, STATEMENT_MS, why);
    if (!status)
        status = up_locked(plan, file, &script, &applied, why);
    if (!status)
        status = db_commit(plan->db, STATEMENT_MS, why);
    if (status) {
        db_rollback(plan->db);
        problem_prefix(why, "migrations/%s.sql", file->name);
    } else if (applied) {
        tell(plan, MIGRATE_STEP_UP, file);
    }
    buf_done(&script);
    return status;
}

/* Behind the lock another process may have applied it meanwhile. */
static enum status up_locked(struct plan *plan, const struct file *file, const struct buf *script, bool *applied,
                             struct problem *why)
{
    static const char insert_applied[] =
        "INSERT INTO picket.migration (number, name, digest) VALUES ($1::int, $2, decode($3, 'hex'))";
    char number[24];
    const char *parameters[] = {number, file->name, file->digest};
    struct text digest = TEXT_NONE;
    struct arena arena;
    bool there = false;

    snprintf(number, sizeof number, "%lld", (long long)file->number);
    arena_init(&arena);
    enum status status = lock(plan->db, why);
    if (!status)
        status = applied_exists(plan->db, &there, why);
    if (!status && there)
        status = applied_digest(plan->db, file, &digest, &arena, why);
    bool already = digest.bytes != NULL;
    arena_done(&arena);
    if (status || already)
        return status;
    status = db_script(plan->db, script->bytes, SCRIPT_MS, why);
    if (!status)
        status = db_query(plan->db, insert_applied, parameters, 3, STATEMENT_MS, NULL, why);
    *applied = !status;
    return status;
}

/* The row goes first: the first migration's down script takes the table away. */
static enum status down(struct plan *plan, const struct file *file, struct problem *why)
{
    static const char delete_applied[] = "DELETE FROM picket.migration WHERE number = $1::int";
    char number[24];
    const char *parameters[] = {number};
    struct buf script;
    enum status status;

    if (plan->wishes->mode == MIGRATE_DRY_RUN) {
        tell(plan, MIGRATE_STEP_DOWN, file);
        return STATUS_OK;
    }
    snprintf(number, sizeof number, "%lld", (long long)file->number);
    buf_init(&script, SCRIPT_BYTES_MAX);
    status = script_read(file->name, ".down.sql", &script, why);
    if (!status)
        status = db_begin(plan->db, STATEMENT_MS, why);
    if (!status)
        status = lock(plan->db, why);
    if (!status)
        status = db_query(plan->db, delete_applied, parameters, 1, STATEMENT_MS, NULL, why);
    if (!status)
        status = db_script(plan->db, script.bytes, SCRIPT_MS, why);
    if (!status)
        status = db_commit(plan->db, STATEMENT_MS, why);
    if (status) {
        db_rollback(plan->db);
        problem_prefix(why, "migrations/%s.down.sql", file->name);
    } else {
        tell(plan, MIGRATE_STEP_DOWN, file);
    }
    buf_done(&script);
    return status;
}

/* The functions that compiled KQL calls belong to the program rather than to the data: they are made anew from one file
 * whenever it is another than what was loaded. Nothing of the database depends on them. */
static enum status helpers_load(struct plan *plan, struct problem *why)
{
    struct buf script;

    buf_init(&script, SCRIPT_BYTES_MAX);
    enum status status = script_read("helpers/kql", ".sql", &script, why);
    if (!status)
        status = db_begin(plan->db, STATEMENT_MS, why);
    if (!status)
        status = lock(plan->db, why);
    if (!status)
        status = helpers_replace(plan->db, &script, why);
    if (!status)
        status = db_commit(plan->db, STATEMENT_MS, why);
    if (status) {
        db_rollback(plan->db);
        problem_prefix(why, "migrations/helpers/kql.sql");
    }
    buf_done(&script);
    return status;
}

static enum status helpers_replace(struct db *db, const struct buf *script, struct problem *why)
{
    static const char wanted[] = "SELECT to_regclass('picket.helper') IS NOT NULL";
    static const char known[] = "SELECT FROM picket.helper WHERE name = 'kql' AND digest = sha256(convert_to($1, 'UTF8'))";
    static const char empty[] = "DROP SCHEMA kql CASCADE; CREATE SCHEMA kql AUTHORIZATION picket_owner; SET LOCAL ROLE picket_owner;"
                                " GRANT USAGE ON SCHEMA kql TO picket_query";
    static const char write[] = "INSERT INTO picket.helper (name, digest) VALUES ('kql', sha256(convert_to($1, 'UTF8')))"
                                " ON CONFLICT (name) DO UPDATE SET digest = excluded.digest, applied_at = now()";
    const char *const parameters[] = {script->bytes};
    struct db_rows *rows = NULL;

    enum status status = db_query(db, wanted, NULL, 0, STATEMENT_MS, &rows, why);
    bool needed = !status && db_bool(rows, 0, 0);
    db_rows_free(rows);
    rows = NULL;
    if (!status && needed) {
        status = db_query(db, known, parameters, 1, STATEMENT_MS, &rows, why);
        needed = !status && db_rows_count(rows) == 0;
        db_rows_free(rows);
    }
    if (status || !needed)
        return status;
    status = db_script(db, empty, STATEMENT_MS, why);
    if (!status)
        status = db_script(db, script->bytes, SCRIPT_MS, why);
    if (!status)
        status = db_query(db, write, parameters, 1, STATEMENT_MS, NULL, why);
    return status;
}

/* Until the end of the transaction, so that a pooler in transaction mode cannot lose it. */
static enum status lock(struct db *db, struct problem *why)
{
    return db_query(db, "SELECT pg_advisory_xact_lock(hashtext('picket.migrate'))", NULL, 0, SCRIPT_MS, NULL, why);
}

static void tell(const struct plan *plan, enum migrate_step step, const struct file *file)
{
    if (plan->wishes->step)
        plan->wishes->step(plan->wishes->context, step, file->number, file->name);
}

/* The verifier is made here, so that the server's log never sees the password. */
static enum status password_set(PGconn *connection, const char *role, const char *password, struct problem *why)
{
    char *verifier = PQencryptPasswordConn(connection, password, role, "scram-sha-256");
    char *name = NULL, *literal = NULL;
    enum status status = STATUS_OK;
    struct buf sql;

    buf_init(&sql, 4096);
    if (verifier) {
        name = PQescapeIdentifier(connection, role, strlen(role));
        literal = PQescapeLiteral(connection, verifier, strlen(verifier));
    }
    if (name && literal) {
        buf_format(&sql, "ALTER ROLE %s PASSWORD %s", name, literal);
        PGresult *result = PQexec(connection, sql.bytes);
        if (PQresultStatus(result) != PGRES_COMMAND_OK)
            status = problem_set(why, STATUS_FAULT, "the password of %s cannot be set (SQLSTATE %s)", role,
                                 PQresultErrorField(result, PG_DIAG_SQLSTATE));
        PQclear(result);
    } else {
        status = problem_set(why, PQstatus(connection) == CONNECTION_OK ? STATUS_FAULT : STATUS_RETRY,
                             "the password of %s cannot be set: %.*s", role,
                             TEXT_ARGS(text_trim(text_of(PQerrorMessage(connection)))));
    }
    buf_done(&sql);
    PQfreemem(verifier);
    PQfreemem(name);
    PQfreemem(literal);
    return status;
}
