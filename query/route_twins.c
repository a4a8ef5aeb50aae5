#include "query/routes.h"

#include <stdlib.h>
#include <string.h>

#include "query/device_path.h"
#include "query/twin_rules.h"

static enum status twin_write(const struct request *request, const struct device_path *path, struct reply *reply,
                              struct problem *why);
static enum status configurations_write(const struct request *request, const struct device_path *path, struct reply *reply,
                                        struct problem *why);
static enum status twin_change(const struct request *request, struct reply *reply, bool replace, struct problem *why);
static enum status match_check(const struct request *request, const struct device_path *path, struct reply *reply,
                               struct problem *why);
static enum status desired_put(const struct request *request, const struct device_path *path, const char *desired, bool replace,
                               struct problem *why);
static enum status tags_put(const struct request *request, const struct device_path *path, const char *tags, bool replace,
                            struct problem *why);
static void warnings_write(const struct device_path *path, const json_t *desired, struct reply *reply);

ROUTE_HANDLER(twins_show)
{
    struct device_path path;

    (void)query;
    enum status status = device_path_find(request, &path, reply, why);
    if (status)
        return status;
    reply_open_object(reply, NULL);
    status = twin_write(request, &path, reply, why);
    reply_close_object(reply);
    return status;
}

ROUTE_HANDLER(twins_patch)
{
    (void)query;
    return twin_change(request, reply, false, why);
}

ROUTE_HANDLER(twins_put)
{
    (void)query;
    return twin_change(request, reply, true, why);
}

/* {"tags":{…},"properties":{"desired":{…}}}; what is absent stays as it is. */
static enum status twin_change(const struct request *request, struct reply *reply, bool replace, struct problem *why)
{
    static const char *const members[] = {"tags", "properties", NULL};
    const json_t *tags = json_object_get(request->body, "tags");
    const json_t *properties = json_object_get(request->body, "properties");
    const json_t *desired = json_object_get(properties, "desired");
    const char *tags_text = NULL, *desired_text = NULL;
    struct device_path path;

    enum status status = request_members(request, members, why);
    if (!status && properties && (!json_is_object(properties) || json_object_size(properties) != (desired ? 1 : 0)))
        status = problem_set(why, STATUS_REJECT, "\"properties\" has to be an object with \"desired\" and nothing else");
    if (!status && !tags && !desired)
        status = problem_set(why, STATUS_REJECT, "the body has neither \"tags\" nor \"properties\":{\"desired\"}");
    if (!status && tags)
        status = twin_rules_check(request->arena, "tags", tags, TWIN_TAGS_MAX, &tags_text, why);
    if (!status && desired)
        status = twin_rules_check(request->arena, "desired", desired, TWIN_DESIRED_MAX, &desired_text, why);
    if (!status)
        status = device_path_find(request, &path, reply, why);
    if (!status && tags && *path.module)
        status = problem_set(why, STATUS_REJECT, "tags belong to the device: change those of %s", path.device);
    if (!status)
        status = match_check(request, &path, reply, why);
    if (!status && tags_text)
        status = tags_put(request, &path, tags_text, replace, why);
    if (!status && desired_text)
        status = desired_put(request, &path, desired_text, replace, why);
    if (!status)
        status = request_audit(request, path.workspace_id, replace ? "twin.replace" : "twin.change", path.name, NULL, why);
    if (status)
        return status;
    reply_open_object(reply, NULL);
    status = twin_write(request, &path, reply, why);
    if (!status && desired)
        warnings_write(&path, desired, reply);
    reply_close_object(reply);
    return status;
}

/* If-Match, as IoT Hub has it: the ETag that was read, or "*". */
static enum status match_check(const struct request *request, const struct device_path *path, struct reply *reply,
                               struct problem *why)
{
    static const char find[] = "SELECT 1 FROM picket.twin WHERE workspace_id = $1::int AND device_id = $2 AND module_id = $3"
                               " AND desired_version::text = $4 FOR UPDATE";
    struct text wanted = http_header(request->exchange, "If-Match");
    const char *const parameters[] = {path->workspace, path->device, path->module,
                                      arena_string(request->arena, wanted.count > 1 && wanted.bytes[0] == '"'
                                                                       ? (struct text){wanted.bytes + 1, wanted.count - 2}
                                                                       : wanted)};
    struct db_rows *rows = NULL;

    if (!wanted.count || text_equal(wanted, TEXT("*")) || text_equal(wanted, TEXT("\"*\"")))
        return STATUS_OK;
    enum status status = request_query(request, find, parameters, 4, &rows, why);
    if (!status && !db_rows_count(rows))
        status = reply_refuse(reply, why, 412, "PreconditionFailed", "The twin has changed since its ETag was read.");
    db_rows_free(rows);
    return status;
}

