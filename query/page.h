#ifndef PICKET_QUERY_PAGE_H
#define PICKET_QUERY_PAGE_H

#include "runtime/arena.h"
#include "runtime/status.h"

/* Pages of a list: how many, and from where on. A cursor is opaque to clients: the list's name and the key of the last
 * row that was given, so that rows which come or go meanwhile neither repeat others nor hide them. */
#define PAGE_LIMIT_DEFAULT 100
#define PAGE_LIMIT_MAX 1000
#define PAGE_FIELDS_MAX 5
#define PAGE_CURSOR_MAX 2048 /* two ids of 128 bytes are far shorter */

struct page {
    int64_t limit;
    bool continued; /* `fields` are of a cursor; otherwise they are all NULL */
    const char *fields[PAGE_FIELDS_MAX];
};

/* `limit` and `cursor` as in the query, TEXT_NONE when absent. `list` names the list and `field_count` its key, so that a
 * cursor of another list is refused. STATUS_REJECT: what is wrong and what would be right. Fields live in `arena`. */
MUST_CHECK enum status page_read(struct text limit, struct text cursor, const char *list, size_t field_count,
                                 struct arena *arena, struct page *out, struct problem *why);

/* The cursor that continues after a row with this key; lives in `arena`. */
struct text page_cursor(const char *list, const struct text *fields, size_t field_count, struct arena *arena);

#endif
