#include "programs/commands.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "kql/lexer.h"
#include "programs/client.h"
#include "programs/table.h"
#include "runtime/process.h"

#define WAIT_SECONDS_DEFAULT 180
#define SPINNER_FIRST_MS 700 /* what is quicker needs none */
#define SPINNER_MS 120

static enum cli_exit run_query(const struct cli *cli);

static const struct cli_flag query_flags[] = {
    {"file", "FILE", "Read the query from FILE, - for standard input; -f is the same."},
    {"saved", "NAME", "Run the saved query of that name."},
    {"timespan", "SPAN", "ISO 8601: PT12H, P1D, or start/end; on top of what the query filters by itself."},
    {"output", "FORM", "table, json (an object for each row, one a line) or csv; --json is the second."},
    {"wait", "SECONDS", "Longest time to wait (default 180)."},
    {"workspace", "NAME", "Workspace (default: the token's own, where it has one)."},
};

const struct cli_verb query_verbs[] = {
    {"query", "['KQL']", "Ask in KQL.", "Example: picket query 'SecurityIoTRawEvent | summarize count() by RawEventName'",
     CLI_FLAGS(query_flags), CLI_SERVER | CLI_JSON, 0, 1, run_query},
};
const size_t query_verb_count = sizeof query_verbs / sizeof query_verbs[0];

/* ---- the text ---- */

static enum status text_read(const struct cli *cli, struct client *client, struct buf *out, struct problem *why)
{
    const char *file = cli_value(cli, "file"), *saved = cli_value(cli, "saved"), *said = cli_argument(cli, 0);
    struct buf path;
    json_t *answer = NULL;

    if ((said != NULL) + (file != NULL) + (saved != NULL) != 1)
        return problem_set(why, STATUS_REJECT, "give the query as one argument, or --file, or --saved");
    if (said) {
        buf_string(out, said);
        return STATUS_OK;
    }
    if (file) {
        enum status status = process_read_file(strcmp(file, "-") == 0 ? "/dev/stdin" : file, KQL_SOURCE_MAX, out, why);
        return status ? STATUS_REJECT : STATUS_OK;
    }
    buf_init(&path, 4096);
    buf_string(&path, "/v1/queries/");
    client_escape(&path, saved);
    if (cli_value(cli, "workspace")) {
        buf_string(&path, "?workspace=");
        client_escape(&path, cli_value(cli, "workspace"));
    }
    enum status status = client_call(client, "GET", path.bytes, NULL, &answer, why);
    if (!status)
        buf_string(out, json_string_value(json_object_get(answer, "query")));
    json_decref(answer);
    buf_done(&path);
    return status;
}

/* ---- waiting ---- */

struct spinner {
    pthread_t thread;
    _Atomic bool over;
    bool started;
};

static void pause_ms(long ms)
{
    nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
}

static void *spinner_run(void *context)
{
    struct spinner *spinner = context;
    long waited_ms = 0;

    for (unsigned turn = 0; !atomic_load(&spinner->over); waited_ms += SPINNER_MS) {
        pause_ms(SPINNER_MS);
        if (waited_ms >= SPINNER_FIRST_MS)
            fprintf(stderr, "\r%c asking, %ld s ", "|/-\\"[turn++ % 4], waited_ms / 1000);
    }
    if (waited_ms >= SPINNER_FIRST_MS)
        fprintf(stderr, "\r                    \r");
    return NULL;
}

static void spinner_start(struct spinner *spinner)
{
    atomic_init(&spinner->over, false);
    spinner->started = isatty(STDERR_FILENO) && pthread_create(&spinner->thread, NULL, spinner_run, spinner) == 0;
}

static void spinner_stop(struct spinner *spinner)
{
    atomic_store(&spinner->over, true);
    if (spinner->started)
        pthread_join(spinner->thread, NULL);
}

/* ---- what came ---- */

static void print_as_table(const json_t *columns, const json_t *rows)
{
    size_t count = json_array_size(columns);
    struct table_column *titles = calloc(count + 1, sizeof *titles);
    char(*keys)[24] = calloc(count + 1, sizeof *keys);
    const json_t *row;
    size_t i;

    if (!titles || !keys)
        abort();
    for (i = 0; i < count; i++) {
        snprintf(keys[i], sizeof keys[i], "%zu", i);
        titles[i] = (struct table_column){json_string_value(json_object_get(json_array_get(columns, i), "name")), keys[i]};
    }
    struct table *table = table_new(titles, count);
    json_array_foreach(rows, i, row) {
        json_t *object = json_object();
        for (size_t k = 0; k < count; k++)
            json_object_set(object, keys[k], json_array_get(row, k));
        table_add(table, object);
        json_decref(object);
    }
    table_print(table, TABLE_TITLED);
    table_free(table);
    free(keys);
    free(titles);
}

static void print_as_json(const json_t *columns, const json_t *rows)
{
    const json_t *row, *column;
    size_t i, k;

    json_array_foreach(rows, i, row) {
        json_t *object = json_object();
        json_array_foreach(columns, k, column) {
            json_t *cell = json_array_get(row, k), *read = NULL;
            /* A dynamic value comes as a text that holds it. */
            if (json_is_string(cell) && strcmp(json_string_value(json_object_get(column, "type")), "dynamic") == 0)
                read = json_loadb(json_string_value(cell), json_string_length(cell), JSON_DECODE_ANY, NULL);
            json_object_set_new(object, json_string_value(json_object_get(column, "name")), read ? read : json_incref(cell));
        }
        table_json_line(object);
        json_decref(object);
    }
}

