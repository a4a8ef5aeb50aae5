#include "query/kusto_frames.h"

#include "kql/cell.h"
#include "query/refusal.h"
#include "query/render.h"
#include "runtime/clock.h"

#define FAILED_STATUS (-2133196797) /* 80DA0003, the number of a result set that is too large; said of every failure behind rows */

static const char *const clr_types[KQL_TYPES] = {
    [TYPE_BOOL] = "SByte",       [TYPE_INT] = "Int32",         [TYPE_LONG] = "Int64", [TYPE_REAL] = "Double",
    [TYPE_DECIMAL] = "SqlDecimal", [TYPE_STRING] = "String",   [TYPE_DATETIME] = "DateTime",
    [TYPE_TIMESPAN] = "TimeSpan", [TYPE_GUID] = "Guid",        [TYPE_DYNAMIC] = "Object",
};

const char *kusto_type(enum kql_type type)
{
    return clr_types[type];
}

/* ---- tables of our own making: properties, status, contents ---- */

static void column_write(struct reply *reply, bool version2, struct text name, const char *type)
{
    enum kql_type kind = TYPE_STRING;

    (void)kql_type_of(text_of(type), &kind);
    reply_open_object(reply, NULL);
    reply_text(reply, "ColumnName", name);
    if (!version2)
        reply_string(reply, "DataType", clr_types[kind]);
    reply_string(reply, "ColumnType", type);
    reply_close_object(reply);
}

static void columns_write(struct reply *reply, bool version2, const struct kusto_column *columns, size_t count)
{
    reply_open_array(reply, "Columns");
    for (size_t i = 0; i < count; i++)
        column_write(reply, version2, text_of(columns[i].name), columns[i].type);
    reply_close_array(reply);
}

void kusto_table_begin(struct reply *reply, const struct kusto_column *columns, size_t count)
{
    reply_open_object(reply, NULL);
    reply_open_array(reply, "Tables");
    reply_open_object(reply, NULL);
    reply_string(reply, "TableName", "Table_0");
    columns_write(reply, false, columns, count);
    reply_open_array(reply, "Rows");
}

void kusto_row_begin(struct reply *reply)
{
    reply_open_array(reply, NULL);
}

void kusto_row_end(struct reply *reply)
{
    reply_close_array(reply);
}

void kusto_table_end(struct reply *reply)
{
    reply_close_array(reply);
    reply_close_object(reply);
    reply_close_array(reply);
    reply_close_object(reply);
}

/* ---- frames ---- */

static void frame_begin(struct kusto_frames *frames, const char *type)
{
    struct buf *body = frames->reply->body;
    bool first = frames->tables == 0 && frames->results == 0 && type[0] == 'D' && type[4] == 'S';

    if (frames->options.lines)
        buf_string(body, first ? "[" : "\n,");
    else
        buf_string(body, first ? "[" : ",");
    buf_format(body, "{\"FrameType\":\"%s\"", type);
}

static void table_open(struct kusto_frames *frames, const char *frame, const char *kind, const char *name)
{
    struct reply *reply = frames->reply;

    if (frames->options.version2) {
        frame_begin(frames, frame);
        reply_number(reply, "TableId", frames->tables++);
        reply_string(reply, "TableKind", kind);
        reply_string(reply, "TableName", name);
    } else {
        if (frames->tables == 0)
            buf_string(reply->body, "{\"Tables\":[");
        reply_open_object(reply, NULL);
        reply_string(reply, "TableName", arena_format(http_arena(reply->exchange), "Table_%u", frames->tables++));
    }
}

void kusto_frames_init(struct kusto_frames *frames, struct reply *reply, const struct kusto_options *options)
{
    *frames = (struct kusto_frames){.reply = reply, .options = *options};
}

static void header_write(struct kusto_frames *frames)
{
    frame_begin(frames, "DataSetHeader");
    buf_format(frames->reply->body,
               ",\"IsProgressive\":false,\"Version\":\"v2.0\",\"IsFragmented\":%s,\"ErrorReportingPlacement\":\"%s\"}",
               frames->options.fragmented ? "true" : "false", frames->options.fragmented ? "EndOfTable" : "InData");
}

