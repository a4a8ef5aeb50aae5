#include "query/routes.h"

#include <stdlib.h>
#include <string.h>

#include "query/device_key.h"
#include "query/device_path.h"
#include "wire/limits.h"

/* What a body asks to make. */
struct wish {
    struct text id; /* as given, for sentences */
    const char *device, *module;
    int64_t workspace;
    const char *workspace_text, *workspace_name;
};

static enum status wish_read(const struct request *request, struct wish *out, struct problem *why);
static enum status wish_insert(const struct request *request, const struct wish *wish, struct reply *reply,
                               struct problem *why);
static enum status parent_check(const struct request *request, const struct wish *wish, struct problem *why);
static enum status credential_put(const struct query *query, const struct request *request, const char *const identity[3],
                                  const struct device_keys *keys, struct problem *why);
static enum status credential_get(const struct query *query, const struct request *request, const struct device_path *path,
                                  struct device_keys *out, struct problem *why);
static enum status device_host(const struct query *query, const struct request *request, const char *workspace,
                               const char **out, struct problem *why);
static void connection_string(const char *host, const char *device, const char *module, const struct device_key *key,
                              const struct request *request, struct reply *reply);
static enum status status_change(const struct request *request, struct reply *reply, const char *status_wanted,
                                 const char *action, struct problem *why);

ROUTE_HANDLER(devices_create)
{
    static const char *const members[] = {"id", "workspace", "primary_key", "secondary_key", NULL};
    const char *host = NULL;
    struct device_keys keys;
    struct wish wish;

    enum status status = request_members(request, members, why);
    if (!status)
        status = wish_read(request, &wish, why);
    if (!status)
        status = device_key_wanted(request, "primary_key", &keys.primary, why);
    if (!status)
        status = device_key_wanted(request, "secondary_key", &keys.secondary, why);
    if (!status && *wish.module)
        status = parent_check(request, &wish, why);
    if (!status)
        status = wish_insert(request, &wish, reply, why);
    if (!status) {
        const char *const identity[] = {wish.workspace_text, wish.device, wish.module};
        status = credential_put(query, request, identity, &keys, why);
    }
    if (!status)
        status = device_host(query, request, wish.workspace_text, &host, why);
    if (!status)
        status = request_audit(request, wish.workspace, "device.create", arena_string(request->arena, wish.id), NULL, why);
    if (!status) {
        reply_code(reply, 201);
        reply_open_object(reply, NULL);
        reply_text(reply, "id", wish.id);
        reply_string(reply, "workspace", wish.workspace_name);
        reply_string(reply, "status", "enabled");
        reply_string(reply, "primary_key", keys.primary.text);
        reply_string(reply, "secondary_key", keys.secondary.text);
        connection_string(host, wish.device, wish.module, &keys.primary, request, reply);
        reply_close_object(reply);
    }
    secret_wipe(&keys, sizeof keys);
    return status;
}

ROUTE_HANDLER(devices_disable)
{
    (void)query;
    return status_change(request, reply, "disabled", "device.disable", why);
}

ROUTE_HANDLER(devices_enable)
{
    (void)query;
    return status_change(request, reply, "enabled", "device.enable", why);
}

/* The row stays as a tombstone: the roster's cursor has to see it, and events keep their device. */
ROUTE_HANDLER(devices_delete)
{
    static const char wipe[] = "DELETE FROM picket.credential WHERE workspace_id = $1::int AND device_id = $2"
                               " AND ($3 = '' OR module_id = $3)";
    static const char forget[] = "DELETE FROM picket.twin WHERE workspace_id = $1::int AND device_id = $2"
                                 " AND ($3 = '' OR module_id = $3)";
    static const char bury[] = "UPDATE picket.device SET status = 'deleted', changed_at = now()"
                               " WHERE workspace_id = $1::int AND device_id = $2 AND ($3 = '' OR module_id = $3)"
                               " AND status <> 'deleted'";
    struct device_path path;

    (void)query;
    enum status status = device_path_find(request, &path, reply, why);
    if (status)
        return status;
    const char *const parameters[] = {path.workspace, path.device, path.module};
    status = request_query(request, forget, parameters, 3, NULL, why);
    if (!status)
        status = request_query(request, bury, parameters, 3, NULL, why);
    if (!status)
        status = request_query(request, wipe, parameters, 3, NULL, why);
    if (!status)
        status = request_audit(request, path.workspace_id, "device.delete", path.name, NULL, why);
    if (!status)
        reply_code(reply, 204);
    return status;
}

