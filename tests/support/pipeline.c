#include "tests/support/pipeline.h"

#include <assert.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

#include <libpq-fe.h>

#include "runtime/clock.h"
#include "runtime/db.h"
#include "runtime/secret.h"
#include "tests/support/broker.h"
#include "tests/support/database.h"
#include "tests/support/device_token.h"
#include "tests/support/keeper.h"
#include "tests/support/topic.h"

#define SQL_MS 30000
#define TEXTS 8
#define TEXT_SIZE 4096
#define STATEMENT_SIZE 16384
#define PROGRAMS_MAX 64
#define LOOK_MS 10
#define HEADERS_MAX 15
#define TOKEN_SECONDS 86400
#define SETTINGS_BYTES_MAX 65536
#define LOG_BYTES_MAX (1 << 24)
#define LOG_TAIL_BYTES 8000
#define PARTITIONS_MAX 64

static struct {
    pid_t owner;
    char folder[64], key_file[96];
    struct secret_master master;
    enum bus_driver bus;
    char database[64], topic[64], conninfo[256], query_url[64];
    uint16_t device_port, mqtt_port, query_port;
    struct db *db;
    struct {
        struct program *program; /* NULL: free */
        uint16_t ops_port;
    } programs[PROGRAMS_MAX];
    unsigned starts;
} pipeline;

