#include "query/routes.h"

#include "detect/false_friends.h"

#define LIST "feeds"
#define ENTRIES_MAX 10000 /* of one request */
#define VALUE_BYTES_MAX 2200

/* Threat feeds and warning lists. A feed's indicators are replaced as a whole: a generation is begun, filled by as many requests as it
 * takes, and finished; until then the one before it counts. */

static const char select_feeds[] =
    "SELECT f.workspace_id, w.name, f.name, f.kind, f.enabled, f.format, f.url, extract(epoch FROM f.pull_every)::bigint, f.min_confidence, f.indicator_count,"
    " (extract(epoch FROM f.loaded_at) * 1000000)::bigint, (extract(epoch FROM f.pulled_at) * 1000000)::bigint, f.problem, f.generation, f.making"
    " FROM picket.feed f JOIN picket.workspace w USING (workspace_id) WHERE f.workspace_id = ANY($1::int[])"
    " AND ($2::int IS NULL OR (f.workspace_id, f.name) > ($2::int, $3::text)) AND ($4::text IS NULL OR f.name = $4)"
    " ORDER BY f.workspace_id, f.name LIMIT $5::int + 1";
enum { COLUMN_GENERATION = 13, COLUMN_MAKING = 14 };

static void feed_write(const struct db_rows *rows, size_t i, struct reply *reply)
{
    reply_open_object(reply, NULL);
    reply_column_text(reply, "name", rows, i, 2);
    reply_column_text(reply, "workspace", rows, i, 1);
    reply_column_text(reply, "kind", rows, i, 3);
    reply_flag(reply, "enabled", db_bool(rows, i, 4));
    reply_column_text(reply, "format", rows, i, 5);
    reply_column_text(reply, "url", rows, i, 6);
    reply_column_number(reply, "pull_every_s", rows, i, 7);
    reply_column_number(reply, "min_confidence", rows, i, 8);
    reply_column_number(reply, "indicators", rows, i, 9);
    reply_column_time(reply, "loaded_at", rows, i, 10);
    reply_column_time(reply, "pulled_at", rows, i, 11);
    reply_column_text(reply, "problem", rows, i, 12);
    reply_close_object(reply);
}

ROUTE_HANDLER(feeds_list)
{
    struct db_rows *rows = NULL;
    struct page page;

    (void)query;
    enum status status = request_page(request, LIST, 2, &page, why);
    if (status)
        return status;
    const char *const parameters[] = {request->scope, page.fields[0], page.fields[1], NULL, request_decimal(request, page.limit)};
    status = request_query(request, select_feeds, parameters, 5, &rows, why);
    if (status)
        return status;
    reply_open_object(reply, NULL);
    reply_open_array(reply, LIST);
    for (size_t i = 0; i < request_page_rows(&page, rows); i++)
        feed_write(rows, i, reply);
    request_page_end(request, reply, LIST, &page, rows, (const int[]){0, 2}, 2);
    db_rows_free(rows);
    return STATUS_OK;
}

static enum status feed_find(const struct request *request, struct reply *reply, struct db_rows **rows, struct problem *why)
{
    const char *name = request_parameter(request, "name");
    const char *const parameters[] = {request->scope, NULL, NULL, name, "1"};
    enum status status = request_query(request, select_feeds, parameters, 5, rows, why);

    if (!status && !db_rows_count(*rows))
        status = reply_refuse(reply, why, 404, "NotFound", "There is no feed \"%.100s\".", name);
    if (!status && db_rows_count(*rows) > 1)
        status = problem_set(why, STATUS_REJECT, "several workspaces have that feed: say which with ?workspace=");
    return status;
}

ROUTE_HANDLER(feeds_show)
{
    struct db_rows *rows = NULL;

    (void)query;
    enum status status = feed_find(request, reply, &rows, why);
    if (!status)
        feed_write(rows, 0, reply);
    db_rows_free(rows);
    return status;
}

