/* The server: `picketd ROLE` runs one role, `picketd` all of them in one process. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "forward/forward.h"
#include "ingest/ingest.h"
#include "query/query.h"
#include "runtime/bus.h"
#include "runtime/http.h"
#include "runtime/log.h"
#include "runtime/metrics.h"
#include "runtime/process.h"
#include "runtime/secret.h"
#include "runtime/settings.h"
#include "store/store.h"

#define BUS_OPEN_MS 10000
#define BUS_PAUSE_MS 2000
#define DRAIN_MS 30000 /* what was accepted gets this long to reach the bus */
#define SETTINGS_BYTES_MAX (1024 * 1024)
#define GROUPS_MAX 6

enum exit_code { EXIT_DONE = 0, EXIT_FAULT = 1, EXIT_SETTINGS = 2 };
enum role { ROLE_INGEST = 1, ROLE_STORE = 2, ROLE_QUERY = 4, ROLE_FORWARD = 8, ROLE_ALL = 15 };

struct program_settings {
    const char *log_level;
    const char *ops_address;
    int64_t ops_port;
};

struct program {
    unsigned roles;
    struct program_settings settings;
    struct bus_settings bus_settings;
    struct ingest_settings ingest_settings;
    struct store_settings store_settings;
    struct query_settings query_settings;
    struct forward_settings forward_settings;
    struct settings_group groups[GROUPS_MAX];
    size_t group_count;
    struct http_server *ops;
    struct bus *bus;
    struct store *store;
    struct ingest *ingest;
    struct query *query;
    struct forward *forward;
};

struct wishes {
    unsigned roles;
    const char *settings_file;
    enum { RUN, PRINT, PRINT_MARKDOWN } what;
};

static bool arguments_read(int argc, char **argv, struct wishes *out);
static bool role_read(const char *word, unsigned *out);
static void usage_print(FILE *to);
static void groups_fill(struct program *program);
static int settings_show(struct program *program, const struct wishes *wishes);
static enum exit_code program_run(struct program *program);
static enum status log_level_set(const char *name, struct problem *why);
static enum status program_open(struct program *program, struct problem *why);
static enum status bus_open_patiently(struct program *program, struct problem *why);
static enum status roles_open(struct program *program, struct problem *why);
static void program_close(struct program *program);
static enum status ops_open(struct program *program, struct problem *why);
static void ops_health(void *context, struct http_exchange *exchange);
static void ops_ready(void *context, struct http_exchange *exchange);
static void ops_metrics(void *context, struct http_exchange *exchange);

static const struct setting program_table[] = {
    SETTING_STRING(struct program_settings, log_level, "info", "Least level that is logged: debug, info, warn or error."),
    SETTING_STRING(struct program_settings, ops_address, "127.0.0.1", "Address of the plain HTTP port for probes."),
    SETTING_PORT(struct program_settings, ops_port, 0,
                 "Plain HTTP port with /healthz, /readyz and /metrics, for roles without the query port; 0: closed."),
};

static const struct http_route ops_routes[] = {
    {"GET", "/healthz", 0, ops_health},
    {"GET", "/readyz", 0, ops_ready},
    {"GET", "/metrics", 0, ops_metrics},
};

int main(int argc, char **argv)
{
    struct program program = {0};
    struct wishes wishes = {.roles = ROLE_ALL, .what = RUN};
    struct arena arena;
    struct problem why;

    if (!arguments_read(argc, argv, &wishes))
        return EXIT_SETTINGS;
    program.roles = wishes.roles;
    groups_fill(&program);
    if (wishes.what == PRINT_MARKDOWN)
        return settings_show(&program, &wishes);

    arena_init(&arena);
    int code = EXIT_SETTINGS;
    enum status status = settings_load(program.groups, program.group_count, wishes.settings_file,
                                       (const char *const *)environ, &arena, &why);
    if (!status)
        status = log_level_set(program.settings.log_level, &why);
    if (status)
        fprintf(stderr, "picketd: %s\n", why.text);
    else if (wishes.what == PRINT)
        code = settings_show(&program, &wishes);
    else
        code = (int)program_run(&program);
    arena_done(&arena);
    return code;
}

/* False after it printed a complaint; --help and --version end here. */
static bool arguments_read(int argc, char **argv, struct wishes *out)
{
    bool role_given = false;

    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        if (strcmp(word, "--help") == 0) {
            usage_print(stdout);
            exit(EXIT_DONE);
        } else if (strcmp(word, "--version") == 0) {
            printf("picketd %s\n", PICKET_VERSION);
            exit(EXIT_DONE);
        } else if (strcmp(word, "--print-settings") == 0) {
            out->what = PRINT;
        } else if (strcmp(word, "--print-settings=markdown") == 0) {
            out->what = PRINT_MARKDOWN;
        } else if (strcmp(word, "--settings") == 0 && i + 1 < argc) {
            out->settings_file = argv[++i];
        } else if (text_starts(text_of(word), TEXT("--settings="))) {
            out->settings_file = word + strlen("--settings=");
        } else if (!role_given && role_read(word, &out->roles)) {
            role_given = true;
        } else {
            fprintf(stderr, "picketd: \"%s\" is not understood\n", word);
            usage_print(stderr);
            return false;
        }
    }
    return true;
}