static enum status desired_put(const struct request *request, const struct device_path *path, const char *desired, bool replace,
                               struct problem *why)
{
    static const char put[] =
        "INSERT INTO picket.twin AS t (workspace_id, device_id, module_id, desired) VALUES ($1::int, $2, $3,"
        " picket.json_merge('{}', $4::jsonb)) ON CONFLICT (workspace_id, device_id, module_id) DO UPDATE SET"
        " desired = CASE WHEN $5::bool THEN $4::jsonb ELSE picket.json_merge(t.desired, $4::jsonb) END,"
        " desired_version = t.desired_version + 1 RETURNING octet_length(t.desired::text)";
    const char *const parameters[] = {path->workspace, path->device, path->module, desired, replace ? "t" : "f"};
    struct db_rows *rows = NULL;

    enum status status = request_query(request, put, parameters, 5, &rows, why);
    if (!status && db_i64(rows, 0, 0) > TWIN_DESIRED_MAX)
        status = problem_set(why, STATUS_REJECT, "the desired properties would be longer than %d bytes", TWIN_DESIRED_MAX);
    db_rows_free(rows);
    return status;
}

static enum status tags_put(const struct request *request, const struct device_path *path, const char *tags, bool replace,
                            struct problem *why)
{
    static const char put[] =
        "UPDATE picket.device d SET tags = CASE WHEN $4::bool THEN $3::jsonb ELSE picket.json_merge(d.tags, $3::jsonb) END,"
        " changed_at = now() WHERE workspace_id = $1::int AND device_id = $2 AND module_id = ''"
        " RETURNING octet_length(d.tags::text)";
    const char *const parameters[] = {path->workspace, path->device, tags, replace ? "t" : "f"};
    struct db_rows *rows = NULL;

    enum status status = request_query(request, put, parameters, 4, &rows, why);
    if (!status && db_i64(rows, 0, 0) > TWIN_TAGS_MAX)
        status = problem_set(why, STATUS_REJECT, "the tags would be longer than %d bytes", TWIN_TAGS_MAX);
    db_rows_free(rows);
    return status;
}

static enum status twin_write(const struct request *request, const struct device_path *path, struct reply *reply,
                              struct problem *why)
{
    static const char find[] =
        "SELECT parent.tags, coalesce(t.effective, picket.twin_inherited($1::int, $3, parent.tags)), coalesce(t.version, 1),"
        " coalesce(t.reported, '{}'), coalesce(t.reported_version, 1), coalesce(t.desired, '{}'),"
        " coalesce(t.desired_version, 1)::text, (extract(epoch FROM t.desired_changed_at) * 1000000)::bigint,"
        " (extract(epoch FROM t.reported_at) * 1000000)::bigint FROM picket.device parent"
        " LEFT JOIN picket.twin t ON t.workspace_id = $1::int AND t.device_id = $2 AND t.module_id = $3"
        " WHERE parent.workspace_id = $1::int AND parent.device_id = $2 AND parent.module_id = ''";
    const char *const parameters[] = {path->workspace, path->device, path->module};
    struct db_rows *rows = NULL;

    enum status status = request_query(request, find, parameters, 3, &rows, why);
    if (status)
        return status;
    reply_string(reply, "id", path->name);
    reply_string(reply, "workspace", path->workspace_name);
    reply_column_text(reply, "etag", rows, 0, 6);
    reply_column_raw(reply, "tags", rows, 0, 0);
    reply_open_object(reply, "properties");
    reply_column_raw(reply, "desired", rows, 0, 1);
    reply_column_raw(reply, "reported", rows, 0, 3);
    reply_close_object(reply);
    reply_column_number(reply, "desired_version", rows, 0, 2);
    reply_column_number(reply, "reported_version", rows, 0, 4);
    reply_column_raw(reply, "own_desired", rows, 0, 5);
    reply_column_time(reply, "desired_changed_at", rows, 0, 7);
    reply_column_time(reply, "reported_at", rows, 0, 8);
    db_rows_free(rows);
    return configurations_write(request, path, reply, why);
}

static enum status configurations_write(const struct request *request, const struct device_path *path, struct reply *reply,
                                        struct problem *why)
{
    static const char find[] =
        "SELECT c.name, c.priority FROM picket.configuration c JOIN picket.device d ON d.workspace_id = c.workspace_id"
        " AND d.device_id = $2 AND d.module_id = '' WHERE c.workspace_id = $1::int AND c.module_id = $3"
        " AND (c.target_tag IS NULL OR d.tags ->> c.target_tag = c.target_value) ORDER BY c.priority DESC, c.name DESC LIMIT 100";
    const char *const parameters[] = {path->workspace, path->device, path->module};
    struct db_rows *rows = NULL;

    enum status status = request_query(request, find, parameters, 3, &rows, why);
    if (status)
        return status;
    reply_open_array(reply, "configurations");
    for (size_t i = 0; i < db_rows_count(rows); i++)
        reply_column_text(reply, NULL, rows, i, 0);
    reply_close_array(reply);
    db_rows_free(rows);
    return STATUS_OK;
}

static void warnings_write(const struct device_path *path, const json_t *desired, struct reply *reply)
{
    const char *name;
    json_t *value;

    reply_open_array(reply, "warnings");
    json_object_foreach((json_t *)(uintptr_t)desired, name, value)
    {
        const char *wrong = twin_rules_wrong(path->module, name, value);
        if (wrong)
            reply_string(reply, NULL, wrong);
    }
    reply_close_array(reply);
}
