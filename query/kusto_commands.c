#include "query/kusto_commands.h"

#include "query/kusto_frames.h"
#include "query/refusal.h"
#include "query/running.h"
#include "query/saved.h"
#include "runtime/clock.h"

#define VERSION "1.0.0"

/* A command under way. Its words are tokens of the query language, which the bodies of functions are written in. */
struct command {
    struct query *query;
    const struct request *request;
    struct reply *reply;
    const char *database; /* where the command names none */
    struct text source;
    const struct kql_token *token; /* the next one */
    struct text named;             /* by the words that began it */
    struct question_room room;
};

typedef enum status command_runner(struct command *command, struct problem *why);
static command_runner show_tables, show_table, show_databases, show_version, show_cluster, show_functions, show_function,
    show_schema, show_schema_as_json, show_queries, cancel_query, put_function, drop_function, put_table, drop_table;

/* The words that begin a command, and who goes on from there. A '?' stands for a name that may be left out, '*' for one that
 * may not. The first row that fits is taken. */
static const struct {
    const char *words;
    command_runner *run;
    enum query_role role;
} commands[] = {
    {"show tables", show_tables, ROLE_READER},
    {"show table * cslschema", show_table, ROLE_READER},
    {"show table *", show_table, ROLE_READER},
    {"show databases", show_databases, ROLE_READER},
    {"show version", show_version, ROLE_READER},
    {"show cluster", show_cluster, ROLE_READER},
    {"show functions", show_functions, ROLE_READER},
    {"show function *", show_function, ROLE_READER},
    {"show schema as json", show_schema_as_json, ROLE_READER},
    {"show database ? schema as json", show_schema_as_json, ROLE_READER},
    {"show databases schema as json", show_schema_as_json, ROLE_READER},
    {"show schema", show_schema, ROLE_READER},
    {"show database ? schema", show_schema, ROLE_READER},
    {"show running queries", show_queries, ROLE_READER},
    {"show queries", show_queries, ROLE_READER},
    {"cancel query", cancel_query, ROLE_READER},
    {"create-or-alter function", put_function, ROLE_ANALYST},
    {"create function", put_function, ROLE_ANALYST},
    {"alter function", put_function, ROLE_ANALYST},
    {"drop function", drop_function, ROLE_ANALYST},
    {"create-merge table", put_table, ROLE_ANALYST},
    {"create table", put_table, ROLE_ANALYST},
    {"drop table", drop_table, ROLE_ANALYST},
};

/* ---- words ---- */

static struct text token_text(const struct command *command)
{
    return kql_text(command->source, command->token->place);
}

static bool at_end(const struct command *command)
{
    return command->token->kind == KQL_END;
}

/* A name, bare or in brackets and quotes; TEXT_NONE: there is none, and nothing is taken. */
static struct text take_name(struct command *command)
{
    struct text name = TEXT_NONE;

    if (command->token->kind == KQL_NAME) {
        name = token_text(command);
    } else if (command->token->kind == KQL_STRING) {
        (void)kql_string_value(token_text(command), command->request->arena, &name);
    } else if (KQL_MARK_IS(command->token, '[') && command->token[1].kind == KQL_STRING) {
        command->token++;
        (void)kql_string_value(token_text(command), command->request->arena, &name);
        command->token++;
    }
    if (name.bytes)
        command->token++;
    return name;
}

/* "create-or-alter" is three names and two marks. */
static bool take_word(struct command *command, struct text word)
{
    const struct kql_token *token = command->token;
    struct text rest = word, part;

    while (rest.bytes) {
        rest = text_cut(rest, '-', &part);
        if (token->kind != KQL_NAME || !text_equal_nocase(kql_text(command->source, token->place), part))
            return false;
        token++;
        if (rest.bytes && !KQL_MARK_IS(token, '-'))
            return false;
        token += rest.bytes != NULL;
    }
    command->token = token;
    return true;
}

static bool take_mark(struct command *command, char mark)
{
    bool there = KQL_MARK_IS(command->token, mark);

    command->token += there;
    return there;
}

