#include "query/page.h"

#include <assert.h>

#include "query/base64url.h"
#include "runtime/buf.h"

#define SEPARATOR '\x1f' /* in no id, number or name */

enum status page_read(struct text limit, struct text cursor, const char *list, size_t field_count,
                      struct arena *arena, struct page *out, struct problem *why)
{
    struct page page = {.limit = PAGE_LIMIT_DEFAULT};
    uint8_t decoded[PAGE_CURSOR_MAX];
    size_t count = 0, fields = 0;
    struct text head, rest;

    assert(field_count <= PAGE_FIELDS_MAX);

    if (limit.bytes && (!text_to_i64(limit, &page.limit) || page.limit < 1 || page.limit > PAGE_LIMIT_MAX))
        return problem_set(why, STATUS_REJECT, "limit is \"%.*s\": expected a number from 1 to %d",
                           (int)(limit.count < 32 ? limit.count : 32), limit.bytes, PAGE_LIMIT_MAX);
    if (!cursor.bytes) {
        *out = page;
        return STATUS_OK;
    }
    page.continued = true;
    bool sound = base64url_decode(cursor, decoded, sizeof decoded, &count) && !memchr(decoded, 0, count);
    rest = text_cut((struct text){(const char *)decoded, count}, SEPARATOR, &head);
    sound = sound && text_equal(head, text_of(list));
    while (sound && rest.bytes && fields < field_count) {
        rest = text_cut(rest, SEPARATOR, &head);
        page.fields[fields++] = arena_string(arena, head);
    }
    if (!sound || rest.bytes || fields != field_count)
        return problem_set(why, STATUS_REJECT,
                           "cursor is not one of this list: take it unchanged from \"next\" of the page before");
    *out = page;
    return STATUS_OK;
}

struct text page_cursor(const char *list, const struct text *fields, size_t field_count, struct arena *arena)
{
    struct buf plain;

    buf_init(&plain, PAGE_CURSOR_MAX);
    buf_string(&plain, list);
    for (size_t i = 0; i < field_count; i++) {
        buf_byte(&plain, SEPARATOR);
        buf_text(&plain, fields[i]);
    }
    assert(!buf_failed(&plain));
    char *encoded = arena_alloc(arena, 1, BASE64URL_SIZE(plain.count));
    base64url_encode((const uint8_t *)plain.bytes, plain.count, encoded);
    buf_done(&plain);
    return text_of(encoded);
}