/* How each result wants to be shown. */
static void properties_write(struct kusto_frames *frames)
{
    static const struct kusto_column columns2[] = {{"TableId", "int"}, {"Key", "string"}, {"Value", "dynamic"}};
    static const struct kusto_column columns1[] = {{"Value", "string"}};
    bool version2 = frames->options.version2;
    struct reply *reply = frames->reply;
    unsigned number = 0;
    struct buf render;

    table_open(frames, "DataTable", "QueryProperties", "@ExtendedProperties");
    columns_write(reply, version2, version2 ? columns2 : columns1, version2 ? 3 : 1);
    reply_open_array(reply, "Rows");
    buf_init(&render, 65536);
    for (const struct kql_sql *result = frames->first; result; result = result->next) {
        buf_clear(&render);
        render_write_kusto(&render, result->render);
        reply_open_array(reply, NULL);
        if (version2) {
            reply_number(reply, NULL, ++number);
            reply_string(reply, NULL, "Visualization");
        }
        reply_text(reply, NULL, buf_as_text(&render));
        reply_close_array(reply);
    }
    buf_done(&render);
    reply_close_array(reply);
    reply_close_object(reply);
}

static enum status result_row(void *context, const struct db_rows *row, struct problem *why)
{
    struct kusto_frames *frames = context;
    struct buf *body = frames->reply->body;

    buf_string(body, frames->rows++ ? ",[" : "[");
    for (unsigned i = 0; i < frames->result->column_count; i++) {
        if (i)
            buf_byte(body, ',');
        kql_cell_write(body, frames->result->columns[i]->type, db_text(row, 0, (int)i), CELL_KUSTO);
    }
    buf_byte(body, ']');
    return reply_flush(frames->reply, why);
}

static void errors_write(struct reply *reply, const struct question_trouble *trouble)
{
    reply_open_array(reply, "OneApiErrors");
    reply_raw(reply, NULL, TEXT(""));
    refusal_one_api(reply->body, trouble);
    reply_close_array(reply);
}

static void result_close(struct kusto_frames *frames, const struct question_trouble *trouble)
{
    struct reply *reply = frames->reply;

    if (trouble->kind && frames->options.version2 && !frames->options.fragmented) {
        buf_string(reply->body, frames->rows ? ",{" : "{");
        errors_write(reply, trouble);
        reply_close_object(reply);
    }
    reply_close_array(reply);
    reply_close_object(reply);
    if (!frames->options.fragmented)
        return;
    frame_begin(frames, "TableCompletion");
    reply_number(reply, "TableId", frames->tables - 1);
    reply_number(reply, "RowCount", frames->rows);
    if (trouble->kind)
        errors_write(reply, trouble);
    reply_close_object(reply);
}

static enum status result_begin(void *context, const struct kql_sql *result, struct problem *why)
{
    struct kusto_frames *frames = context;
    struct reply *reply = frames->reply;
    bool version2 = frames->options.version2;

    (void)why;
    if (!frames->first) {
        frames->first = result;
        if (version2) {
            header_write(frames);
            properties_write(frames);
        }
    }
    if (frames->result)
        result_close(frames, &(struct question_trouble){.kind = TROUBLE_NONE});
    frames->result = result;
    frames->rows = 0;
    frames->results++;
    table_open(frames, frames->options.fragmented ? "TableHeader" : "DataTable", "PrimaryResult", "PrimaryResult");
    reply_open_array(reply, "Columns");
    for (unsigned i = 0; i < result->column_count; i++)
        column_write(reply, version2, result->columns[i]->name, kql_type_name(result->columns[i]->type));
    reply_close_array(reply);
    if (frames->options.fragmented) {
        reply_close_object(reply);
        frame_begin(frames, "TableFragment");
        reply_string(reply, "TableFragmentType", "DataAppend");
        reply_number(reply, "TableId", frames->tables - 1);
    }
    reply_open_array(reply, "Rows");
    return STATUS_OK;
}

/* The table stays open until it is known whether all went well, which may have to go into it. */
static enum status result_end(void *context, struct problem *why)
{
    (void)context;
    (void)why;
    return STATUS_OK;
}

const struct question_sink kusto_frames_sink = {NULL, result_begin, result_row, result_end};

/* ---- what comes behind the results ---- */

