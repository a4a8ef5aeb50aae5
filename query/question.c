#include "query/question.h"


#include <stdarg.h>
#include <stdio.h>

#include "query/running.h"
#include "runtime/clock.h"

#define TICKS_PER_US 10
#define SERVER_FIRST_MS 2000 /* the statement ends by its own timeout, which says so; ours is for a server that is silent */
#define STOPPED "no more rows are wanted"

/* A question under way. */
struct asking {
    struct query *query;
    const struct request *request;
    const struct question *question;
    const struct question_sink *sink;
    struct question_trouble *trouble;
    struct question_facts *facts;
    struct question_room room;
    const struct kql_sql *result;
    bool begun;
};

static void trouble_set(struct question_trouble *trouble, enum question_trouble_kind kind, const char *code,
                        const char *format, ...) __attribute__((format(printf, 4, 5)));

static void trouble_set(struct question_trouble *trouble, enum question_trouble_kind kind, const char *code,
                        const char *format, ...)
{
    va_list arguments;

    trouble->kind = kind;
    trouble->code = code;
    va_start(arguments, format);
    vsnprintf(trouble->message, sizeof trouble->message, format, arguments);
    va_end(arguments);
}

/* ---- whose tables ---- */

static bool names_it(const struct kql_named *workspace, const char *wanted)
{
    return text_equal_nocase(workspace->name, text_of(wanted)) || text_equal_nocase(workspace->text, text_of(wanted));
}

static bool wanted_at_all(const struct question *question, const char *otherwise, const struct kql_named *workspace)
{
    bool wanted = names_it(workspace, question->workspace ? question->workspace : otherwise);

    for (size_t i = 0; i < question->beside_count; i++)
        wanted |= names_it(workspace, question->beside[i]);
    return wanted;
}

/* The first name that is none of the workspaces; NULL: each is one. */
static const char *name_unknown(const struct question *question, const char *otherwise, const struct kql_named *workspaces,
                                size_t count)
{
    for (size_t i = 0; i <= question->beside_count; i++) {
        const char *wanted = i           ? question->beside[i - 1]
                             : question->workspace ? question->workspace
                                                   : otherwise;
        bool found = false;
        for (size_t k = 0; k < count; k++)
            found |= names_it(&workspaces[k], wanted);
        if (!found)
            return wanted;
    }
    return NULL;
}

/* Those in question first, and their ids as an array literal. */
static void workspaces_take(struct question_room *room, const struct request *request, const struct question *question,
                            const char *otherwise, const struct db_rows *rows, const struct kql_named *all)
{
    struct kql_named *ordered = ARENA_ARRAY(request->arena, struct kql_named, db_rows_count(rows) + 1);
    const char *scope = "{";
    unsigned taken = 0;

    for (size_t i = 0; i < db_rows_count(rows); i++) {
        if (!wanted_at_all(question, otherwise, &all[i]))
            continue;
        ordered[taken++] = all[i];
        scope = arena_format(request->arena, "%s%s%.*s", scope, taken > 1 ? "," : "", TEXT_ARGS(db_text(rows, i, 0)));
    }
    room->scope = arena_format(request->arena, "%s}", scope);
    room->home_count = taken;
    for (size_t i = 0; i < db_rows_count(rows); i++)
        if (!wanted_at_all(question, otherwise, &all[i]))
            ordered[taken++] = all[i];
    room->workspaces = ordered;
    room->workspace_count = taken;
}

static enum status workspaces_read(struct question_room *room, const struct request *request,
                                   const struct question *question, struct question_trouble *trouble, struct problem *why)
{
    static const char list[] = "SELECT workspace_id, name, guid FROM picket.workspace WHERE workspace_id = ANY($1::int[])"
                               " ORDER BY name = 'default' DESC, workspace_id";
    const char *const parameters[] = {request->caller->workspaces};
    struct db_rows *rows = NULL;

    enum status status = request_query(request, list, parameters, 1, &rows, why);
    size_t count = status ? 0 : db_rows_count(rows);
    struct kql_named *all = ARENA_ARRAY(request->arena, struct kql_named, count + 1);
    for (size_t i = 0; i < count; i++)
        all[i] = (struct kql_named){arena_text(request->arena, db_text(rows, i, 1)),
                                    arena_text(request->arena, db_text(rows, i, 2))};
    const char *otherwise = count ? arena_string(request->arena, all[0].name) : "default";
    const char *unknown = status ? NULL : name_unknown(question, otherwise, all, count);
    if (unknown)
        trouble_set(trouble, TROUBLE_WORKSPACE, "semantic.unknown_workspace",
                    "There is no workspace \"%.100s\" for this token.", unknown);
    else if (!status)
        workspaces_take(room, request, question, otherwise, rows, all);
    db_rows_free(rows);
    return status;
}

