#include "query/routes.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "kql/cell.h"
#include "query/refusal.h"
#include "query/render.h"
#include "query/timespan.h"
#include "runtime/clock.h"

/* Log Analytics' query API: one question, several, and what may be named. */

#define WAIT_SECONDS_DEFAULT 180
#define WAIT_SECONDS_MAX 600
#define BESIDE_MAX 100
#define BATCH_MAX 100

struct wishes { /* of the header Prefer */
    uint32_t wait_ms;
    bool statistics, render;
};

/* An answer on its way into the body. */
struct writing {
    struct reply *reply;
    const struct kql_sql *first, *result;
    unsigned results;
    int64_t rows; /* of this result */
};

static struct wishes wishes_read(struct text prefer, const struct query_settings *settings)
{
    struct wishes wishes = {.wait_ms = WAIT_SECONDS_DEFAULT * 1000};
    struct text rest = prefer, one;

    while (rest.count) {
        int64_t seconds;
        rest = text_cut(rest, ',', &one);
        one = text_trim(one);
        if (text_starts(one, TEXT("wait=")) && text_to_i64((struct text){one.bytes + 5, one.count - 5}, &seconds))
            wishes.wait_ms = (uint32_t)(seconds < 1 ? 1 : seconds > WAIT_SECONDS_MAX ? WAIT_SECONDS_MAX : seconds) * 1000;
        wishes.statistics |= text_equal(one, TEXT("include-statistics=true"));
        wishes.render |= text_equal(one, TEXT("include-render=true"));
    }
    if (wishes.wait_ms > settings->kql_timeout_ms)
        wishes.wait_ms = (uint32_t)settings->kql_timeout_ms;
    return wishes;
}

/* "-" stands for the token's own: a path cannot be without a name. */
static const char *workspace_of(const struct request *request)
{
    const char *name = request_parameter(request, "workspace");

    return strcmp(name, "-") == 0 ? NULL : name;
}

/* ---- writing ---- */

static enum status table_begin(void *context, const struct kql_sql *result, struct problem *why)
{
    struct writing *writing = context;
    struct reply *reply = writing->reply;

    (void)why;
    if (!writing->results++) {
        writing->first = result;
        reply_open_object(reply, NULL);
        reply_open_array(reply, "tables");
    }
    writing->result = result;
    writing->rows = 0;
    reply_open_object(reply, NULL);
    if (writing->results == 1)
        reply_string(reply, "name", "PrimaryResult");
    else
        reply_string(reply, "name", arena_format(http_arena(reply->exchange), "Table_%u", writing->results - 1));
    reply_open_array(reply, "columns");
    for (unsigned i = 0; i < result->column_count; i++) {
        reply_open_object(reply, NULL);
        reply_text(reply, "name", result->columns[i]->name);
        reply_string(reply, "type", kql_type_name(result->columns[i]->type));
        reply_close_object(reply);
    }
    reply_close_array(reply);
    reply_open_array(reply, "rows");
    return STATUS_OK;
}

static enum status table_row(void *context, const struct db_rows *row, struct problem *why)
{
    struct writing *writing = context;
    struct buf *body = writing->reply->body;

    buf_string(body, writing->rows++ ? ",[" : "[");
    for (unsigned i = 0; i < writing->result->column_count; i++) {
        if (i)
            buf_byte(body, ',');
        kql_cell_write(body, writing->result->columns[i]->type, db_text(row, 0, (int)i), CELL_LOG_ANALYTICS);
    }
    buf_byte(body, ']');
    return reply_flush(writing->reply, why);
}

static enum status table_end(void *context, struct problem *why)
{
    struct writing *writing = context;

    (void)why;
    reply_close_array(writing->reply);
    reply_close_object(writing->reply);
    return STATUS_OK;
}

static void statistics_write(struct reply *reply, const struct question_facts *facts)
{
    struct buf *body = reply->body;

    reply_open_object(reply, "statistics");
    reply_open_object(reply, "query");
    buf_format(body, "\"executionTime\":%.7f,\"compileTime\":%.7f", (double)facts->run_us / 1e6, (double)facts->compile_us / 1e6);
    reply_open_array(reply, "datasetStatistics");
    reply_open_object(reply, NULL);
    reply_number(reply, "tableRowCount", facts->rows);
    reply_number(reply, "tableSize", facts->bytes);
    reply_close_object(reply);
    reply_close_array(reply);
    reply_close_object(reply);
    reply_close_object(reply);
}

