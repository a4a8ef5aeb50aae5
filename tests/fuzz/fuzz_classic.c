#include <stdlib.h>
#include <string.h>

#include "store/classic.h"
#include "store/copy.h"
#include "wire/json_reader.h"
#include "wire/limits.h"

/* A stranger's bytes as store decodes them, up to the line of COPY text. What must hold of whatever passes: at least one
 * row, text that PostgreSQL takes (UTF-8 without NUL), details that are JSON without blanks, a key order of ranks that
 * fit, a line of as many fields as the table wants. The first byte chooses what the record says of the body. */
#define FIELDS 29 /* of the COPY in store/copy.c */
#define KINDS 7

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void text_check(struct text text)
{
    must(text_utf8_valid(text));
    must(!text.count || !memchr(text.bytes, '\0', text.count));
}

/* Walks the text beside the key order: an object's ranks must be a permutation. */
struct order_walk {
    const uint8_t *at, *end;
    bool *seen;
};

static void ranks_check(struct order_walk *walk, const struct json_node *object)
{
    size_t width = object->count > 256 ? 2 : 1;

    must((size_t)(walk->end - walk->at) >= width * object->count);
    memset(walk->seen, 0, object->count);
    for (uint32_t i = 0; i < object->count; i++, walk->at += width) {
        uint32_t rank = width == 2 ? (uint32_t)(walk->at[0] << 8 | walk->at[1]) : walk->at[0];
        must(rank < object->count && !walk->seen[rank]);
        walk->seen[rank] = true;
    }
}

static void order_check(struct order_walk *walk, const struct json_node *node)
{
    if (node->kind == PICKET_JSON_OBJECT_OPEN && node->count > 1)
        ranks_check(walk, node);
    for (const struct json_node *child = node->first; child; child = child->next)
        order_check(walk, child);
}

static void blanks_check(struct text text)
{
    bool inside = false;

    for (size_t i = 0; i < text.count; i++) {
        if (inside && text.bytes[i] == '\\')
            i++;
        else if (text.bytes[i] == '"')
            inside = !inside;
        else
            must(inside || !memchr(" \t\r\n", text.bytes[i], 4));
    }
}

/* What is kept has to be read back as it is: nothing in it is replaced a second time. */
static void details_check(const struct details *details, struct arena *arena)
{
    struct json_node *node = NULL;
    struct problem why;

    text_check(details->text);
    blanks_check(details->text);
    must(json_tree_read(details->text, PICKET_JSON_DEPTH_MAX, arena, &node, &why) == STATUS_OK);
    must(node->replaced == 0);
    if (!details->key_order.bytes)
        return;
    struct order_walk walk = {(const uint8_t *)details->key_order.bytes,
                              (const uint8_t *)details->key_order.bytes + details->key_order.count,
                              arena_alloc(arena, 1, details->text.count)};
    order_check(&walk, node);
    must(walk.at == walk.end);
}

static void departures_check(const struct departures *list)
{
    size_t count = 0;

    must(list->count <= DEPARTURES_MAX);
    for (const struct departure *at = list->first; at; at = at->next, count++)
        text_check(at->code);
    must(count == list->count);
}

static void line_check(const struct device_message *message, uint32_t row, struct buf *scratch, struct buf *line)
{
    size_t fields = 1;

    buf_clear(line);
    copy_event_line(message, row, 1, scratch, line);
    must(!buf_failed(line) && line->count && line->bytes[line->count - 1] == '\n');
    must(memchr(line->bytes, '\n', line->count) == line->bytes + line->count - 1);
    for (size_t i = 0; i < line->count; i++)
        fields += line->bytes[i] == '\t';
    must(fields == FIELDS);
    text_check(buf_as_text(line));
}

static void row_check(const struct event_row *row, struct arena *arena)
{
    const struct text texts[] = {row->time_local, row->sender_event_id, row->type,       row->category,
                                 row->name,       row->executable,      row->process_id, row->user_name,
                                 row->remote_address};

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        text_check(texts[i]);
    must(row->hit_count > 0 && row->element >= 0);
    must(row->remote_port >= EVENT_PORT_NONE && row->remote_port <= 65535);
    details_check(&row->details, arena);
    departures_check(&row->departures);
    if (row->extra.bytes)
        details_check(&(struct details){.text = row->extra}, arena);
}

static void message_check(const struct device_message *message, struct arena *arena)
{
    struct buf scratch, line;

    must(message->row_count >= 1 && message->row_count <= message->row_room);
    departures_check(&message->departures);
    text_check(message->agent_version);
    if (message->extra.bytes)
        details_check(&(struct details){.text = message->extra}, arena);
    if (message->report)
        must(message->report->first >= 1 && message->report->count >= 0 &&
             message->report->last >= message->report->first + message->report->count - 1);
    buf_init(&scratch, 64 * (size_t)PICKET_BODY_HARD_MAX);
    buf_init(&line, 64 * (size_t)PICKET_BODY_HARD_MAX);
    for (uint32_t i = 0; i < message->row_count; i++) {
        row_check(&message->rows[i], arena);
        line_check(message, i, &scratch, &line);
    }
    buf_done(&line);
    buf_done(&scratch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char micro[] = "{\"mti\":\"2.3-1-1-0\"}"; /* FlatBuffers */
    static const char *const types[KINDS] = {"application/json", "", "text/plain", "application/json", "", "x\xff", ""};
    struct text body = {size ? (const char *)data + 1 : "", size ? size - 1 : 0};
    unsigned kind = size ? data[0] % KINDS : 0;
    struct device_message message = {
        .record = {.workspace = 1,
                   .device = {"d", 1},
                   .received_at_us = INT64_C(1767348000000000),
                   .claims_json = kind == 3,
                   .properties = {kind == 6 ? micro : "", kind == 6 ? sizeof micro - 1 : 0},
                   .content_type = {types[kind], strlen(types[kind])}},
        .body = body,
    };
    const struct json_node *refused = NULL;
    struct classic_decoder decoder;
    struct arena arena;
    struct problem why;

    if (body.count > PICKET_BODY_HARD_MAX)
        return 0;
    arena_init(&arena);
    classic_decoder_init(&decoder, PICKET_JSON_DEPTH_MAX);
    if (classic_decode(&decoder, &message, &arena, &why) == STATUS_OK)
        message_check(&message, &arena);
    if (kind == 0 && classic_decode_door(&decoder, &message, &arena, &refused, &why) == STATUS_OK)
        message_check(&message, &arena);
    classic_decoder_done(&decoder);
    arena_done(&arena);
    return 0;
}
