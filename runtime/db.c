#include "runtime/db.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <libpq-fe.h>

#include "runtime/clock.h"
#include "runtime/db_cancel.h"
#include "runtime/db_rows.h"

#define OPTIONS_MAX 64        /* libpq knows about fifty */
#define COPY_CHUNK 65536      /* smaller puts cost a message header and a flush each */
#define COPY_PUT_MAX (1 << 20) /* libpq buffers a whole put before the socket takes it */
#define CANCELLED_WAIT_MS 1000 /* for the statement to end once the server took the request to cancel it */
#define ROLLBACK_MS 5000
#define RELISTEN_MS 500       /* between attempts while the server is away */
#define CHANNEL_SIZE 64       /* PostgreSQL's names have at most 63 bytes */

/* How a timeout works: libpq never blocks here, each wait is a poll() on the socket and `wake_fd`. When the deadline
 * passes, a cancel request goes out and the connection is kept only if the statement then ends soon; else it is closed.
 * statement_timeout would be session state and would not help against a server that does not answer at all.
 * The one wait that is not ours is the name lookup inside PQconnectStart(). */
struct db {
    PQconninfoOption *options;
    const char *keywords[OPTIONS_MAX + 1], *values[OPTIONS_MAX + 1]; /* point into options */
    PGconn *connection;
    bool in_transaction; /* stays when the connection is lost, until the transaction is ended */
    bool copying;
    uint32_t copy_timeout_ms;
    size_t copy_count;
    char *copy_bytes; /* COPY_CHUNK, once a COPY was begun */
    char sqlstate[6];
    char channel[CHANNEL_SIZE]; /* "" when this connection does not listen */
    int wake_fd;
    atomic_bool interrupted;
    /* Guards what db_cancel() of another thread reads. While it is held the statement cannot end, so a cancel never
     * meets the statement after the one it was meant for. */
    pthread_mutex_t lock;
    struct db_canceller *canceller;
    bool running;
    bool cancel_hangs; /* a cancel may still arrive later: the connection is of no use after this statement */
};

static void option_default(struct db *db, const char *keyword, const char *value);
static enum status connection_ready(struct db *db, int64_t deadline_ms, struct problem *why);
static enum status connection_start(struct db *db, int64_t deadline_ms, struct problem *why);
static bool connection_alive(struct db *db);
static void connection_close(struct db *db);
static enum status socket_wait(struct db *db, short events, int64_t deadline_ms, struct problem *why);
static void statement_begin(struct db *db);
static void statement_end(struct db *db);
static enum status statement_give_up(struct db *db);
static enum status send_flush(struct db *db, int64_t deadline_ms, struct problem *why);
static enum status result_wait(struct db *db, int64_t deadline_ms, PGresult **out, struct problem *why);
static enum status result_last(struct db *db, int64_t deadline_ms, PGresult **out, struct problem *why);
static enum status result_status(struct db *db, const PGresult *result, struct problem *why);
static enum status statement_run(struct db *db, const char *sql, const char *const *parameters, size_t count,
                                 int64_t deadline_ms, PGresult **out, struct problem *why);
static enum status copy_flush(struct db *db, const char *bytes, size_t count, struct problem *why);
static bool listen_ready(struct db *db, const char *channel, int64_t deadline_ms, bool *fresh);

enum status db_open(const char *conninfo, const char *user, const char *application, struct db **out,
                    struct problem *why)
{
    char *message = NULL;

    assert(conninfo && application && out && why);

    PQconninfoOption *options = PQconninfoParse(conninfo, &message);
    if (!options) {
        db_message(why, STATUS_REJECT, message);
        PQfreemem(message);
        return STATUS_REJECT;
    }
    struct db *db = calloc(1, sizeof *db);
    if (!db)
        abort();
    db->options = options;
    db->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (db->wake_fd < 0)
        abort();
    pthread_mutex_init(&db->lock, NULL);
    option_default(db, "user", user);
    option_default(db, "application_name", application);
    option_default(db, "client_encoding", "UTF8");
    option_default(db, "keepalives_idle", "30");
    option_default(db, "keepalives_interval", "10");
    option_default(db, "keepalives_count", "3");
    option_default(db, "tcp_user_timeout", "10000");
    size_t count = 0;
    for (PQconninfoOption *option = options; option->keyword && count < OPTIONS_MAX; option++) {
        if (!option->val)
            continue;
        db->keywords[count] = option->keyword;
        db->values[count++] = option->val;
    }
    *out = db;
    return STATUS_OK;
}