/* A whole number within a range as decimal text; NULL when it is absent. */
static enum status member_number(const struct request *request, const char *name, int64_t min, int64_t max, const char **out, struct problem *why)
{
    const json_t *value = json_object_get(request->body, name);

    *out = NULL;
    if (!value || json_is_null(value))
        return STATUS_OK;
    if (!json_is_integer(value) || json_integer_value(value) < min || json_integer_value(value) > max)
        return problem_set(why, STATUS_REJECT, "\"%s\" is a whole number from %lld to %lld", name, (long long)min, (long long)max);
    *out = request_decimal(request, json_integer_value(value));
    return STATUS_OK;
}

/* What is absent stays as it is. */
ROUTE_HANDLER(feeds_put)
{
    static const char upsert[] =
        "INSERT INTO picket.feed AS f (workspace_id, name, kind, enabled, format, url, pull_every, min_confidence) VALUES ($1::int, $2, coalesce($3, CASE $5 WHEN 'warninglist' THEN 'warning' ELSE 'threat' END),"
        " coalesce($4::boolean, true), coalesce($5, 'auto'), $6, make_interval(secs => $7::int), coalesce($8::int, 0))"
        " ON CONFLICT (workspace_id, name) DO UPDATE SET kind = coalesce($3, f.kind), enabled = coalesce($4::boolean, f.enabled), format = coalesce($5, f.format),"
        " url = coalesce(excluded.url, f.url), pull_every = coalesce(excluded.pull_every, f.pull_every), min_confidence = coalesce($8::int, f.min_confidence), problem = NULL";
    static const char *const members[] = {"kind", "enabled", "format", "url", "pull_every_s", "min_confidence", "workspace", NULL};
    const char *kind = NULL, *format = NULL, *url = NULL, *every = NULL, *confidence = NULL, *workspace_name;
    const json_t *enabled = json_object_get(request->body, "enabled");
    enum feed_format ignored;
    int64_t workspace = 0;

    enum status status = request_members(request, members, why);
    if (!status)
        status = request_string(request, "kind", &kind, why);
    if (!status && kind && strcmp(kind, "threat") != 0 && strcmp(kind, "warning") != 0)
        status = problem_set(why, STATUS_REJECT, "\"kind\" is threat or warning");
    if (!status)
        status = request_string(request, "format", &format, why);
    if (!status && format && strcmp(format, "taxii") != 0 && !feed_format_of(text_of(format), &ignored))
        status = problem_set(why, STATUS_REJECT, "\"format\" is auto, list, csv, hosts, adblock, misp, stix, warninglist or taxii");
    if (!status)
        status = request_string(request, "url", &url, why);
    if (!status && url && strncmp(url, "https://", 8) != 0 && strncmp(url, "http://", 7) != 0)
        status = problem_set(why, STATUS_REJECT, "\"url\" begins with https:// or http://");
    if (!status && enabled && !json_is_boolean(enabled))
        status = problem_set(why, STATUS_REJECT, "\"enabled\" is true or false");
    if (!status)
        status = member_number(request, "pull_every_s", 60, 31536000, &every, why);
    if (!status)
        status = member_number(request, "min_confidence", 0, 100, &confidence, why);
    if (!status)
        status = request_workspace(request, &workspace, &workspace_name, why);
    if (status)
        return status;
    const char *const parameters[] = {request_decimal(request, workspace), request_parameter(request, "name"), kind,
                                      enabled ? json_is_true(enabled) ? "true" : "false" : NULL, format, url, every, confidence};
    status = request_query(request, upsert, parameters, 8, NULL, why);
    if (!status)
        status = request_audit(request, workspace, "feed.put", parameters[1], json_incref(request->body), why);
    return status ? status : feeds_show(query, request, reply, why);
}