/* The words of a row; a name among them is kept. */
static bool words_fit(struct command *command, const char *words)
{
    const struct kql_token *start = command->token;
    struct text rest = text_of(words), word;

    command->named = TEXT_NONE;
    while (rest.bytes) {
        bool optional, named;
        rest = text_cut(rest, ' ', &word);
        optional = text_equal(word, TEXT("?"));
        named = optional || text_equal(word, TEXT("*"));
        if (optional && command->token->kind == KQL_NAME && text_equal_nocase(token_text(command), TEXT("schema")))
            continue;
        if (named ? !(command->named = take_name(command)).bytes : !take_word(command, word)) {
            command->token = start;
            return false;
        }
    }
    return true;
}

/* The text between a bracket and the one that belongs to it, which are taken; TEXT_NONE: there is none. */
static struct text take_bracketed(struct command *command, char open, char close)
{
    const struct kql_token *token = command->token;
    uint32_t from = token->place.at + 1;
    unsigned depth = 0;

    if (!KQL_MARK_IS(token, open))
        return TEXT_NONE;
    for (; token->kind != KQL_END; token++) {
        depth += KQL_MARK_IS(token, open);
        depth -= KQL_MARK_IS(token, close);
        if (!depth)
            break;
    }
    if (token->kind == KQL_END)
        return TEXT_NONE;
    command->token = token + 1;
    return (struct text){command->source.bytes + from, token->place.at - from};
}

/* with (docstring="…", folder='…'), whatever else stands there. */
static void take_properties(struct command *command, struct saved_function *out)
{
    struct text name, value;

    if (!take_word(command, TEXT("with")) || !take_mark(command, '('))
        return;
    while (!at_end(command) && !take_mark(command, ')')) {
        name = take_name(command);
        value = TEXT_NONE;
        if (name.bytes && take_mark(command, '='))
            value = take_name(command);
        if (text_equal_nocase(name, TEXT("docstring")) && value.bytes)
            out->description = arena_string(command->request->arena, value);
        if (text_equal_nocase(name, TEXT("folder")) && value.bytes)
            out->folder = arena_string(command->request->arena, value);
        if (!take_mark(command, ',') && !name.bytes && !KQL_MARK_IS(command->token, ')'))
            command->token++;
    }
}

/* ---- what there is ---- */

static const char *database_name(const struct command *command)
{
    return arena_string(command->request->arena, command->room.workspaces[0].name);
}

static void columns_text(struct buf *out, const struct catalog_table *table)
{
    for (size_t i = 0; i < table->count; i++)
        buf_format(out, "%s%.*s:%s", i ? "," : "", TEXT_ARGS(table->columns[i].name), kql_type_name(table->columns[i].type));
}

static enum status show_tables(struct command *command, struct problem *why)
{
    static const struct kusto_column columns[] = {
        {"TableName", "string"}, {"DatabaseName", "string"}, {"Folder", "string"}, {"DocString", "string"}};
    struct reply *reply = command->reply;

    (void)why;
    kusto_table_begin(reply, columns, 4);
    for (size_t i = 0; i < catalog_tables(command->room.catalog); i++) {
        kusto_row_begin(reply);
        reply_text(reply, NULL, catalog_table_at(command->room.catalog, i)->name);
        reply_string(reply, NULL, database_name(command));
        reply_string(reply, NULL, "");
        reply_string(reply, NULL, "");
        kusto_row_end(reply);
    }
    kusto_table_end(reply);
    return STATUS_OK;
}

static enum status show_table(struct command *command, struct problem *why)
{
    static const struct kusto_column columns[] = {
        {"TableName", "string"}, {"Schema", "string"}, {"DatabaseName", "string"}, {"Folder", "string"}, {"DocString", "string"}};
    const struct catalog_table *table = catalog_table_find(command->room.catalog, command->named);
    struct reply *reply = command->reply;
    struct buf schema;

    if (!table)
        return reply_refuse(reply, why, 400, "NotFound", "There is no table %.*s.", TEXT_ARGS(command->named));
    buf_init(&schema, 1024 * 1024);
    columns_text(&schema, table);
    kusto_table_begin(reply, columns, 5);
    kusto_row_begin(reply);
    reply_text(reply, NULL, table->name);
    reply_text(reply, NULL, buf_as_text(&schema));
    reply_string(reply, NULL, database_name(command));
    reply_string(reply, NULL, "");
    reply_string(reply, NULL, "");
    kusto_row_end(reply);
    kusto_table_end(reply);
    buf_done(&schema);
    return STATUS_OK;
}