void db_close(struct db *take_db)
{
    if (!take_db)
        return;
    connection_close(take_db);
    PQconninfoFree(take_db->options);
    close(take_db->wake_fd);
    pthread_mutex_destroy(&take_db->lock);
    free(take_db->copy_bytes);
    free(take_db);
}

enum status db_query(struct db *db, const char *sql, const char *const *parameters, size_t count, uint32_t timeout_ms,
                     struct db_rows **out, struct problem *why)
{
    PGresult *result = NULL;

    assert(db && sql && why && (count == 0 || parameters));

    enum status status =
        statement_run(db, sql, parameters, count, clock_monotonic_ms() + timeout_ms, &result, why);
    assert(!db->copying && "db_copy_begin() is for COPY");
    if (!status && out)
        *out = db_rows_new(result);
    else
        PQclear(result);
    return status;
}

/* Takes results until the last one. What comes behind a failure is thrown away. */
static enum status rows_each(struct db *db, int64_t deadline_ms, db_row_sink *each, void *context, struct problem *why)
{
    enum status failure = STATUS_OK;
    struct problem reason;
    PGresult *result;

    do {
        result = NULL;
        enum status status = result_wait(db, deadline_ms, &result, &reason);
        if (status && !failure) {
            failure = status;
            *why = reason;
        }
        if (status && PQstatus(db->connection) == CONNECTION_OK)
            (void)statement_give_up(db);
        if (failure || !result) {
            PQclear(result);
        } else if (PQresultStatus(result) == PGRES_SINGLE_TUPLE) {
            struct db_rows *row = db_rows_new(result);
            failure = each(context, row, why);
            db_rows_free(row);
            if (failure) /* the caller's wish: what the server still sends is read away in there */
                (void)statement_give_up(db);
        } else {
            failure = result_status(db, result, why);
            PQclear(result);
        }
    } while (result && PQstatus(db->connection) == CONNECTION_OK);
    return failure;
}

enum status db_each(struct db *db, const char *sql, const char *const *parameters, size_t count, uint32_t timeout_ms,
                    db_row_sink *each, void *context, struct problem *why)
{
    int64_t deadline_ms = clock_monotonic_ms() + timeout_ms;

    assert(db && sql && each && why && (count == 0 || parameters) && !db->copying && count <= INT16_MAX);

    enum status status = connection_ready(db, deadline_ms, why);
    if (status)
        return status;
    statement_begin(db);
    if (!PQsendQueryParams(db->connection, sql, (int)count, NULL, parameters, NULL, NULL, 0) ||
        !PQsetSingleRowMode(db->connection))
        status = db_message(why, STATUS_RETRY, PQerrorMessage(db->connection));
    else
        status = rows_each(db, deadline_ms, each, context, why);
    statement_end(db);
    return status;
}

enum status db_script(struct db *db, const char *sql, uint32_t timeout_ms, struct problem *why)
{
    int64_t deadline_ms = clock_monotonic_ms() + timeout_ms;
    PGresult *result = NULL;

    assert(db && sql && why);

    enum status status = connection_ready(db, deadline_ms, why);
    if (status)
        return status;
    statement_begin(db);
    if (!PQsendQuery(db->connection, sql))
        status = db_message(why, STATUS_RETRY, PQerrorMessage(db->connection));
    else
        status = result_last(db, deadline_ms, &result, why);
    statement_end(db);
    PQclear(result);
    return status;
}

enum status db_begin(struct db *db, uint32_t timeout_ms, struct problem *why)
{
    assert(db && !db->in_transaction);

    enum status status = db_query(db, "BEGIN", NULL, 0, timeout_ms, NULL, why);
    if (status)
        db_rollback(db); /* a BEGIN that timed out may have begun */
    return status;
}

enum status db_commit(struct db *db, uint32_t timeout_ms, struct problem *why)
{
    PGresult *result = NULL;

    assert(db && db->in_transaction && !db->copying);

