#include "query/method_waiter.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "runtime/buf.h"
#include "runtime/clock.h"

#define LOOK_MS 250
#define QUERY_MS 5000
#define CONNECT_LEAST_MS 1500 /* even a device that is there has to be looked up by the server that has it */

struct waiting {
    struct waiting *next;
    struct http_exchange *exchange;
    int64_t call, connect_until_ms, until_ms;
};

struct method_waiter {
    struct db *db, *listener;
    pthread_t thread;
    bool started;
    _Atomic bool stopping;
    pthread_mutex_t lock;
    pthread_cond_t came;
    struct waiting *arrived; /* the thread has not seen them yet */
    struct waiting *waiting; /* its own */
};

static void *waiter_run(void *context);
static void look(struct method_waiter *waiter);
static bool settled(struct method_waiter *waiter, struct waiting *waiting, const struct db_rows *rows, size_t row);
static bool give_up(struct method_waiter *waiter, const struct waiting *waiting);

enum status method_waiter_open(const char *conninfo, struct method_waiter **out, struct problem *why)
{
    struct method_waiter *waiter = calloc(1, sizeof *waiter);

    if (!waiter)
        abort();
    pthread_mutex_init(&waiter->lock, NULL);
    pthread_cond_init(&waiter->came, NULL);
    enum status status = db_open(conninfo, "picket_query", "picket query methods", &waiter->db, why);
    if (!status)
        status = db_open(conninfo, "picket_query", "picket query methods (wake-ups)", &waiter->listener, why);
    if (!status && pthread_create(&waiter->thread, NULL, waiter_run, waiter))
        status = problem_set(why, STATUS_FAULT, "no thread for calls of methods");
    waiter->started = !status;
    if (status) {
        method_waiter_close(waiter);
        return status;
    }
    pthread_setname_np(waiter->thread, "query-methods");
    *out = waiter;
    return STATUS_OK;
}

void method_waiter_close(struct method_waiter *take_waiter)
{
    if (!take_waiter)
        return;
    pthread_mutex_lock(&take_waiter->lock);
    atomic_store(&take_waiter->stopping, true);
    pthread_cond_signal(&take_waiter->came);
    pthread_mutex_unlock(&take_waiter->lock);
    if (take_waiter->listener)
        db_interrupt(take_waiter->listener);
    if (take_waiter->db)
        db_interrupt(take_waiter->db);
    if (take_waiter->started)
        pthread_join(take_waiter->thread, NULL);
    db_close(take_waiter->listener);
    db_close(take_waiter->db);
    pthread_cond_destroy(&take_waiter->came);
    pthread_mutex_destroy(&take_waiter->lock);
    free(take_waiter);
}

void method_waiter_take(struct method_waiter *waiter, struct http_exchange *take_exchange, const struct reply *reply)
{
    struct waiting *waiting = malloc(sizeof *waiting);
    int64_t now_ms = clock_monotonic_ms();
    int64_t connect_ms = reply->method_connect_ms > CONNECT_LEAST_MS ? reply->method_connect_ms : CONNECT_LEAST_MS;

    if (!waiting)
        abort();
    pthread_mutex_lock(&waiter->lock);
    *waiting = (struct waiting){waiter->arrived, take_exchange, reply->method_call, now_ms + connect_ms,
                                now_ms + connect_ms + reply->method_response_ms};
    waiter->arrived = waiting;
    pthread_cond_signal(&waiter->came);
    pthread_mutex_unlock(&waiter->lock);
}

static void answer_refused(struct waiting *waiting, unsigned code, const char *name, const char *sentence)
{
    http_reply_error(waiting->exchange, code, name, sentence, 0, 0);
    if (code == 503)
        http_retry_after(waiting->exchange, 5);
    http_answer(waiting->exchange);
    free(waiting);
}

