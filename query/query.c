#include "query/query.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "query/catalogs.h"
#include "query/method_waiter.h"
#include "query/refusal.h"
#include "query/routes.h"
#include "query/running.h"
#include "runtime/clock.h"
#include "runtime/db_schema.h"
#include "runtime/log.h"
#include "runtime/metrics.h"
#include "runtime/process.h"

/* libmicrohttpd's threads only put exchanges into a bounded queue; workers take them out. A worker owns two database
 * connections, one that can only read and one for operators' changes, so a request never waits for a connection. */

#define QUEUE_MAX 256 /* past this waiting would only end in timeouts: better a 503 at once */
#define HTTP_THREADS 2
#define BODY_BYTES_MAX (256 * 1024)
#define BODY_BUDGET_BYTES (16 * 1024 * 1024)
#define REQUEST_TIMEOUT_MS 30000
#define QUEUE_WAIT_MAX_MS 30000 /* then a client had better ask again */
#define ANSWER_MORE_MS 5000 /* on top of the statement's own limit, to tell the client of it */
#define LOOK_MS 2000        /* between two looks at whether the database is there */
#define SCHEMA_NEEDED 17     /* number of the last migration that handlers rely on */
#define JSON_DEPTH_ERROR "the body is not JSON: %s (line %d, column %d)"

struct job {
    struct http_exchange *exchange;
    const struct route *route;
    int64_t queued_ms;
    uint64_t asker; /* a hash of its Authorization header: whose turn it is, before anybody has signed in */
};

struct worker {
    struct query *query;
    struct db *reader, *admin;
    pthread_t thread;
    bool started, busy;
    uint64_t asker; /* while busy */
    bool asking;    /* a question */
};

struct query {
    struct query_settings settings;
    struct secret_master master;
    struct sign_in *sign_in;
    struct console *console;
    struct catalogs *catalogs;
    struct running *running;
    struct method_waiter *method_waiter;
    struct http_route *http_routes; /* row for row those of query_routes */
    struct http_server *server;
    struct worker *workers;
    struct db *look;
    pthread_t look_thread;
    bool look_started;
    pthread_mutex_t lock;
    pthread_cond_t queued, stopping_now; /* the second on the monotonic clock */
    struct job queue[QUEUE_MAX];
    size_t queue_count; /* in the order in which they came */
    bool stopping;
};

static enum status server_open(struct query *query, struct problem *why);
static enum status workers_open(struct query *query, struct problem *why);
static uint32_t answer_timeout_ms(const struct query_settings *settings);
static bool loopback(const char *address);
static bool job_take(struct worker *worker, struct job *out);
static void dispatch(void *context, struct http_exchange *exchange, const struct http_route *http_route);
static void *worker_run(void *context);
static void *look_run(void *context);
static void look_once(struct query *query);
static void job_answer(struct worker *worker, const struct job *job);
static enum status job_run(struct worker *worker, const struct job *job, struct request *request, struct reply *reply,
                           struct problem *why);
static enum status caller_check(struct worker *worker, const struct job *job, struct request *request,
                                struct reply *reply, struct problem *why);
static enum status body_read(struct request *request, struct problem *why);
static enum status text_check(const struct request *request, const struct route *route, struct problem *why);
static enum status transaction_run(struct worker *worker, const struct job *job, struct request *request,
                                   struct reply *reply, struct problem *why);
static enum status scope_set(struct request *request, const struct route *route, struct reply *reply, struct problem *why);
static void refuse(const struct job *job, const struct reply *reply, enum status status, const struct problem *why);

static struct metric answers[] = {
    METRIC_LABELLED_INIT("picket_query_answers_total", "Requests answered, by outcome.", "status", "ok"),
    METRIC_LABELLED_INIT("picket_query_answers_total", "Requests answered, by outcome.", "status", "reject"),
    METRIC_LABELLED_INIT("picket_query_answers_total", "Requests answered, by outcome.", "status", "retry"),
    METRIC_LABELLED_INIT("picket_query_answers_total", "Requests answered, by outcome.", "status", "fault"),
};
static struct metric queue_full =
    METRIC_COUNTER_INIT("picket_query_queue_full_total", "Requests refused because too many were waiting.");
static struct metric queue_waiting = METRIC_GAUGE_INIT("picket_query_waiting", "Requests that wait for a worker.");

