#include "runtime/buf.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define ROOM_LEAST 128
#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */
#define I64_SIZE 24
#define FORMAT_SIZE 256 /* most formatted pieces; longer ones are formatted twice */

static bool room_make(struct buf *buf, size_t count);
static size_t json_plain_run(const unsigned char *bytes, size_t count);
static bool json_word_plain(uint64_t word);
static void json_escape(struct buf *buf, unsigned char byte);

void buf_init(struct buf *buf, size_t count_max)
{
    assert(buf && count_max < SIZE_MAX);

    *buf = (struct buf){.count_max = count_max};
}

void buf_done(struct buf *buf)
{
    assert(buf);

    free(buf->bytes);
    *buf = (struct buf){.count_max = buf->count_max};
}

void buf_clear(struct buf *buf)
{
    buf->count = 0;
    buf->failed = false;
    if (buf->bytes)
        buf->bytes[0] = '\0';
}

void buf_append(struct buf *buf, const void *bytes, size_t count)
{
    if (!room_make(buf, count) || count == 0)
        return;
    memcpy(buf->bytes + buf->count, bytes, count);
    buf_grown(buf, count);
}

void buf_text(struct buf *buf, struct text text)
{
    buf_append(buf, text.bytes, text.count);
}

void buf_string(struct buf *buf, const char *terminated)
{
    buf_append(buf, terminated, strlen(terminated));
}

void buf_byte(struct buf *buf, char byte)
{
    buf_append(buf, &byte, 1);
}

void buf_format(struct buf *buf, const char *format, ...)
{
    char small[FORMAT_SIZE];
    va_list arguments;

    va_start(arguments, format);
    int wanted = vsnprintf(small, sizeof small, format, arguments);
    va_end(arguments);
    assert(wanted >= 0);
    if (wanted < (int)sizeof small) {
        buf_append(buf, small, (size_t)wanted);
        return;
    }
    if (!room_make(buf, (size_t)wanted))
        return;
    va_start(arguments, format);
    vsnprintf(buf->bytes + buf->count, (size_t)wanted + 1, format, arguments);
    va_end(arguments);
    buf_grown(buf, (size_t)wanted);
}

void buf_i64(struct buf *buf, int64_t value)
{
    char digits[I64_SIZE];
    size_t at = sizeof digits;
    uint64_t left = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;

    do {
        digits[--at] = (char)('0' + left % 10);
        left /= 10;
    } while (left);
    if (value < 0)
        digits[--at] = '-';
    buf_append(buf, digits + at, sizeof digits - at);
}

char *buf_room(struct buf *buf, size_t count)
{
    return room_make(buf, count) ? buf->bytes + buf->count : NULL;
}

void buf_grown(struct buf *buf, size_t count)
{
    assert(buf->bytes && count < buf->room - buf->count);

    buf->count += count;
    buf->bytes[buf->count] = '\0';
}

void buf_json_string(struct buf *buf, struct text text)
{
    buf_byte(buf, '"');
    while (text.count && !buf->failed) {
        size_t run = json_plain_run((const unsigned char *)text.bytes, text.count);
        size_t step = run;
        buf_append(buf, text.bytes, run);
        if (run < text.count) {
            struct text rest = {text.bytes + run, text.count - run};
            size_t sequence = text_utf8_sequence(rest);
            if (sequence > 1)
                buf_append(buf, rest.bytes, sequence);
            else if (sequence == 1)
                json_escape(buf, (unsigned char)rest.bytes[0]);
            else
                buf_append(buf, REPLACEMENT, sizeof REPLACEMENT - 1);
            step += sequence ? sequence : 1;
        }
        text = (struct text){text.bytes + step, text.count - step};
    }
    buf_byte(buf, '"');
}

/* Room for `count` more bytes and the terminator, doubling so that n appends cost O(n). False when the maximum would be
 * passed, which is remembered; memory that is gone ends the process. */
static bool room_make(struct buf *buf, size_t count)
{
    assert(buf && buf->count <= buf->count_max);

    if (buf->failed || count > buf->count_max - buf->count) {
        buf->failed = true;
        return false;
    }
    if (count < buf->room - buf->count)
        return true;
    size_t needed = buf->count + count + 1, room = buf->room > ROOM_LEAST ? buf->room : ROOM_LEAST;
    while (room < needed)
        room = room > SIZE_MAX / 2 ? needed : room * 2;
    if (room > buf->count_max)
        room = buf->count_max + 1;
    char *bytes = realloc(buf->bytes, room);
    if (!bytes)
        abort();
    bytes[buf->count] = '\0';
    buf->bytes = bytes;
    buf->room = room;
    return true;
}

/* How many bytes from here on stand in a JSON string as they are: printable ASCII but the quote and the backslash. */
static size_t json_plain_run(const unsigned char *bytes, size_t count)
{
    size_t at = 0;

    for (; count - at >= sizeof(uint64_t); at += sizeof(uint64_t)) {
        uint64_t word;
        memcpy(&word, bytes + at, sizeof word);
        if (!json_word_plain(word))
            break;
    }
    while (at < count && bytes[at] >= 0x20 && bytes[at] < 0x80 && bytes[at] != '"' && bytes[at] != '\\')
        at++;
    return at;
}

/* Eight bytes at once: subtracting borrows into the top bit of a byte that is smaller, and XOR makes equal bytes zero.
 * A borrow can spill into the next byte and call it special wrongly, which the slow loop then puts right. */
static bool json_word_plain(uint64_t word)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), tops = ones * 0x80;
    uint64_t quote = word ^ (ones * '"'), backslash = word ^ (ones * '\\');

    return !(((word - ones * 0x20) | word | (quote - ones) | (backslash - ones)) & tops);
}

static void json_escape(struct buf *buf, unsigned char byte)
{
    static const char short_forms[] = "\"\"\\\\\bb\ff\nn\rr\tt";

    for (size_t i = 0; i < sizeof short_forms - 1; i += 2)
        if ((unsigned char)short_forms[i] == byte) {
            char escape[2] = {'\\', short_forms[i + 1]};
            buf_append(buf, escape, sizeof escape);
            return;
        }
    buf_format(buf, "\\u%04x", byte);
}
