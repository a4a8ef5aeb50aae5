#ifndef PICKET_RUNTIME_BUF_H
#define PICKET_RUNTIME_BUF_H

#include "runtime/status.h"
#include "runtime/text.h"

/* Growing bytes with a stated maximum. A buffer remembers its first failure: append freely, then ask
 * buf_failed() once at the end. One thread at a time. */
struct buf {
    char *bytes; /* always terminated when not NULL, for handing to libraries that want a string */
    size_t count;
    size_t room;
    size_t count_max;
    bool failed; /* the maximum was met; nothing is appended after that */
};

void buf_init(struct buf *buf, size_t count_max);
void buf_done(struct buf *buf); /* a zeroed or done buffer is fine */
void buf_clear(struct buf *buf); /* keeps the room, forgets content and failure */
void buf_append(struct buf *buf, const void *bytes, size_t count);
void buf_text(struct buf *buf, struct text text);
void buf_string(struct buf *buf, const char *terminated);
void buf_byte(struct buf *buf, char byte);
void buf_format(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_i64(struct buf *buf, int64_t value);

/* Makes room for `count` more bytes and returns where they go, for writers that fill in place (a
 * decompressor); buf_grown() then says how many came. NULL when the maximum would be passed. */
char *buf_room(struct buf *buf, size_t count);
void buf_grown(struct buf *buf, size_t count);

/* Appends text as a JSON string with its quotes; bytes that are not UTF-8 become U+FFFD. */
void buf_json_string(struct buf *buf, struct text text);

static inline bool buf_failed(const struct buf *buf) { return buf->failed; }
static inline struct text buf_as_text(const struct buf *buf)
{
    return (struct text){buf->bytes ? buf->bytes : "", buf->count};
}

#endif
