#include <fcntl.h>
#include <glob.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "runtime/clock.h"
#include "runtime/db.h"
#include "runtime/process.h"
#include "tests/support/broker.h"
#include "tests/support/classic_message.h"
#include "tests/support/database.h"
#include "tests/support/http_load.h"
#include "tests/support/pipeline.h"

/* With detection as it is, all built-in rules, Sigma's where they are at hand (../shared/data/sigma) and a million indicators; and over
 * Kafka once more without any, so that its share is seen.
 *
 * Events a second from a device's POST to the committed row, with the programs as they run in production: once through a
 * real Kafka (picketd ingest, picketd store), once with the direct bus (one picketd). As a ratio of what one COPY of the
 * same rows into the same table reaches alone, on the same server with the same settings, in turns with it. The load
 * generator, Kafka and PostgreSQL share the machine's cores with what is measured.
 *
 *   bench_pipeline [seconds each] [connections] [rounds] */

#define KAFKA_RATIO_MIN 0.5
#define DIRECT_RATIO_MIN 0.6
#define DETECTION_RATIO_MIN 0.7 /* of the rate without it */
#define INDICATORS 1000000
#define DEVICES 256
#define EVENTS 10
#define NUMBER_PLACE 0xfedcba987654U /* stands for a message's number in the requests made beforehand */
#define NUMBER_PLACE_TEXT "fedcba987654"
#define ROUNDS_MAX 15
#define REQUEST_SIZE 16384
#define PIECE_BYTES ((size_t)256 * 1024)
#define DRAIN_MS 120000
#define COPY_MS 120000

static const char *const unlimited[] = {"messages_per_second: 0", "bytes_per_second: 0", NULL};
static struct buf requests[DEVICES];
static struct http_load_settings load;
static char copy_file[] = "/tmp/pk-bench-copy";

/* The requests of all devices with their headers, made beforehand: the generator should cost little beside what it
 * measures. */
static void requests_make(void)
{
    struct buf body;

    buf_init(&body, REQUEST_SIZE);
    for (unsigned i = 0; i < DEVICES; i++) {
        buf_clear(&body);
        classic_message_append(&body, EVENTS, NUMBER_PLACE);
        buf_init(&requests[i], REQUEST_SIZE);
        buf_format(&requests[i],
                   "POST /devices/device-%u/messages/events?api-version=2020-03-13 HTTP/1.1\r\nHost: localhost\r\n"
                   "Authorization: %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
                   i, pipeline_authorization(i), body.count);
        buf_text(&requests[i], buf_as_text(&body));
    }
    buf_done(&body);
}

/* Each request is a message of its own: its number replaces the place in all event ids. */
static void request_write(void *context, unsigned connection, uint64_t number, struct buf *out)
{
    static const char place[] = NUMBER_PLACE_TEXT;
    const struct buf *request = &requests[number % DEVICES];
    char digits[sizeof place];
    size_t from = out->count;

    (void)context;
    (void)connection;
    snprintf(digits, sizeof digits, "%012" PRIx64, number);
    buf_text(out, buf_as_text(request));
    for (char *at = out->bytes + from; (at = memmem(at, (size_t)(out->bytes + out->count - at), place, sizeof place - 1));)
        memcpy(at, digits, sizeof place - 1);
}

static void give_up(const char *what, const char *why)
{
    fprintf(stderr, "bench_pipeline: %s: %s\n", what, why);
    exit(1);
}

/* Sends for the given time, waits until every acknowledged message is a row, and counts both into the rate. */
static double pipeline_measure(const char *name)
{
    struct http_load_result result;
    struct problem why;

    pipeline_sql("CHECKPOINT");
    load.port = pipeline_device_port();
    int64_t start_us = clock_utc_us();
    if (http_load_run(&load, &result, &why))
        give_up(name, why.text);
    if (result.broken || result.succeeded == 0)
        give_up(name, "connections broke");
    int64_t wanted = (int64_t)result.succeeded * EVENTS;
    pipeline_wait_number(wanted, DRAIN_MS, "SELECT coalesce(sum(event_count), 0) FROM picket.device_activity");
    double seconds = (double)(clock_utc_us() - start_us) / 1e6, rate = (double)wanted / seconds;
    printf("%-8s events_per_second=%.0f messages=%" PRIu64 " refused=%" PRIu64 " seconds=%.2f drained_after=%.2f"
           " median_us=%" PRId64 " p99_us=%" PRId64 "\n",
           name, rate, result.succeeded, result.refused, seconds, seconds - (double)result.elapsed_us / 1e6,
           result.median_us, result.p99_us);
    fflush(stdout);
    return rate;
}