static enum status show_databases(struct command *command, struct problem *why)
{
    static const struct kusto_column columns[] = {
        {"DatabaseName", "string"}, {"PersistentStorage", "string"}, {"Version", "string"},     {"IsCurrent", "bool"},
        {"DatabaseAccessMode", "string"}, {"PrettyName", "string"},  {"ReservedSlot1", "bool"}, {"DatabaseId", "guid"},
        {"InTransitionTo", "string"}};
    const struct question_room *room = &command->room;
    struct reply *reply = command->reply;

    (void)why;
    kusto_table_begin(reply, columns, sizeof columns / sizeof *columns);
    for (unsigned i = 0; i < room->workspace_count; i++) {
        kusto_row_begin(reply);
        reply_text(reply, NULL, room->workspaces[i].name);
        reply_string(reply, NULL, "");
        reply_string(reply, NULL, "v1.0");
        reply_flag(reply, NULL, i == 0);
        reply_string(reply, NULL, "ReadOnly");
        reply_text(reply, NULL, room->workspaces[i].name);
        reply_null(reply, NULL);
        reply_text(reply, NULL, room->workspaces[i].text);
        reply_string(reply, NULL, "");
        kusto_row_end(reply);
    }
    kusto_table_end(reply);
    return STATUS_OK;
}

static enum status show_version(struct command *command, struct problem *why)
{
    static const struct kusto_column columns[] = {
        {"BuildVersion", "string"}, {"BuildTime", "datetime"}, {"ServiceType", "string"}, {"ProductVersion", "string"}};
    struct reply *reply = command->reply;

    (void)why;
    kusto_table_begin(reply, columns, 4);
    kusto_row_begin(reply);
    reply_string(reply, NULL, VERSION);
    reply_null(reply, NULL);
    reply_string(reply, NULL, "Engine");
    reply_string(reply, NULL, "Picket " VERSION);
    kusto_row_end(reply);
    kusto_table_end(reply);
    return STATUS_OK;
}

static enum status show_cluster(struct command *command, struct problem *why)
{
    static const struct kusto_column columns[] = {{"NodeId", "string"}, {"Address", "string"}, {"Name", "string"},
                                                  {"IsCurrent", "bool"}, {"ProductVersion", "string"}};
    struct reply *reply = command->reply;

    (void)why;
    kusto_table_begin(reply, columns, 5);
    kusto_row_begin(reply);
    reply_string(reply, NULL, "picket");
    reply_string(reply, NULL, "");
    reply_string(reply, NULL, "picket");
    reply_flag(reply, NULL, true);
    reply_string(reply, NULL, "Picket " VERSION);
    kusto_row_end(reply);
    kusto_table_end(reply);
    return STATUS_OK;
}

/* `name` NULL: all. */
static enum status functions_select(struct command *command, const char *name, struct db_rows **out, struct problem *why)
{
    static const char list[] = "SELECT DISTINCT ON (name) name, parameters, '{' || body || '}', folder, description, body"
                               " FROM picket.saved_function WHERE workspace_id = ANY($1::int[]) AND ($2::text IS NULL OR name = $2)"
                               " ORDER BY name, workspace_id";
    const char *const parameters[] = {command->room.scope, name};

    return request_query(command->request, list, parameters, 2, out, why);
}

static void functions_write(struct reply *reply, const struct db_rows *rows)
{
    static const struct kusto_column columns[] = {
        {"Name", "string"}, {"Parameters", "string"}, {"Body", "string"}, {"Folder", "string"}, {"DocString", "string"}};

    kusto_table_begin(reply, columns, 5);
    for (size_t i = 0; i < db_rows_count(rows); i++) {
        kusto_row_begin(reply);
        for (int column = 0; column < 5; column++)
            reply_column_text(reply, NULL, rows, i, column);
        kusto_row_end(reply);
    }
    kusto_table_end(reply);
}

