#include "wire/flatbuffer.h"

#include <string.h>

#define OFFSET_SIZE 4
#define VTABLE_HEAD 4 /* its own size, and the table's */

static const struct picket_flatbuffer_table no_table;
static const struct picket_flatbuffer_vector no_vector;

static uint16_t read_u16(const struct picket_flatbuffer *buffer, size_t at)
{
    return (uint16_t)(buffer->bytes[at] | buffer->bytes[at + 1] << 8);
}

static uint32_t read_u32(const struct picket_flatbuffer *buffer, size_t at)
{
    return (uint32_t)read_u16(buffer, at) | (uint32_t)read_u16(buffer, at + 2) << 16;
}

void picket_flatbuffer_fail(struct picket_flatbuffer *buffer, size_t at, const char *sentence)
{
    if (buffer->error)
        return;
    buffer->error = sentence;
    buffer->error_at = at;
}

void picket_flatbuffer_init(struct picket_flatbuffer *buffer, const char *bytes, size_t count, uint8_t *marks)
{
    memset(buffer, 0, sizeof *buffer);
    buffer->bytes = (const uint8_t *)bytes;
    buffer->count = count;
    buffer->marks = marks;
    if (count > PICKET_FLATBUFFER_MAX)
        picket_flatbuffer_fail(buffer, 0, "the buffer is too long");
    else if (marks)
        memset(marks, 0, PICKET_FLATBUFFER_MARKS(count));
}

/* The maps of the marks. Everything begins at an even place, so a bit stands for two bytes. */
enum map { MAP_TAKEN, MAP_STRINGS, MAP_VTABLES }; /* the latter: where one begins */

static bool map_set(struct picket_flatbuffer *buffer, enum map map, size_t at)
{
    size_t bit = at / 2;
    uint8_t *byte = buffer->marks + (size_t)map * (buffer->count / 16 + 1) + bit / 8;
    bool was_set = *byte & 1u << bit % 8;

    *byte |= (uint8_t)(1u << bit % 8);
    return !was_set;
}

/* Takes [at, at + count) for one part. */
static bool claim(struct picket_flatbuffer *buffer, size_t at, size_t count)
{
    for (size_t i = at; buffer->marks && i < at + count; i += 2) {
        if (map_set(buffer, MAP_TAKEN, i))
            continue;
        picket_flatbuffer_fail(buffer, at, "two parts of the buffer overlap");
        return false;
    }
    return true;
}

/* The same for a part that others may lead to as well: what begins where one of its kind began is that one. */
static bool claim_shared(struct picket_flatbuffer *buffer, enum map kind, size_t at, size_t count)
{
    return !buffer->marks || !map_set(buffer, kind, at) || claim(buffer, at, count);
}

static struct picket_flatbuffer_table table_at(struct picket_flatbuffer *buffer, uint64_t at)
{
    struct picket_flatbuffer_table table = {(uint32_t)at, 0, 0, 0};

    if (at % 4 || at + OFFSET_SIZE > buffer->count) {
        picket_flatbuffer_fail(buffer, (size_t)at, "a table lies outside of the buffer, or is not aligned");
        return no_table;
    }
    int64_t vtable = (int64_t)at - (int32_t)read_u32(buffer, (size_t)at);
    if (vtable < 0 || vtable % 2 || (uint64_t)vtable + VTABLE_HEAD > buffer->count) {
        picket_flatbuffer_fail(buffer, (size_t)at, "a vtable lies outside of the buffer, or is not aligned");
        return no_table;
    }
    table.vtable = (uint32_t)vtable;
    table.vtable_size = read_u16(buffer, (size_t)vtable);
    table.size = read_u16(buffer, (size_t)vtable + 2);
    if (table.vtable_size < VTABLE_HEAD || table.vtable_size % 2 || (uint64_t)vtable + table.vtable_size > buffer->count ||
        table.size < OFFSET_SIZE || at + table.size > buffer->count) {
        picket_flatbuffer_fail(buffer, (size_t)vtable, "a vtable has sizes that do not fit");
        return no_table;
    }
    if (!claim_shared(buffer, MAP_VTABLES, (size_t)vtable, table.vtable_size) || !claim(buffer, (size_t)at, table.size))
        return no_table;
    return table;
}

struct picket_flatbuffer_table picket_flatbuffer_root(struct picket_flatbuffer *buffer)
{
    if (buffer->error)
        return no_table;
    if (buffer->count < 2 * OFFSET_SIZE) {
        picket_flatbuffer_fail(buffer, 0, "the buffer is shorter than any can be");
        return no_table;
    }
    return table_at(buffer, read_u32(buffer, 0));
}