enum status query_open(const struct query_settings *settings, struct query **out, struct problem *why)
{
    struct query *query = calloc(1, sizeof *query);
    pthread_condattr_t attributes;

    if (!query)
        abort();
    query->settings = *settings;
    pthread_mutex_init(&query->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&query->queued, NULL);
    pthread_cond_init(&query->stopping_now, &attributes);
    pthread_condattr_destroy(&attributes);
    metric_register(answers, sizeof answers / sizeof answers[0]);
    metric_register(&queue_full, 1);
    metric_register(&queue_waiting, 1);
    route_canary_register();
    enum status status = secret_master_load(settings->master_key_file, &query->master, why);
    if (!status) {
        query->sign_in = sign_in_new(&query->master);
        query->console = console_load(process_share_path());
        query->catalogs = catalogs_new(process_share_path());
        query->running = running_new();
        process_set_ready("query.database", false, "not looked at yet");
        status = method_waiter_open(settings->database, &query->method_waiter, why);
    }
    if (!status)
        status = workers_open(query, why);
    if (!status && settings->query_port)
        status = server_open(query, why);
    if (status) {
        query_close(query);
        return status;
    }
    log_info("query.open", "port=%u workers=%lld", (unsigned)query_port(query), (long long)settings->query_workers);
    *out = query;
    return STATUS_OK;
}

uint16_t query_port(const struct query *query)
{
    return query->server ? http_server_port(query->server) : 0;
}

void query_close(struct query *take_query)
{
    struct query *query = take_query;
    long long count = query ? query->settings.query_workers : 0;

    if (!query)
        return;
    if (query->server)
        http_server_close(query->server); /* waiting clients have their 503 now */
    pthread_mutex_lock(&query->lock);
    query->stopping = true;
    pthread_cond_broadcast(&query->queued);
    pthread_cond_broadcast(&query->stopping_now);
    pthread_mutex_unlock(&query->lock);
    for (long long i = 0; query->workers && i < count; i++) {
        struct worker *worker = &query->workers[i];
        if (worker->reader)
            db_interrupt(worker->reader);
        if (worker->admin)
            db_interrupt(worker->admin);
        if (worker->started)
            pthread_join(worker->thread, NULL);
        db_close(worker->reader);
        db_close(worker->admin);
    }
    if (query->look)
        db_interrupt(query->look);
    if (query->look_started)
        pthread_join(query->look_thread, NULL);
    db_close(query->look);
    method_waiter_close(query->method_waiter);
    free(query->workers);
    free(query->http_routes);
    running_free(query->running);
    catalogs_free(query->catalogs);
    console_free(query->console);
    sign_in_free(query->sign_in);
    pthread_cond_destroy(&query->queued);
    pthread_cond_destroy(&query->stopping_now);
    pthread_mutex_destroy(&query->lock);
    secret_wipe(&query->master, sizeof query->master);
    free(query);
}

const struct query_settings *query_settings_of(const struct query *query)
{
    return &query->settings;
}

const struct secret_master *query_master_of(const struct query *query)
{
    return &query->master;
}

struct sign_in *query_sign_in_of(const struct query *query)
{
    return query->sign_in;
}

const struct console *query_console_of(const struct query *query)
{
    return query->console;
}

struct catalogs *query_catalogs_of(const struct query *query)
{
    return query->catalogs;
}

struct running *query_running_of(const struct query *query)
{
    return query->running;
}

static enum status workers_open(struct query *query, struct problem *why)
{
    const struct query_settings *settings = &query->settings;
    const char *admin = settings->admin_database && *settings->admin_database ? settings->admin_database
                                                                              : settings->database;
    size_t count = (size_t)settings->query_workers;
    enum status status = db_open(settings->database, "picket_query", "picket query look", &query->look, why);

    query->workers = calloc(count, sizeof *query->workers);
    if (!query->workers)
        abort();
    for (size_t i = 0; !status && i < count; i++) {
        struct worker *worker = &query->workers[i];
        worker->query = query;
        status = db_open(settings->database, "picket_query", "picket query", &worker->reader, why);
        if (!status)
            status = db_open(admin, "picket_admin", "picket query admin", &worker->admin, why);
        if (!status && pthread_create(&worker->thread, NULL, worker_run, worker))
            abort();
        worker->started = !status;
    }
    if (!status && pthread_create(&query->look_thread, NULL, look_run, query))
        abort();
    query->look_started = !status;
    return status;
}