/* Asks, and writes a whole body: an answer, a partial one, or an error. `*code` is HTTP's. */
static enum status answer(struct query *query, const struct request *request, struct reply *reply, struct question *question,
                          const struct wishes *wishes, unsigned *code, struct problem *why)
{
    struct writing writing = {.reply = reply};
    const struct question_sink sink = {&writing, table_begin, table_row, table_end};
    struct question_trouble trouble;
    struct question_facts facts;

    question->timeout_ms = wishes->wait_ms;
    question->rows_max = query_settings_of(query)->kql_rows_max;
    question->bytes_max = query_settings_of(query)->kql_bytes_max;
    enum status status = question_ask(query, request, question, &sink, &trouble, &facts, why);
    if (status)
        return status;
    *code = writing.results ? 200 : refusal_code(&trouble);
    if (!writing.results) {
        reply_raw(reply, NULL, TEXT(""));
        refusal_of_question(reply->body, REFUSAL_LOG_ANALYTICS, &trouble);
        return STATUS_OK;
    }
    reply_close_array(reply);
    if (wishes->render) {
        reply_raw(reply, "render", TEXT(""));
        render_write(reply->body, writing.first->render);
    }
    if (wishes->statistics)
        statistics_write(reply, &facts);
    if (trouble.kind) {
        reply_raw(reply, "error", TEXT(""));
        refusal_partial(reply->body, &trouble);
    }
    reply_close_object(reply);
    return STATUS_OK;
}

/* ---- reading ---- */

static enum status beside_read(const json_t *list, struct text commas, struct arena *arena, struct question *out,
                               struct problem *why)
{
    const char **names = ARENA_ARRAY(arena, const char *, BESIDE_MAX);
    const json_t *element;
    struct text one;
    size_t i;

    if (list && !json_is_null(list) && !json_is_array(list))
        return problem_set(why, STATUS_REJECT, "\"workspaces\" has to be a list of names");
    json_array_foreach(list, i, element) {
        if (!json_is_string(element) || out->beside_count == BESIDE_MAX)
            return problem_set(why, STATUS_REJECT, "\"workspaces\" has to be a list of at most %d names", BESIDE_MAX);
        names[out->beside_count++] = json_string_value(element);
    }
    while (commas.count) {
        commas = text_cut(commas, ',', &one);
        if (out->beside_count == BESIDE_MAX)
            return problem_set(why, STATUS_REJECT, "workspaces has at most %d names", BESIDE_MAX);
        names[out->beside_count++] = arena_string(arena, text_trim(one));
    }
    out->beside = names;
    return STATUS_OK;
}

/* Two time spans: what lies in both. */
static enum status span_read(struct text timespan, struct question *out, struct problem *why)
{
    int64_t from, to;

    if (!timespan.count)
        return STATUS_OK;
    enum status status =
        timespan_read(timespan, KQL_TICKS_OF_EPOCH + clock_utc_us() * 10, &from, &to, why);
    if (status)
        return status;
    if (!out->from_ticks || from > out->from_ticks)
        out->from_ticks = from;
    if (!out->to_ticks || to < out->to_ticks)
        out->to_ticks = to;
    return STATUS_OK;
}

static enum status string_member(const json_t *body, const char *name, struct text *out, struct problem *why)
{
    const json_t *value = json_object_get(body, name);

    *out = TEXT_NONE;
    if (!value || json_is_null(value))
        return STATUS_OK;
    if (!json_is_string(value))
        return problem_set(why, STATUS_REJECT, "\"%s\" has to be a string", name);
    *out = (struct text){json_string_value(value), json_string_length(value)};
    return STATUS_OK;
}

static enum status body_question(const json_t *body, struct arena *arena, struct question *out, struct problem *why)
{
    struct text timespan;

