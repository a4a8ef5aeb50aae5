#include "store/dead_letter.h"

#include <assert.h>
#include <stdio.h>

#include "runtime/buf.h"
#include "runtime/clock.h"
#include "store/json_tree.h"
#include "wire/limits.h"

#define NUMBER_SIZE 24
#define HEADERS_BYTES_MAX ((size_t)64 * 1024 * 1024) /* far above what a bus takes as one record, escaped */

static void headers_print(const struct bus_record *record, struct buf *out);
static void header_value_print(struct text value, struct buf *out);
static bool headers_read(struct text json, struct arena *arena, struct bus_record *out);
static bool header_value_read(const struct json_node *node, struct arena *arena, struct text *out);
static const char *bytea_print(struct text bytes, struct arena *arena);

enum status dead_letter_write(struct db *db, const struct dead_letter *letter, int bus_topic_id, uint32_t timeout_ms,
                              struct problem *why)
{
    static const char insert[] =
        "INSERT INTO picket.dead_letter (workspace_id, device_id, module_id, received_at, reason, headers, body,"
        " bus_topic_id, bus_partition, bus_offset) VALUES ($1::int, $2, $3, $4::timestamptz, $5, $6::jsonb, $7::bytea,"
        " $8::smallint, $9::int, $10::bigint)";
    char workspace[NUMBER_SIZE], topic[NUMBER_SIZE], partition[NUMBER_SIZE], offset[NUMBER_SIZE];
    char received[CLOCK_TEXT_SIZE];
    struct arena arena;
    struct buf headers;

    arena_init(&arena);
    buf_init(&headers, HEADERS_BYTES_MAX);
    headers_print(letter->record, &headers);
    snprintf(workspace, sizeof workspace, "%d", letter->workspace);
    snprintf(topic, sizeof topic, "%d", bus_topic_id);
    snprintf(partition, sizeof partition, "%d", (int)letter->record->partition);
    snprintf(offset, sizeof offset, "%lld", (long long)letter->record->offset);
    clock_format(letter->received_at_us, received);
    const char *const parameters[] = {
        workspace,
        arena_string(&arena, letter->device.bytes ? letter->device : TEXT("")),
        arena_string(&arena, letter->module.bytes ? letter->module : TEXT("")),
        received, letter->reason,
        buf_failed(&headers) ? "{}" : headers.bytes,
        bytea_print(letter->record->value, &arena),
        topic, partition, offset,
    };
    enum status status = db_query(db, insert, parameters, 10, timeout_ms, NULL, why);
    buf_done(&headers);
    arena_done(&arena);
    return status;
}

enum status dead_letter_take(struct db *db, struct arena *arena, uint32_t timeout_ms, struct dead_letter_replay *out,
                             bool *found, struct problem *why)
{
    static const char select_next[] =
        "SELECT d.workspace_id, d.dead_letter_id, d.headers, d.body, d.bus_topic_id, d.bus_partition, d.bus_offset,"
        " t.cluster, t.topic FROM picket.dead_letter d JOIN picket.bus_topic t USING (bus_topic_id)"
        " WHERE d.state = 'replay' ORDER BY d.dead_letter_id LIMIT 1 FOR UPDATE OF d SKIP LOCKED";
    struct db_rows *rows = NULL;

    *found = false;
    enum status status = db_query(db, select_next, NULL, 0, timeout_ms, &rows, why);
    if (!status && db_rows_count(rows)) {
        *found = true;
        *out = (struct dead_letter_replay){
            .id = db_i64(rows, 0, 1),
            .workspace = (int)db_i64(rows, 0, 0),
            .bus_topic_id = (int)db_i64(rows, 0, 4),
            .cluster = arena_text(arena, db_text(rows, 0, 7)),
            .topic = arena_text(arena, db_text(rows, 0, 8)),
            .record = {.value = db_bytea(rows, 0, 3, arena),
                       .partition = (int32_t)db_i64(rows, 0, 5),
                       .offset = db_i64(rows, 0, 6)},
        };
        if (!headers_read(arena_text(arena, db_text(rows, 0, 2)), arena, &out->record))
            status = problem_set(why, STATUS_REJECT, "the headers of dead letter %lld cannot be read back",
                                 (long long)out->id);
    }
    db_rows_free(rows);
    return status;
}

