#include "ingest/commands.h"

#include <stdio.h>

#include "wire/json_reader.h"

#define NUMBER_SIZE 24
#define LOCK_TEXT 36       /* of a UUID */
#define ANSWER_MAX 131072  /* IoT Hub's */

static void message_read(const struct db_rows *rows, size_t row, struct arena *arena, struct cloud_message *out);

enum status cloud_messages_take(struct db *db, const struct identity *identity, unsigned most, uint32_t timeout_ms,
                                struct arena *arena, struct cloud_message **out, size_t *count, struct problem *why)
{
    static const char take[] =
        "SELECT message_number, lock_token, body, message_id, correlation_id, user_id, content_type, content_encoding,"
        " properties, (extract(epoch FROM enqueued_at) * 1000000)::bigint, (extract(epoch FROM expires_at) * 1000000)::bigint,"
        " delivery_count FROM picket.cloud_take($1::int, $2, $3::int, $4::int, $5::int)";
    char workspace[NUMBER_SIZE], wanted[NUMBER_SIZE], lock_s[NUMBER_SIZE], deliveries[NUMBER_SIZE];
    struct db_rows *rows = NULL;

    snprintf(workspace, sizeof workspace, "%u", (unsigned)identity->workspace);
    snprintf(wanted, sizeof wanted, "%u", most);
    snprintf(lock_s, sizeof lock_s, "%d", CLOUD_LOCK_S);
    snprintf(deliveries, sizeof deliveries, "%d", CLOUD_DELIVERIES_MAX);
    const char *const parameters[] = {workspace, arena_string(arena, identity->device), wanted, lock_s, deliveries};
    enum status status = db_query(db, take, parameters, 5, timeout_ms, &rows, why);
    if (status)
        return status;
    *count = db_rows_count(rows);
    *out = ARENA_ARRAY(arena, struct cloud_message, *count + 1);
    for (size_t i = 0; i < *count; i++)
        message_read(rows, i, arena, &(*out)[i]);
    db_rows_free(rows);
    return STATUS_OK;
}

enum status cloud_message_settle(struct db *db, const struct identity *identity, struct text lock,
                                 enum cloud_outcome outcome, const char *transport, uint32_t timeout_ms, struct problem *why)
{
    static const char settle[] = "SELECT picket.cloud_settle($1::int, $2, $3::uuid, $4, $5)";
    static const char *const outcomes[] = {"completed", "rejected", "queued"};
    char workspace[NUMBER_SIZE], token[LOCK_TEXT + 1];
    struct db_rows *rows = NULL;
    struct arena arena;

    if (lock.count != LOCK_TEXT)
        return problem_set(why, STATUS_REJECT, "this is no lock of a message");
    memcpy(token, lock.bytes, LOCK_TEXT);
    token[LOCK_TEXT] = 0;
    arena_init(&arena);
    snprintf(workspace, sizeof workspace, "%u", (unsigned)identity->workspace);
    const char *const parameters[] = {workspace, arena_string(&arena, identity->device), token, outcomes[outcome], transport};
    enum status status = db_query(db, settle, parameters, 5, timeout_ms, &rows, why);
    if (!status && !db_bool(rows, 0, 0))
        status = problem_set(why, STATUS_REJECT, "the lock was lost: it came too late, or the message has ended");
    db_rows_free(rows);
    arena_done(&arena);
    return status;
}

static bool json_valid(struct text json)
{
    struct picket_json_reader reader;
    struct picket_json_token token;
    enum picket_json_kind kind;

    picket_json_init(&reader, json.bytes, json.count, PICKET_JSON_DEPTH_MAX);
    do
        kind = picket_json_next(&reader, &token);
    while (kind != PICKET_JSON_END && kind != PICKET_JSON_ERROR);
    return kind == PICKET_JSON_END;
}

enum status method_answer(struct db *db, const struct identity *identity, int64_t call, int64_t code, struct text payload,
                          uint32_t timeout_ms, struct problem *why)
{
    static const char answer[] = "SELECT picket.method_answer($1::bigint, $2::int, $3, $4, $5::bigint, $6::json)";
    char number[NUMBER_SIZE], workspace[NUMBER_SIZE], answer_code[NUMBER_SIZE];
    struct db_rows *rows = NULL;
    struct arena arena;

    if (payload.count > ANSWER_MAX)
        return problem_set(why, STATUS_REJECT, "the answer is longer than %d bytes", ANSWER_MAX);
    if (payload.count && !json_valid(payload))
        return problem_set(why, STATUS_REJECT, "the answer is not JSON");
    arena_init(&arena);
    snprintf(number, sizeof number, "%lld", (long long)call);
    snprintf(workspace, sizeof workspace, "%u", (unsigned)identity->workspace);
    snprintf(answer_code, sizeof answer_code, "%lld", (long long)code);
    const char *const parameters[] = {number, workspace, arena_string(&arena, identity->device),
                                      arena_string(&arena, identity->module), answer_code,
                                      payload.count ? arena_string(&arena, payload) : NULL};
    enum status status = db_query(db, answer, parameters, 6, timeout_ms, &rows, why);
    if (!status && !db_bool(rows, 0, 0))
        status = problem_set(why, STATUS_REJECT, "nobody waits for this answer");
    db_rows_free(rows);
    arena_done(&arena);
    return status;
}

static struct text column(const struct db_rows *rows, size_t row, int at, struct arena *arena)
{
    return arena_text(arena, db_text(rows, row, at));
}

static void message_read(const struct db_rows *rows, size_t row, struct arena *arena, struct cloud_message *out)
{
    *out = (struct cloud_message){
        .number = db_i64(rows, row, 0),
        .lock = column(rows, row, 1, arena),
        .body = db_bytea(rows, row, 2, arena),
        .message_id = column(rows, row, 3, arena),
        .correlation_id = column(rows, row, 4, arena),
        .user_id = column(rows, row, 5, arena),
        .content_type = column(rows, row, 6, arena),
        .content_encoding = column(rows, row, 7, arena),
        .properties = column(rows, row, 8, arena),
        .enqueued_at_us = db_i64(rows, row, 9),
        .expires_at_us = db_i64(rows, row, 10),
        .delivery_count = (unsigned)db_i64(rows, row, 11),
    };
}