    enum status status = string_member(body, "query", &out->kql, why);
    if (!status)
        status = string_member(body, "timespan", &timespan, why);
    if (!status)
        status = span_read(timespan, out, why);
    if (!status)
        status = beside_read(json_object_get(body, "workspaces"), TEXT_NONE, arena, out, why);
    if (!status && !out->kql.count)
        status = problem_set(why, STATUS_REJECT, "\"query\" is missing: it has the KQL text");
    if (!status && out->kql.count > KQL_SOURCE_MAX)
        status = problem_set(why, STATUS_REJECT, "the query has more than %d bytes", KQL_SOURCE_MAX);
    return status;
}

ROUTE_HANDLER(log_analytics_query)
{
    const struct wishes wishes = wishes_read(http_header(request->exchange, "Prefer"), query_settings_of(query));
    struct question question = {.workspace = workspace_of(request)};
    bool posted = text_equal(http_method(request->exchange), TEXT("POST"));
    unsigned code = 200;
    enum status status = STATUS_OK;

    if (posted) {
        status = body_question(request->body, request->arena, &question, why);
    } else {
        question.kql = http_query(request->exchange, "query");
        status = beside_read(NULL, http_query(request->exchange, "workspaces"), request->arena, &question, why);
        if (!status && !question.kql.count)
            status = problem_set(why, STATUS_REJECT, "the argument query is missing: it has the KQL text");
    }
    if (!status)
        status = span_read(http_query(request->exchange, "timespan"), &question, why);
    if (!status)
        status = answer(query, request, reply, &question, &wishes, &code, why);
    reply_code(reply, code);
    return status;
}

/* ---- several ---- */

/* One member of a batch; what is wrong with it is its own answer. */
static enum status member_answer(struct query *query, const struct request *request, struct reply *reply, const json_t *member,
                                 struct problem *why)
{
    const json_t *headers = json_object_get(member, "headers");
    const char *prefer = json_string_value(json_object_get(headers, "Prefer")),
               *id = json_string_value(json_object_get(member, "id"));
    const char *workspace = json_string_value(json_object_get(member, "workspace"));
    const struct wishes wishes = wishes_read(text_of(prefer ? prefer : ""), query_settings_of(query));
    struct question question = {.workspace = workspace};
    unsigned code = 400;

    reply_open_object(reply, NULL);
    reply_string(reply, "id", id);
    reply_raw(reply, "body", TEXT(""));
    enum status status = body_question(json_object_get(member, "body"), request->arena, &question, why);
    if (!status && !workspace)
        status = problem_set(why, STATUS_REJECT, "\"workspace\" is missing: the name or the id of one");
    if (status) {
        refusal_of_request(reply->body, REFUSAL_LOG_ANALYTICS, 400, "BadRequest", why->text);
        status = STATUS_OK;
    } else {

        status = answer(query, request, reply, &question, &wishes, &code, why);

    }
    reply_number(reply, "status", code);
    reply_close_object(reply);
    return status;
}

static enum status batch_check(const json_t *requests, struct problem *why)
{
    const json_t *member;
    size_t i;

    if (!json_is_array(requests))
        return problem_set(why, STATUS_REJECT, "\"requests\" has to be a list");
    if (json_array_size(requests) > BATCH_MAX)
        return problem_set(why, STATUS_REJECT, "a batch has at most %d requests", BATCH_MAX);
    json_array_foreach(requests, i, member) {
        const char *id = json_string_value(json_object_get(member, "id"));
        if (!id)
            return problem_set(why, STATUS_REJECT, "request %zu has no \"id\"", i);
        for (size_t k = 0; k < i; k++)
            if (strcmp(id, json_string_value(json_object_get(json_array_get(requests, k), "id"))) == 0)
                return problem_set(why, STATUS_REJECT, "the id \"%.80s\" occurs twice", id);
    }
    return STATUS_OK;
}

ROUTE_HANDLER(log_analytics_batch)
{
    const json_t *requests = json_object_get(request->body, "requests"), *member;
    size_t i;

    enum status status = batch_check(requests, why);
    if (status)
        return status;
    reply_open_object(reply, NULL);
    reply_open_array(reply, "responses");
    json_array_foreach(requests, i, member) {
        status = member_answer(query, request, reply, member, why);
        if (status)
            return status;
    }
    reply_close_array(reply);
    reply_close_object(reply);
    return STATUS_OK;
}