enum status dead_letter_settle(struct db *db, const struct dead_letter_replay *letter, const char *reason,
                               uint32_t timeout_ms, struct problem *why)
{
    static const char update[] =
        "UPDATE picket.dead_letter SET state = CASE WHEN $3::text IS NULL THEN 'replayed' ELSE 'dead' END,"
        " reason = coalesce($3, reason), replayed_at = CASE WHEN $3 IS NULL THEN now() ELSE replayed_at END"
        " WHERE workspace_id = $1::int AND dead_letter_id = $2::bigint";
    char workspace[NUMBER_SIZE], id[NUMBER_SIZE];

    snprintf(workspace, sizeof workspace, "%d", letter->workspace);
    snprintf(id, sizeof id, "%lld", (long long)letter->id);
    const char *const parameters[] = {workspace, id, reason};
    return db_query(db, update, parameters, 3, timeout_ms, NULL, why);
}

static void headers_print(const struct bus_record *record, struct buf *out)
{
    buf_byte(out, '{');
    for (size_t i = 0; i < record->header_count; i++) {
        struct text name = record->headers[i].name;
        if (memchr(name.bytes, '\0', name.count))
            continue; /* no header of ours, and jsonb has no NUL */
        if (out->count > 1)
            buf_byte(out, ',');
        buf_json_string(out, name);
        buf_byte(out, ':');
        header_value_print(record->headers[i].value, out);
    }
    buf_byte(out, '}');
}

static void header_value_print(struct text value, struct buf *out)
{
    if (!value.bytes)
        value = TEXT("");
    if (text_utf8_valid(value) && !memchr(value.bytes, '\0', value.count)) {
        buf_json_string(out, value);
        return;
    }
    buf_string(out, "{\"base64\":\"");
    char *room = buf_room(out, TEXT_BASE64_SIZE(value.count));
    if (room) {
        text_base64_encode((const uint8_t *)value.bytes, value.count, room);
        buf_grown(out, strlen(room));
    }
    buf_string(out, "\"}");
}

static bool headers_read(struct text json, struct arena *arena, struct bus_record *out)
{
    struct json_node *object = NULL;
    struct problem ignored;

    if (json_tree_read(json, 3, arena, &object, &ignored) || object->count > BUS_HEADERS_MAX)
        return false;
    struct bus_header *headers = ARENA_ARRAY(arena, struct bus_header, object->count);
    for (const struct json_node *node = object->first; node; node = node->next) {
        if (text_equal(node->name, TEXT("refused")))
            continue; /* the front door's word, which the operator overrules */
        struct bus_header *header = &headers[out->header_count++];
        header->name = node->name;
        if (!header_value_read(node, arena, &header->value))
            return false;
    }
    out->headers = headers;
    return true;
}

static bool header_value_read(const struct json_node *node, struct arena *arena, struct text *out)
{
    struct text encoded = node_string(node_member(node, "base64"));
    size_t count;

    *out = node_string(node);
    if (out->bytes)
        return true;
    if (!encoded.bytes)
        return false;
    uint8_t *bytes = arena_alloc(arena, 1, encoded.count + 1);
    if (!text_base64_decode(encoded, bytes, encoded.count + 1, &count))
        return false;
    *out = (struct text){(const char *)bytes, count};
    return true;
}

static const char *bytea_print(struct text bytes, struct arena *arena)
{
    char *out = arena_alloc(arena, 1, 2 * bytes.count + 3);

    out[0] = '\\';
    out[1] = 'x';
    text_hex_encode((const uint8_t *)bytes.bytes, bytes.count, out + 2);
    return out;
}