ROUTE_HANDLER(devices_rotate_key)
{
    static const char *const members[] = {"key", NULL};
    const char *which = NULL, *host = NULL;
    struct device_path path;
    struct device_keys keys;

    enum status status = request_members(request, members, why);
    if (!status)
        status = request_string(request, "key", &which, why);
    bool primary = which && (strcmp(which, "primary") == 0 || strcmp(which, "both") == 0);
    bool secondary = which && (strcmp(which, "secondary") == 0 || strcmp(which, "both") == 0);
    if (!status && !primary && !secondary)
        status = problem_set(why, STATUS_REJECT, "\"key\" has to be primary, secondary or both");
    if (!status)
        status = device_path_find(request, &path, reply, why);
    if (!status)
        status = credential_get(query, request, &path, &keys, why);
    if (status)
        return status;
    if (primary)
        device_key_random(&keys.primary);
    if (secondary)
        device_key_random(&keys.secondary);
    const char *const identity[] = {path.workspace, path.device, path.module};
    status = credential_put(query, request, identity, &keys, why);
    if (!status)
        status = device_host(query, request, path.workspace, &host, why);
    if (!status)
        status = request_audit(request, path.workspace_id, "device.rotate-key", path.name, json_pack("{s:s}", "key", which), why);
    if (!status) {
        reply_open_object(reply, NULL);
        reply_string(reply, "id", path.name);
        reply_string(reply, "workspace", path.workspace_name);
        reply_string(reply, "status", path.status);
        reply_string(reply, "primary_key", keys.primary.text);
        reply_string(reply, "secondary_key", keys.secondary.text);
        connection_string(host, path.device, path.module, &keys.primary, request, reply);
        reply_close_object(reply);
    }
    secret_wipe(&keys, sizeof keys);
    return status;
}

/* Reading a key is audited as a change is: who has it can speak for the device. */
ROUTE_HANDLER(devices_connection_string)
{
    static const char *const words[] = {"primary", "secondary", NULL};
    const char *which = NULL, *host = NULL;
    struct device_path path;
    struct device_keys keys;

    enum status status = request_word(request, "key", words, &which, why);
    if (!status)
        status = device_path_find(request, &path, reply, why);
    if (!status)
        status = credential_get(query, request, &path, &keys, why);
    if (status)
        return status;
    bool secondary = which && strcmp(which, "secondary") == 0;
    status = device_host(query, request, path.workspace, &host, why);
    if (!status)
        status = request_audit(request, path.workspace_id, "device.connection-string", path.name, NULL, why);
    if (!status) {
        reply_open_object(reply, NULL);
        connection_string(host, path.device, path.module, secondary ? &keys.secondary : &keys.primary, request, reply);
        reply_close_object(reply);
    }
    secret_wipe(&keys, sizeof keys);
    return status;
}

static enum status wish_read(const struct request *request, struct wish *out, struct problem *why)
{
    const char *id = NULL;
    struct text device, module;

    enum status status = request_string(request, "id", &id, why);
    if (status)
        return status;
    if (!id)
        return problem_set(why, STATUS_REJECT, "\"id\" is missing: the device's id, or device/module");
    module = text_cut(text_of(id), '/', &device);
    if (!device_id_valid(device) || (module.bytes && !device_id_valid(module)))
        return problem_set(why, STATUS_REJECT, "\"id\" has 1 to %d characters, for a module on both sides of one slash: "
                                               "letters, digits and - : . + %% _ # * ? ! ( ) , = @ ; $ '",
                           PICKET_ID_MAX);
    *out = (struct wish){.id = text_of(id),
                         .device = arena_string(request->arena, device),
                         .module = arena_string(request->arena, module.bytes ? module : TEXT(""))};
    status = request_workspace(request, &out->workspace, &out->workspace_name, why);
    if (!status)
        out->workspace_text = request_decimal(request, out->workspace);
    return status;
}

/* Locked, so that the device cannot be deleted while its module is being made. */
static enum status parent_check(const struct request *request, const struct wish *wish, struct problem *why)
{
    static const char find[] = "SELECT 1 FROM picket.device WHERE workspace_id = $1::int AND device_id = $2"
                               " AND module_id = '' AND status <> 'deleted' FOR SHARE";
    const char *const parameters[] = {wish->workspace_text, wish->device};
    struct db_rows *rows = NULL;

    enum status status = request_query(request, find, parameters, 2, &rows, why);
    if (!status && db_rows_count(rows) == 0)
        status = problem_set(why, STATUS_REJECT, "there is no device %s to have the module %s: create the device first",
                             wish->device, wish->module);
    db_rows_free(rows);
    return status;
}

static enum status wish_insert(const struct request *request, const struct wish *wish, struct reply *reply,
                               struct problem *why)
{
    static const char insert[] =
        "INSERT INTO picket.device AS d (workspace_id, device_id, module_id) VALUES ($1::int, $2, $3)"
        " ON CONFLICT (workspace_id, device_id, module_id) DO UPDATE SET status = 'enabled', tags = '{}',"
        " messages_per_second = NULL, bytes_per_second = NULL, created_at = now(), changed_at = now()"
        " WHERE d.status = 'deleted' RETURNING 1";
    const char *const parameters[] = {wish->workspace_text, wish->device, wish->module};
    struct db_rows *rows = NULL;