uint32_t picket_flatbuffer_field(struct picket_flatbuffer *buffer, const struct picket_flatbuffer_table *table,
                                 unsigned slot, size_t size, size_t align)
{
    size_t entry = VTABLE_HEAD + 2 * (size_t)slot;

    if (buffer->error || !table->at || entry + 2 > table->vtable_size)
        return 0;
    uint16_t offset = read_u16(buffer, table->vtable + entry);
    if (!offset)
        return 0;
    if (offset < OFFSET_SIZE || offset + size > table->size || (table->at + offset) % align) {
        picket_flatbuffer_fail(buffer, table->vtable + entry, "a field lies outside of its table, or is not aligned");
        return 0;
    }
    return table->at + offset;
}

uint32_t picket_flatbuffer_number(struct picket_flatbuffer *buffer, const struct picket_flatbuffer_table *table,
                                  unsigned slot, size_t size, uint32_t otherwise)
{
    uint32_t at = picket_flatbuffer_field(buffer, table, slot, size, size);

    if (!at)
        return otherwise;
    return size == 1 ? buffer->bytes[at] : size == 2 ? read_u16(buffer, at) : read_u32(buffer, at);
}

/* What an offset leads to: 0 when the field is absent, or leads out of the buffer. */
static uint64_t follow(struct picket_flatbuffer *buffer, uint32_t field)
{
    if (!field)
        return 0;
    uint64_t to = (uint64_t)field + read_u32(buffer, field);
    if (to == field || to % 4 || to + OFFSET_SIZE > buffer->count) {
        picket_flatbuffer_fail(buffer, field, "an offset leads out of the buffer, or is not aligned");
        return 0;
    }
    return to;
}

struct picket_span picket_flatbuffer_string(struct picket_flatbuffer *buffer, const struct picket_flatbuffer_table *table,
                                            unsigned slot)
{
    struct picket_span text = {NULL, 0};
    uint64_t at = follow(buffer, picket_flatbuffer_field(buffer, table, slot, OFFSET_SIZE, OFFSET_SIZE));

    if (!at)
        return text;
    uint64_t count = read_u32(buffer, (size_t)at), begin = at + OFFSET_SIZE;
    if (begin + count + 1 > buffer->count || buffer->bytes[begin + count] != 0) {
        picket_flatbuffer_fail(buffer, (size_t)at, "a string reaches out of the buffer, or does not end with a NUL");
        return text;
    }
    if (!claim_shared(buffer, MAP_STRINGS, (size_t)at, OFFSET_SIZE + (size_t)count + 1))
        return text;
    buffer->text_bytes += (size_t)count;
    if (buffer->text_bytes > PICKET_FLATBUFFER_TEXT_MAX && buffer->marks) {
        picket_flatbuffer_fail(buffer, (size_t)at, "a string is shared by so many that they come to too much");
        return text;
    }
    text.bytes = (const char *)buffer->bytes + begin;
    text.count = (size_t)count;
    return text;
}

struct picket_flatbuffer_table picket_flatbuffer_child(struct picket_flatbuffer *buffer,
                                                       const struct picket_flatbuffer_table *table, unsigned slot)
{
    uint64_t at = follow(buffer, picket_flatbuffer_field(buffer, table, slot, OFFSET_SIZE, OFFSET_SIZE));

    return at ? table_at(buffer, at) : no_table;
}

struct picket_flatbuffer_vector picket_flatbuffer_vector(struct picket_flatbuffer *buffer,
                                                         const struct picket_flatbuffer_table *table, unsigned slot,
                                                         size_t element_size, size_t align)
{
    struct picket_flatbuffer_vector vector;
    uint64_t at = follow(buffer, picket_flatbuffer_field(buffer, table, slot, OFFSET_SIZE, OFFSET_SIZE));

    if (!at)
        return no_vector;
    uint64_t count = read_u32(buffer, (size_t)at), begin = at + OFFSET_SIZE;
    if (begin % align || begin + count * element_size > buffer->count) {
        picket_flatbuffer_fail(buffer, (size_t)at, "a vector reaches out of the buffer, or is not aligned");
        return no_vector;
    }
    if (!claim(buffer, (size_t)at, OFFSET_SIZE + (size_t)count * element_size))
        return no_vector;
    vector.at = (uint32_t)begin;
    vector.count = (uint32_t)count;
    return vector;
}

struct picket_flatbuffer_table picket_flatbuffer_element(struct picket_flatbuffer *buffer,
                                                         const struct picket_flatbuffer_vector *vector, uint32_t index)
{
    uint64_t at = buffer->error ? 0 : follow(buffer, vector->at + index * OFFSET_SIZE);

    return at ? table_at(buffer, at) : no_table;
}