/* ---- what may be named ---- */

static void table_write(struct reply *reply, const struct catalog_table *table)
{
    bool timed = false;

    reply_open_object(reply, NULL);
    reply_text(reply, "id", table->name);
    reply_text(reply, "name", table->name);
    reply_open_array(reply, "columns");
    for (size_t i = 0; i < table->count; i++) {
        timed |= text_equal(table->columns[i].name, TEXT("TimeGenerated"));
        reply_open_object(reply, NULL);
        reply_text(reply, "name", table->columns[i].name);
        reply_string(reply, "type", kql_type_name(table->columns[i].type));
        reply_close_object(reply);
    }
    reply_close_array(reply);
    if (timed)
        reply_string(reply, "timespanColumn", "TimeGenerated");
    reply_raw(reply, "related", TEXT("{}"));
    reply_close_object(reply);
}

static enum status functions_write(const struct request *request, struct reply *reply, const char *scope, struct problem *why)
{
    static const char list[] = "SELECT name, parameters, body, description FROM picket.saved_function"
                               " WHERE workspace_id = ANY($1::int[]) ORDER BY name";
    const char *const parameters[] = {scope};
    struct db_rows *rows = NULL;

    enum status status = request_query(request, list, parameters, 1, &rows, why);
    reply_open_array(reply, "functions");
    for (size_t i = 0; !status && i < db_rows_count(rows); i++) {
        reply_open_object(reply, NULL);
        reply_column_text(reply, "id", rows, i, 0);
        reply_column_text(reply, "name", rows, i, 0);
        reply_column_text(reply, "displayName", rows, i, 0);
        reply_column_text(reply, "parameters", rows, i, 1);
        reply_column_text(reply, "body", rows, i, 2);
        reply_column_text(reply, "description", rows, i, 3);
        reply_raw(reply, "related", TEXT("{}"));
        reply_close_object(reply);
    }
    reply_close_array(reply);
    db_rows_free(rows);
    return status;
}

static void workspaces_write(struct reply *reply, const struct question_room *room)
{
    reply_open_array(reply, "workspaces");
    for (unsigned i = 0; i < room->home_count; i++) {
        reply_open_object(reply, NULL);
        reply_text(reply, "id", room->workspaces[i].text);
        reply_text(reply, "resourceId", room->workspaces[i].text);
        reply_text(reply, "name", room->workspaces[i].name);
        reply_string(reply, "region", "self-hosted");
        reply_raw(reply, "related", TEXT("{}"));
        reply_close_object(reply);
    }
    reply_close_array(reply);
}

ROUTE_HANDLER(log_analytics_metadata)
{
    static const char *const nothing[] = {"solutions", "queries", "applications", "resources", "resourceTypes", "categories"};
    const struct question question = {.workspace = workspace_of(request), .timeout_ms = request->timeout_ms,
                                      .kql = TEXT("")};
    struct question_trouble trouble = {0};
    struct question_room room;

    enum status status = question_open(query, request, &question, &room, &trouble, why);
    if (status)
        return status;
    if (trouble.kind) {
        reply_code(reply, refusal_code(&trouble));
        refusal_of_question(reply->body, REFUSAL_LOG_ANALYTICS, &trouble);
        question_close(query, request, &room);
        return STATUS_OK;
    }
    reply_open_object(reply, NULL);
    reply_open_array(reply, "tables");
    for (size_t i = 0; i < catalog_tables(room.catalog); i++)
        table_write(reply, catalog_table_at(room.catalog, i));
    reply_close_array(reply);
    status = functions_write(request, reply, room.scope, why);
    workspaces_write(reply, &room);
    for (size_t i = 0; i < sizeof nothing / sizeof *nothing; i++)
        reply_raw(reply, nothing[i], TEXT("[]"));
    reply_raw(reply, "permissions", TEXT("[]"));
    reply_close_object(reply);
    question_close(query, request, &room);
    return status;
}