/* Words that may name another workspace: then the transaction sees them all, and the compiler keeps them apart. */
static bool looks_elsewhere(struct text kql)
{
    static const char *const words[] = {"workspace", "database"};

    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (memmem(kql.bytes, kql.count, words[i], strlen(words[i])))
            return true;
    return false;
}

static enum status scope_set(const struct request *request, const char *workspaces, uint32_t timeout_ms, struct problem *why)
{
    static const char set[] = "SELECT set_config('picket.workspaces', $1, true), set_config('statement_timeout', $2, true),"
                              " set_config('transaction_read_only', 'on', true), set_config('jit', 'off', true)";
    const char *const parameters[] = {workspaces, request_decimal(request, timeout_ms)};

    return request_query(request, set, parameters, 2, NULL, why);
}

enum status question_open(struct query *query, const struct request *request, const struct question *question,
                          struct question_room *out, struct question_trouble *trouble, struct problem *why)
{
    *out = (struct question_room){.everywhere = looks_elsewhere(question->kql)};
    enum status status = db_begin(request->db, request->timeout_ms, why);
    if (status)
        return status;
    status = scope_set(request, request->caller->workspaces, question->timeout_ms, why);
    if (!status)
        status = workspaces_read(out, request, question, trouble, why);
    if (!status && !trouble->kind && !out->everywhere)
        status = scope_set(request, out->scope, question->timeout_ms, why);
    if (!status && !trouble->kind)
        status = catalogs_take(query_catalogs_of(query), request, out->scope, &out->catalog, why);
    if (status)
        db_rollback(request->db);
    return status;
}

void question_close(struct query *query, const struct request *request, struct question_room *room)
{
    catalogs_give_back(query_catalogs_of(query), room->catalog);
    db_rollback(request->db); /* nothing was changed */
}

/* ---- compiling ---- */

static void trouble_compiled(struct asking *asking, const struct kql_diagnostic *wrong)
{
    struct question_trouble *trouble = asking->trouble;
    bool syntax = text_starts(text_of(wrong->code), TEXT("syntax."));

    trouble_set(trouble, syntax ? TROUBLE_SYNTAX : TROUBLE_SEMANTIC, wrong->code, "%s", wrong->message);
    kql_position(asking->question->kql, wrong->place.at, &trouble->line, &trouble->column);
}

/* What a failure of the statement means to whoever asked. True: it means something, and is told. */
static bool trouble_ran(struct asking *asking, enum status status, const struct problem *why)
{
    const char *state = db_sqlstate(asking->request->db);

    if (strcmp(state, "57014") == 0) {
        trouble_set(asking->trouble, TROUBLE_TIMEOUT, "execution.timeout",
                    "The query took longer than %u seconds and was stopped: ask for a shorter time span, or for fewer columns.",
                    asking->question->timeout_ms / 1000);
        return true;
    }
    if (strncmp(state, "53", 2) == 0 || strncmp(state, "54", 2) == 0) { /* resources, limits of the program */
        trouble_set(asking->trouble, TROUBLE_COST, "execution.resources", "The query needs more than the database gives it: %.300s",
                    why->text);
        return true;
    }
    if (status == STATUS_RETRY || !*state || strncmp(state, "42501", 5) == 0)
        return false;
    trouble_set(asking->trouble, TROUBLE_EXECUTION, "unsupported.execution", "%.400s", why->text);
    return true;
}