/* Everything that can be judged by, in the database that is open. */
static void rules_put(void)
{
    static const char *const depths[] = {"../shared/data/sigma/rules/*/*/*/*.yml", "../shared/data/sigma/rules/*/*/*/*/*.yml"};
    struct problem why;
    glob_t found;

    pipeline_sql("INSERT INTO picket.feed (workspace_id, name, generation, making, retro_done) VALUES (1, 'bench', 1, 1, 1)");
    pipeline_sql("INSERT INTO picket.indicator (workspace_id, feed, generation, value, kind) SELECT 1, 'bench', 1, format('h%%s.listed.example', n), 'domain' FROM generate_series(1, %d) n", INDICATORS / 2);
    pipeline_sql("INSERT INTO picket.indicator (workspace_id, feed, generation, value, kind) SELECT 1, 'bench', 1, format('%%s.%%s.%%s.%%s', 1 + n %% 200, n / 200 %% 250, n / 50000 %% 250, 9), 'ip'"
                 " FROM generate_series(1, %d) n", INDICATORS / 2);
    for (size_t i = 0; i < sizeof depths / sizeof *depths; i++) {
        if (glob(depths[i], 0, NULL, &found))
            continue;
        for (size_t k = 0; k < found.gl_pathc; k++) {
            struct buf content;
            buf_init(&content, 1 << 20);
            if (!process_read_file(found.gl_pathv[k], 1 << 20, &content, &why))
                pipeline_sql("INSERT INTO picket.rule (workspace_id, rule_id, kind, source) VALUES (1, 's%zu/%zu', 'sigma', $rule$%s$rule$)", i, k, content.bytes);
            buf_done(&content);
        }
        globfree(&found);
    }
}