static void *waiter_run(void *context)
{
    struct method_waiter *waiter = context;

    while (!atomic_load(&waiter->stopping)) {
        pthread_mutex_lock(&waiter->lock);
        while (!waiter->waiting && !waiter->arrived && !atomic_load(&waiter->stopping))
            pthread_cond_wait(&waiter->came, &waiter->lock);
        while (waiter->arrived) {
            struct waiting *next = waiter->arrived->next;
            waiter->arrived->next = waiter->waiting;
            waiter->waiting = waiter->arrived;
            waiter->arrived = next;
        }
        pthread_mutex_unlock(&waiter->lock);
        if (!waiter->waiting || atomic_load(&waiter->stopping))
            break;
        (void)db_listen_wait(waiter->listener, "picket_answers", LOOK_MS);
        look(waiter);
    }
    for (struct waiting *waiting = waiter->waiting, *next; waiting; waiting = next) {
        next = waiting->next;
        answer_refused(waiting, 503, "Unavailable", "The server is stopping; try again.");
    }
    return NULL;
}

/* All that wait, in one statement; while the database is away only their time passes. */
static void look(struct method_waiter *waiter)
{
    static const char read[] = "SELECT r.state, r.code, r.answer FROM unnest($1::bigint[]) WITH ORDINALITY AS n(number, at)"
                               " LEFT JOIN picket.method_results($1::bigint[]) r ON r.call_number = n.number ORDER BY n.at";
    struct db_rows *rows = NULL;
    struct problem why;
    struct buf numbers;
    size_t row = 0;

    buf_init(&numbers, SIZE_MAX / 2);
    db_array_open(&numbers);
    for (const struct waiting *waiting = waiter->waiting; waiting; waiting = waiting->next)
        db_array_i64(&numbers, waiting->call);
    db_array_close(&numbers);
    const char *const parameters[] = {numbers.bytes};
    bool known = db_query(waiter->db, read, parameters, 1, QUERY_MS, &rows, &why) == STATUS_OK;
    for (struct waiting **place = &waiter->waiting; *place; row++) {
        struct waiting *waiting = *place, *next = waiting->next;
        if (settled(waiter, waiting, known ? rows : NULL, row))
            *place = next; /* and it is gone */
        else
            place = &waiting->next;
    }
    db_rows_free(rows);
    buf_done(&numbers);
}

static bool settled(struct method_waiter *waiter, struct waiting *waiting, const struct db_rows *rows, size_t row)
{
    struct text state = rows ? db_text(rows, row, 0) : TEXT_NONE;
    int64_t now_ms = clock_monotonic_ms();

    if (http_abandoned(waiting->exchange)) {
        http_answer(waiting->exchange);
        free(waiting);
        return true;
    }
    if (state.bytes && text_equal(state, TEXT("answered"))) {
        struct buf *body = http_reply_body(waiting->exchange, "application/json");
        struct text answer = db_text(rows, row, 2);
        buf_format(body, "{\"status\":%lld,\"payload\":", (long long)db_i64(rows, row, 1));
        buf_text(body, answer.bytes ? answer : TEXT("null"));
        buf_string(body, "}\n");
        http_code(waiting->exchange, 200);
        http_answer(waiting->exchange);
        free(waiting);
        return true;
    }
    if (state.bytes && text_equal(state, TEXT("queued")) && waiting->connect_until_ms <= now_ms && give_up(waiter, waiting)) {
        answer_refused(waiting, 404, "DeviceNotOnline", "The device is not connected, or does not take methods.");
        return true;
    }
    if (waiting->until_ms <= now_ms && (give_up(waiter, waiting) || !rows)) {
        answer_refused(waiting, rows ? 504 : 503, rows ? "MethodTimeout" : "Unavailable",
                       rows ? "The device did not answer in time." : "The database is away; try again.");
        return true;
    }
    return false;
}

/* False: it was answered this instant, as the next look will show, or the database is away. */
static bool give_up(struct method_waiter *waiter, const struct waiting *waiting)
{
    static const char end[] = "SELECT picket.method_give_up($1::bigint)";
    char number[24];
    const char *const parameters[] = {number};
    struct db_rows *rows = NULL;
    struct problem why;

    snprintf(number, sizeof number, "%lld", (long long)waiting->call);
    bool ended = db_query(waiter->db, end, parameters, 1, QUERY_MS, &rows, &why) == STATUS_OK && db_bool(rows, 0, 0);
    db_rows_free(rows);
    return ended;
}
