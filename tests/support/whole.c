#include "tests/support/whole.h"

#include <check.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/clock.h"
#include "tests/support/certificate.h"
#include "tests/support/database.h"
#include "tests/support/device_token.h"
#include "tests/support/keeper.h"

#define SETTINGS_MAX 32
#define LINE_SIZE 192
#define PATH_SIZE 1024
#define HEADERS_MAX 24
#define TOKENS 4
#define PAGES_MAX 10000
#define WORDS_MAX 40
#define LOG_BYTES_MAX (64 << 20)

static struct {
    struct certificate certificate;
    struct program *program;
    char device_url[64], query_url[64], token[256];
} whole;

static void token_make(void);
static bool log_is_clean(void);

void whole_start(unsigned devices, const char *const *settings)
{
    char lines[4][LINE_SIZE];
    const char *all[SETTINGS_MAX] = {lines[0], lines[1], lines[2], lines[3]};
    uint16_t https_port = program_free_port();
    size_t count = 4;

    database_start(DATABASE_FAST);
    pipeline_prepare(devices);
    pipeline_open(BUS_DIRECT);
    certificate_make(&whole.certificate);
    snprintf(lines[0], LINE_SIZE, "https_port: %u", (unsigned)https_port);
    snprintf(lines[1], LINE_SIZE, "tls_certificate_file: %s", whole.certificate.certificate_file);
    snprintf(lines[2], LINE_SIZE, "tls_key_file: %s", whole.certificate.key_file);
    snprintf(lines[3], LINE_SIZE, "log_level: info");
    for (; settings && *settings; settings++) {
        if (count + 1 >= SETTINGS_MAX)
            keeper_abort(NULL, "more than %d settings", SETTINGS_MAX);
        all[count++] = *settings;
    }
    program_http_trust(whole.certificate.certificate_file);
    whole.program = pipeline_start(NULL, all);
    snprintf(whole.device_url, sizeof whole.device_url, "https://localhost:%u", (unsigned)https_port);
    snprintf(whole.query_url, sizeof whole.query_url, "https://localhost%s", strrchr(pipeline_query_url(), ':'));
    token_make();
}

bool whole_stop(void)
{
    int code = program_stop(whole.program);
    bool clean = log_is_clean();

    if (code != 0)
        fprintf(stderr, "picketd ended with %d\n", code);
    pipeline_close();
    certificate_remove(&whole.certificate);
    return code != 0 || !clean;
}

struct program *whole_program(void) { return whole.program; }
const char *whole_device_url(void) { return whole.device_url; }
const char *whole_query_url(void) { return whole.query_url; }
const char *whole_ca_file(void) { return whole.certificate.certificate_file; }
const char *whole_token(void) { return whole.token; }

bool whole_sanitized(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return true;
#else
    return false;
#endif
}

const char *whole_sas(const char *resource, int64_t expires_in_s)
{
    static char tokens[TOKENS][DEVICE_TOKEN_SIZE];
    static unsigned next;
    char *token = tokens[next++ % TOKENS];

    device_token_make(resource, (const uint8_t *)PIPELINE_KEY, strlen(PIPELINE_KEY),
                      clock_utc_us() / 1000000 + expires_in_s, token);
    return token;
}

void whole_post(const char *path, const char *authorization, const char *const *headers, struct text body,
                struct program_reply *out)
{
    char url[PATH_SIZE], line[DEVICE_TOKEN_SIZE + 32];
    const char *all[HEADERS_MAX] = {NULL};
    size_t count = 0;

    snprintf(url, sizeof url, "%s%s", whole.device_url, path);
    snprintf(line, sizeof line, "Authorization: %s", authorization ? authorization : "");
    if (authorization)
        all[count++] = line;
    for (; headers && *headers; headers++) {
        ck_assert_uint_lt(count + 1, HEADERS_MAX);
        all[count++] = *headers;
    }
    program_http("POST", url, all, body, out);
}

void whole_send(unsigned device, const char *const *headers, struct text body, char receipt[BUS_RECEIPT_SIZE])
{
    struct program_reply reply;
    char path[96];

    snprintf(path, sizeof path, "/devices/device-%u/messages/events?api-version=2020-03-13", device);
    whole_post(path, pipeline_authorization(device), headers, body, &reply);
    ck_assert_msg(reply.code == 204, "%ld %s%.200s for %.*s", reply.code, reply.reason,
                  reply.body.count ? reply.body.bytes : "", (int)(body.count < 400 ? body.count : 400), body.bytes);
    ck_assert_uint_eq(reply.body.count, 0);
    struct text said = program_reply_header(&reply, "Picket-Receipt");
    ck_assert(said.count > 0 && said.count < BUS_RECEIPT_SIZE);
    snprintf(receipt, BUS_RECEIPT_SIZE, "%.*s", TEXT_ARGS(said));
    program_reply_done(&reply);
}

