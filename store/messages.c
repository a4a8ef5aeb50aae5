#include "store/messages.h"

#include <assert.h>
#include <stdio.h>

#include "store/columns.h"

/* Messages by key, open addressing: keys are digests, so their first bytes are as good as a hash. */
struct key_table {
    struct device_message **slots;
    size_t mask;
};

static struct key_table table_make(size_t count, struct arena *arena);
static struct device_message **table_slot(const struct key_table *table, const uint8_t key[SECRET_DIGEST_BYTES]);
static void row_add(struct columns *columns, const struct device_message *message, int bus_topic_id,
                    struct buf *scratch);
static struct text departures_print(const struct departures *departures, struct buf *scratch);
static void fresh_mark(const struct key_table *table, struct text key);

void messages_key(struct device_message *message, struct text cluster, struct text topic)
{
    char position[48];

    if (message->record.has_identity) {
        memcpy(message->key, message->record.message_key, SECRET_DIGEST_BYTES);
        return;
    }
    int length = snprintf(position, sizeof position, "%d@%lld", (int)message->partition, (long long)message->offset);
    char workspace[16];
    int workspace_length = snprintf(workspace, sizeof workspace, "%u", (unsigned)message->record.workspace);
    const struct text parts[] = {
        cluster,
        topic,
        {position, (size_t)length},
        {workspace, (size_t)workspace_length},
        device_message_text(message->record.device),
        device_message_text(message->record.module),
        message->body,
    };
    secret_digest(parts, sizeof parts / sizeof *parts, NULL, message->key);
}

enum status messages_insert(struct db *db, struct device_message *messages, size_t count, int bus_topic_id,
                            struct arena *arena, uint32_t timeout_ms, struct problem *why)
{
    /* The unique index stands on each weekly partition, so a resend in a later week is found by looking, and one in
     * the same week by the conflict. OFFSET 0 keeps the lookup a probe per key: as a join the planner might read whole
     * weeks. */
    static const char insert_new[] =
        "INSERT INTO picket.message (workspace_id, device_id, module_id, message_key, received_at, bus_topic_id,"
        " bus_partition, bus_offset, event_count, departures, extra, properties)"
        " SELECT w, d, m, key, at, topic, p, o, n, departures::text[], extra, properties"
        " FROM unnest($1::int[], $2::text[], $3::text[], $4::uuid[], $5::timestamptz[], $6::int[], $7::bigint[],"
        " $8::int[], $9::text[], $10::jsonb[], $11::smallint[], $12::jsonb[])"
        " AS k (w, d, m, key, at, p, o, n, departures, extra, topic, properties)"
        " WHERE NOT EXISTS (SELECT FROM picket.message known WHERE known.workspace_id = w"
        " AND known.device_id = d COLLATE \"C\" AND known.message_key = key OFFSET 0)"
        " ON CONFLICT DO NOTHING RETURNING message_key";
    struct key_table table = table_make(count, arena);
    struct columns columns;
    struct db_rows *rows = NULL;
    struct buf scratch;

    buf_init(&scratch, COLUMN_BYTES_MAX);
    columns_open(&columns, 12);
    for (size_t i = 0; i < count; i++) {
        struct device_message **slot = table_slot(&table, messages[i].key);
        messages[i].fresh = false;
        if (*slot)
            continue;
        *slot = &messages[i];
        row_add(&columns, &messages[i], bus_topic_id, &scratch);
    }
    buf_done(&scratch);
    enum status status = columns_query(&columns, db, insert_new, timeout_ms, &rows, why);
    for (size_t i = 0; !status && i < db_rows_count(rows); i++)
        fresh_mark(&table, db_text(rows, i, 0));
    db_rows_free(rows);
    return status;
}

static struct key_table table_make(size_t count, struct arena *arena)
{
    size_t room = 16;

    while (room < 2 * count)
        room *= 2;
    return (struct key_table){ARENA_ARRAY(arena, struct device_message *, room), room - 1};
}

/* Where the message of that key is, or would be put. */
static struct device_message **table_slot(const struct key_table *table, const uint8_t key[SECRET_DIGEST_BYTES])
{
    size_t at;

    memcpy(&at, key, sizeof at);
    for (at &= table->mask;; at = (at + 1) & table->mask)
        if (!table->slots[at] || memcmp(table->slots[at]->key, key, SECRET_DIGEST_BYTES) == 0)
            return &table->slots[at];
}

static void row_add(struct columns *columns, const struct device_message *message, int bus_topic_id,
                    struct buf *scratch)
{
    columns_i64(columns, 0, message->record.workspace);
    columns_text(columns, 1, device_message_text(message->record.device));
    columns_text(columns, 2, device_message_text(message->record.module));
    columns_key(columns, 3, message->key);
    columns_time(columns, 4, message->record.received_at_us);
    columns_i64(columns, 5, message->partition);
    columns_i64(columns, 6, message->offset);
    columns_i64(columns, 7, (int64_t)message->row_count);
    columns_text(columns, 8, departures_print(&message->departures, scratch));
    columns_text(columns, 9, message->extra);
    columns_i64(columns, 10, bus_topic_id);
    columns_text(columns, 11, message->properties);
}

/* As an array literal of its own: arrays of arrays would all have to be of one length. */
static struct text departures_print(const struct departures *departures, struct buf *scratch)
{
    if (!departures->count)
        return TEXT_NONE;
    buf_clear(scratch);
    db_array_open(scratch);
    for (const struct departure *at = departures->first; at; at = at->next)
        db_array_text(scratch, at->code);
    db_array_close(scratch);
    return buf_as_text(scratch);
}

/* `key` as PostgreSQL prints a uuid. */
static void fresh_mark(const struct key_table *table, struct text key)
{
    uint8_t bytes[SECRET_DIGEST_BYTES];
    char digits[2 * SECRET_DIGEST_BYTES];
    size_t count = 0;

    for (size_t i = 0; i < key.count && count < sizeof digits; i++)
        if (key.bytes[i] != '-')
            digits[count++] = key.bytes[i];
    bool read = text_hex_decode((struct text){digits, count}, bytes, sizeof bytes);
    assert(read);
    (void)read;
    struct device_message **slot = table_slot(table, bytes);
    assert(*slot);
    (*slot)->fresh = true;
}