static enum status show_functions(struct command *command, struct problem *why)
{
    struct db_rows *rows = NULL;

    enum status status = functions_select(command, NULL, &rows, why);
    if (!status)
        functions_write(command->reply, rows);
    db_rows_free(rows);
    return status;
}

static enum status show_function(struct command *command, struct problem *why)
{
    struct db_rows *rows = NULL;

    enum status status = functions_select(command, arena_string(command->request->arena, command->named), &rows, why);
    if (!status && !db_rows_count(rows))
        status = reply_refuse(command->reply, why, 400, "NotFound", "There is no function %.*s.", TEXT_ARGS(command->named));
    if (!status)
        functions_write(command->reply, rows);
    db_rows_free(rows);
    return status;
}

static enum status show_schema(struct command *command, struct problem *why)
{
    static const struct kusto_column columns[] = {
        {"DatabaseName", "string"}, {"TableName", "string"}, {"ColumnName", "string"}, {"ColumnType", "string"},
        {"IsDefaultTable", "bool"}, {"IsDefaultColumn", "bool"}, {"PrettyName", "string"}, {"Version", "string"},
        {"Folder", "string"}, {"DocString", "string"}};
    struct reply *reply = command->reply;

    (void)why;
    kusto_table_begin(reply, columns, sizeof columns / sizeof *columns);
    for (size_t i = 0; i < catalog_tables(command->room.catalog); i++) {
        const struct catalog_table *table = catalog_table_at(command->room.catalog, i);
        for (size_t k = 0; k < table->count; k++) {
            kusto_row_begin(reply);
            reply_string(reply, NULL, database_name(command));
            reply_text(reply, NULL, table->name);
            reply_text(reply, NULL, table->columns[k].name);
            reply_string(reply, NULL, arena_format(command->request->arena, "System.%s", kusto_type(table->columns[k].type)));
            reply_flag(reply, NULL, false);
            reply_flag(reply, NULL, false);
            for (int n = 0; n < 4; n++)
                reply_string(reply, NULL, n == 1 ? "v1.0" : "");
            kusto_row_end(reply);
        }
    }
    kusto_table_end(reply);
    return STATUS_OK;
}

/* ---- the schema as editors read it ---- */

static void json_member(struct buf *out, const char *before, const char *name, struct text value)
{
    buf_format(out, "%s\"%s\":", before, name);
    buf_json_string(out, value);
}

static void json_column(struct buf *out, struct text name, struct text type)
{
    enum kql_type kind = TYPE_DYNAMIC;

    (void)kql_type_of(type, &kind);
    json_member(out, "{", "Name", name);
    buf_format(out, ",\"Type\":\"System.%s\",\"CslType\":\"%s\"}", kusto_type(kind), kql_type_name(kind));
}

static void json_tables(struct buf *out, const struct catalog *catalog)
{
    for (size_t i = 0; i < catalog_tables(catalog); i++) {
        const struct catalog_table *table = catalog_table_at(catalog, i);
        if (i)
            buf_byte(out, ',');
        buf_json_string(out, table->name);
        json_member(out, ":{", "Name", table->name);
        buf_string(out, ",\"Folder\":\"\",\"DocString\":\"\",\"OrderedColumns\":[");
        for (size_t k = 0; k < table->count; k++) {
            buf_string(out, k ? "," : "");
            json_column(out, table->columns[k].name, text_of(kql_type_name(table->columns[k].type)));
        }
        buf_string(out, "]}");
    }
}

static void json_parameter(struct buf *out, const struct kql_column *parameter)
{
    if (!parameter->is_table) {
        json_column(out, parameter->name.text, parameter->type.text);
        return;
    }
    json_member(out, "{", "Name", parameter->name.text);
    buf_string(out, ",\"Columns\":[");
    for (const struct kql_column *column = parameter->columns; column; column = column->next) {
        buf_string(out, column == parameter->columns ? "" : ",");
        json_column(out, column->name.text, column->type.text);
    }
    buf_string(out, "]}");
}