json_t *whole_ask(const char *token, const char *method, const char *path, const char *body, long code)
{
    char url[PATH_SIZE], bearer[320];
    const char *const headers[] = {bearer, body ? "Content-Type: application/json" : NULL, NULL};
    struct program_reply reply;
    json_error_t error;
    json_t *answer = NULL;

    snprintf(url, sizeof url, "%s%s", whole.query_url, path);
    snprintf(bearer, sizeof bearer, "Authorization: Bearer %s", token);
    program_http(method, url, headers, body ? text_of(body) : TEXT_NONE, &reply);
    ck_assert_msg(reply.code == code, "%s %s answers %ld %s%.400s", method, path, reply.code, reply.reason,
                  reply.body.count ? reply.body.bytes : "");
    if (reply.body.count) {
        answer = json_loadb(reply.body.bytes, reply.body.count, JSON_DECODE_ANY, &error);
        ck_assert_msg(answer != NULL, "%s %s: %s: %.400s", method, path, error.text, reply.body.bytes);
    }
    program_reply_done(&reply);
    return answer;
}

json_t *whole_get(const char *path)
{
    return whole_ask(whole.token, "GET", path, NULL, 200);
}

json_t *whole_events(const char *device, unsigned limit)
{
    json_t *all = json_array();
    char path[PATH_SIZE];
    size_t pages = 0;

    snprintf(path, sizeof path, "/v1/events?device=%s&limit=%u", device, limit);
    for (bool more = true; more; pages++) {
        json_t *page = whole_get(path), *events = json_object_get(page, "events");
        const char *next = json_string_value(json_object_get(page, "next"));
        ck_assert_uint_lt(pages, PAGES_MAX);
        ck_assert(json_is_array(events) && json_array_size(events) <= limit);
        /* A page with another one behind it is full. */
        ck_assert(!next || json_array_size(events) == limit);
        json_array_extend(all, events);
        more = next != NULL;
        if (more)
            snprintf(path, sizeof path, "/v1/events?device=%s&limit=%u&cursor=%s", device, limit, next);
        json_decref(page);
    }
    return all;
}

/* A shell parts the two streams, which program.h joins. */
int whole_picket(const char *const *arguments, struct buf *out, struct buf *said)
{
    char server[96], token[320], ca[128], said_file[64], program[PATH_MAX + 16];
    const char *const environment[] = {server, token, ca, said_file, NULL};
    const char *words[WORDS_MAX] = {"-c", "exec \"$0\" \"$@\" 2>\"$SAID_FILE\"", program};
    char piece[4096];
    size_t count = 3;

    snprintf(server, sizeof server, "PICKET_SERVER=%s", whole.query_url);
    snprintf(token, sizeof token, "PICKET_TOKEN=%s", whole.token);
    snprintf(ca, sizeof ca, "PICKET_CA=%s", whole.certificate.certificate_file);
    snprintf(said_file, sizeof said_file, "SAID_FILE=/tmp/pk-said-%d", (int)getpid());
    snprintf(program, sizeof program, "%s/picket", program_build_path());
    for (; *arguments && count + 1 < WORDS_MAX; arguments++)
        words[count++] = *arguments;
    buf_clear(out);
    buf_clear(said);
    int code = program_run("/bin/sh", words, environment, out);
    const char *path = strchr(said_file, '=') + 1;
    FILE *file = fopen(path, "re");
    for (size_t got; file && (got = fread(piece, 1, sizeof piece, file)) > 0;)
        buf_append(said, piece, got);
    if (file)
        fclose(file);
    unlink(path);
    return code;
}

/* The first token, as an operator without `picket up` makes it. */
static void token_make(void)
{
    char database[300];
    const char *const arguments[] = {"token", "create", "--role", "admin", "--database", database, "--master-key-file",
                                     pipeline_master_key(), "--json", NULL};
    struct buf output;

    snprintf(database, sizeof database, "%s user=postgres", pipeline_database());
    buf_init(&output, LOG_BYTES_MAX);
    int code = program_run("picket", arguments, NULL, &output);
    json_t *made = output.count ? json_loads(output.bytes, 0, NULL) : NULL;
    const char *token = json_string_value(json_object_get(made, "token"));
    if (code || !token)
        keeper_abort(NULL, "picket token create: exit %d: %s", code, output.count ? output.bytes : "");
    snprintf(whole.token, sizeof whole.token, "%s", token);
    json_decref(made);
    buf_done(&output);
}

/* What sanitizers print, and what glibc says of a broken heap. */
static bool log_is_clean(void)
{
    static const char *const complaints[] = {"Sanitizer", "runtime error:", "malloc", "free():", "Assertion"};
    struct buf log;
    bool clean = true;

    buf_init(&log, LOG_BYTES_MAX);
    program_log(whole.program, &log);
    for (size_t i = 0; i < sizeof complaints / sizeof complaints[0]; i++) {
        const char *at = log.count ? strstr(log.bytes, complaints[i]) : NULL;
        if (at && clean)
            fprintf(stderr, "picketd complains: %.20000s\n", at - log.bytes > 200 ? at - 200 : log.bytes);
        clean = clean && !at;
    }
    buf_done(&log);
    return clean;
}