static enum status server_open(struct query *query, struct problem *why)
{
    const struct query_settings *settings = &query->settings;
    bool tls = settings->tls_certificate_file && *settings->tls_certificate_file;

    if (!tls && !loopback(settings->query_address))
        return problem_set(why, STATUS_REJECT,
                           "tls_certificate_file and tls_key_file are needed: tokens must not travel in the clear, so plain "
                           "HTTP is only offered when query_address is a loopback one");
    query->http_routes = calloc(query_route_count, sizeof *query->http_routes);
    if (!query->http_routes)
        abort();
    for (size_t i = 0; i < query_route_count; i++)
        query->http_routes[i] = (struct http_route){query_routes[i].method, query_routes[i].path,
                                                    (unsigned)query_routes[i].role, NULL};
    struct http_server_settings server = {
        .name = "query",
        .address = settings->query_address,
        .port = (uint16_t)settings->query_port,
        .tls_certificate_file = tls ? settings->tls_certificate_file : NULL,
        .tls_key_file = tls ? settings->tls_key_file : NULL,
        .watch_clients = true,
        .threads = HTTP_THREADS,
        .connections_max = (unsigned)settings->query_connections_max,
        .request_timeout_ms = REQUEST_TIMEOUT_MS,
        .answer_timeout_ms = answer_timeout_ms(settings),
        .body_bytes_max = BODY_BYTES_MAX,
        .body_budget_bytes = BODY_BUDGET_BYTES,
        .routes = query->http_routes,
        .route_count = query_route_count,
        .context = query,
        .dispatch = dispatch,
    };
    return http_server_open(&server, &query->server, why);
}

static uint32_t answer_timeout_ms(const struct query_settings *settings)
{
    int64_t longest = settings->query_timeout_ms > METHOD_WAIT_MAX_MS ? settings->query_timeout_ms : METHOD_WAIT_MAX_MS;

    if (settings->kql_timeout_ms > longest)
        longest = settings->kql_timeout_ms;
    return (uint32_t)longest + QUEUE_WAIT_MAX_MS + ANSWER_MORE_MS;
}

static bool loopback(const char *address)
{
    struct text text = text_of(address);

    return text_starts(text, TEXT("127.")) || text_equal(text, TEXT("::1"));
}

static uint64_t hash_of(struct text text)
{
    uint64_t hash = 14695981039346656037ULL;

    for (size_t i = 0; i < text.count; i++)
        hash = (hash ^ (unsigned char)text.bytes[i]) * 1099511628211ULL;
    return hash;
}

static bool is_question(const struct route *route)
{
    return route->access == ROUTE_LOG_ANALYTICS || route->access == ROUTE_KUSTO;
}

/* Commands and lists do not wait behind questions: among them is the one that stops a question. */
static bool waits_its_turn(const struct route *route)
{
    return is_question(route) && route->handle != kusto_command && route->handle != log_analytics_metadata;
}

static void dispatch(void *context, struct http_exchange *exchange, const struct http_route *http_route)
{
    struct query *query = context;
    const struct route *route = &query_routes[http_route - query->http_routes];
    bool full;

    pthread_mutex_lock(&query->lock);
    full = query->queue_count == QUEUE_MAX;
    if (!full) {
        query->queue[query->queue_count++] =
            (struct job){exchange, route, clock_monotonic_ms(), hash_of(http_header(exchange, "Authorization"))};
        metric_set(&queue_waiting, (int64_t)query->queue_count);
        pthread_cond_signal(&query->queued);
    }
    pthread_mutex_unlock(&query->lock);
    if (!full)
        return;
    metric_add(&queue_full, 1);
    http_reply_error(exchange, 503, "Busy", "Too many requests are waiting; try again.", 0, 0);
    http_retry_after(exchange, 1);
    http_answer(exchange);
}

/* Whose turn it is: of those that may go on, the oldest of whoever has the fewest requests under way. A token that has as
 * many questions under way as it may have waits, and nobody behind it does. */
