#include "query/routes.h"

#include <stdio.h>
#include <stdlib.h>

#include "query/kusto_commands.h"
#include "query/kusto_frames.h"
#include "query/refusal.h"
#include "query/running.h"
#include "runtime/clock.h"

/* Kusto's REST API: queries in both versions of its answer, commands, and what a client asks before the first request. */

#define PARAMETERS_MAX 256
#define TIMEOUT_MS_DEFAULT (4 * 60 * 1000)
#define NO_LIMIT INT64_C(1000000000000)

/* "properties" is an object, or a string that holds one. */
static enum status properties_read(const struct request *request, json_t **out, struct problem *why)
{
    json_t *sent = json_object_get(request->body, "properties"), *read = NULL;

    *out = NULL;
    if (!sent || json_is_null(sent))
        return STATUS_OK;
    if (json_is_string(sent) && json_string_length(sent))
        read = json_loadb(json_string_value(sent), json_string_length(sent), 0, NULL);
    else if (json_is_object(sent))
        read = json_incref(sent);
    else if (json_is_string(sent))
        return STATUS_OK;
    if (!json_is_object(read)) {
        json_decref(read);
        return problem_set(why, STATUS_REJECT, "\"properties\" has to be a JSON object, or a string that holds one");
    }
    *out = read;
    return STATUS_OK;
}

static bool option_flag(const json_t *options, const char *name)
{
    const json_t *value = json_object_get(options, name);
    const char *text = json_string_value(value);

    return json_is_true(value) || (text && text_equal_nocase(text_of(text), TEXT("true")));
}

static int64_t option_number(const json_t *options, const char *name, int64_t otherwise)
{
    const json_t *value = json_object_get(options, name);
    int64_t number;

    if (json_is_integer(value))
        return json_integer_value(value);
    return json_is_string(value) && text_to_i64(text_of(json_string_value(value)), &number) ? number : otherwise;
}

/* "00:04:00", or ticks. */
static uint32_t timeout_of(const json_t *options, const struct query_settings *settings)
{
    const json_t *value = json_object_get(options, "servertimeout");
    int64_t ticks = 0, ms = TIMEOUT_MS_DEFAULT;

    if (json_is_integer(value))
        ms = json_integer_value(value) / (KQL_TICKS_PER_SECOND / 1000);
    else if (json_is_string(value) && kql_timespan_read(text_of(json_string_value(value)), &ticks))
        ms = ticks / (KQL_TICKS_PER_SECOND / 1000);
    if (option_flag(options, "norequesttimeout") || ms > settings->kql_timeout_ms)
        ms = settings->kql_timeout_ms;
    return (uint32_t)(ms < 1 ? 1 : ms);
}

static void limits_take(struct question *out, const json_t *options, const struct query_settings *settings)
{
    int64_t rows = option_number(options, "truncationmaxrecords", settings->kql_rows_max);
    int64_t bytes = option_number(options, "truncationmaxsize", settings->kql_bytes_max);

    out->rows_max = rows < settings->kql_rows_max ? rows : settings->kql_rows_max;
    out->bytes_max = bytes < settings->kql_bytes_max ? bytes : settings->kql_bytes_max;
    out->timeout_ms = timeout_of(options, settings);
}

/* Times of query_datetimescope_from and _to. */
static void scope_take(struct question *out, const json_t *options)
{
    const char *from = json_string_value(json_object_get(options, "query_datetimescope_from"));
    const char *to = json_string_value(json_object_get(options, "query_datetimescope_to"));

    if (from)
        (void)kql_datetime_read(text_of(from), &out->from_ticks);
    if (to)
        (void)kql_datetime_read(text_of(to), &out->to_ticks);
}

/* A string as it is; anything else as KQL writes it, which JSON's numbers and truths already are. */
static void parameters_take(struct question *out, json_t *parameters, struct arena *arena)
{
    struct kql_named *list = ARENA_ARRAY(arena, struct kql_named, PARAMETERS_MAX);
    const char *name;
    json_t *value;

    json_object_foreach(parameters, name, value) {
        if (out->parameter_count == PARAMETERS_MAX)
            break;
        char *text = json_is_string(value) ? NULL : json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
        list[out->parameter_count++] =
            (struct kql_named){arena_text(arena, text_of(name)), arena_text(arena, text_of(text ? text : json_string_value(value)))};
        free(text);
    }
    out->parameters = list;
}