/* RFC 4180: a value that has a comma, a quote or a line's end wears quotes. */
static void print_csv_cell(const json_t *cell)
{
    char *text = json_is_string(cell) ? strdup(json_string_value(cell))
                 : json_is_null(cell) ? strdup("")
                                      : json_dumps(cell, JSON_ENCODE_ANY | JSON_COMPACT);

    if (!text)
        abort();
    if (!text[strcspn(text, ",\"\r\n")]) {
        fputs(text, stdout);
    } else {
        putchar('"');
        for (const char *at = text; *at; at++) {
            if (*at == '"')
                putchar('"');
            putchar(*at);
        }
        putchar('"');
    }
    free(text);
}

static void print_as_csv(const json_t *columns, const json_t *rows)
{
    const json_t *row, *one;
    size_t i, k;

    json_array_foreach(columns, k, one) {
        fputs(k ? "," : "", stdout);
        print_csv_cell(json_object_get(one, "name"));
    }
    fputs("\r\n", stdout);
    json_array_foreach(rows, i, row) {
        json_array_foreach(row, k, one) {
            fputs(k ? "," : "", stdout);
            print_csv_cell(one);
        }
        fputs("\r\n", stdout);
    }
}

static void print_answer(const char *form, const json_t *answer)
{
    const json_t *table;
    size_t i;

    json_array_foreach(json_object_get(answer, "tables"), i, table) {
        const json_t *columns = json_object_get(table, "columns"), *rows = json_object_get(table, "rows");
        if (i && form[0] != 'j')
            putchar('\n');
        if (form[0] == 'j')
            print_as_json(columns, rows);
        else if (form[0] == 'c')
            print_as_csv(columns, rows);
        else
            print_as_table(columns, rows);
    }
}

/* Where the server says a place, the line of the query with a mark under it. */
static enum cli_exit refused(const json_t *refusal, const struct buf *text, enum status status, const struct problem *why)
{
    const json_t *inner = json_object_get(json_object_get(json_object_get(refusal, "error"), "innererror"), "innererror");
    json_int_t line = json_integer_value(json_object_get(inner, "line")), column = json_integer_value(json_object_get(inner, "pos"));
    const char *message = json_string_value(json_object_get(inner, "message"));
    struct kql_diagnostic wrong = {.code = "refused"};
    struct text rest = buf_as_text(text), head;
    struct buf out;

    if (!message)
        return cli_end(status, why);
    fflush(stdout);
    if (!line) {
        fprintf(stderr, "picket: %s\n", message);
        return CLI_REFUSED;
    }
    while (--line > 0 && rest.bytes)
        rest = text_cut(rest, '\n', &head);
    for (; rest.bytes && column > 1 && rest.count; column--)
        do {
            rest.bytes++;
            rest.count--;
        } while (rest.count && (rest.bytes[0] & 0xc0) == 0x80);
    wrong.place = (struct kql_place){rest.bytes ? (uint32_t)(rest.bytes - text->bytes) : 0, 1};
    const char *tail = strstr(message, " (line ");
    snprintf(wrong.message, sizeof wrong.message, "%.*s", tail ? (int)(tail - message) : (int)strlen(message), message);
    buf_init(&out, 65536);
    kql_diagnostic_print(&wrong, buf_as_text(text), &out);
    fprintf(stderr, "picket: %.*s", TEXT_ARGS(buf_as_text(&out)));
    buf_done(&out);
    return CLI_REFUSED;
}

static enum status asked(const struct cli *cli, struct client *client, const struct buf *text, int64_t wait_s, json_t **answer,
                         struct problem *why)
{
    const char *workspace = cli_value(cli, "workspace"), *timespan = cli_value(cli, "timespan");
    json_t *body = json_pack("{s:s%}", "query", text->bytes, text->count);
    struct spinner spinner;
    struct buf path;

    if (!body)
        return problem_set(why, STATUS_REJECT, "the query is not UTF-8 text");
    if (timespan)
        json_object_set_new(body, "timespan", json_string(timespan));
    buf_init(&path, 4096);
    buf_string(&path, "/v1/workspaces/");
    client_escape(&path, workspace ? workspace : "-");
    buf_string(&path, "/query");
    client_be_patient(client, (uint32_t)wait_s);
    spinner_start(&spinner);
    enum status status = client_call(client, "POST", path.bytes, body, answer, why);
    spinner_stop(&spinner);
    buf_done(&path);
    json_decref(body);
    return status;
}

static enum cli_exit run_query(const struct cli *cli)
{
    const char *form = cli_given(cli, "json") ? "json" : cli_value(cli, "output") ? cli_value(cli, "output") : "table";
    int64_t wait_s = WAIT_SECONDS_DEFAULT;
    struct client *client = NULL;
    json_t *answer = NULL;
    struct problem why;
    struct buf text;

    buf_init(&text, KQL_SOURCE_MAX);
    enum status status = cli_number(cli, "wait", 1, 600, &wait_s, &why);
    if (!status && strcmp(form, "table") != 0 && strcmp(form, "json") != 0 && strcmp(form, "csv") != 0)
        status = problem_set(&why, STATUS_REJECT, "--output %s: expected table, json or csv", form);
    if (!status)
        status = client_open(cli, &client, &why);
    if (!status)
        status = text_read(cli, client, &text, &why);
    bool sent = !status;
    if (!status)
        status = asked(cli, client, &text, wait_s, &answer, &why);
    if (!status)
        print_answer(form, answer);
    const json_t *error = json_object_get(answer, "error");
    enum cli_exit code = sent && status ? refused(client_refusal(client), &text, status, &why) : cli_end(status, &why);
    if (error) {
        fprintf(stderr, "picket: %s\n", json_string_value(json_object_get(error, "message")));
        code = CLI_NO;
    }
    json_decref(answer);
    client_close(client);
    buf_done(&text);
    return code;
}