    enum status status = statement_run(db, "COMMIT", NULL, 0, clock_monotonic_ms() + timeout_ms, &result, why);
    /* PostgreSQL answers COMMIT of a transaction that had failed with success and the tag ROLLBACK. */
    if (!status && strcmp(PQcmdStatus(result), "COMMIT") != 0)
        status = problem_set(why, STATUS_FAULT, "the transaction had failed before its commit");
    PQclear(result);
    db_rollback(db);
    return status;
}

void db_rollback(struct db *db)
{
    struct problem ignored;
    PGresult *result = NULL;
    int64_t deadline_ms = clock_monotonic_ms() + ROLLBACK_MS;
    enum status status = STATUS_OK;
    char sqlstate[sizeof db->sqlstate];

    assert(db);

    memcpy(sqlstate, db->sqlstate, sizeof sqlstate); /* of the failure that led here */
    if (db->copying && db->connection) {
        statement_begin(db);
        PQputCopyEnd(db->connection, "given up");
        (void)result_last(db, deadline_ms, &result, &ignored); /* the failure is what was asked for */
        statement_end(db);
        PQclear(result);
        result = NULL;
    }
    db->copying = false;
    if (db->in_transaction && db->connection) {
        status = statement_run(db, "ROLLBACK", NULL, 0, deadline_ms, &result, &ignored);
        PQclear(result);
    }
    if (status)
        connection_close(db);
    db->in_transaction = false;
    memcpy(db->sqlstate, sqlstate, sizeof sqlstate);
}

enum status db_copy_begin(struct db *db, const char *sql, uint32_t timeout_ms, struct problem *why)
{
    PGresult *result = NULL;

    assert(db && sql && !db->copying);

    enum status status = statement_run(db, sql, NULL, 0, clock_monotonic_ms() + timeout_ms, &result, why);
    PQclear(result);
    if (status)
        return status;
    assert(db->copying && "not a COPY FROM STDIN");
    db->copy_timeout_ms = timeout_ms;
    db->copy_count = 0;
    if (!db->copy_bytes)
        db->copy_bytes = malloc(COPY_CHUNK);
    if (!db->copy_bytes)
        abort();
    return STATUS_OK;
}

enum status db_copy_put(struct db *db, struct text bytes, struct problem *why)
{
    enum status status = STATUS_OK;

    assert(db && why && db->copying);

    if (db->copy_count + bytes.count >= COPY_CHUNK) {
        status = copy_flush(db, db->copy_bytes, db->copy_count, why);
        db->copy_count = 0;
        if (!status && bytes.count >= COPY_CHUNK)
            return copy_flush(db, bytes.bytes, bytes.count, why);
    }
    if (!status && bytes.count) {
        memcpy(db->copy_bytes + db->copy_count, bytes.bytes, bytes.count);
        db->copy_count += bytes.count;
    }
    return status;
}

enum status db_copy_end(struct db *db, uint32_t timeout_ms, struct problem *why)
{
    PGresult *result = NULL;

    assert(db && why && db->copying);

    enum status status = copy_flush(db, db->copy_bytes, db->copy_count, why);
    db->copying = false;
    if (status)
        return status;
    statement_begin(db);
    /* 0 would mean that libpq has no memory left: it buffers what the socket does not take. */
    if (PQputCopyEnd(db->connection, NULL) != 1)
        status = db_message(why, STATUS_RETRY, PQerrorMessage(db->connection));
    else
        status = result_last(db, clock_monotonic_ms() + timeout_ms, &result, why);
    statement_end(db);
    PQclear(result);
    return status;
}

const char *db_sqlstate(const struct db *db)
{
    return db->sqlstate;
}

bool db_listen_wait(struct db *db, const char *channel, uint32_t timeout_ms)
{
    int64_t deadline_ms = clock_monotonic_ms() + timeout_ms;
    struct problem ignored;
    bool notified = false;

    assert(db && channel && strlen(channel) < CHANNEL_SIZE);

    while (!notified && !atomic_load(&db->interrupted)) {
        int64_t pause_until_ms = clock_monotonic_ms() + RELISTEN_MS;
        bool listening = listen_ready(db, channel, deadline_ms, &notified);
        if (listening) {
            PQconsumeInput(db->connection);
            for (PGnotify *notify; (notify = PQnotifies(db->connection)); PQfreemem(notify))
                notified = true;
        }
        if (notified || clock_monotonic_ms() >= deadline_ms)
            break;
        if (listening && PQstatus(db->connection) == CONNECTION_OK)
            (void)socket_wait(db, POLLIN, deadline_ms, &ignored);
        else /* away: no more attempts than this */
            (void)socket_wait(db, 0, pause_until_ms < deadline_ms ? pause_until_ms : deadline_ms, &ignored);
    }
    return notified;
}