static bool role_read(const char *word, unsigned *out)
{
    static const struct {
        const char *name;
        enum role role;
    } roles[] = {{"ingest", ROLE_INGEST}, {"store", ROLE_STORE}, {"query", ROLE_QUERY}, {"forward", ROLE_FORWARD}};

    for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++) {
        if (strcmp(word, roles[i].name) == 0) {
            *out = (unsigned)roles[i].role;
            return true;
        }
    }
    return false;
}

static void usage_print(FILE *to)
{
    fprintf(to,
            "Usage: picketd [ROLE] [--settings FILE] [--print-settings | --print-settings=markdown] [--version]\n"
            "Runs the role ingest, store, query or forward; without one, all of them in this process.\n"
            "Settings come from the file (YAML, `name: value`), then from the environment (PICKET_<NAME>).\n"
            "\n"
            "  --settings FILE             Settings file.\n"
            "  --print-settings            Print the settings as they would be used, each with its sentence.\n"
            "  --print-settings=markdown   Print every setting as a Markdown page.\n"
            "  --version                   Print the version.\n"
            "  --help                      Print this.\n"
            "\n"
            "Exit: 0 stopped by SIGINT or SIGTERM; 1 a fault; 2 bad settings.\n");
}

/* Only what the roles use is asked for; a setting of another role would be said to be unknown. */
static void groups_fill(struct program *program)
{
    struct settings_group *groups = program->groups;
    size_t count = 0;

    groups[count++] = (struct settings_group){"program", program_table, sizeof program_table / sizeof program_table[0],
                                              &program->settings};
    if (program->roles & (ROLE_INGEST | ROLE_STORE | ROLE_FORWARD))
        groups[count++] =
            (struct settings_group){"bus", bus_settings_table, bus_settings_count, &program->bus_settings};
    if (program->roles & ROLE_INGEST)
        groups[count++] =
            (struct settings_group){"ingest", ingest_settings_table, ingest_settings_count, &program->ingest_settings};
    if (program->roles & ROLE_STORE)
        groups[count++] =
            (struct settings_group){"store", store_settings_table, store_settings_count, &program->store_settings};
    if (program->roles & ROLE_QUERY)
        groups[count++] =
            (struct settings_group){"query", query_settings_table, query_settings_count, &program->query_settings};
    if (program->roles & ROLE_FORWARD)
        groups[count++] = (struct settings_group){"forward", forward_settings_table, forward_settings_count, &program->forward_settings};
    program->group_count = count;
}

static int settings_show(struct program *program, const struct wishes *wishes)
{
    struct buf page;

    buf_init(&page, SETTINGS_BYTES_MAX);
    if (wishes->what == PRINT_MARKDOWN)
        settings_print_markdown(program->groups, program->group_count, &page);
    else
        settings_print(program->groups, program->group_count, &page);
    fwrite(page.bytes, 1, page.count, stdout);
    int code = buf_failed(&page) || fflush(stdout) ? EXIT_FAULT : EXIT_DONE;
    buf_done(&page);
    return code;
}

static enum status log_level_set(const char *name, struct problem *why)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};

    for (int level = LOG_DEBUG; level <= LOG_ERROR; level++) {
        if (strcmp(name, names[level]) == 0) {
            log_set_level((enum log_level)level);
            return STATUS_OK;
        }
    }
    return problem_set(why, STATUS_REJECT, "log_level: \"%s\" is none of debug, info, warn and error", name);
}

static enum exit_code program_run(struct program *program)
{
    struct problem why;

    process_catch_stop();
    log_info("program.start", "version=%s pid=%ld roles=%s%s%s%s", PICKET_VERSION, (long)getpid(),
             program->roles & ROLE_INGEST ? "i" : "", program->roles & ROLE_STORE ? "s" : "",
             program->roles & ROLE_QUERY ? "q" : "", program->roles & ROLE_FORWARD ? "f" : "");
    enum status status = program_open(program, &why);
    if (status == STATUS_OK) {
        log_info("program.open", "version=%s", PICKET_VERSION);
        while (!process_wait_stop(60000))
            ;
    } else if (!process_stopping()) {
        log_error("program.failed", "reason=\"%s\"", why.text);
    }
    bool failed = process_gave_up() || (status != STATUS_OK && !process_stopping());
    program_close(program);
    log_info("program.end", "pid=%ld", (long)getpid());
    if (!failed)
        return EXIT_DONE;
    return status == STATUS_REJECT ? EXIT_SETTINGS : EXIT_FAULT;
}