ROUTE_HANDLER(feeds_remove)
{
    struct db_rows *rows = NULL;

    (void)query;
    enum status status = feed_find(request, reply, &rows, why);
    if (!status) {
        const char *const parameters[] = {db_text(rows, 0, 0).bytes, request_parameter(request, "name")};
        status = request_query(request, "DELETE FROM picket.feed WHERE workspace_id = $1::int AND name = $2", parameters, 2, NULL, why);
        if (!status)
            status = request_audit(request, db_i64(rows, 0, 0), "feed.remove", parameters[1], NULL, why);
    }
    db_rows_free(rows);
    return status;
}

/* It is due at once: store looks every few seconds. */
ROUTE_HANDLER(feeds_pull)
{
    struct db_rows *rows = NULL;

    enum status status = feed_find(request, reply, &rows, why);
    if (!status && db_is_null(rows, 0, 6))
        status = reply_refuse(reply, why, 409, "Conflict", "The feed has no URL: it is imported by hand.");
    if (!status) {
        const char *const parameters[] = {db_text(rows, 0, 0).bytes, request_parameter(request, "name")};
        status = request_query(request, "UPDATE picket.feed SET pulled_at = NULL, problem = NULL WHERE workspace_id = $1::int AND name = $2", parameters, 2, NULL, why);
    }
    db_rows_free(rows);
    return status ? status : feeds_show(query, request, reply, why);
}

/* ---- generations ---- */

ROUTE_HANDLER(feeds_begin)
{
    static const char begin[] = "UPDATE picket.feed SET making = making + 1 WHERE workspace_id = $1::int AND name = $2 RETURNING making";
    struct db_rows *rows = NULL, *made = NULL;

    (void)query;
    enum status status = feed_find(request, reply, &rows, why);
    if (!status) {
        const char *const parameters[] = {db_text(rows, 0, 0).bytes, request_parameter(request, "name")};
        status = request_query(request, begin, parameters, 2, &made, why);
    }
    if (!status) {
        reply_open_object(reply, NULL);
        reply_string(reply, "name", request_parameter(request, "name"));
        reply_column_number(reply, "generation", made, 0, 0);
        reply_close_object(reply);
    }
    db_rows_free(made);
    db_rows_free(rows);
    return status;
}

/* The feed, and the generation of the path, which has to be the one that is being made. */
static enum status making_find(const struct request *request, struct reply *reply, struct db_rows **rows, struct problem *why)
{
    enum status status = feed_find(request, reply, rows, why);
    int64_t generation;

    if (status)
        return status;
    if (!text_to_i64(text_of(request_parameter(request, "generation")), &generation) || generation != db_i64(*rows, 0, COLUMN_MAKING) ||
        generation == db_i64(*rows, 0, COLUMN_GENERATION))
        return reply_refuse(reply, why, 409, "Conflict", "That generation is not being made any more: another import was begun.");
    return STATUS_OK;
}

struct filling {
    bool warns;
    struct buf values, kinds, confidences, until;
    size_t added, ignored;
};

/* What it is kept as; NULL: none that is looked for. How an entry is meant is of warning lists alone. */
static const char *kind_of(const struct filling *filling, const json_t *entry, struct text value)
{
    const char *type = json_is_object(entry) ? json_string_value(json_object_get(entry, "type")) : NULL;
    enum feed_reach reach = FEED_ITSELF;

    if (!value.count || value.count > VALUE_BYTES_MAX || memchr(value.bytes, '\0', value.count))
        return NULL;
    while (type && reach < FEED_REACHES && strcmp(type, feed_reach_words[reach]) != 0)
        reach++;
    if (reach == FEED_REACHES)
        return NULL;
    return false_friends_kind(filling->warns, reach, value);
}

