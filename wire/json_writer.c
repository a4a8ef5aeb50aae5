#include "wire/json_writer.h"

#include <assert.h>
#include <string.h>

#define INT_DIGITS 20 /* of INT64_MIN, with its sign */

static void put(struct picket_json_writer *writer, const char *bytes, size_t count);
static void begin_value(struct picket_json_writer *writer);
static void open_level(struct picket_json_writer *writer, const char *bracket, bool object);
static void close_level(struct picket_json_writer *writer, const char *bracket, bool object);
static void put_quoted(struct picket_json_writer *writer, const char *bytes, size_t count);
static size_t plain_length(const char *bytes, size_t count);
static size_t sequence_length(const unsigned char *bytes, size_t count);
static void put_escaped(struct picket_json_writer *writer, unsigned char byte);

void picket_json_write_init(struct picket_json_writer *writer, char *out, size_t size)
{
    assert(writer && (out || size == 0));

    memset(writer, 0, sizeof *writer);
    writer->out = out;
    writer->size = size;
}

void picket_json_open_object(struct picket_json_writer *writer)
{
    open_level(writer, "{", true);
}

void picket_json_close_object(struct picket_json_writer *writer)
{
    close_level(writer, "}", true);
}

void picket_json_open_array(struct picket_json_writer *writer)
{
    open_level(writer, "[", false);
}

void picket_json_close_array(struct picket_json_writer *writer)
{
    close_level(writer, "]", false);
}

void picket_json_write_name(struct picket_json_writer *writer, const char *name)
{
    bool in_object = writer->depth && (writer->objects >> (writer->depth - 1) & 1);

    if (!in_object || writer->named)
        writer->failed = true;
    if (writer->comma)
        put(writer, ",", 1);
    put_quoted(writer, name, strlen(name));
    put(writer, ":", 1);
    writer->named = true;
}

void picket_json_write_string(struct picket_json_writer *writer, const char *bytes, size_t count)
{
    begin_value(writer);
    put_quoted(writer, bytes, count);
}

void picket_json_write_terminated(struct picket_json_writer *writer, const char *string)
{
    picket_json_write_string(writer, string, strlen(string));
}

void picket_json_write_int(struct picket_json_writer *writer, int64_t value)
{
    char digits[INT_DIGITS];
    size_t at = sizeof digits;
    uint64_t left = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;

    do {
        digits[--at] = (char)('0' + left % 10);
        left /= 10;
    } while (left);
    if (value < 0)
        digits[--at] = '-';
    begin_value(writer);
    put(writer, digits + at, sizeof digits - at);
}

void picket_json_write_bool(struct picket_json_writer *writer, bool value)
{
    begin_value(writer);
    put(writer, value ? "true" : "false", value ? 4 : 5);
}

void picket_json_write_null(struct picket_json_writer *writer)
{
    begin_value(writer);
    put(writer, "null", 4);
}

void picket_json_write_raw(struct picket_json_writer *writer, const char *json, size_t count)
{
    if (count == 0)
        writer->failed = true;
    begin_value(writer);
    put(writer, json, count);
}

size_t picket_json_written(const struct picket_json_writer *writer)
{
    return writer->failed || writer->depth ? 0 : writer->count;
}

static void put(struct picket_json_writer *writer, const char *bytes, size_t count)
{
    if (writer->failed)
        return;
    if (count > writer->size - writer->count) {
        writer->failed = true;
        return;
    }
    memcpy(writer->out + writer->count, bytes, count);
    writer->count += count;
}

/* The comma in front of a value, and whether one may stand here at all: in an object only after its name, and at the
 * top only once. */
static void begin_value(struct picket_json_writer *writer)
{
    bool in_object = writer->depth && (writer->objects >> (writer->depth - 1) & 1);

    if (in_object != writer->named || (writer->depth == 0 && writer->count))
        writer->failed = true;
    if (writer->comma && !writer->named)
        put(writer, ",", 1);
    writer->named = false;
    writer->comma = true;
}

static void open_level(struct picket_json_writer *writer, const char *bracket, bool object)
{
    begin_value(writer);
    if (writer->depth == PICKET_JSON_WRITE_DEPTH_MAX) {
        writer->failed = true;
        return;
    }
    uint64_t bit = (uint64_t)1 << writer->depth;
    writer->objects = object ? writer->objects | bit : writer->objects & ~bit;
    writer->depth++;
    put(writer, bracket, 1);
    writer->comma = false;
}

static void close_level(struct picket_json_writer *writer, const char *bracket, bool object)
{
    if (writer->depth == 0 || writer->named || (writer->objects >> (writer->depth - 1) & 1) != object) {
        writer->failed = true;
        return;
    }
    writer->depth--;
    put(writer, bracket, 1);
    writer->comma = true;
}

static void put_quoted(struct picket_json_writer *writer, const char *bytes, size_t count)
{
    put(writer, "\"", 1);
    while (count) {
        size_t length = plain_length(bytes, count);
        put(writer, bytes, length);
        bytes += length;
        count -= length;
        if (!count)
            break;
        put_escaped(writer, (unsigned char)*bytes);
        bytes++;
        count--;
    }
    put(writer, "\"", 1);
}

/* How many bytes can go out as they are. */
static size_t plain_length(const char *bytes, size_t count)
{
    size_t at = 0;

    while (at < count) {
        unsigned char byte = (unsigned char)bytes[at];
        if (byte < ' ' || byte == '"' || byte == '\\')
            break;
        size_t length = byte < 0x80 ? 1 : sequence_length((const unsigned char *)bytes + at, count - at);
        if (!length)
            break;
        at += length;
    }
    return at;
}

/* Of the well-formed UTF-8 sequence of two bytes or more that stands here, or 0. */
static size_t sequence_length(const unsigned char *bytes, size_t count)
{
    size_t length = bytes[0] < 0xe0 ? 2 : bytes[0] < 0xf0 ? 3 : 4;

    if (bytes[0] < 0xc2 || bytes[0] > 0xf4 || count < length)
        return 0;
    for (size_t i = 1; i < length; i++) {
        if ((bytes[i] & 0xc0) != 0x80)
            return 0;
    }
    if ((bytes[0] == 0xe0 && bytes[1] < 0xa0) || (bytes[0] == 0xed && bytes[1] > 0x9f) ||
        (bytes[0] == 0xf0 && bytes[1] < 0x90) || (bytes[0] == 0xf4 && bytes[1] > 0x8f))
        return 0;
    return length;
}

static void put_escaped(struct picket_json_writer *writer, unsigned char byte)
{
    static const char hex[] = "0123456789abcdef", escaped[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";

    if (byte >= 0x80) {
        put(writer, "\xef\xbf\xbd", 3);
        return;
    }
    const char *found = byte ? strchr(escaped, byte) : NULL;
    if (found) {
        char two[2] = {'\\', letters[found - escaped]};
        put(writer, two, sizeof two);
        return;
    }
    char six[6] = {'\\', 'u', '0', '0', hex[byte >> 4], hex[byte & 15]};
    put(writer, six, sizeof six);
}