static void completion_write(struct kusto_frames *frames, const struct question_trouble *trouble)
{
    static const struct kusto_column columns[] = {
        {"Timestamp", "datetime"},   {"ClientRequestId", "string"}, {"ActivityId", "guid"},     {"SubActivityId", "guid"},
        {"ParentActivityId", "guid"}, {"Level", "int"},             {"LevelName", "string"},    {"StatusCode", "int"},
        {"StatusCodeName", "string"}, {"EventType", "int"},         {"EventTypeName", "string"}, {"Payload", "string"},
    };
    struct reply *reply = frames->reply;
    bool failed = trouble->kind != TROUBLE_NONE;
    char now[CLOCK_TEXT_SIZE];

    clock_format(clock_utc_us(), now);
    table_open(frames, "DataTable", "QueryCompletionInformation", "QueryCompletionInformation");
    columns_write(reply, true, columns, sizeof columns / sizeof *columns);
    reply_open_array(reply, "Rows");
    reply_open_array(reply, NULL);
    reply_string(reply, NULL, now);
    reply_string(reply, NULL, frames->options.client_request_id);
    for (int i = 0; i < 3; i++)
        reply_string(reply, NULL, frames->options.activity_id);
    reply_number(reply, NULL, failed ? 2 : 4);
    reply_string(reply, NULL, failed ? "Error" : "Info");
    reply_number(reply, NULL, failed ? FAILED_STATUS : 0);
    reply_string(reply, NULL, failed ? trouble->code : "S_OK (0)");
    reply_number(reply, NULL, 4);
    reply_string(reply, NULL, "QueryInfo");
    reply_string(reply, NULL, failed ? trouble->message : "{\"Count\":1,\"Text\":\"Query completed successfully\"}");
    reply_close_array(reply);
    reply_close_array(reply);
    reply_close_object(reply);
    frame_begin(frames, "DataSetCompletion");
    reply_flag(reply, "HasErrors", failed);
    reply_flag(reply, "Cancelled", false);
    if (failed)
        errors_write(reply, trouble);
    reply_close_object(reply);
    buf_string(reply->body, frames->options.lines ? "\n]" : "]");
}

static void contents_row(struct reply *reply, unsigned ordinal, const char *kind, const char *name, const char *id)
{
    reply_open_array(reply, NULL);
    reply_number(reply, NULL, ordinal);
    reply_string(reply, NULL, kind);
    reply_string(reply, NULL, name);
    reply_string(reply, NULL, id);
    reply_string(reply, NULL, "");
    reply_close_array(reply);
}

static void status_write(struct kusto_frames *frames, const struct question_trouble *trouble)
{
    static const struct kusto_column columns[] = {
        {"Timestamp", "datetime"},    {"Severity", "int"},      {"SeverityName", "string"},   {"StatusCode", "int"},
        {"StatusDescription", "string"}, {"Count", "int"},      {"RequestId", "guid"},        {"ActivityId", "guid"},
        {"SubActivityId", "guid"},    {"ClientActivityId", "string"},
    };
    struct reply *reply = frames->reply;
    bool failed = trouble->kind != TROUBLE_NONE;
    char now[CLOCK_TEXT_SIZE];

    clock_format(clock_utc_us(), now);
    table_open(frames, "DataTable", "", "");
    columns_write(reply, false, columns, sizeof columns / sizeof *columns);
    reply_open_array(reply, "Rows");
    reply_open_array(reply, NULL);
    reply_string(reply, NULL, now);
    reply_number(reply, NULL, failed ? 2 : 4);
    reply_string(reply, NULL, failed ? "Error" : "Info");
    reply_number(reply, NULL, failed ? FAILED_STATUS : 0);
    reply_string(reply, NULL, failed ? trouble->message : "Query completed successfully");
    reply_number(reply, NULL, 1);
    for (int i = 0; i < 3; i++)
        reply_string(reply, NULL, frames->options.activity_id);
    reply_string(reply, NULL, frames->options.client_request_id);
    reply_close_array(reply);
    reply_close_array(reply);
    reply_close_object(reply);
}

static void contents_write(struct kusto_frames *frames, const struct question_trouble *trouble)
{
    static const struct kusto_column columns[] = {
        {"Ordinal", "long"}, {"Kind", "string"}, {"Name", "string"}, {"Id", "string"}, {"PrettyName", "string"}};
    struct reply *reply = frames->reply;
    unsigned i = 0;

    properties_write(frames);
    status_write(frames, trouble);
    table_open(frames, "DataTable", "", "");
    columns_write(reply, false, columns, sizeof columns / sizeof *columns);
    reply_open_array(reply, "Rows");
    for (; i < frames->results; i++)
        contents_row(reply, i, "QueryResult", "PrimaryResult", frames->options.activity_id);
    contents_row(reply, i, "QueryProperties", "@ExtendedProperties", frames->options.activity_id);
    contents_row(reply, i + 1, "QueryStatus", "QueryStatus", "00000000-0000-0000-0000-000000000000");
    reply_close_array(reply);
    reply_close_object(reply);
    reply_close_array(reply);
    if (trouble->kind) {
        reply_open_array(reply, "Exceptions");
        reply_string(reply, NULL, trouble->message);
        reply_close_array(reply);
    }
    reply_close_object(reply);
}

void kusto_frames_end(struct kusto_frames *frames, const struct question_trouble *trouble)
{
    result_close(frames, trouble);
    if (frames->options.version2)
        completion_write(frames, trouble);
    else
        contents_write(frames, trouble);
}
