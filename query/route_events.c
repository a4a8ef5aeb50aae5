#include "query/routes.h"

#include <string.h>

#include "runtime/clock.h"

/* Events, newest first. A cursor holds the window as well as the place in it: "the last 24 hours" of the first page must
 * not move on while somebody turns pages. */

#define LIST "events"
#define CURSOR_FIELDS 4 /* since, until, time of the last row, its id */
#define DAY_US (24 * 60 * 60 * 1000000LL)
#define WINDOW_FIRST_US (60 * 1000000LL) /* newest first needs a sort of all that is looked at, so begin with little */
#define WINDOW_GROWTH 16
#define ROWS_AT_ONCE 100                 /* details have up to a megabyte each, and libpq keeps a whole result */
#define PAGE_BYTES_MAX (32 * 1024 * 1024)
#define TIME_MIN_US (-62135596800LL * 1000000) /* year 1 */
#define TIME_MAX_US (253402300799LL * 1000000) /* the end of year 9999 */

struct filter {
    const char *device, *module; /* NULL: any */
    const char *type, *name;
    const char *text;
    const char *plain_text; /* set in place of `text` where PostgreSQL's own form of the JSON finds the same */
    int64_t since_us, until_us;
};

/* One page on its way: where the next statement begins, and the last row that was given. */
struct walk {
    const struct request *request;
    struct reply *reply;
    struct filter filter;
    int64_t at_us, last_us;
    const char *at_id, *last_id; /* `at_id` NULL: all of `at_us` lies behind */
    int64_t left;                /* rows that the page still takes */
    bool full;                   /* and a row beyond it was seen */
};

static enum status filter_read(const struct request *request, const struct page *page, struct filter *out,
                               struct problem *why);
static bool text_is_plain(const char *text);
static enum status page_walk(struct walk *walk, int64_t now_us, struct problem *why);
static enum status window_walk(struct walk *walk, int64_t from_us, struct problem *why);
static enum status rows_select(const struct walk *walk, int64_t from_us, size_t wanted, struct db_rows **out,
                               struct problem *why);
static const char *moment(const struct walk *walk, int64_t utc_us);
static void row_write(struct reply *reply, const struct db_rows *rows, size_t row);

ROUTE_HANDLER(events_list)
{
    struct walk walk = {.request = request, .reply = reply};
    struct page page;

    (void)query;
    enum status status = request_page(request, LIST, CURSOR_FIELDS, &page, why);
    if (!status)
        status = filter_read(request, &page, &walk.filter, why);
    if (status)
        return status;
    walk.left = page.limit;
    walk.at_us = walk.filter.until_us;
    walk.at_id = page.fields[3];
    if (page.continued && !text_to_i64(text_of(page.fields[2]), &walk.at_us))
        return problem_set(why, STATUS_REJECT, "cursor is not one of this list");
    reply_open_object(reply, NULL);
    reply_open_array(reply, LIST);
    status = page_walk(&walk, clock_utc_us(), why);
    if (status)
        return status;
    reply_close_array(reply);
    struct text next = TEXT_NONE;
    if (walk.full) {
        const struct text key[CURSOR_FIELDS] = {text_of(request_decimal(request, walk.filter.since_us)),
                                                text_of(request_decimal(request, walk.filter.until_us)),
                                                text_of(request_decimal(request, walk.last_us)), text_of(walk.last_id)};
        next = page_cursor(LIST, key, CURSOR_FIELDS, request->arena);
    }
    reply_text(reply, "next", next);
    reply_close_object(reply);
    return STATUS_OK;
}

static enum status filter_read(const struct request *request, const struct page *page, struct filter *out,
                               struct problem *why)
{
    int64_t now_us = clock_utc_us();
    const char *device = request_argument(request, "device");
    struct filter filter = {.type = request_argument(request, "type"),
                            .name = request_argument(request, "name"),
                            .text = request_argument(request, "text")};
    struct text head, rest = text_cut(text_of(device), '/', &head);

    filter.device = device ? arena_string(request->arena, head) : NULL;
    filter.module = device && rest.bytes ? arena_string(request->arena, rest) : NULL;
    if (filter.text && text_is_plain(filter.text)) {
        filter.plain_text = filter.text;
        filter.text = NULL;
    }
    enum status status = STATUS_OK;
    if (page->continued) {
        if (!text_to_i64(text_of(page->fields[0]), &filter.since_us) || !text_to_i64(text_of(page->fields[1]), &filter.until_us))
            status = problem_set(why, STATUS_REJECT, "cursor is not one of this list");
    } else {
        status = request_time(request_argument(request, "until"), "until", now_us, TIME_MAX_US, &filter.until_us, why);
        if (!status)
            status = request_time(request_argument(request, "since"), "since", now_us,
                               filter.until_us < now_us ? filter.until_us - DAY_US : now_us - DAY_US, &filter.since_us, why);
    }
    if (!status)
        *out = filter;
    return status;
}

/* jsonb's text has blanks after colons and commas that ours has not, and sorts members. Text without such characters is
 * found in the one exactly when it is found in the other, and jsonb's is much faster to have. */
static bool text_is_plain(const char *text)
{
    return text[0] != ' ' && strcspn(text, "\"\\:,{}[]") == strlen(text);
}

/* A device's events come in order from an index; for all devices the window grows until the page is full. Windows go on
 * when it is, so that `next` is only there when another row is. */
static enum status page_walk(struct walk *walk, int64_t now_us, struct problem *why)
{
    const struct filter *filter = &walk->filter;
    int64_t width_us = WINDOW_FIRST_US, from_us;
    enum status status;