/* What clients send when they do not care. */
static const char *database_of(const struct request *request)
{
    const char *database = json_string_value(json_object_get(request->body, "db"));

    return database && *database && strcmp(database, "NetDefaultDB") != 0 ? database : NULL;
}

static struct kusto_options shape_of(const struct request *request, const json_t *options, bool version2)
{
    struct text id = http_header(request->exchange, "x-ms-client-request-id");
    struct kusto_options shape = {
        .version2 = version2,
        .fragmented = version2 && option_flag(options, "results_v2_fragment_primary_tables"),
        .lines = version2 && option_flag(options, "results_v2_newlines_between_frames"),
        .client_request_id = arena_string(request->arena, id.bytes ? id : TEXT("")),
        .activity_id = running_id_new(request->arena),
    };

    http_reply_header(request->exchange, "x-ms-activity-id", shape.activity_id);
    if (id.bytes && !memchr(id.bytes, '\n', id.count) && !memchr(id.bytes, '\r', id.count))
        http_reply_header(request->exchange, "x-ms-client-request-id", shape.client_request_id);
    return shape;
}

static enum status asked(struct query *query, const struct request *request, struct reply *reply, json_t *properties,
                         bool version2, struct problem *why)
{
    const json_t *options = json_object_get(properties, "Options");
    const json_t *text = json_object_get(request->body, "csl");
    struct kusto_options shape = shape_of(request, options, version2);
    struct question question = {.workspace = database_of(request)};
    struct question_sink sink = kusto_frames_sink;
    struct kusto_frames frames;
    struct question_trouble trouble;
    struct question_facts facts;

    if (!json_is_string(text) || !json_string_length(text))
        return problem_set(why, STATUS_REJECT, "\"csl\" is missing: it has the KQL text");
    if (json_string_length(text) > KQL_SOURCE_MAX)
        return problem_set(why, STATUS_REJECT, "the query has more than %d bytes", KQL_SOURCE_MAX);
    question.kql = (struct text){json_string_value(text), json_string_length(text)};
    if (text_starts(text_trim(question.kql), TEXT(".")))
        return problem_set(why, STATUS_REJECT, "a command goes to /v1/rest/mgmt, and not to where queries are answered");
    limits_take(&question, options, query_settings_of(query));
    scope_take(&question, options);
    parameters_take(&question, json_object_get(properties, "Parameters"), request->arena);
    kusto_frames_init(&frames, reply, &shape);
    sink.context = &frames;
    enum status status = question_ask(query, request, &question, &sink, &trouble, &facts, why);
    if (status)
        return status;
    if (frames.results) {
        kusto_frames_end(&frames, &trouble);
        return STATUS_OK;
    }
    reply_code(reply, refusal_code(&trouble));
    refusal_of_question(reply->body, REFUSAL_KUSTO, &trouble);
    return STATUS_OK;
}

static enum status kusto_query(struct query *query, const struct request *request, struct reply *reply, bool version2,
                               struct problem *why)
{
    json_t *properties;

    enum status status = properties_read(request, &properties, why);
    if (!status)
        status = asked(query, request, reply, properties, version2, why);
    json_decref(properties);
    return status;
}

ROUTE_HANDLER(kusto_query_v1)
{
    return kusto_query(query, request, reply, false, why);
}

ROUTE_HANDLER(kusto_query_v2)
{
    return kusto_query(query, request, reply, true, why);
}

ROUTE_HANDLER(kusto_command)
{
    const json_t *text = json_object_get(request->body, "csl");

    (void)shape_of(request, NULL, false);
    if (!json_is_string(text) || !json_string_length(text))
        return problem_set(why, STATUS_REJECT, "\"csl\" is missing: it has the command");
    return kusto_command_run(query, request, reply, database_of(request),
                             (struct text){json_string_value(text), json_string_length(text)}, why);
}

/* Tokens are our own: no authority to go to. Clients take a 404 without a body for "use what you know". */
ROUTE_HANDLER(kusto_authority)
{
    (void)query;
    (void)request;
    (void)why;
    reply_code(reply, 404);
    return STATUS_OK;
}