/* Processor time of a process so far, in microseconds. */
static int64_t cpu_us(const struct program *program)
{
    unsigned long user = 0, system = 0;
    char path[64];

    snprintf(path, sizeof path, "/proc/%d/stat", (int)program_pid(program));
    FILE *file = fopen(path, "re");
    if (file && fscanf(file, "%*d %*s %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2)
        user = system = 0;
    if (file)
        fclose(file);
    return (int64_t)(user + system) * 1000000 / sysconf(_SC_CLK_TCK);
}

static double kafka_measure(const char *name, const char *const *store_settings, bool all_rules)
{
    pipeline_open(BUS_KAFKA);
    if (all_rules)
        rules_put();
    struct program *ingest = pipeline_start("ingest", unlimited), *store = pipeline_start("store", store_settings);
    double rate = pipeline_measure(name);
    int64_t judging_us = pipeline_metric(store, "picket_store_judging_microseconds_total"), all_us = cpu_us(ingest) + cpu_us(store);
    if (all_rules)
        printf("%-8s rules=%" PRId64 " indicators=%" PRId64 " judging_share_of_picketd_cpu=%.2f us_per_event=%.1f\n", name, pipeline_number("SELECT count(*) FROM picket.rule"),
               pipeline_number("SELECT count(*) FROM picket.indicator"), (double)judging_us / (double)all_us,
               (double)judging_us / (double)pipeline_number("SELECT count(*) FROM picket.raw_event"));
    pipeline_stop(ingest);
    pipeline_stop(store);
    return rate;
}

static double direct_measure(void)
{
    pipeline_open(BUS_DIRECT);
    struct program *all = pipeline_start(NULL, unlimited);
    double rate = pipeline_measure("direct");
    pipeline_stop(all);
    return rate;
}

/* The rows of the pipeline that is open, as one COPY on one connection has them from a file. */
static double copy_measure(void)
{
    struct problem why;
    struct db *db = NULL;
    char *piece = malloc(PIECE_BYTES);

    unlink(copy_file);
    pipeline_sql("COPY (SELECT * FROM picket.raw_event) TO '%s'", copy_file);
    int64_t rows = pipeline_number("SELECT count(*) FROM picket.raw_event");
    pipeline_sql("TRUNCATE picket.raw_event");
    pipeline_sql("CHECKPOINT");
    int file = open(copy_file, O_RDONLY | O_CLOEXEC);
    if (!piece || file < 0 || db_open(pipeline_database(), "postgres", "bench", &db, &why))
        give_up("copy", "its file or its connection cannot be opened");
    int64_t start_us = clock_utc_us();
    enum status status = db_copy_begin(db, "COPY picket.raw_event FROM STDIN", COPY_MS, &why);
    for (ssize_t count; !status && (count = read(file, piece, PIECE_BYTES)) > 0;)
        status = db_copy_put(db, (struct text){piece, (size_t)count}, &why);
    if (!status)
        status = db_copy_end(db, COPY_MS, &why);
    if (status)
        give_up("copy", why.text);
    double seconds = (double)(clock_utc_us() - start_us) / 1e6, rate = (double)rows / seconds;
    printf("%-8s events_per_second=%.0f rows=%" PRId64 " seconds=%.2f\n", "copy", rate, rows, seconds);
    fflush(stdout);
    close(file);
    unlink(copy_file);
    free(piece);
    db_close(db);
    return rate;
}

static int rate_compare(const void *a, const void *b)
{
    const double *left = a, *right = b;
    return (*left > *right) - (*left < *right);
}

static double median(double *rates, size_t count)
{
    qsort(rates, count, sizeof *rates, rate_compare);
    return rates[count / 2];
}

static bool ratio_print(const char *name, double ratio, double limit)
{
    printf("ratio    %s_to_copy=%.2f limit=%.2f %s\n", name, ratio, limit, ratio >= limit ? "met" : "MISSED");
    return ratio >= limit;
}

static unsigned argument(char **arguments, int count, int index, unsigned otherwise)
{
    return index < count ? (unsigned)strtoul(arguments[index], NULL, 10) : otherwise;
}

int main(int count, char **arguments)
{
    static const char *const no_detection[] = {"detection: false", NULL};
    double kafka[ROUNDS_MAX], plain[ROUNDS_MAX], direct[ROUNDS_MAX], copy[2 * ROUNDS_MAX];
    unsigned rounds = argument(arguments, count, 3, 5);

    if (rounds == 0 || rounds > ROUNDS_MAX)
        return 2;
    load.duration_ms = argument(arguments, count, 1, 8) * 1000;
    load.connections = argument(arguments, count, 2, 1024);
    load.build = request_write;
    database_start(DATABASE_DURABLE);
    broker_start();
    pipeline_prepare(DEVICES);
    requests_make();
    for (unsigned i = 0; i < rounds; i++) {
        kafka[i] = kafka_measure("kafka", NULL, true);
        copy[2 * i] = copy_measure();
        pipeline_close();
        plain[i] = kafka_measure("plain", no_detection, false);
        pipeline_close();
        direct[i] = direct_measure();
        copy[2 * i + 1] = copy_measure();
        pipeline_close();
    }
    double limit = median(copy, 2 * rounds);
    bool met = ratio_print("kafka", median(kafka, rounds) / limit, KAFKA_RATIO_MIN);
    met = ratio_print("direct", median(direct, rounds) / limit, DIRECT_RATIO_MIN) && met;
    double kept = median(kafka, rounds) / median(plain, rounds);
    printf("ratio    with_detection_to_without=%.2f limit=%.2f %s\n", kept, DETECTION_RATIO_MIN, kept >= DETECTION_RATIO_MIN ? "met" : "MISSED");
    return met && kept >= DETECTION_RATIO_MIN ? 0 : 1;
}