static const char **parameters_of(const struct request *request, const struct kql_sql *result)
{
    const char **parameters = ARENA_ARRAY(request->arena, const char *, result->parameter_count + 1);

    for (unsigned i = 0; i < result->parameter_count; i++)
        parameters[i] = arena_string(request->arena, result->parameters[i].text);
    return parameters;
}

/* Columns that depend on data: one row with one value says which there are. */
static enum status discover(struct asking *asking, const struct bound_query *asks, struct kql_discovered *out,
                            struct problem *why)
{
    const struct request *request = asking->request;
    struct kql_diagnostic wrong;
    struct kql_sql *result = NULL;
    struct db_rows *rows = NULL;

    if (kql_emit(asks, "kql", request->arena, &result, &wrong)) {
        trouble_compiled(asking, &wrong);
        return STATUS_OK;
    }
    enum status status = db_query(request->db, arena_string(request->arena, result->sql), parameters_of(request, result),
                                  result->parameter_count, asking->question->timeout_ms + SERVER_FIRST_MS, &rows, why);
    if (status)
        return trouble_ran(asking, status, why) ? STATUS_OK : status;
    if (!kql_discovered_read(db_text(rows, 0, 0), request->arena, out))
        trouble_set(asking->trouble, TROUBLE_EXECUTION, "unsupported.schema", "The columns that the data has cannot be read.");
    db_rows_free(rows);
    return STATUS_OK;
}

static enum status compiled(struct asking *asking, const struct kql_sql **out, struct problem *why)
{
    const struct question *question = asking->question;
    const struct question_room *room = &asking->room;
    struct kql_discovered discovered[KQL_DISCOVERED_MAX];
    int64_t started_us = clock_utc_us(), compiling_us = started_us; /* without what had to be asked of data */
    struct kql_options options = {
        .now_ticks = KQL_TICKS_OF_EPOCH + started_us * TICKS_PER_US,
        .from_ticks = question->from_ticks,
        .to_ticks = question->to_ticks,
        .parameters = question->parameters,
        .parameter_count = question->parameter_count,
        .workspaces = room->workspaces,
        .workspace_count = room->workspace_count,
        .home_count = room->everywhere ? room->home_count : 0,
        .discovered = discovered,
    };
    struct kql_diagnostic wrong;
    struct bound_query *bound;
    struct kql_sql *results = NULL;
    enum status status, found = STATUS_OK;

    while ((status = kql_bind(question->kql, room->catalog, &options, asking->request->arena, &bound, &wrong)) == STATUS_RETRY) {
        found = discover(asking, bound, &discovered[options.discovered_count], why);
        if (found || asking->trouble->kind)
            return found;
        options.discovered_count++;
        compiling_us = clock_utc_us();
    }
    if (status || kql_emit(bound, "kql", asking->request->arena, &results, &wrong))
        trouble_compiled(asking, &wrong);
    asking->facts->compile_us = clock_utc_us() - compiling_us;
    *out = results;
    return STATUS_OK;
}

/* ---- running ---- */

/* The planner's own figure, in its own unit: reading a page of 8 kB is 1. */
static enum status cost_check(struct asking *asking, const char *const *parameters, struct problem *why)
{
    const int64_t cost_max = query_settings_of(asking->query)->kql_cost_max;
    const char *explain = arena_format(asking->request->arena, "EXPLAIN (FORMAT JSON) %.*s", TEXT_ARGS(asking->result->sql));
    struct db_rows *rows = NULL;

    if (!cost_max)
        return STATUS_OK;
    enum status status = db_query(asking->request->db, explain, parameters, asking->result->parameter_count,
                                  asking->question->timeout_ms + SERVER_FIRST_MS, &rows, why);
    if (status)
        return trouble_ran(asking, status, why) ? STATUS_OK : status;
    json_t *plan = json_loads(db_text(rows, 0, 0).bytes, 0, NULL);
    asking->facts->cost = json_number_value(json_object_get(json_object_get(json_array_get(plan, 0), "Plan"), "Total Cost"));
    json_decref(plan);
    db_rows_free(rows);
    if (asking->facts->cost > (double)cost_max)
        trouble_set(asking->trouble, TROUBLE_COST, "execution.cost",
                    "The query would cost %.0f units, and %lld are allowed (kql_cost_max): narrow its time span, filter before"
                    " join and summarize, or join on columns that tell rows apart.",
                    asking->facts->cost, (long long)cost_max);
    return STATUS_OK;
}