static bool has_kafka(const struct program *program)
{
    return strcmp(program->bus_settings.bus, "kafka") == 0;
}

/* The probes' port comes first, so that whoever waits for /readyz sees what is missing. */
static enum status program_open(struct program *program, struct problem *why)
{
    bool split = program->roles != ROLE_ALL && program->roles != ROLE_QUERY;

    if (program->roles == ROLE_FORWARD && (!has_kafka(program) || !*program->forward_settings.alerts_topic))
        return problem_set(why, STATUS_REJECT, "forward sends alerts to Kafka: set bus: kafka, kafka_brokers and alerts_topic");
    if (split && !has_kafka(program))
        return problem_set(why, STATUS_REJECT,
                           "bus: direct joins ingest and store inside one process: run picketd without a role, or set "
                           "bus: kafka");
    /* Until the roles are open, their parts are not on the list. */
    process_set_ready("program", false, "starting");
    enum status status = secret_init(why);
    if (!status && program->settings.ops_port)
        status = ops_open(program, why);
    if (!status && (program->roles & (ROLE_INGEST | ROLE_STORE)))
        status = bus_open_patiently(program, why);
    if (!status)
        status = roles_open(program, why);
    if (!status)
        process_set_ready("program", true, "");
    return status;
}

/* Brokers may come up later than we do, so a supervisor has no reason to start us again and again. */
static enum status bus_open_patiently(struct program *program, struct problem *why)
{
    enum status status;

    while ((status = bus_open(&program->bus_settings, BUS_OPEN_MS, 0, &program->bus, why)) == STATUS_RETRY) {
        process_set_ready("bus", false, why->text);
        log_warn("bus.away", "reason=\"%s\"", why->text);
        if (process_wait_stop(BUS_PAUSE_MS))
            return STATUS_RETRY;
    }
    if (!status) {
        process_set_ready("bus", true, "");
        if (bus_durability_note(program->bus))
            log_warn("bus.durability", "note=\"%s\"", bus_durability_note(program->bus));
    }
    return status;
}

static enum status roles_open(struct program *program, struct problem *why)
{
    enum status status = STATUS_OK;

    if (program->roles & ROLE_STORE)
        status = store_open(&program->store_settings, program->bus, &program->store, why);
    if (!status && (program->roles & ROLE_INGEST))
        status = ingest_open(&program->ingest_settings, program->bus, &program->ingest, why);
    if (!status && (program->roles & ROLE_QUERY))
        status = query_open(&program->query_settings, &program->query, why);
    if (!status && (program->roles & ROLE_FORWARD) && has_kafka(program) && *program->forward_settings.alerts_topic)
        status = forward_open(&program->forward_settings, &program->bus_settings, &program->forward, why);
    return status;
}

/* Devices first: what was accepted is flushed and answered while store still takes it off the bus. */
static void program_close(struct program *program)
{
    if (program->ingest)
        ingest_drain(program->ingest);
    if (program->bus && program->ingest && !bus_flush(program->bus, DRAIN_MS))
        log_warn("bus.unflushed", "after_ms=%d", DRAIN_MS);
    if (program->ingest)
        ingest_close(program->ingest);
    if (program->store)
        store_close(program->store);
    forward_close(program->forward);
    if (program->bus)
        bus_close(program->bus);
    if (program->query)
        query_close(program->query);
    if (program->ops)
        http_server_close(program->ops);
}

static enum status ops_open(struct program *program, struct problem *why)
{
    struct http_server_settings settings = {
        .name = "ops",
        .address = program->settings.ops_address,
        .port = (uint16_t)program->settings.ops_port,
        .threads = 1,
        .connections_max = 64,
        .request_timeout_ms = 10000,
        .answer_timeout_ms = 10000,
        .body_bytes_max = 1024,
        .body_budget_bytes = 64 * 1024,
        .routes = ops_routes,
        .route_count = sizeof ops_routes / sizeof ops_routes[0],
        .context = program,
    };
    enum status status = http_server_open(&settings, &program->ops, why);
    if (status)
        problem_prefix(why, "ops_port");
    return status;
}

static void ops_health(void *context, struct http_exchange *exchange)
{
    (void)context;
    buf_string(http_reply_body(exchange, "application/json"), "{\"status\":\"ok\"}");
    http_answer(exchange);
}

static void ops_ready(void *context, struct http_exchange *exchange)
{
    struct buf *body = http_reply_body(exchange, "application/json");

    (void)context;
    if (!process_print_ready(body))
        http_code(exchange, 503);
    http_answer(exchange);
}

static void ops_metrics(void *context, struct http_exchange *exchange)
{
    (void)context;
    metrics_print(http_reply_body(exchange, "text/plain; version=0.0.4"));
    http_answer(exchange);
}