static bool value_add(struct filling *filling, const json_t *entry)
{
    const json_t *value = json_is_object(entry) ? json_object_get(entry, "value") : entry;
    const json_t *confidence = json_is_object(entry) ? json_object_get(entry, "confidence") : NULL, *until = json_is_object(entry) ? json_object_get(entry, "valid_until") : NULL;
    struct text text = json_is_string(value) ? (struct text){json_string_value(value), json_string_length(value)} : TEXT_NONE;
    const char *kind = kind_of(filling, entry, text);

    if (!kind)
        return false;
    db_array_text(&filling->values, text);
    db_array_text(&filling->kinds, text_of(kind));
    if (json_is_integer(confidence))
        db_array_i64(&filling->confidences, json_integer_value(confidence) < 0 ? 0 : json_integer_value(confidence) > 100 ? 100 : json_integer_value(confidence));
    else
        db_array_text(&filling->confidences, TEXT_NONE);
    db_array_text(&filling->until, json_is_string(until) ? text_of(json_string_value(until)) : TEXT_NONE);
    return true;
}

ROUTE_HANDLER(feeds_fill)
{
    static const char insert[] = "INSERT INTO picket.indicator (workspace_id, feed, generation, value, kind, confidence, valid_until)"
                                 " SELECT $1::int, $2, $3::bigint, v.* FROM unnest($4::text[], $5::text[], $6::smallint[], $7::timestamptz[]) v";
    const json_t *values = json_object_get(request->body, "values");
    struct filling filling = {.added = 0};
    struct buf *const columns[] = {&filling.values, &filling.kinds, &filling.confidences, &filling.until};
    struct db_rows *rows = NULL;
    json_t *entry;
    size_t i;

    (void)query;
    enum status status = making_find(request, reply, &rows, why);
    if (!status && (!json_is_array(values) || json_array_size(values) > ENTRIES_MAX))
        status = problem_set(why, STATUS_REJECT, "\"values\" is a list of at most %d indicators", ENTRIES_MAX);
    filling.warns = !status && text_equal(db_text(rows, 0, 3), TEXT("warning"));
    for (i = 0; i < 4; i++) {
        buf_init(columns[i], 64 << 20);
        db_array_open(columns[i]);
    }
    json_array_foreach (status ? NULL : values, i, entry) {
        bool added = value_add(&filling, entry);
        filling.added += added;
        filling.ignored += !added;
    }
    for (i = 0; i < 4; i++)
        db_array_close(columns[i]);
    if (!status && filling.added) {
        const char *const parameters[] = {db_text(rows, 0, 0).bytes, request_parameter(request, "name"), request_parameter(request, "generation"),
                                          filling.values.bytes, filling.kinds.bytes, filling.confidences.bytes, filling.until.bytes};
        status = request_query(request, insert, parameters, 7, NULL, why);
    }
    for (i = 0; i < 4; i++)
        buf_done(columns[i]);
    db_rows_free(rows);
    if (status)
        return status;
    reply_open_object(reply, NULL);
    reply_number(reply, "added", (int64_t)filling.added);
    reply_number(reply, "ignored", (int64_t)filling.ignored);
    reply_close_object(reply);
    return STATUS_OK;
}

/* The generation before stays until store has searched the past for what is new; it takes both away then. */
ROUTE_HANDLER(feeds_finish)
{
    static const char finish[] =
        "UPDATE picket.feed f SET generation = $3::bigint, loaded_at = now(), problem = NULL, indicator_count = (SELECT count(*) FROM picket.indicator i"
        " WHERE i.workspace_id = $1::int AND i.feed = $2 AND i.generation = $3::bigint) WHERE f.workspace_id = $1::int AND f.name = $2";
    struct db_rows *rows = NULL;

    enum status status = making_find(request, reply, &rows, why);
    if (!status) {
        const char *const parameters[] = {db_text(rows, 0, 0).bytes, request_parameter(request, "name"), request_parameter(request, "generation")};
        status = request_query(request, finish, parameters, 3, NULL, why);
        if (!status)
            status = request_audit(request, db_i64(rows, 0, 0), "feed.import", parameters[1], NULL, why);
    }
    db_rows_free(rows);
    return status ? status : feeds_show(query, request, reply, why);
}