static enum status row_take(void *context, const struct db_rows *row, struct problem *why)
{
    struct asking *asking = context;
    const struct question *question = asking->question;
    enum status status = STATUS_OK;

    if (!asking->begun) {
        status = asking->sink->begin(asking->sink->context, asking->result, why);
        asking->begun = true;
    }
    for (unsigned i = 0; i < asking->result->column_count; i++)
        asking->facts->bytes += (int64_t)db_text(row, 0, (int)i).count;
    if (++asking->facts->rows > question->rows_max || asking->facts->bytes > question->bytes_max) {
        bool rows = asking->facts->rows > question->rows_max;
        asking->facts->rows--;
        trouble_set(asking->trouble, TROUBLE_LIMIT, "E_QUERY_RESULT_SET_TOO_LARGE",
                    "The result has more than %lld %s and was cut there: summarize, take fewer rows, or project fewer columns.",
                    (long long)(rows ? question->rows_max : question->bytes_max), rows ? "rows" : "bytes");
        return problem_set(why, STATUS_REJECT, STOPPED);
    }
    return status ? status : asking->sink->row(asking->sink->context, row, why);
}

static enum status result_run(struct asking *asking, struct problem *why)
{
    const char **parameters = parameters_of(asking->request, asking->result);
    const struct question_sink *sink = asking->sink;
    struct kql_sql const *result = asking->result;

    asking->begun = false;
    enum status status = cost_check(asking, parameters, why);
    if (status || asking->trouble->kind)
        return status;
    status = db_each(asking->request->db, arena_string(asking->request->arena, result->sql), parameters,
                     result->parameter_count, asking->question->timeout_ms + SERVER_FIRST_MS, row_take, asking, why);
    if (status && asking->trouble->kind) /* more than may be: the rows before stand */
        status = STATUS_OK;
    else if (status && trouble_ran(asking, status, why))
        status = STATUS_OK;
    if (status == STATUS_RETRY && asking->begun) {
        trouble_set(asking->trouble, TROUBLE_EXECUTION, "execution.lost", "The database went away while it answered.");
        status = STATUS_OK;
    }
    if (!status && !asking->begun && !asking->trouble->kind) {
        status = sink->begin(sink->context, result, why);
        asking->begun = true;
    }
    if (!status && asking->begun)
        status = sink->end(sink->context, why);
    return status;
}

enum status question_ask(struct query *query, const struct request *request, const struct question *question,
                         const struct question_sink *sink, struct question_trouble *trouble, struct question_facts *facts,
                         struct problem *why)
{
    struct asking asking = {.query = query, .request = request, .question = question, .sink = sink, .trouble = trouble, .facts = facts};
    struct question_room *room = &asking.room;

    *trouble = (struct question_trouble){0};
    *facts = (struct question_facts){.workspaces = ""};
    enum status status = question_open(query, request, question, room, trouble, why);
    if (status)
        return status;
    for (unsigned i = 0; i < room->home_count; i++)
        facts->workspaces = arena_format(request->arena, "%s%s%.*s", facts->workspaces, i ? "," : "", TEXT_ARGS(room->workspaces[i].name));
    int64_t started_us = clock_utc_us();
    struct running_question *running = running_begin(query_running_of(query), request->db, request->exchange,
                                                     request->caller->token_id, facts->workspaces, question->kql);
    if (!trouble->kind)
        status = compiled(&asking, &asking.result, why);
    for (; !status && asking.result && !trouble->kind; asking.result = asking.result->next)
        status = result_run(&asking, why);
    if (running_end(query_running_of(query), running) && trouble->kind == TROUBLE_TIMEOUT)
        trouble_set(trouble, TROUBLE_TIMEOUT, "execution.cancelled", "The query was stopped.");
    facts->run_us = clock_utc_us() - started_us;
    question_close(query, request, room);
    return status;
}