static void json_functions(struct buf *out, const struct catalog *catalog, const struct db_rows *rows)
{
    bool first = true;

    for (size_t i = 0; i < db_rows_count(rows); i++) {
        const struct catalog_function *function = catalog_function_find(catalog, db_text(rows, i, 0));
        if (!function)
            continue;
        buf_string(out, first ? "" : ",");
        first = false;
        buf_json_string(out, function->name);
        json_member(out, ":{", "Name", function->name);
        buf_string(out, ",\"InputParameters\":[");
        for (const struct kql_column *parameter = function->function->parameters; parameter; parameter = parameter->next) {
            buf_string(out, parameter == function->function->parameters ? "" : ",");
            json_parameter(out, parameter);
        }
        buf_byte(out, ']');
        json_member(out, ",", "Body", db_text(rows, i, 2));
        json_member(out, ",", "Folder", db_text(rows, i, 3));
        json_member(out, ",", "DocString", db_text(rows, i, 4));
        buf_string(out, ",\"FunctionKind\":\"Unknown\",\"OutputColumns\":[]}");
    }
}

static enum status show_schema_as_json(struct command *command, struct problem *why)
{
    static const struct kusto_column columns[] = {{"DatabaseSchema", "string"}};
    struct reply *reply = command->reply;
    struct db_rows *rows = NULL;
    struct buf schema;

    enum status status = functions_select(command, NULL, &rows, why);
    if (status)
        return status;
    buf_init(&schema, 64 * 1024 * 1024);
    buf_string(&schema, "{\"Plugins\":[],\"Databases\":{");
    buf_json_string(&schema, text_of(database_name(command)));
    json_member(&schema, ":{", "Name", text_of(database_name(command)));
    buf_string(&schema, ",\"Tables\":{");
    json_tables(&schema, command->room.catalog);
    buf_string(&schema, "},\"ExternalTables\":{},\"MaterializedViews\":{},\"EntityGroups\":{},\"MajorVersion\":1,\"MinorVersion\":1,\"Functions\":{");
    json_functions(&schema, command->room.catalog, rows);
    buf_string(&schema, "},\"DatabaseAccessMode\":\"ReadOnly\"}}}");
    db_rows_free(rows);
    kusto_table_begin(reply, columns, 1);
    kusto_row_begin(reply);
    reply_text(reply, NULL, buf_as_text(&schema));
    kusto_row_end(reply);
    kusto_table_end(reply);
    buf_done(&schema);
    return STATUS_OK;
}

/* ---- running queries ---- */

static void running_write(void *context, const struct running_fact *fact)
{
    struct command *command = context;
    struct reply *reply = command->reply;
    char started[CLOCK_TEXT_SIZE], lasted[KQL_TIME_SIZE];

    /* Another token's question shows only to who may see every token. */
    if (command->request->caller->role < ROLE_ADMIN && command->request->caller->token_id != fact->token_id)
        return;
    clock_format(fact->started_us, started);
    kql_timespan_write((clock_utc_us() - fact->started_us) * 10, lasted);
    kusto_row_begin(reply);
    reply_string(reply, NULL, fact->id);
    reply_string(reply, NULL, fact->text);
    reply_string(reply, NULL, fact->workspace);
    reply_string(reply, NULL, started);
    reply_string(reply, NULL, lasted);
    reply_string(reply, NULL, "InProgress");
    reply_string(reply, NULL, arena_format(command->request->arena, "token %lld", (long long)fact->token_id));
    kusto_row_end(reply);
}

static enum status show_queries(struct command *command, struct problem *why)
{
    static const struct kusto_column columns[] = {{"ClientActivityId", "string"}, {"Text", "string"},  {"Database", "string"},
                                                  {"StartedOn", "datetime"},      {"Duration", "timespan"}, {"State", "string"},
                                                  {"User", "string"}};

    (void)why;
    kusto_table_begin(command->reply, columns, sizeof columns / sizeof *columns);
    running_each(query_running_of(command->query), running_write, command);
    kusto_table_end(command->reply);
    return STATUS_OK;
}

static enum status cancel_query(struct command *command, struct problem *why)
{
    static const struct kusto_column columns[] = {{"RunningQueryCanceled", "bool"}};
    const struct caller *caller = command->request->caller;
    struct text id = take_name(command);