static bool job_take(struct worker *worker, struct job *out)
{
    struct query *query = worker->query;
    long long workers = query->settings.query_workers;
    size_t best = query->queue_count;
    unsigned fewest = 0;

    for (size_t i = 0; i < query->queue_count; i++) {
        const struct job *job = &query->queue[i];
        unsigned busy = 0, asking = 0;
        for (long long k = 0; k < workers; k++) {
            const struct worker *other = &query->workers[k];
            busy += other->busy && other->asker == job->asker;
            asking += other->busy && other->asking && other->asker == job->asker;
        }
        if (waits_its_turn(job->route) && asking >= query->settings.kql_per_token && !query->stopping)
            continue;
        if (best == query->queue_count || busy < fewest) {
            best = i;
            fewest = busy;
        }
    }
    if (best == query->queue_count)
        return false;
    *out = query->queue[best];
    query->queue_count--;
    memmove(&query->queue[best], &query->queue[best + 1], (query->queue_count - best) * sizeof *query->queue);
    worker->busy = true;
    worker->asker = out->asker;
    worker->asking = waits_its_turn(out->route);
    metric_set(&queue_waiting, (int64_t)query->queue_count);
    return true;
}

/* Goes on after `stopping` until the queue is empty: each exchange in it has to be answered by somebody. */
static void *worker_run(void *context)
{
    struct worker *worker = context;
    struct query *query = worker->query;
    struct job job;

    pthread_mutex_lock(&query->lock);
    for (;;) {
        bool taken = job_take(worker, &job);
        if (!taken && query->stopping)
            break;
        if (!taken) {
            pthread_cond_wait(&query->queued, &query->lock);
            continue;
        }
        pthread_mutex_unlock(&query->lock);
        job_answer(worker, &job);
        pthread_mutex_lock(&query->lock);
        worker->busy = false;
        if (query->queue_count) /* what waited for this token may go on, with any worker */
            pthread_cond_signal(&query->queued);
    }
    pthread_mutex_unlock(&query->lock);
    return NULL;
}

static void *look_run(void *context)
{
    struct query *query = context;

    pthread_mutex_lock(&query->lock);
    while (!query->stopping) {
        int64_t until_ms = clock_monotonic_ms() + LOOK_MS;
        struct timespec until = {(time_t)(until_ms / 1000), (long)(until_ms % 1000) * 1000000};
        pthread_mutex_unlock(&query->lock);
        look_once(query);
        pthread_mutex_lock(&query->lock);
        if (!query->stopping)
            (void)pthread_cond_timedwait(&query->stopping_now, &query->lock, &until);
    }
    pthread_mutex_unlock(&query->lock);
    return NULL;
}

static void look_once(struct query *query)
{
    struct problem why;

    enum status status = db_schema_check(query->look, SCHEMA_NEEDED, LOOK_MS, &why);
    process_set_ready("query.database", !status, status ? why.text : "");
}

static void job_answer(struct worker *worker, const struct job *job)
{
    struct request request = {.exchange = job->exchange,
                              .arena = http_arena(job->exchange),
                              .timeout_ms = (uint32_t)worker->query->settings.query_timeout_ms};
    struct reply reply = {.exchange = job->exchange};
    struct problem why;

    if (http_abandoned(job->exchange)) {
        http_answer(job->exchange);
        return;
    }
    if (clock_monotonic_ms() - job->queued_ms > QUEUE_WAIT_MAX_MS) {
        reply.refused_code = 429;
        problem_set(&why, STATUS_REJECT, "Too many requests are under way; try again.");
        http_retry_after(job->exchange, 5);
        refuse(job, &reply, STATUS_REJECT, &why);
        http_answer(job->exchange);
        return;
    }
    http_reply_header(job->exchange, "X-Content-Type-Options", "nosniff");
    reply.body = http_reply_body(job->exchange, "application/json");
    enum status status = job_run(worker, job, &request, &reply, &why);
    if (!status && buf_failed(reply.body))
        status = problem_set(&why, STATUS_REJECT, "the answer would be too long: ask for fewer rows");
    if (status)
        refuse(job, &reply, status, &why);
    metric_add(&answers[status], 1);
    json_decref(request.body);
    if (!status && reply.method_call)
        method_waiter_take(worker->query->method_waiter, job->exchange, &reply);
    else
        http_answer(job->exchange);
}

static enum status job_run(struct worker *worker, const struct job *job, struct request *request, struct reply *reply,
                           struct problem *why)
{
    const struct route *route = job->route;
    enum status status = text_check(request, route, why);