    do {
        int64_t top_us = walk->at_us < now_us ? walk->at_us : now_us;
        from_us = filter->device || top_us - filter->since_us <= width_us ? filter->since_us : top_us - width_us;
        status = window_walk(walk, from_us, why);
        walk->at_us = from_us;
        walk->at_id = NULL;
        width_us = width_us > DAY_US ? INT64_MAX : width_us * WINDOW_GROWTH;
    } while (!status && !walk->full && from_us > filter->since_us);
    return status;
}

/* Gives the rows from `at` down to `from_us`, in pieces, until the page is full or the window is empty. */
static enum status window_walk(struct walk *walk, int64_t from_us, struct problem *why)
{
    struct db_rows *rows = NULL;

    for (;;) {
        size_t wanted = walk->left < ROWS_AT_ONCE ? (size_t)walk->left : ROWS_AT_ONCE;
        enum status status = rows_select(walk, from_us, wanted, &rows, why);
        if (status)
            return status;
        size_t count = db_rows_count(rows);
        size_t given = count < wanted ? count : wanted;
        for (size_t i = 0; i < given; i++)
            row_write(walk->reply, rows, i);
        if (given) {
            walk->at_us = walk->last_us = db_i64(rows, given - 1, 0);
            walk->at_id = walk->last_id = arena_string(walk->request->arena, db_text(rows, given - 1, 1));
        }
        db_rows_free(rows);
        walk->left -= (int64_t)given;
        if (count <= wanted)
            return STATUS_OK;
        if (walk->left == 0 || walk->reply->body->count > PAGE_BYTES_MAX) {
            walk->full = true;
            return STATUS_OK;
        }
    }
}

static enum status rows_select(const struct walk *walk, int64_t from_us, size_t wanted, struct db_rows **out,
                               struct problem *why)
{
    static const char list[] =
        "SELECT (extract(epoch FROM e.time_generated) * 1000000)::bigint, e.event_id, e.sender_event_id,"
        " b.topic || '/' || e.bus_partition || '@' || e.bus_offset, w.name, e.device_id, e.module_id, e.element,"
        " (extract(epoch FROM e.time_stamp) * 1000000)::bigint, e.time_local, e.type, e.category, e.name, e.hit_count,"
        " picket.json_text(e.details, e.key_order), coalesce(array_to_json(e.departures)::text, '[]'), e.extra"
        " FROM (SELECT r.time_generated, r.event_id, r.sender_event_id, r.bus_topic_id, r.bus_partition, r.bus_offset,"
        "  r.workspace_id, r.device_id, r.module_id, r.element, r.time_stamp, r.time_local, r.type, r.category, r.name,"
        "  r.hit_count, r.details, r.key_order, r.departures, r.extra"
        "  FROM picket.raw_event r WHERE r.workspace_id = ANY($1::int[])"
        "  AND r.time_generated >= $2::timestamptz AND r.time_generated <= $3::timestamptz"
        "  AND (r.time_generated < $3::timestamptz OR ($4::uuid IS NOT NULL AND r.event_id < $4::uuid))"
        "  AND ($5::text IS NULL OR r.device_id = $5) AND ($6::text IS NULL OR r.module_id = $6)"
        "  AND ($7::text IS NULL OR r.type = $7) AND ($8::text IS NULL OR r.name = $8)"
        "  AND ($9::text IS NULL OR strpos(r.details::text, $9) > 0)"
        "  AND ($10::text IS NULL OR strpos(picket.json_text(r.details, r.key_order), $10) > 0)"
        "  ORDER BY r.time_generated DESC, r.event_id DESC LIMIT $11::int + 1) e"
        " JOIN picket.bus_topic b ON b.bus_topic_id = e.bus_topic_id"
        " JOIN picket.workspace w ON w.workspace_id = e.workspace_id"
        " ORDER BY e.time_generated DESC, e.event_id DESC";
    const struct request *request = walk->request;
    const struct filter *filter = &walk->filter;
    const char *const parameters[] = {request->scope,     moment(walk, from_us), moment(walk, walk->at_us), walk->at_id,
                                      filter->device,     filter->module,        filter->type,              filter->name,
                                      filter->plain_text, filter->text,          request_decimal(request, (int64_t)wanted)};

    return request_query(request, list, parameters, 11, out, why);
}

static const char *moment(const struct walk *walk, int64_t utc_us)
{
    char *text = arena_alloc(walk->request->arena, 1, CLOCK_TEXT_SIZE);

    utc_us = utc_us < TIME_MIN_US ? TIME_MIN_US : utc_us > TIME_MAX_US ? TIME_MAX_US : utc_us;
    clock_format(utc_us, text);
    return text;
}

static void row_write(struct reply *reply, const struct db_rows *rows, size_t row)
{
    reply_open_object(reply, NULL);
    reply_column_text(reply, "id", rows, row, 1);
    reply_column_text(reply, "event_id", rows, row, 2);
    reply_column_text(reply, "message", rows, row, 3);
    reply_column_text(reply, "workspace", rows, row, 4);
    reply_column_text(reply, "device", rows, row, 5);
    reply_column_text(reply, "module", rows, row, 6);
    reply_column_number(reply, "element", rows, row, 7);
    reply_column_time(reply, "time_generated", rows, row, 0);
    reply_column_time(reply, "time_stamp", rows, row, 8);
    if (!db_is_null(rows, row, 9))
        reply_column_text(reply, "time_local", rows, row, 9);
    reply_column_text(reply, "type", rows, row, 10);
    reply_column_text(reply, "category", rows, row, 11);
    reply_column_text(reply, "name", rows, row, 12);
    reply_column_number(reply, "hit_count", rows, row, 13);
    reply_column_raw(reply, "details", rows, row, 14);
    reply_column_raw(reply, "departures", rows, row, 15);
    if (!db_is_null(rows, row, 16))
        reply_column_raw(reply, "extra", rows, row, 16);
    reply_close_object(reply);
}
