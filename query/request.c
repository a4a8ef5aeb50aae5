#include "query/request.h"

#include <assert.h>
#include <string.h>

#include "runtime/clock.h"

#define TIME_MIN_US (-62135596800LL * 1000000) /* year 1 */

void request_page_write(const struct request *request, struct reply *reply, const char *list, const struct page *page, const struct db_rows *rows,
                        void (*write)(const struct db_rows *rows, size_t row, struct reply *reply), const int *columns, size_t column_count)
{
    reply_open_object(reply, NULL);
    reply_open_array(reply, list);
    for (size_t i = 0; i < request_page_rows(page, rows); i++) {
        reply_open_object(reply, NULL);
        write(rows, i, reply);
        reply_close_object(reply);
    }
    request_page_end(request, reply, list, page, rows, columns, column_count);
}

static const char *terminated(const struct request *request, struct text text);
static enum status workspace_find(const struct request *request, const char *wanted, struct db_rows **out,
                                  struct problem *why);

enum status request_query(const struct request *request, const char *sql, const char *const *parameters, size_t count,
                          struct db_rows **out, struct problem *why)
{
    return db_query(request->db, sql, parameters, count, request->timeout_ms, out, why);
}

const char *request_argument(const struct request *request, const char *name)
{
    struct text value = http_query(request->exchange, name);

    return value.count ? terminated(request, value) : NULL;
}

const char *request_parameter(const struct request *request, const char *name)
{
    struct text value = http_parameter(request->exchange, name);

    return value.bytes ? terminated(request, value) : "";
}

enum status request_page(const struct request *request, const char *list, size_t field_count, struct page *out,
                         struct problem *why)
{
    return page_read(http_query(request->exchange, "limit"), http_query(request->exchange, "cursor"), list, field_count,
                     request->arena, out, why);
}

enum status request_word(const struct request *request, const char *name, const char *const *words, const char **out,
                         struct problem *why)
{
    const char *value = request_argument(request, name);
    const char *known = "";

    for (const char *const *word = words; value && *word; word++) {
        if (strcmp(*word, value) == 0) {
            *out = value;
            return STATUS_OK;
        }
        known = arena_format(request->arena, "%s%s%s", known, *known ? ", " : "", *word);
    }
    if (value)
        return problem_set(why, STATUS_REJECT, "%s is \"%.64s\": expected one of %s", name, value, known);
    *out = NULL;
    return STATUS_OK;
}

enum status request_members(const struct request *request, const char *const *names, struct problem *why)
{
    const char *key;
    json_t *value;

    json_object_foreach(request->body, key, value)
    {
        const char *const *name = names;
        while (*name && strcmp(*name, key) != 0)
            name++;
        if (!*name)
            return problem_set(why, STATUS_REJECT, "the body has a member \"%.64s\", which is not known here", key);
    }
    return STATUS_OK;
}

enum status request_string(const struct request *request, const char *name, const char **out, struct problem *why)
{
    const json_t *value = json_object_get(request->body, name);

    if (value && !json_is_string(value) && !json_is_null(value))
        return problem_set(why, STATUS_REJECT, "\"%s\" has to be a string", name);
    *out = json_string_value(value);
    return STATUS_OK;
}

enum status request_rate(const struct request *request, const char *name, int64_t maximum, const char **out,
                         struct problem *why)
{
    const json_t *value = json_object_get(request->body, name);

    *out = NULL;
    if (!value || json_is_null(value))
        return STATUS_OK;
    if (!json_is_integer(value) || json_integer_value(value) < 0 || json_integer_value(value) > maximum)
        return problem_set(why, STATUS_REJECT, "\"%s\" has to be a whole number from 0 (no limit) on, or null", name);
    *out = request_decimal(request, json_integer_value(value));
    return STATUS_OK;
}

enum status request_workspace(const struct request *request, int64_t *id, const char **name, struct problem *why)
{
    const char *wanted = NULL;
    struct db_rows *rows = NULL;

    enum status status = request_string(request, "workspace", &wanted, why);
    if (!status)
        status = workspace_find(request, wanted, &rows, why);
    if (status)
        return status;
    if (db_rows_count(rows) == 1) {
        *id = db_i64(rows, 0, 0);
        *name = arena_string(request->arena, db_text(rows, 0, 1));
    } else if (wanted) {
        status = problem_set(why, STATUS_REJECT, "there is no workspace \"%.64s\" for this token", wanted);
    } else {
        status = problem_set(why, STATUS_REJECT, "the token opens several workspaces: name one as \"workspace\"");
    }
    db_rows_free(rows);
    return status;
}

enum status request_audit(const struct request *request, int64_t workspace, const char *action, const char *target,
                          json_t *take_details, struct problem *why)
{
    static const char append[] = "SELECT picket.audit_append($1::int, $2, $3, $4, $5::jsonb)";
    char *details = take_details ? json_dumps(take_details, JSON_COMPACT) : NULL;
    const char *const parameters[] = {request_decimal(request, workspace),
                                      arena_format(request->arena, "token %lld", (long long)request->caller->token_id),
                                      action, target, details ? details : "{}"};

    enum status status = request_query(request, append, parameters, 5, NULL, why);
    free(details);
    json_decref(take_details);
    return status;
}

const char *request_decimal(const struct request *request, int64_t number)
{
    return arena_format(request->arena, "%lld", (long long)number);
}

size_t request_page_rows(const struct page *page, const struct db_rows *rows)
{
    size_t count = db_rows_count(rows);

    return count > (size_t)page->limit ? (size_t)page->limit : count;
}

void request_page_end(const struct request *request, struct reply *reply, const char *list, const struct page *page,
                      const struct db_rows *rows, const int *columns, size_t column_count)
{
    size_t given = request_page_rows(page, rows);
    struct text next = TEXT_NONE, key[PAGE_FIELDS_MAX];

    assert(column_count <= PAGE_FIELDS_MAX);
    reply_close_array(reply);
    if (db_rows_count(rows) > given) {
        for (size_t i = 0; i < column_count; i++)
            key[i] = db_text(rows, given - 1, columns[i]);
        next = page_cursor(list, key, column_count, request->arena);
    }
    reply_text(reply, "next", next);
    reply_close_object(reply);
}

static const char *terminated(const struct request *request, struct text text)
{
    return arena_string(request->arena, text);
}

static enum status workspace_find(const struct request *request, const char *wanted, struct db_rows **out,
                                  struct problem *why)
{
    static const char find[] = "SELECT workspace_id, name FROM picket.workspace"
                               " WHERE workspace_id = ANY($1::int[]) AND ($2::text IS NULL OR name = $2)";
    const char *const parameters[] = {request->scope, wanted};

    return request_query(request, find, parameters, 2, out, why);
}

enum status request_time(const char *text, const char *name, int64_t now_us, int64_t absent_us, int64_t *out,
                         struct problem *why)
{
    int64_t value = absent_us;

    if (text && clock_parse_duration(text_of(text), &value))
        value = value < now_us - TIME_MIN_US ? now_us - value : TIME_MIN_US;
    else if (text && !clock_parse(text_of(text), &value))
        return problem_set(why, STATUS_REJECT, "%s is \"%.64s\": expected a time such as 2026-01-02T03:04:05Z or a duration "
                                               "back from now such as 24h",
                           name, text);
    *out = value;
    return STATUS_OK;
}
