#include "query/routes.h"

#include <stdlib.h>
#include <string.h>

#include "query/device_path.h"
#include "query/method_waiter.h"
#include "wire/limits.h"

#define BODY_MAX 65536        /* of a message to a device: IoT Hub's */
#define PENDING_MAX 50        /* of one device: likewise */
#define PAYLOAD_MAX 131072    /* of a method */
#define EXPIRES_DEFAULT_S 3600
#define EXPIRES_MAX_S 172800
#define PROPERTIES_MAX_BYTES 16384
#define RESPONSE_DEFAULT_S 30
#define RESPONSE_LEAST_S 5
#define SECONDS_MAX 300

static enum status seconds_read(const struct request *request, const char *name, int64_t least, int64_t most,
                                int64_t otherwise, int64_t *out, struct problem *why);
static enum status message_body(const struct request *request, const char **bytea, struct problem *why);
static enum status message_properties(const struct request *request, const char **out, struct problem *why);
static enum status queue_check(const struct request *request, const struct device_path *path, struct reply *reply,
                               struct problem *why);

ROUTE_HANDLER(methods_call)
{
    static const char insert[] =
        "INSERT INTO picket.method_call (workspace_id, device_id, module_id, method, payload, expires_at)"
        " VALUES ($1::int, $2, $3, $4, $5::json, now() + make_interval(secs => $6::int)) RETURNING call_number";
    static const char *const members[] = {"payload", "response_timeout_seconds", "connect_timeout_seconds", NULL};
    const char *name = request_parameter(request, "name");
    struct device_path path;
    struct db_rows *rows = NULL;
    int64_t response_s, connect_s;

    (void)query;
    enum status status = request_members(request, members, why);
    if (!status)
        status = seconds_read(request, "response_timeout_seconds", RESPONSE_LEAST_S, SECONDS_MAX, RESPONSE_DEFAULT_S,
                              &response_s, why);
    if (!status)
        status = seconds_read(request, "connect_timeout_seconds", 0, SECONDS_MAX, 0, &connect_s, why);
    if (!status && (!*name || strlen(name) > PICKET_ID_MAX))
        status = problem_set(why, STATUS_REJECT, "a method's name has 1 to %d characters", PICKET_ID_MAX);
    if (!status)
        status = device_path_find(request, &path, reply, why);
    if (status)
        return status;
    const json_t *given = json_object_get(request->body, "payload");
    char *payload = given ? json_dumps(given, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    if (payload && strlen(payload) > PAYLOAD_MAX) {
        status = problem_set(why, STATUS_REJECT, "the payload is longer than %d bytes", PAYLOAD_MAX);
    } else {
        const char *const parameters[] = {path.workspace, path.device, path.module, name, payload ? payload : "null",
                                          request_decimal(request, response_s + connect_s + 2)};
        status = request_query(request, insert, parameters, 6, &rows, why);
    }
    if (payload)
        free(payload);
    if (!status)
        status = request_audit(request, path.workspace_id, "device.method", path.name, json_pack("{s:s}", "method", name), why);
    if (!status) {
        reply->method_call = db_i64(rows, 0, 0);
        reply->method_connect_ms = connect_s * 1000;
        reply->method_response_ms = response_s * 1000;
    }
    db_rows_free(rows);
    return status;
}

ROUTE_HANDLER(methods_list)
{
    static const char list[] =
        "SELECT call_number, method, state, code, payload, answer, (extract(epoch FROM asked_at) * 1000000)::bigint,"
        " (extract(epoch FROM ended_at) * 1000000)::bigint FROM picket.method_call WHERE workspace_id = $1::int"
        " AND device_id = $2 AND module_id = $3 AND ($4::bigint IS NULL OR call_number < $4::bigint)"
        " ORDER BY call_number DESC LIMIT $5::int + 1";
    struct device_path path;
    struct db_rows *rows = NULL;
    struct page page;

    (void)query;
    enum status status = request_page(request, "methods", 1, &page, why);
    if (!status)
        status = device_path_find(request, &path, reply, why);
    if (status)
        return status;
    const char *const parameters[] = {path.workspace, path.device, path.module, page.fields[0],
                                      request_decimal(request, page.limit)};
    status = request_query(request, list, parameters, 5, &rows, why);
    if (status)
        return status;
    reply_open_object(reply, NULL);
    reply_open_array(reply, "methods");
    for (size_t i = 0; i < request_page_rows(&page, rows); i++) {
        reply_open_object(reply, NULL);
        reply_column_number(reply, "id", rows, i, 0);
        reply_column_text(reply, "method", rows, i, 1);
        reply_column_text(reply, "state", rows, i, 2);
        reply_column_number(reply, "status", rows, i, 3);
        reply_column_raw(reply, "payload", rows, i, 4);
        reply_column_raw(reply, "answer", rows, i, 5);
        reply_column_time(reply, "asked_at", rows, i, 6);
        reply_column_time(reply, "ended_at", rows, i, 7);
        reply_close_object(reply);
    }
    request_page_end(request, reply, "methods", &page, rows, (const int[]){0}, 1);
    db_rows_free(rows);
    return STATUS_OK;
}

ROUTE_HANDLER(messages_send)
{
    static const char insert[] =
        "INSERT INTO picket.cloud_message (workspace_id, device_id, message_id, correlation_id, content_type,"
        " content_encoding, properties, body, ack, expires_at) VALUES ($1::int, $2, coalesce($3, gen_random_uuid()::text), $4,"
        " $5, $6, $7::json, $8::bytea, coalesce($9, 'none'), now() + make_interval(secs => $10::int))"
        " RETURNING message_number, message_id, (extract(epoch FROM expires_at) * 1000000)::bigint";
    static const char *const members[] = {"body", "body_base64", "properties", "message_id", "correlation_id", "content_type",
                                          "content_encoding", "ack", "expires_in_seconds", NULL};
    static const char *const optional[] = {"message_id", "correlation_id", "content_type", "content_encoding", "ack"};
    const char *values[5] = {NULL}, *body = NULL, *properties = NULL;
    struct device_path path;
    struct db_rows *rows = NULL;
    int64_t expires_s;

    (void)query;
    enum status status = request_members(request, members, why);
    for (size_t i = 0; !status && i < 5; i++) {
        status = request_string(request, optional[i], &values[i], why);
        if (!status && values[i] && strlen(values[i]) > PICKET_MESSAGE_ID_MAX)
            status = problem_set(why, STATUS_REJECT, "\"%s\" is longer than %d bytes", optional[i], PICKET_MESSAGE_ID_MAX);
    }
    if (!status)
        status = seconds_read(request, "expires_in_seconds", 1, EXPIRES_MAX_S, EXPIRES_DEFAULT_S, &expires_s, why);
    if (!status)
        status = message_body(request, &body, why);
    if (!status)
        status = message_properties(request, &properties, why);
    if (!status)
        status = device_path_find(request, &path, reply, why);
    if (!status)
        status = queue_check(request, &path, reply, why);
    if (status)
        return status;
    const char *const parameters[] = {path.workspace, path.device, values[0], values[1], values[2], values[3], properties,
                                      body, values[4], request_decimal(request, expires_s)};
    status = request_query(request, insert, parameters, 10, &rows, why);
    if (!status)
        status = request_audit(request, path.workspace_id, "device.message", path.name, NULL, why);
    if (!status) {
        reply_code(reply, 201);
        reply_open_object(reply, NULL);
        reply_column_number(reply, "id", rows, 0, 0);
        reply_column_text(reply, "message_id", rows, 0, 1);
        reply_string(reply, "state", "queued");
        reply_column_time(reply, "expires_at", rows, 0, 2);
        reply_close_object(reply);
    }
    db_rows_free(rows);
    return status;
}

ROUTE_HANDLER(messages_list)
{
    static const char list[] =
        "SELECT message_number, message_id, correlation_id, CASE WHEN state IN ('queued', 'locked') AND expires_at <= now()"
        " THEN 'expired' ELSE state END, delivery_count, octet_length(body), properties,"
        " (extract(epoch FROM enqueued_at) * 1000000)::bigint, (extract(epoch FROM expires_at) * 1000000)::bigint,"
        " (extract(epoch FROM ended_at) * 1000000)::bigint, ack FROM picket.cloud_message WHERE workspace_id = $1::int"
        " AND device_id = $2 AND ($3::text IS NULL OR state = $3) AND ($4::bigint IS NULL OR message_number < $4::bigint)"
        " ORDER BY message_number DESC LIMIT $5::int + 1";
    static const char *const states[] = {"queued", "locked", "completed", "rejected", "expired", "dead", "cancelled", NULL};
    const char *state = NULL;
    struct device_path path;
    struct db_rows *rows = NULL;
    struct page page;

    (void)query;
    enum status status = request_page(request, "messages", 1, &page, why);
    if (!status)
        status = request_word(request, "state", states, &state, why);
    if (!status)
        status = device_path_find(request, &path, reply, why);
    if (status)
        return status;
    const char *const parameters[] = {path.workspace, path.device, state, page.fields[0], request_decimal(request, page.limit)};
    status = request_query(request, list, parameters, 5, &rows, why);
    if (status)
        return status;
    reply_open_object(reply, NULL);
    reply_open_array(reply, "messages");
    for (size_t i = 0; i < request_page_rows(&page, rows); i++) {
        reply_open_object(reply, NULL);
        reply_column_number(reply, "id", rows, i, 0);
        reply_column_text(reply, "message_id", rows, i, 1);
        reply_column_text(reply, "correlation_id", rows, i, 2);
        reply_column_text(reply, "state", rows, i, 3);
        reply_column_number(reply, "delivery_count", rows, i, 4);
        reply_column_number(reply, "bytes", rows, i, 5);
        reply_column_raw(reply, "properties", rows, i, 6);
        reply_column_time(reply, "enqueued_at", rows, i, 7);
        reply_column_time(reply, "expires_at", rows, i, 8);
        reply_column_time(reply, "ended_at", rows, i, 9);
        reply_column_text(reply, "ack", rows, i, 10);
        reply_close_object(reply);
    }
    request_page_end(request, reply, "messages", &page, rows, (const int[]){0}, 1);
    db_rows_free(rows);
    return STATUS_OK;
}

ROUTE_HANDLER(messages_cancel)
{
    static const char cancel[] =
        "UPDATE picket.cloud_message SET state = 'cancelled', ended_at = now() WHERE workspace_id = $1::int AND device_id = $2"
        " AND message_number::text = $3 AND state = 'queued' RETURNING 1";
    const char *number = request_parameter(request, "message");
    struct device_path path;
    struct db_rows *rows = NULL;

    (void)query;
    enum status status = device_path_find(request, &path, reply, why);
    if (status)
        return status;
    const char *const parameters[] = {path.workspace, path.device, number};
    status = request_query(request, cancel, parameters, 3, &rows, why);
    if (!status && !db_rows_count(rows))
        status = reply_refuse(reply, why, 404, "NotFound", "No message %s waits for this device.", number);
    db_rows_free(rows);
    if (!status)
        status = request_audit(request, path.workspace_id, "device.message-cancel", path.name, NULL, why);
    if (!status)
        reply_code(reply, 204);
    return status;
}

ROUTE_HANDLER(messages_purge)
{
    struct device_path path;
    struct db_rows *rows = NULL;

    (void)query;
    enum status status = device_path_find(request, &path, reply, why);
    if (status)
        return status;
    const char *const parameters[] = {path.workspace, path.device};
    status = request_query(request, "SELECT picket.cloud_purge($1::int, $2)", parameters, 2, &rows, why);
    if (!status)
        status = request_audit(request, path.workspace_id, "device.message-purge", path.name, json_pack("{s:I}", "purged", (json_int_t)db_i64(rows, 0, 0)), why);
    if (!status) {
        reply_open_object(reply, NULL);
        reply_column_number(reply, "purged", rows, 0, 0);
        reply_close_object(reply);
    }
    db_rows_free(rows);
    return status;
}

static enum status seconds_read(const struct request *request, const char *name, int64_t least, int64_t most,
                                int64_t otherwise, int64_t *out, struct problem *why)
{
    const json_t *value = json_object_get(request->body, name);

    *out = value ? json_integer_value(value) : otherwise;
    if (value && (!json_is_integer(value) || *out < least || *out > most))
        return problem_set(why, STATUS_REJECT, "\"%s\" has to be a whole number from %lld to %lld", name, (long long)least,
                           (long long)most);
    return STATUS_OK;
}

/* As bytea text. */
static enum status message_body(const struct request *request, const char **bytea, struct problem *why)
{
    const char *text = NULL, *encoded = NULL;
    size_t count;

    enum status status = request_string(request, "body", &text, why);
    if (!status)
        status = request_string(request, "body_base64", &encoded, why);
    if (!status && text && encoded)
        status = problem_set(why, STATUS_REJECT, "\"body\" and \"body_base64\" are both there: one of them is enough");
    if (status)
        return status;
    struct text body = text_of(text ? text : "");
    if (encoded) {
        uint8_t *bytes = arena_alloc(request->arena, 1, strlen(encoded) + 1);
        if (!text_base64_decode(text_of(encoded), bytes, strlen(encoded) + 1, &count))
            return problem_set(why, STATUS_REJECT, "\"body_base64\" is not base64");
        body = (struct text){(const char *)bytes, count};
    }
    if (body.count > BODY_MAX)
        return problem_set(why, STATUS_REJECT, "the body is longer than %d bytes", BODY_MAX);
    char *out = arena_alloc(request->arena, 1, 2 * body.count + 3);
    memcpy(out, "\\x", 2);
    text_hex_encode((const uint8_t *)body.bytes, body.count, out + 2);
    *bytea = out;
    return STATUS_OK;
}

static enum status message_properties(const struct request *request, const char **out, struct problem *why)
{
    json_t *given = json_object_get(request->body, "properties"), *value;
    const char *name;

    *out = "{}";
    if (!given)
        return STATUS_OK;
    if (!json_is_object(given))
        return problem_set(why, STATUS_REJECT, "\"properties\" has to be an object of strings");
    json_object_foreach(given, name, value)
    {
        if (!json_is_string(value) || !*name || *name == '$')
            return problem_set(why, STATUS_REJECT, "the property \"%.64s\" is no string, or its name begins with '$'", name);
    }
    char *dumped = json_dumps(given, JSON_COMPACT);
    *out = arena_string(request->arena, text_of(dumped));
    free(dumped);
    if (strlen(*out) > PROPERTIES_MAX_BYTES)
        return problem_set(why, STATUS_REJECT, "the properties are longer than %d bytes", PROPERTIES_MAX_BYTES);
    return STATUS_OK;
}

static enum status queue_check(const struct request *request, const struct device_path *path, struct reply *reply,
                               struct problem *why)
{
    static const char count[] = "SELECT count(*) FROM picket.cloud_message WHERE workspace_id = $1::int AND device_id = $2"
                                " AND state IN ('queued', 'locked') AND expires_at > now()";
    const char *const parameters[] = {path->workspace, path->device};
    struct db_rows *rows = NULL;

    enum status status = request_query(request, count, parameters, 2, &rows, why);
    if (!status && db_i64(rows, 0, 0) >= PENDING_MAX)
        status = reply_refuse(reply, why, 403, "DeviceMaximumQueueDepthExceeded",
                              "%d messages wait for this device already: it has to take them first.", PENDING_MAX);
    db_rows_free(rows);
    return status;
}
