#include "store/details.h"

#include <assert.h>

#include "wire/limits.h"

/* Escaping makes a body at most six times as long ("\u0001" is six bytes and came as six, but U+FFFD and quotes grow). */
#define DETAILS_TEXT_MAX (8 * (size_t)PICKET_BODY_HARD_MAX)

static void writer_begin(struct details_writer *writer);
static void value_write(struct details_writer *writer, const struct json_node *value);
static void children_write(struct details_writer *writer, const struct json_node *value);
static void ranks_write(struct details_writer *writer, const struct json_node *object);
static void string_write(struct buf *out, struct text text);

void details_writer_init(struct details_writer *writer)
{
    buf_init(&writer->text, DETAILS_TEXT_MAX);
    buf_init(&writer->order, DETAILS_TEXT_MAX);
}

void details_writer_done(struct details_writer *writer)
{
    buf_done(&writer->text);
    buf_done(&writer->order);
}

void details_write(struct details_writer *writer, const struct json_node *value, struct arena *arena,
                   struct details *out)
{
    writer_begin(writer);
    value_write(writer, value);
    assert(!buf_failed(&writer->text) && !buf_failed(&writer->order));

    out->text = arena_text(arena, buf_as_text(&writer->text));
    out->order_lost = writer->order_lost;
    out->key_order = writer->sorted || writer->order_lost ? TEXT_NONE : arena_text(arena, buf_as_text(&writer->order));
}

struct text details_write_members(struct details_writer *writer, const struct json_node *const *members, size_t count,
                                  struct arena *arena)
{
    writer_begin(writer);
    buf_byte(&writer->text, '{');
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buf_byte(&writer->text, ',');
        string_write(&writer->text, members[i]->name);
        buf_byte(&writer->text, ':');
        value_write(writer, members[i]);
    }
    buf_byte(&writer->text, '}');
    return arena_text(arena, buf_as_text(&writer->text));
}

static void writer_begin(struct details_writer *writer)
{
    buf_clear(&writer->text);
    buf_clear(&writer->order);
    writer->sorted = true;
    writer->order_lost = false;
}

/* The recursion is bounded: the reader refused what is nested more than PICKET_JSON_DEPTH_LIMIT deep. */
static void value_write(struct details_writer *writer, const struct json_node *value)
{
    switch (value->kind) {
    case PICKET_JSON_OBJECT_OPEN:
    case PICKET_JSON_ARRAY_OPEN:
        children_write(writer, value);
        break;
    case PICKET_JSON_STRING:
        string_write(&writer->text, value->text);
        break;
    case PICKET_JSON_NUMBER:
        buf_text(&writer->text, value->text);
        break;
    case PICKET_JSON_TRUE:
        buf_text(&writer->text, TEXT("true"));
        break;
    case PICKET_JSON_FALSE:
        buf_text(&writer->text, TEXT("false"));
        break;
    case PICKET_JSON_NULL:
        buf_text(&writer->text, TEXT("null"));
        break;
    case PICKET_JSON_END:
    case PICKET_JSON_OBJECT_CLOSE:
    case PICKET_JSON_ARRAY_CLOSE:
    case PICKET_JSON_NAME:
    case PICKET_JSON_ERROR:
        assert(0 && "no node has this kind");
        break;
    }
}

static void children_write(struct details_writer *writer, const struct json_node *value)
{
    bool object = value->kind == PICKET_JSON_OBJECT_OPEN;

    if (object && value->count > 1)
        ranks_write(writer, value);
    buf_byte(&writer->text, object ? '{' : '[');
    for (const struct json_node *child = value->first; child; child = child->next) {
        if (child != value->first)
            buf_byte(&writer->text, ',');
        if (object) {
            string_write(&writer->text, child->name);
            buf_byte(&writer->text, ':');
        }
        value_write(writer, child);
    }
    buf_byte(&writer->text, object ? '}' : ']');
}

static void ranks_write(struct details_writer *writer, const struct json_node *object)
{
    if (object->count > DETAILS_MEMBERS_MAX) {
        writer->order_lost = true;
        return;
    }
    writer->sorted = writer->sorted && object->sorted;
    for (const struct json_node *child = object->first; child; child = child->next) {
        if (object->count > 256)
            buf_byte(&writer->order, (char)(child->rank >> 8));
        buf_byte(&writer->order, (char)(child->rank & 0xFF));
    }
}

/* Runs of plain bytes go over in one piece: device strings seldom need an escape. */
static void string_write(struct buf *out, struct text text)
{
    static const char hex[] = "0123456789abcdef";
    size_t start = 0;

    buf_byte(out, '"');
    for (size_t i = 0; i < text.count; i++) {
        unsigned char byte = (unsigned char)text.bytes[i];
        if (byte >= 0x20 && byte != '"' && byte != '\\')
            continue;
        buf_append(out, text.bytes + start, i - start);
        start = i + 1;
        if (byte >= 0x20) {
            buf_append(out, (const char[]){'\\', (char)byte}, 2);
        } else {
            buf_append(out, (const char[]){'\\', 'u', '0', '0', hex[byte >> 4], hex[byte & 15]}, 6);
        }
    }
    buf_append(out, text.bytes + start, text.count - start);
    buf_byte(out, '"');
}