void db_cancel(struct db *db)
{
    assert(db);

    pthread_mutex_lock(&db->lock);
    if (db->running && db->canceller && !db_canceller_send(db->canceller))
        db->cancel_hangs = true;
    pthread_mutex_unlock(&db->lock);
}

void db_interrupt(struct db *db)
{
    uint64_t one = 1;

    atomic_store(&db->interrupted, true);
    ssize_t written = write(db->wake_fd, &one, sizeof one); /* never read again, so it wakes every later wait too */
    (void)written;
}

static void option_default(struct db *db, const char *keyword, const char *value)
{
    for (PQconninfoOption *option = db->options; option->keyword; option++) {
        if (strcmp(option->keyword, keyword) != 0 || option->val || !value)
            continue;
        option->val = strdup(value); /* PQconninfoFree() frees it */
        if (!option->val)
            abort();
    }
}

/* Leaves a connection that was alive a moment ago, opening one when that is allowed. */
static enum status connection_ready(struct db *db, int64_t deadline_ms, struct problem *why)
{
    db->sqlstate[0] = '\0';
    if (atomic_load(&db->interrupted))
        return problem_set(why, STATUS_RETRY, "database: interrupted, since the program stops");
    if (db->in_transaction && !db->connection)
        return problem_set(why, STATUS_RETRY, "database: the connection was lost inside the transaction");
    if (db->in_transaction || connection_alive(db))
        return STATUS_OK;
    connection_close(db);
    return connection_start(db, deadline_ms, why);
}

static enum status connection_start(struct db *db, int64_t deadline_ms, struct problem *why)
{
    enum status status = STATUS_OK;
    PostgresPollingStatusType next = PGRES_POLLING_WRITING;

    db->connection = PQconnectStartParams(db->keywords, db->values, 0);
    if (!db->connection)
        abort();
    if (PQstatus(db->connection) == CONNECTION_BAD)
        next = PGRES_POLLING_FAILED;
    while (!status && next != PGRES_POLLING_OK && next != PGRES_POLLING_FAILED) {
        status = socket_wait(db, next == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline_ms, why);
        if (!status)
            next = PQconnectPoll(db->connection);
    }
    if (!status && next == PGRES_POLLING_FAILED)
        status = db_message(why, STATUS_RETRY, PQerrorMessage(db->connection));
    if (!status && PQsetnonblocking(db->connection, 1))
        status = db_message(why, STATUS_RETRY, PQerrorMessage(db->connection));
    /* Statements are written with backslashes that mean themselves; a SET would be session state. */
    const char *conforming = status ? NULL : PQparameterStatus(db->connection, "standard_conforming_strings");
    if (conforming && strcmp(conforming, "on") != 0)
        status = problem_set(why, STATUS_FAULT, "database: standard_conforming_strings has to be on");
    if (status) {
        connection_close(db);
        return status;
    }
    PQsetNoticeProcessor(db->connection, db_notice_ignore, NULL);
    struct db_canceller *canceller = db_canceller_new(db->connection);
    pthread_mutex_lock(&db->lock);
    db->canceller = canceller;
    pthread_mutex_unlock(&db->lock);
    return STATUS_OK;
}

/* A server that went away while the connection was idle has left an end of file to read: better found now, when the
 * statement can still go to a new connection, than after it was sent. */
static bool connection_alive(struct db *db)
{
    if (!db->connection)
        return false;
    struct pollfd poll_fd = {.fd = PQsocket(db->connection), .events = POLLIN};
    for (int i = 0; i < 3 && poll(&poll_fd, 1, 0) > 0; i++)
        if (!PQconsumeInput(db->connection))
            break;
    return PQstatus(db->connection) == CONNECTION_OK && !PQisBusy(db->connection);
}