    if (!status && route->role != ROLE_NONE) {
        http_reply_header(job->exchange, "Cache-Control", "no-store");
        status = caller_check(worker, job, request, reply, why);
    }
    if (!status && route->body)
        status = body_read(request, why);
    if (status)
        return status;
    if (route->access == ROUTE_READ || route->access == ROUTE_WRITE)
        return transaction_run(worker, job, request, reply, why);
    request->db = worker->reader; /* outside a transaction it sees no workspace */
    request->admin = worker->admin;
    return route->handle(worker->query, request, reply, why);
}

/* A browser sends its cookie whoever made the page that asks. Only a page of our own can add a header, since others would
 * need our consent first, which we never give. */
static enum status caller_check(struct worker *worker, const struct job *job, struct request *request,
                                struct reply *reply, struct problem *why)
{
    struct caller *caller = ARENA_NEW(request->arena, struct caller);
    struct http_exchange *exchange = job->exchange;

    enum status status = sign_in_check(worker->query->sign_in, worker->reader, http_header(exchange, "Authorization"),
                                       http_cookie(exchange, SESSION_COOKIE), request->timeout_ms, caller, why);
    if (status == STATUS_REJECT) {
        http_reply_header(exchange, "WWW-Authenticate", "Bearer");
        return reply_refuse(reply, why, 401, "Unauthorized", "%s", arena_string(request->arena, text_of(why->text)));
    }
    if (status)
        return status;
    if (caller->role < job->route->role)
        return reply_refuse(reply, why, 403, "Forbidden", "This needs a token with the role %s.",
                            job->route->role == ROLE_ADMIN ? "admin" : "analyst");
    if (caller->by_session && !text_equal(http_method(exchange), TEXT("GET")) &&
        !text_equal(http_method(exchange), TEXT("HEAD")) && !http_header(exchange, "Picket-Console").bytes)
        return reply_refuse(reply, why, 403, "Forbidden", "A change made with a session needs the header Picket-Console.");
    request->caller = caller;
    return STATUS_OK;
}

static enum status body_read(struct request *request, struct problem *why)
{
    struct text body = http_body(request->exchange);
    json_error_t error;

    if (!text_trim(body).count) {
        request->body = json_object();
        return STATUS_OK;
    }
    request->body = json_loadb(body.bytes, body.count, JSON_REJECT_DUPLICATES, &error);
    if (!request->body)
        return problem_set(why, STATUS_REJECT, JSON_DEPTH_ERROR, error.text, error.line, error.column);
    if (!json_is_object(request->body))
        return problem_set(why, STATUS_REJECT, "the body has to be a JSON object");
    return STATUS_OK;
}

/* Everything from the URL may become a parameter of a statement, which takes UTF-8 without NUL. */
static enum status text_check(const struct request *request, const struct route *route, struct problem *why)
{
    struct text rest = text_of(route->path), head, name = text_of(route->arguments);

    while (rest.bytes) {
        rest = text_cut(rest, '/', &head);
        if (!text_starts(head, TEXT(":")))
            continue;
        struct text value = http_parameter(request->exchange, arena_string(request->arena,
                                                                           (struct text){head.bytes + 1, head.count - 1}));
        if (memchr(value.bytes, 0, value.count) || !text_utf8_valid(value))
            return problem_set(why, STATUS_REJECT, "the path has bytes that are not UTF-8 text");
    }
    while (name.bytes) {
        name = text_cut(name, ' ', &head);
        struct text value = http_query(request->exchange, arena_string(request->arena, head));
        if (value.bytes && (memchr(value.bytes, 0, value.count) || !text_utf8_valid(value)))
            return problem_set(why, STATUS_REJECT, "%.*s has bytes that are not UTF-8 text", TEXT_ARGS(head));
    }
    return STATUS_OK;
}

/* The refusal stands, whether or not this can be written. */
static void refusal_audit(const struct request *request, const struct reply *reply, const struct problem *why)
{
    const char *action = arena_format(request->arena, "%s.refused", reply->tried_action);
    struct problem unwritten;

    if (request_audit(request, reply->tried_workspace, action, reply->tried_target, json_pack("{s:s}", "reason", why->text), &unwritten))
        log_warn("query.audit", "action=%s reason=\"%s\"", action, unwritten.text);
}