    if (!id.bytes)
        return problem_set(why, STATUS_REJECT, ".cancel query needs the id that .show queries gives, in quotes");
    bool stopped = running_cancel(query_running_of(command->query), id, caller->role == ROLE_ADMIN ? 0 : caller->token_id);
    kusto_table_begin(command->reply, columns, 1);
    kusto_row_begin(command->reply);
    reply_flag(command->reply, NULL, stopped);
    kusto_row_end(command->reply);
    kusto_table_end(command->reply);
    return STATUS_OK;
}

/* ---- changes ---- */

/* The workspace by its number, in a transaction that may write it. */
static enum status change_open(struct command *command, struct request *out, int64_t *workspace, struct problem *why)
{
    static const char set[] = "SELECT set_config('picket.workspaces', $1, true)";
    static const char find[] = "SELECT workspace_id FROM picket.workspace WHERE name = $1";
    const struct request *request = command->request;
    const char *const scope[] = {request->caller->workspaces}, *const name[] = {database_name(command)};
    struct db_rows *rows = NULL;

    *out = *request;
    out->db = request->admin;
    enum status status = db_begin(out->db, out->timeout_ms, why);
    if (status)
        return status;
    status = request_query(out, set, scope, 1, NULL, why);
    if (!status)
        status = request_query(out, find, name, 1, &rows, why);
    if (!status && db_rows_count(rows) == 0)
        status = problem_set(why, STATUS_RETRY, "the workspace went away");
    if (!status)
        *workspace = db_i64(rows, 0, 0);
    db_rows_free(rows);
    if (status)
        db_rollback(out->db);
    return status;
}

static enum status change_close(struct request *change, enum status status, struct problem *why)
{
    if (status) {
        db_rollback(change->db);
        return status;
    }
    return db_commit(change->db, change->timeout_ms, why);
}

static void function_answer(struct command *command, const struct saved_function *function)
{
    static const struct kusto_column columns[] = {
        {"Name", "string"}, {"Parameters", "string"}, {"Body", "string"}, {"Folder", "string"}, {"DocString", "string"}};
    struct reply *reply = command->reply;

    kusto_table_begin(reply, columns, 5);
    kusto_row_begin(reply);
    reply_string(reply, NULL, function->name);
    reply_string(reply, NULL, function->parameters);
    reply_string(reply, NULL, arena_format(command->request->arena, "{%s}", function->body));
    reply_string(reply, NULL, function->folder ? function->folder : "");
    reply_string(reply, NULL, function->description ? function->description : "");
    kusto_row_end(reply);
    kusto_table_end(reply);
}

static enum saved_mode mode_of(const struct command *command)
{
    struct text source = text_trim(command->source);

    return text_starts(source, TEXT(".alter"))            ? SAVED_ALTER
           : text_starts(source, TEXT(".create-or-alter")) ? SAVED_EITHER
                                                           : SAVED_CREATE;
}

static enum status put_function(struct command *command, struct problem *why)
{
    struct saved_function function = {0};
    struct arena *arena = command->request->arena;
    enum saved_mode mode = mode_of(command);
    struct request change;
    int64_t workspace;

    if (take_word(command, TEXT("ifnotexists")))
        mode = SAVED_EITHER;
    take_properties(command, &function);
    struct text name = take_name(command), parameters = take_bracketed(command, '(', ')');
    struct text body = take_bracketed(command, '{', '}');
    if (!name.bytes || !parameters.bytes || !body.bytes || !at_end(command))
        return problem_set(why, STATUS_REJECT, "expected .create-or-alter function Name(parameter:type, …) { … }");
    function.name = arena_string(arena, name);
    function.parameters = arena_format(arena, "(%.*s)", TEXT_ARGS(parameters));
    function.body = arena_string(arena, text_trim(body));
    enum status status = change_open(command, &change, &workspace, why);
    if (status)
        return status;
    status = change_close(&change, saved_function_put(&change, workspace, &function, mode, why), why);
    if (!status)
        function_answer(command, &function);
    return status;
}

static enum status dropped(struct command *command, const char *kind, struct problem *why)
{
    static const struct kusto_column columns[] = {{"Name", "string"}};
    struct text name = take_name(command);
    bool tolerant = take_word(command, TEXT("ifexists")), found = false;
    struct request change;
    int64_t workspace;