static void offsets_read(int64_t *next, int32_t partitions);
static void folder_remove(void);
static void devices_enrol(struct db *db, unsigned devices);
static void settings_write(const char *path, const char *role, uint16_t ops_port, const char *const *settings);
static void setting_put(struct buf *out, const char *const *settings, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static size_t program_slot(const struct program *program);
static struct db_rows *ask(struct db *db, const char *sql);
static struct db_rows *ask_formatted(const char *format, va_list arguments);

void pipeline_prepare(unsigned devices)
{
    struct problem why;
    struct db *db = NULL;
    struct buf output;

    snprintf(pipeline.folder, sizeof pipeline.folder, "%s", keeper_folder(NULL));
    pipeline.owner = getpid();
    atexit(folder_remove);
    snprintf(pipeline.key_file, sizeof pipeline.key_file, "%s/master.key", pipeline.folder);
    if (secret_init(&why) || secret_master_create(pipeline.key_file, &pipeline.master, &why) ||
        db_open(database_conninfo(), NULL, "test", &db, &why))
        keeper_abort(NULL, "pipeline: %s", why.text);
    db_rows_free(ask(db, "CREATE DATABASE pipeline_template"));
    db_close(db);
    buf_init(&output, LOG_BYTES_MAX);
    const char *const arguments[] = {"migrate", "--database", database_conninfo_for("postgres", "pipeline_template"), NULL};
    if (program_run("picket", arguments, NULL, &output))
        keeper_abort(NULL, "picket migrate failed: %s", output.count ? output.bytes : "");
    buf_done(&output);
    if (db_open(database_conninfo_for("postgres", "pipeline_template"), NULL, "test", &db, &why))
        keeper_abort(NULL, "pipeline: %s", why.text);
    devices_enrol(db, devices);
    db_close(db); /* nobody may be connected to a template */
}

void pipeline_open(enum bus_driver bus)
{
    static unsigned count;
    char create[128];
    struct problem why;
    struct db *db = NULL;

    if (PQping(database_conninfo()) != PQPING_OK) { /* a test before this one ended in the middle */
        database_kill9();
        database_restart();
    }
    pipeline.bus = bus;
    snprintf(pipeline.database, sizeof pipeline.database, "pipeline_%d_%u", (int)getpid(), count);
    snprintf(pipeline.topic, sizeof pipeline.topic, "messages.%d.%u", (int)getpid(), count++);
    snprintf(create, sizeof create, "CREATE DATABASE %s TEMPLATE pipeline_template", pipeline.database);
    if (db_open(database_conninfo(), NULL, "test", &db, &why))
        pipeline_abort("pipeline: %s", why.text);
    db_rows_free(ask(db, create));
    db_close(db);
    snprintf(pipeline.conninfo, sizeof pipeline.conninfo, "%s", database_conninfo_for(NULL, pipeline.database));
    if (db_open(database_conninfo_for("postgres", pipeline.database), NULL, "test", &pipeline.db, &why))
        pipeline_abort("pipeline: %s", why.text);
    pipeline.device_port = program_free_port();
    pipeline.mqtt_port = program_free_port();
    pipeline.query_port = program_free_port();
    snprintf(pipeline.query_url, sizeof pipeline.query_url, "http://127.0.0.1:%u", (unsigned)pipeline.query_port);
}

void pipeline_close(void)
{
    char drop[128];
    struct problem why;
    struct db *db = NULL;

    for (size_t i = 0; i < PROGRAMS_MAX; i++)
        if (pipeline.programs[i].program)
            pipeline_kill9(pipeline.programs[i].program);
    db_close(pipeline.db);
    pipeline.db = NULL;
    snprintf(drop, sizeof drop, "DROP DATABASE IF EXISTS %s WITH (FORCE)", pipeline.database);
    if (db_open(database_conninfo(), NULL, "test", &db, &why))
        pipeline_abort("pipeline: %s", why.text);
    db_rows_free(ask(db, drop));
    db_close(db);
}

struct program *pipeline_launch(const char *role, const char *const *settings)
{
    char file[128];
    size_t slot = program_slot(NULL);

    pipeline.programs[slot].ops_port = program_free_port();
    snprintf(file, sizeof file, "%s/%d.%u.yaml", pipeline.folder, (int)getpid(), pipeline.starts++);
    settings_write(file, role, pipeline.programs[slot].ops_port, settings);
    const char *const arguments[] = {"--settings", file, role, NULL};
    pipeline.programs[slot].program = program_start("picketd", arguments, NULL);
    return pipeline.programs[slot].program;
}

struct program *pipeline_start(const char *role, const char *const *settings)
{
    struct program *program = pipeline_launch(role, settings);

    pipeline_wait_ready(program);
    return program;
}

void pipeline_wait_ready(struct program *program)
{
    char url[64];
    struct program_reply reply = {0};
    int64_t deadline_ms = clock_monotonic_ms() + PIPELINE_WAIT_MS;
    uint16_t port = pipeline.programs[program_slot(program)].ops_port;

    snprintf(url, sizeof url, "http://127.0.0.1:%u/readyz", (unsigned)port);
    while (reply.code != 200) {
        bool over = clock_monotonic_ms() > deadline_ms || !program_running(program);
        if (over)
            pipeline_abort("picketd is not ready: %ld %s", reply.code, reply.reason);
        program_reply_done(&reply);
        program_http("GET", url, NULL, TEXT_NONE, &reply);
        if (reply.code != 200)
            poll(NULL, 0, LOOK_MS);
    }
    program_reply_done(&reply);
}

void pipeline_kill9(struct program *take_program)
{
    pipeline.programs[program_slot(take_program)].program = NULL;
    program_close(take_program);
}

void pipeline_stop(struct program *take_program)
{
    int code = program_stop(take_program);

    if (code)
        pipeline_abort("picketd ended with %d after SIGTERM", code);
    pipeline_kill9(take_program);
}

void pipeline_abort(const char *format, ...)
{
    va_list arguments;

    for (size_t i = 0; i < PROGRAMS_MAX; i++) {
        struct buf log;
        if (!pipeline.programs[i].program)
            continue;
        buf_init(&log, LOG_BYTES_MAX);
        program_log(pipeline.programs[i].program, &log);
        size_t from = log.count > LOG_TAIL_BYTES ? log.count - LOG_TAIL_BYTES : 0;
        fprintf(stderr, "--- end of the log of process %d\n%.*s", program_pid(pipeline.programs[i].program),
                (int)(log.count - from), log.count ? log.bytes + from : "");
        buf_done(&log);
    }
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    abort();
}

int64_t pipeline_metric(const struct program *program, const char *name)
{
    char url[64];
    struct program_reply reply;
    double sum = 0;
    bool found = false;

    snprintf(url, sizeof url, "http://127.0.0.1:%u/metrics", (unsigned)pipeline.programs[program_slot(program)].ops_port);
    program_http("GET", url, NULL, TEXT_NONE, &reply);
    if (reply.code != 200)
        pipeline_abort("%s answers %ld %s", url, reply.code, reply.reason);
    size_t length = strlen(name);
    for (const char *line = reply.body.bytes; line && *line; line = strchr(line, '\n'), line += line != NULL) {
        if (strncmp(line, name, length) != 0 || (line[length] != ' ' && line[length] != '{'))
            continue;
        const char *end = strchr(line, '\n');
        const char *value = end ? memrchr(line, ' ', (size_t)(end - line)) : strrchr(line, ' ');
        sum += value ? strtod(value, NULL) : 0;
        found = true;
    }
    if (!found)
        pipeline_abort("no metric %s", name);
    program_reply_done(&reply);
    return (int64_t)sum;
}

uint16_t pipeline_device_port(void) { return pipeline.device_port; }
uint16_t pipeline_mqtt_port(void) { return pipeline.mqtt_port; }
const char *pipeline_query_url(void) { return pipeline.query_url; }
const char *pipeline_database(void) { return pipeline.conninfo; }
const char *pipeline_topic(void) { return pipeline.topic; }
const char *pipeline_master_key(void) { return pipeline.key_file; }

const char *pipeline_authorization(unsigned device)
{
    static char token[DEVICE_TOKEN_SIZE];
    char resource[64];

    snprintf(resource, sizeof resource, "localhost/devices/device-%u", device);
    device_token_make(resource, (const uint8_t *)PIPELINE_KEY, strlen(PIPELINE_KEY),
                      clock_utc_us() / 1000000 + TOKEN_SECONDS, token);
    return token;
}

void pipeline_post(unsigned device, const char *const *headers, struct text body, struct program_reply *out)
{
    char url[128], authorization[DEVICE_TOKEN_SIZE + 32];
    const char *all[HEADERS_MAX + 1] = {authorization};
    size_t count = 1;
    bool typed = false;

    snprintf(url, sizeof url, "http://localhost:%u/devices/device-%u/messages/events?api-version=2020-09-30",
             (unsigned)pipeline.device_port, device);
    snprintf(authorization, sizeof authorization, "Authorization: %s", pipeline_authorization(device));
    for (; headers && *headers; headers++) {
        assert(count < HEADERS_MAX);
        all[count++] = *headers;
        typed = typed || strncasecmp(*headers, "content-type:", 13) == 0;
    }
    if (!typed)
        all[count++] = "Content-Type:"; /* else libcurl says that it is a form */
    program_http("POST", url, all, body, out);
}

void pipeline_sql(const char *sql, ...)
{
    va_list arguments;

    va_start(arguments, sql);
    db_rows_free(ask_formatted(sql, arguments));
    va_end(arguments);
}

const char *pipeline_text(const char *sql, ...)
{
    static char texts[TEXTS][TEXT_SIZE];
    static unsigned next;
    char *out = texts[next++ % TEXTS];
    va_list arguments;

    va_start(arguments, sql);
    struct db_rows *rows = ask_formatted(sql, arguments);
    va_end(arguments);
    struct text value = db_rows_count(rows) ? db_text(rows, 0, 0) : TEXT("");
    if (!value.bytes)
        value = TEXT("NULL");
    snprintf(out, TEXT_SIZE, "%.*s", TEXT_ARGS(value));
    db_rows_free(rows);
    return out;
}

int64_t pipeline_number(const char *sql, ...)
{
    va_list arguments;

    va_start(arguments, sql);
    struct db_rows *rows = ask_formatted(sql, arguments);
    va_end(arguments);
    if (db_rows_count(rows) != 1)
        pipeline_abort("%s: %zu rows instead of one", sql, db_rows_count(rows));
    int64_t number = db_i64(rows, 0, 0);
    db_rows_free(rows);
    return number;
}

struct db_rows *pipeline_rows(const char *sql)
{
    return ask(pipeline.db, sql);
}

void pipeline_wait_number(int64_t expected, uint32_t timeout_ms, const char *sql)
{
    int64_t deadline_ms = clock_monotonic_ms() + timeout_ms, number;

    while ((number = pipeline_number("%s", sql)) != expected) {
        if (clock_monotonic_ms() > deadline_ms)
            pipeline_abort("%s: %lld instead of %lld after %u ms", sql, (long long)number, (long long)expected,
                         (unsigned)timeout_ms);
        poll(NULL, 0, LOOK_MS);
    }
}

void pipeline_wait_drained(uint32_t timeout_ms)
{
    struct topic *topic = topic_open(pipeline.topic);
    int64_t deadline_ms = clock_monotonic_ms() + timeout_ms, next[PARTITIONS_MAX];
    int32_t partitions = topic_partitions(topic);

    assert(partitions <= PARTITIONS_MAX);
    for (int32_t i = 0; i < partitions; i++) {
        /* Asked for anew each time: what was refused to a device may still reach the bus a moment later. */
        int64_t end = topic_end(topic, i);
        while (offsets_read(next, partitions), next[i] != end) {
            if (clock_monotonic_ms() > deadline_ms)
                pipeline_abort("partition %d: store is at %lld and Kafka ends at %lld after %u ms", (int)i,
                             (long long)next[i], (long long)end, (unsigned)timeout_ms);
            poll(NULL, 0, LOOK_MS);
            end = topic_end(topic, i);
        }
    }
    topic_close(topic);
}

/* Also 0 for a partition that store has not seen yet. */
static void offsets_read(int64_t *next, int32_t partitions)
{
    char sql[512];

    snprintf(sql, sizeof sql,
             "SELECT o.partition, o.next_offset FROM picket.bus_offset o JOIN picket.bus_topic t USING (bus_topic_id)"
             " WHERE t.topic = '%s'",
             pipeline.topic);
    struct db_rows *rows = pipeline_rows(sql);
    memset(next, 0, (size_t)partitions * sizeof *next);
    for (size_t row = 0; row < db_rows_count(rows); row++)
        if (db_i64(rows, row, 0) < partitions)
            next[db_i64(rows, row, 0)] = db_i64(rows, row, 1);
    db_rows_free(rows);
}

/* Tests that Check forks pass here as well. */
static void folder_remove(void)
{
    if (pipeline.owner == getpid())
        program_run("/bin/rm", (const char *const[]){"-rf", pipeline.folder, NULL}, NULL, NULL);
}

static void devices_enrol(struct db *db, unsigned devices)
{
    uint8_t sealed[SECRET_SEALED_BYTES(sizeof PIPELINE_KEY - 1)];
    char hex[2 * sizeof sealed + 1], statement[1024];

    secret_seal(&pipeline.master, (const uint8_t *)PIPELINE_KEY, strlen(PIPELINE_KEY), sealed);
    text_hex_encode(sealed, sizeof sealed, hex);
    snprintf(statement, sizeof statement,
             "INSERT INTO picket.device (workspace_id, device_id) SELECT 1, 'device-' || n FROM generate_series(0, %u) n",
             devices - 1);
    db_rows_free(ask(db, statement));
    snprintf(statement, sizeof statement,
             "INSERT INTO picket.credential (workspace_id, device_id, sealed_primary, sealed_secondary)"
             " SELECT 1, 'device-' || n, '\\x%s', '\\x%s' FROM generate_series(0, %u) n",
             hex, hex, devices - 1);
    db_rows_free(ask(db, statement));
}

/* A setting that a role does not know would stop its start. */
static void settings_write(const char *path, const char *role, uint16_t ops_port, const char *const *settings)
{
    bool all = !role, kafka = pipeline.bus == BUS_KAFKA;
    bool ingest = all || strcmp(role, "ingest") == 0, query = all || strcmp(role, "query") == 0;
    bool bus = all || strcmp(role, "query") != 0; /* who needs one */
    struct buf out;

    buf_init(&out, SETTINGS_BYTES_MAX);
    setting_put(&out, settings, "ops_port: %u", (unsigned)ops_port);
    setting_put(&out, settings, "database: \"%s\"", pipeline.conninfo);
    if (ingest || query)
        setting_put(&out, settings, "master_key_file: %s", pipeline.key_file);
    if (bus)
        setting_put(&out, settings, "bus: %s", kafka ? "kafka" : "direct");
    if (bus && kafka) {
        setting_put(&out, settings, "kafka_brokers: \"%s\"", broker_bootstrap());
        setting_put(&out, settings, "kafka_topic: %s", pipeline.topic);
        setting_put(&out, settings, "kafka_group: %s", pipeline.topic);
        setting_put(&out, settings, "kafka_partitions: 4");
        /* Seconds instead of the better part of a minute until a dead store's partitions go to another one. */
        setting_put(&out, settings, "kafka_session_timeout_ms: 3000");
        setting_put(&out, settings, "kafka_heartbeat_interval_ms: 500");
    }
    if (ingest) {
        setting_put(&out, settings, "https_port: 0");
        setting_put(&out, settings, "mqtts_port: 0");
        setting_put(&out, settings, "http_port: %u", (unsigned)pipeline.device_port);
        setting_put(&out, settings, "mqtt_port: %u", (unsigned)pipeline.mqtt_port);
        setting_put(&out, settings, "messages_per_second: 0");
        setting_put(&out, settings, "bytes_per_second: 0");
        setting_put(&out, settings, "bus_send_timeout_ms: 3000");
        setting_put(&out, settings, "answer_timeout_ms: 4000");
    }
    if (query) {
        setting_put(&out, settings, "query_address: 127.0.0.1");
        setting_put(&out, settings, "query_port: %u", (unsigned)pipeline.query_port);
    }
    for (; settings && *settings; settings++)
        buf_format(&out, "%s\n", *settings);
    FILE *file = fopen(path, "we");
    if (!file || buf_failed(&out) || fwrite(out.bytes, 1, out.count, file) != out.count || fclose(file))
        pipeline_abort("cannot write %s", path);
    buf_done(&out);
}

/* Unless the test gives that setting itself: a name may stand only once in a file. */
static void setting_put(struct buf *out, const char *const *settings, const char *format, ...)
{
    char line[512];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    size_t name = strcspn(line, ":") + 1;
    for (; settings && *settings; settings++)
        if (strncmp(*settings, line, name) == 0)
            return;
    buf_format(out, "%s\n", line);
}

static size_t program_slot(const struct program *program)
{
    for (size_t i = 0; i < PROGRAMS_MAX; i++)
        if (pipeline.programs[i].program == program)
            return i;
    pipeline_abort("pipeline: more than %d programs, or one that was not started here", PROGRAMS_MAX);
}

static struct db_rows *ask(struct db *db, const char *sql)
{
    struct problem why;
    struct db_rows *rows = NULL;
    int64_t deadline_ms = clock_monotonic_ms() + PIPELINE_WAIT_MS;
    enum status status;

    while ((status = db_query(db, sql, NULL, 0, SQL_MS, &rows, &why)) == STATUS_RETRY &&
           clock_monotonic_ms() < deadline_ms)
        poll(NULL, 0, LOOK_MS);
    if (status)
        pipeline_abort("%s: %s", sql, why.text);
    return rows;
}

static struct db_rows *ask_formatted(const char *format, va_list arguments)
{
    char sql[STATEMENT_SIZE];

    if ((size_t)vsnprintf(sql, sizeof sql, format, arguments) >= sizeof sql)
        pipeline_abort("statement too long: %.100s", sql);
    return ask(pipeline.db, sql);
}