static enum status transaction_run(struct worker *worker, const struct job *job, struct request *request,
                                   struct reply *reply, struct problem *why)
{
    struct db *db = job->route->access == ROUTE_WRITE ? worker->admin : worker->reader;

    request->db = db;
    enum status status = db_begin(db, request->timeout_ms, why);
    if (status)
        return status;
    status = scope_set(request, job->route, reply, why);
    if (!status)
        status = job->route->handle(worker->query, request, reply, why);
    if (status) {
        db_rollback(db);
        if (status == STATUS_REJECT && reply->tried_action)
            refusal_audit(request, reply, why);
        return status;
    }
    status = db_commit(db, request->timeout_ms, why);
    if (reply->changed_token)
        sign_in_forget(worker->query->sign_in, reply->changed_token);
    return status;
}

/* The transaction sees the token's workspaces, or the one of them that the query names. */
static enum status scope_set(struct request *request, const struct route *route, struct reply *reply, struct problem *why)
{
    static const char set_all[] = "SELECT set_config('picket.workspaces', $1, true), set_config('statement_timeout', $2, true),"
                                  " set_config('transaction_read_only', $3, true)";
    static const char set_one[] = "SELECT set_config('picket.workspaces', '{' || workspace_id || '}', true)"
                                  " FROM picket.workspace WHERE workspace_id = ANY($1::int[]) AND name = $2";
    const char *wanted = request_argument(request, "workspace");
    const char *const parameters[] = {request->caller->workspaces, request_decimal(request, request->timeout_ms),
                                      route->access == ROUTE_READ ? "on" : "off"};
    const char *const one[] = {request->caller->workspaces, wanted};
    struct db_rows *rows = NULL;

    request->scope = request->caller->workspaces;
    request->scope_count = request->caller->workspace_count;
    enum status status = request_query(request, set_all, parameters, 3, NULL, why);
    if (!wanted || status)
        return status;
    status = request_query(request, set_one, one, 2, &rows, why);
    if (!status && db_rows_count(rows) == 0) {
        status = reply_refuse(reply, why, 404, "NotFound", "There is no workspace \"%.64s\" for this token.", wanted);
    } else if (!status) {
        request->scope = arena_string(request->arena, db_text(rows, 0, 0));
        request->scope_count = 1;
    }
    db_rows_free(rows);
    return status;
}

/* An error in the words of the API that was spoken to. */
static void refuse_dialect(const struct job *job, const struct reply *reply, enum status status, const struct problem *why)
{
    unsigned code = reply->refused_code        ? reply->refused_code
                    : status == STATUS_REJECT ? 400
                    : status == STATUS_RETRY  ? 503
                                              : 500;
    bool kusto = job->route->access == ROUTE_KUSTO;
    struct buf *body = http_reply_body(job->exchange, "application/json");
    const char *message = status == STATUS_FAULT ? "Something is wrong on the server; its log says what." : why->text;

    http_reply_error(job->exchange, code, "", "", 0, 0); /* whatever was begun is gone */
    buf_clear(body);
    refusal_of_request(body, kusto ? REFUSAL_KUSTO : REFUSAL_LOG_ANALYTICS, code, "", message);
    if (status == STATUS_RETRY)
        http_retry_after(job->exchange, 5);
}

static void refuse(const struct job *job, const struct reply *reply, enum status status, const struct problem *why)
{
    static struct log_rate rate;
    struct problem told = *why;

    if (status != STATUS_REJECT)
        log_rated(&rate, status == STATUS_FAULT ? LOG_ERROR : LOG_WARN, "query.failed", "method=%s path=%s status=%s reason=\"%s\"",
                  job->route->method, job->route->path, status_name(status), why->text);
    if (status == STATUS_RETRY) /* where our database lives is nothing to tell */
        problem_set(&told, status, "The database is away or busy, or the question takes too long; try again.");
    if (is_question(job->route)) {
        refuse_dialect(job, reply, status, &told);
        return;
    }
    http_reply_body(job->exchange, "application/json");
    if (status == STATUS_REJECT && reply->refused_code)
        http_reply_error(job->exchange, reply->refused_code, reply->refused_name ? reply->refused_name : "Busy", told.text, 0, 0);
    else
        http_reply_status(job->exchange, status, &told);
}