    if (!name.bytes)
        return problem_set(why, STATUS_REJECT, ".drop %s needs a name", kind);
    enum status status = change_open(command, &change, &workspace, why);
    if (status)
        return status;
    status = saved_drop(&change, workspace, kind, arena_string(command->request->arena, name), &found, why);
    status = change_close(&change, status, why);
    if (!status && !found && !tolerant)
        return reply_refuse(command->reply, why, 400, "NotFound", "There is no %s %.*s.", kind, TEXT_ARGS(name));
    if (status)
        return status;
    kusto_table_begin(command->reply, columns, 1);
    if (found) {
        kusto_row_begin(command->reply);
        reply_text(command->reply, NULL, name);
        kusto_row_end(command->reply);
    }
    kusto_table_end(command->reply);
    return STATUS_OK;
}

static enum status drop_function(struct command *command, struct problem *why)
{
    return dropped(command, "function", why);
}

static enum status drop_table(struct command *command, struct problem *why)
{
    return dropped(command, "table", why);
}

static enum status put_table(struct command *command, struct problem *why)
{
    static const struct kusto_column answer[] = {{"TableName", "string"}, {"Schema", "string"}, {"DatabaseName", "string"}};
    struct arena *arena = command->request->arena;
    struct text name = take_name(command), columns = take_bracketed(command, '(', ')');
    struct request change;
    int64_t workspace;

    if (!name.bytes || !columns.bytes)
        return problem_set(why, STATUS_REJECT, "expected .create table Name_CL(TimeGenerated:datetime, Column:type, …)");
    enum status status = change_open(command, &change, &workspace, why);
    if (status)
        return status;
    status = saved_table_put(&change, workspace, arena_string(arena, name), arena_string(arena, columns), NULL, why);
    status = change_close(&change, status, why);
    if (status)
        return status;
    kusto_table_begin(command->reply, answer, 3);
    kusto_row_begin(command->reply);
    reply_text(command->reply, NULL, name);
    reply_text(command->reply, NULL, columns);
    reply_string(command->reply, NULL, database_name(command));
    kusto_row_end(command->reply);
    kusto_table_end(command->reply);
    return STATUS_OK;
}

/* ---- running one ---- */

static enum status within_room(struct command *command, command_runner *run, const char *database, struct problem *why)
{
    const struct question question = {.workspace = database, .kql = TEXT(""), .timeout_ms = command->request->timeout_ms};
    struct question_trouble trouble = {0};

    enum status status = question_open(command->query, command->request, &question, &command->room, &trouble, why);
    if (status)
        return status;
    if (trouble.kind) {
        reply_code(command->reply, refusal_code(&trouble));
        refusal_of_question(command->reply->body, REFUSAL_KUSTO, &trouble);
    } else {
        status = run(command, why);
    }
    question_close(command->query, command->request, &command->room);
    return status;
}

enum status kusto_command_run(struct query *query, const struct request *request, struct reply *reply, const char *database,
                              struct text text, struct problem *why)
{
    struct command command = {.query = query, .request = request, .reply = reply, .database = database, .source = text};
    struct kql_diagnostic wrong = {0};
    struct kql_tokens tokens;

    if (kql_lex(text, request->arena, &tokens, &wrong))
        return problem_set(why, STATUS_REJECT, "the command cannot be read: %s", wrong.message);
    command.token = tokens.list;
    if (!take_mark(&command, '.'))
        return problem_set(why, STATUS_REJECT, "a command begins with a dot; queries go to /v1/rest/query and /v2/rest/query");
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        if (!words_fit(&command, commands[i].words))
            continue;
        if (request->caller->role < commands[i].role)
            return reply_refuse(reply, why, 403, "Forbidden", "This command needs a token with the role analyst.");
        if (command.named.bytes && text_starts(text_of(commands[i].words), TEXT("show database ")))
            database = arena_string(request->arena, command.named);
        return within_room(&command, commands[i].run, database, why);
    }
    return problem_set(why, STATUS_REJECT, "this command is not supported: %.100s", arena_string(request->arena, text));
}