    enum status status = request_query(request, insert, parameters, 3, &rows, why);
    if (!status && db_rows_count(rows) == 0)
        status = reply_refuse(reply, why, 409, "Exists", "There is a device %.*s already.", TEXT_ARGS(wish->id));
    db_rows_free(rows);
    return status;
}

static enum status credential_put(const struct query *query, const struct request *request, const char *const identity[3],
                                  const struct device_keys *keys, struct problem *why)
{
    static const char put[] =
        "INSERT INTO picket.credential (workspace_id, device_id, module_id, kind, sealed_primary, sealed_secondary)"
        " VALUES ($1::int, $2, $3, 'sas', $4::bytea, $5::bytea)"
        " ON CONFLICT (workspace_id, device_id, module_id, kind) DO UPDATE SET sealed_primary = excluded.sealed_primary,"
        " sealed_secondary = excluded.sealed_secondary, changed_at = now()";
    const char *const parameters[] = {identity[0], identity[1], identity[2], device_key_seal(query, request, &keys->primary),
                                      device_key_seal(query, request, &keys->secondary)};

    return request_query(request, put, parameters, 5, NULL, why);
}

/* Locked: two rotations at once would otherwise undo each other. */
static enum status credential_get(const struct query *query, const struct request *request, const struct device_path *path,
                                  struct device_keys *out, struct problem *why)
{
    static const char get[] = "SELECT sealed_primary, sealed_secondary FROM picket.credential WHERE workspace_id = $1::int"
                              " AND device_id = $2 AND module_id = $3 AND kind = 'sas' FOR UPDATE";
    const char *const parameters[] = {path->workspace, path->device, path->module};
    struct db_rows *rows = NULL;

    enum status status = request_query(request, get, parameters, 3, &rows, why);
    if (!status && db_rows_count(rows) == 0)
        status = problem_set(why, STATUS_REJECT, "the device %.300s has no keys", path->name);
    if (!status)
        status = device_key_open(query, db_bytea(rows, 0, 0, request->arena), &out->primary, why);
    if (!status)
        status = device_key_open(query, db_bytea(rows, 0, 1, request->arena), &out->secondary, why);
    db_rows_free(rows);
    return status;
}

/* The host is the workspace's first own name, since a token for another one leads to another workspace; with the port that
 * the setting names. */
static enum status device_host(const struct query *query, const struct request *request, const char *workspace,
                               const char **out, struct problem *why)
{
    static const char select_name[] = "SELECT host_names[1] FROM picket.workspace WHERE workspace_id = $1::int";
    const char *set = query_settings_of(query)->device_host_name, *port = strchr(set, ':');
    struct db_rows *rows = NULL;

    *out = set;
    enum status status = request_query(request, select_name, &workspace, 1, &rows, why);
    if (!status && db_rows_count(rows) && !db_is_null(rows, 0, 0))
        *out = arena_format(request->arena, "%.*s%s", TEXT_ARGS(db_text(rows, 0, 0)), port ? port : "");
    db_rows_free(rows);
    return status;
}

static void connection_string(const char *host, const char *device, const char *module, const struct device_key *key,
                              const struct request *request, struct reply *reply)
{
    char *text = arena_format(request->arena, "HostName=%s;DeviceId=%s;%s%s%sSharedAccessKey=%s", host, device,
                              *module ? "ModuleId=" : "", module, *module ? ";" : "", key->text);
    reply_string(reply, "connection_string", text);
    secret_wipe(text, strlen(text));
}

/* A device takes its modules with it: who locks out a stolen device means all that speaks from it. */
static enum status status_change(const struct request *request, struct reply *reply, const char *status_wanted,
                                 const char *action, struct problem *why)
{
    static const char change[] = "UPDATE picket.device SET status = $4, changed_at = now() WHERE workspace_id = $1::int"
                                 " AND device_id = $2 AND ($3 = '' OR module_id = $3) AND status NOT IN ('deleted', $4)";
    struct device_path path;

    enum status status = device_path_find(request, &path, reply, why);
    if (status)
        return status;
    const char *const parameters[] = {path.workspace, path.device, path.module, status_wanted};
    status = request_query(request, change, parameters, 4, NULL, why);
    if (!status)
        status = request_audit(request, path.workspace_id, action, path.name, NULL, why);
    if (status)
        return status;
    reply_open_object(reply, NULL);
    reply_string(reply, "id", path.name);
    reply_string(reply, "workspace", path.workspace_name);
    reply_string(reply, "status", status_wanted);
    reply_close_object(reply);
    return STATUS_OK;
}