static void connection_close(struct db *db)
{
    pthread_mutex_lock(&db->lock);
    struct db_canceller *canceller = db->canceller;
    db->canceller = NULL;
    db->cancel_hangs = false;
    pthread_mutex_unlock(&db->lock);
    db_canceller_unref(canceller);
    PQfinish(db->connection);
    db->connection = NULL;
    db->copying = false;
    db->channel[0] = '\0';
}

/* `events` 0 waits for the interruption or the deadline alone. */
static enum status socket_wait(struct db *db, short events, int64_t deadline_ms, struct problem *why)
{
    for (;;) {
        int64_t left_ms = deadline_ms - clock_monotonic_ms();
        struct pollfd polls[2] = {
            {.fd = events ? PQsocket(db->connection) : -1, .events = events},
            {.fd = db->wake_fd, .events = POLLIN},
        };
        int ready = poll(polls, 2, left_ms < 0 ? 0 : left_ms > INT32_MAX ? INT32_MAX : (int)left_ms);
        if (ready < 0 && errno == EINTR)
            continue;
        if (polls[1].revents)
            return problem_set(why, STATUS_RETRY, "database: interrupted, since the program stops");
        if (polls[0].revents)
            return STATUS_OK;
        if (left_ms <= 0 || ready < 0)
            return problem_set(why, STATUS_RETRY, "database: no answer within the time limit");
    }
}

static void statement_begin(struct db *db)
{
    pthread_mutex_lock(&db->lock);
    db->running = true;
    pthread_mutex_unlock(&db->lock);
}

static void statement_end(struct db *db)
{
    pthread_mutex_lock(&db->lock);
    db->running = false;
    bool unusable = db->cancel_hangs;
    pthread_mutex_unlock(&db->lock);
    if (unusable || PQstatus(db->connection) != CONNECTION_OK)
        connection_close(db);
    else
        db->in_transaction = PQtransactionStatus(db->connection) != PQTRANS_IDLE;
}

/* The deadline passed in the middle of a statement. What it still says is thrown away. */
static enum status statement_give_up(struct db *db)
{
    struct problem ignored;
    int64_t deadline_ms;
    PGresult *result = NULL;

    pthread_mutex_lock(&db->lock);
    db->cancel_hangs = !db_canceller_send(db->canceller);
    bool ended = !db->cancel_hangs;
    pthread_mutex_unlock(&db->lock);
    deadline_ms = clock_monotonic_ms() + CANCELLED_WAIT_MS;
    while (ended && result_wait(db, deadline_ms, &result, &ignored) == STATUS_OK && result) {
        ended = PQresultStatus(result) != PGRES_COPY_IN;
        PQclear(result);
        result = NULL;
    }
    if (!ended || PQtransactionStatus(db->connection) == PQTRANS_ACTIVE) {
        pthread_mutex_lock(&db->lock);
        db->cancel_hangs = true; /* statement_end() closes it */
        pthread_mutex_unlock(&db->lock);
    }
    return STATUS_RETRY;
}

static enum status send_flush(struct db *db, int64_t deadline_ms, struct problem *why)
{
    int left;

    while ((left = PQflush(db->connection)) == 1) {
        enum status status = socket_wait(db, POLLIN | POLLOUT, deadline_ms, why);
        if (status)
            return status;
        /* The server may block on an answer that we do not read, so both ways have to move. */
        if (!PQconsumeInput(db->connection))
            break;
    }
    return left == 0 ? STATUS_OK : db_message(why, STATUS_RETRY, PQerrorMessage(db->connection));
}

/* One result, or NULL after the last. */
static enum status result_wait(struct db *db, int64_t deadline_ms, PGresult **out, struct problem *why)
{
    enum status status = send_flush(db, deadline_ms, why);

    while (!status && PQisBusy(db->connection)) {
        status = socket_wait(db, POLLIN, deadline_ms, why);
        if (!status && !PQconsumeInput(db->connection))
            break; /* PQgetResult() does not block on a dead connection and has the reason */
    }
    if (!status)
        *out = PQgetResult(db->connection);
    return status;
}

/* The result that counts: the first failure, else the last one. */
static enum status result_last(struct db *db, int64_t deadline_ms, PGresult **out, struct problem *why)
{
    PGresult *kept = NULL, *result = NULL;
    enum status status = STATUS_OK, failure = STATUS_OK;

