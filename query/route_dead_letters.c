#include "query/routes.h"

#include <string.h>

#define LIST "dead_letters"

static void letter_write(struct reply *reply, const struct db_rows *rows, size_t row);
static void body_write(const struct request *request, struct reply *reply, struct text body);

#define LETTER_COLUMNS                                                                                                 \
    "d.dead_letter_id, w.name, d.device_id, d.module_id, (extract(epoch FROM d.received_at) * 1000000)::bigint,"       \
    " (extract(epoch FROM d.written_at) * 1000000)::bigint, d.state, d.reason,"                                        \
    " b.topic || '/' || d.bus_partition || '@' || d.bus_offset, octet_length(d.body),"                                 \
    " (extract(epoch FROM d.replayed_at) * 1000000)::bigint"
#define LETTER_TABLES                                                                                                  \
    " FROM picket.dead_letter d JOIN picket.workspace w ON w.workspace_id = d.workspace_id"                            \
    " JOIN picket.bus_topic b ON b.bus_topic_id = d.bus_topic_id"

ROUTE_HANDLER(dead_letters_list)
{
    static const char list[] =
        "SELECT " LETTER_COLUMNS LETTER_TABLES
        " WHERE d.workspace_id = ANY($1::int[]) AND ($2::text IS NULL OR d.state = $2)"
        " AND ($3::text IS NULL OR d.device_id = $3) AND ($4::bigint IS NULL OR d.dead_letter_id < $4::bigint)"
        " ORDER BY d.dead_letter_id DESC LIMIT $5::int + 1";
    static const char *const states[] = {"dead", "replay", "replayed", NULL};
    const char *state = NULL;
    struct db_rows *rows = NULL;
    struct page page;

    (void)query;
    enum status status = request_page(request, LIST, 1, &page, why);
    if (!status)
        status = request_word(request, "state", states, &state, why);
    if (status)
        return status;
    const char *const parameters[] = {request->scope, state, request_argument(request, "device"), page.fields[0],
                                      request_decimal(request, page.limit)};
    status = request_query(request, list, parameters, 5, &rows, why);
    if (status)
        return status;
    reply_open_object(reply, NULL);
    reply_open_array(reply, LIST);
    for (size_t i = 0; i < request_page_rows(&page, rows); i++) {
        reply_open_object(reply, NULL);
        letter_write(reply, rows, i);
        reply_close_object(reply);
    }
    request_page_end(request, reply, LIST, &page, rows, (const int[]){0}, 1);
    db_rows_free(rows);
    return STATUS_OK;
}

ROUTE_HANDLER(dead_letters_show)
{
    static const char show[] = "SELECT " LETTER_COLUMNS ", d.headers, d.body" LETTER_TABLES
                               " WHERE d.workspace_id = ANY($1::int[]) AND d.dead_letter_id = $2::bigint";
    const char *const parameters[] = {request->scope, request_parameter(request, "id")};
    struct db_rows *rows = NULL;

    (void)query;
    enum status status = request_query(request, show, parameters, 2, &rows, why);
    if (!status && db_rows_count(rows) == 0)
        status = reply_refuse(reply, why, 404, "NotFound", "There is no dead letter %.32s.", parameters[1]);
    if (!status) {
        reply_open_object(reply, NULL);
        letter_write(reply, rows, 0);
        reply_column_raw(reply, "headers", rows, 0, 11);
        body_write(request, reply, db_bytea(rows, 0, 12, request->arena));
        reply_close_object(reply);
    }
    db_rows_free(rows);
    return status;
}

/* Store finds the letter by its state and has it judged anew. */
ROUTE_HANDLER(dead_letters_replay)
{
    static const char find[] = "SELECT workspace_id, state FROM picket.dead_letter WHERE workspace_id = ANY($1::int[])"
                               " AND dead_letter_id = $2::bigint FOR UPDATE";
    static const char change[] = "UPDATE picket.dead_letter SET state = 'replay' WHERE workspace_id = ANY($1::int[])"
                                 " AND dead_letter_id = $2::bigint AND state = 'dead'";
    const char *const parameters[] = {request->scope, request_parameter(request, "id")};
    struct db_rows *rows = NULL;

    (void)query;
    enum status status = request_query(request, find, parameters, 2, &rows, why);
    if (!status && db_rows_count(rows) == 0)
        status = reply_refuse(reply, why, 404, "NotFound", "There is no dead letter %.32s.", parameters[1]);
    if (!status && text_equal(db_text(rows, 0, 1), TEXT("replayed")))
        status = reply_refuse(reply, why, 409, "Replayed", "The dead letter %.32s was stored already.", parameters[1]);
    if (!status)
        status = request_query(request, change, parameters, 2, NULL, why);
    if (!status)
        status = request_audit(request, db_i64(rows, 0, 0), "dead-letter.replay", parameters[1], NULL, why);
    db_rows_free(rows);
    if (status)
        return status;
    reply_open_object(reply, NULL);
    reply_raw(reply, "id", text_of(parameters[1])); /* a number: PostgreSQL read it as one */
    reply_string(reply, "state", "replay");
    reply_close_object(reply);
    return STATUS_OK;
}

static void letter_write(struct reply *reply, const struct db_rows *rows, size_t row)
{
    reply_column_number(reply, "id", rows, row, 0);
    reply_column_text(reply, "workspace", rows, row, 1);
    reply_column_text(reply, "device", rows, row, 2);
    reply_column_text(reply, "module", rows, row, 3);
    reply_column_time(reply, "received_at", rows, row, 4);
    reply_column_time(reply, "written_at", rows, row, 5);
    reply_column_text(reply, "state", rows, row, 6);
    reply_column_text(reply, "reason", rows, row, 7);
    reply_column_text(reply, "message", rows, row, 8);
    reply_column_number(reply, "body_bytes", rows, row, 9);
    reply_column_time(reply, "replayed_at", rows, row, 10);
}

static void body_write(const struct request *request, struct reply *reply, struct text body)
{
    if (text_utf8_valid(body)) {
        reply_string(reply, "body_encoding", "text");
        reply_text(reply, "body", body.bytes ? body : TEXT(""));
        return;
    }
    char *encoded = arena_alloc(request->arena, 1, TEXT_BASE64_SIZE(body.count));
    text_base64_encode((const uint8_t *)body.bytes, body.count, encoded);
    reply_string(reply, "body_encoding", "base64");
    reply_string(reply, "body", encoded);
}