    while (!status) {
        struct problem reason;
        result = NULL;
        status = result_wait(db, deadline_ms, &result, &reason);
        if (status) {
            if (!failure)
                *why = reason;
            bool silent = PQstatus(db->connection) == CONNECTION_OK;
            failure = silent ? statement_give_up(db) : STATUS_RETRY;
        }
        if (!result)
            break;
        if (!failure)
            failure = result_status(db, result, why);
        PQclear(kept);
        kept = result;
        if (PQresultStatus(result) == PGRES_COPY_IN || PQstatus(db->connection) != CONNECTION_OK)
            break;
    }
    if (failure)
        PQclear(kept);
    else
        *out = kept;
    return failure;
}

static enum status result_status(struct db *db, const PGresult *result, struct problem *why)
{
    ExecStatusType outcome = PQresultStatus(result);
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

    if (outcome == PGRES_COPY_IN)
        db->copying = true;
    if (outcome == PGRES_COMMAND_OK || outcome == PGRES_TUPLES_OK || outcome == PGRES_COPY_IN)
        return STATUS_OK;
    if (!sqlstate) /* libpq's own words: the connection broke */
        return db_message(why, STATUS_RETRY, PQresultErrorMessage(result));
    snprintf(db->sqlstate, sizeof db->sqlstate, "%s", sqlstate);
    enum status status = db_sqlstate_status(sqlstate);
    /* What our functions raise is written for people; the rest is told apart by its code. The DETAIL stays out, because
     * it quotes rows. */
    if (strcmp(sqlstate, "P0001") == 0)
        return problem_set(why, status, "%s", message ? message : "refused by the database");
    return problem_set(why, status, "database: %s (SQLSTATE %s)", message ? message : "failed", sqlstate);
}

static enum status statement_run(struct db *db, const char *sql, const char *const *parameters, size_t count,
                                 int64_t deadline_ms, PGresult **out, struct problem *why)
{
    assert(!db->copying && count <= INT16_MAX);

    enum status status = connection_ready(db, deadline_ms, why);
    if (status)
        return status;
    statement_begin(db);
    if (!PQsendQueryParams(db->connection, sql, (int)count, NULL, parameters, NULL, NULL, 0))
        status = db_message(why, STATUS_RETRY, PQerrorMessage(db->connection));
    else
        status = result_last(db, deadline_ms, out, why);
    statement_end(db);
    return status;
}

static enum status copy_flush(struct db *db, const char *bytes, size_t count, struct problem *why)
{
    enum status status = STATUS_OK;

    if (!db->connection)
        return problem_set(why, STATUS_RETRY, "database: the connection was lost inside the transaction");
    statement_begin(db);
    for (size_t at = 0; !status && at < count;) {
        size_t part = count - at < COPY_PUT_MAX ? count - at : COPY_PUT_MAX;
        if (PQputCopyData(db->connection, bytes + at, (int)part) != 1)
            status = db_message(why, STATUS_RETRY, PQerrorMessage(db->connection));
        else
            status = send_flush(db, clock_monotonic_ms() + db->copy_timeout_ms, why);
        at += part;
    }
    if (status) {
        pthread_mutex_lock(&db->lock);
        db->cancel_hangs = true; /* half a put cannot be taken back: close */
        pthread_mutex_unlock(&db->lock);
    }
    statement_end(db);
    return status;
}

/* `*fresh` becomes true when LISTEN had to be sent: notifications before it are lost, so the caller has to look. */
static bool listen_ready(struct db *db, const char *channel, int64_t deadline_ms, bool *fresh)
{
    struct problem ignored;
    PGresult *result = NULL;
    char sql[2 * CHANNEL_SIZE + 16];

    if (connection_ready(db, deadline_ms, &ignored))
        return false;
    if (strcmp(db->channel, channel) == 0)
        return true;
    char *name = PQescapeIdentifier(db->connection, channel, strlen(channel));
    if (!name)
        return false;
    snprintf(sql, sizeof sql, "LISTEN %s", name);
    PQfreemem(name);
    if (statement_run(db, sql, NULL, 0, deadline_ms, &result, &ignored))
        return false;
    PQclear(result);
    snprintf(db->channel, sizeof db->channel, "%s", channel);
    *fresh = true;
    return true;
}
