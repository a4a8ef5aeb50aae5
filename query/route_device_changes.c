#include "query/routes.h"

#include <stdlib.h>
#include <string.h>

#include "query/device_credential.h"
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
static enum status device_host(const struct query *query, const struct request *request, const char *workspace,
                               const char **out, struct problem *why);
static void connection_string(const char *host, const char *device, const char *module, const struct device_key *key,
                              const struct request *request, struct reply *reply);
static void credential_answer(const struct device_path *path, const char *host, const struct device_credential *credential,
                              const struct request *request, struct reply *reply);
static enum status status_change(const struct request *request, struct reply *reply, const char *status_wanted,
                                 const char *action, struct problem *why);

ROUTE_HANDLER(devices_create)
{
    static const char *const members[] = {"id", "workspace", DEVICE_CREDENTIAL_MEMBERS, NULL};
    const char *host = NULL;
    struct device_credential credential;
    struct wish wish;

    enum status status = request_members(request, members, why);
    if (!status)
        status = wish_read(request, &wish, why);
    if (!status)
        status = device_credential_wanted(request, &credential, why);
    if (!status && *wish.module)
        status = parent_check(request, &wish, why);
    if (!status)
        status = wish_insert(request, &wish, reply, why);
    if (!status) {
        const char *const identity[] = {wish.workspace_text, wish.device, wish.module};
        status = device_credential_put(query, request, identity, &credential, why);
    }
    if (!status)
        status = device_host(query, request, wish.workspace_text, &host, why);
    if (!status)
        status = request_audit(request, wish.workspace, "device.create", arena_string(request->arena, wish.id),
                               json_pack("{s:s}", "authentication", device_credential_name(&credential)), why);
    if (!status) {
        const struct device_path path = {.device = wish.device, .module = wish.module, .workspace_name = wish.workspace_name,
                                         .status = "enabled", .name = arena_string(request->arena, wish.id)};
        reply_code(reply, 201);
        credential_answer(&path, host, &credential, request, reply);
    }
    secret_wipe(&credential, sizeof credential);
    return status;
}

/* What it may send: null is the server's default, 0 no limit. */
ROUTE_HANDLER(devices_change)
{
    static const char change[] =
        "UPDATE picket.device SET messages_per_second = CASE WHEN $4::boolean THEN $5::int ELSE messages_per_second END,"
        " bytes_per_second = CASE WHEN $6::boolean THEN $7::bigint ELSE bytes_per_second END, changed_at = now()"
        " WHERE workspace_id = $1::int AND device_id = $2 AND module_id = $3 RETURNING messages_per_second, bytes_per_second";
    static const char *const members[] = {"messages_per_second", "bytes_per_second", NULL};
    const char *messages = NULL, *bytes = NULL;
    struct db_rows *rows = NULL;
    struct device_path path;

    (void)query;
    enum status status = request_members(request, members, why);
    if (!status)
        status = request_rate(request, "messages_per_second", INT32_MAX, &messages, why);
    if (!status)
        status = request_rate(request, "bytes_per_second", INT64_MAX, &bytes, why);
    if (!status)
        status = device_path_find(request, &path, reply, why);
    if (status)
        return status;
    const char *const parameters[] = {path.workspace, path.device, path.module,
                                      json_object_get(request->body, "messages_per_second") ? "true" : "false", messages,
                                      json_object_get(request->body, "bytes_per_second") ? "true" : "false", bytes};
    status = request_query(request, change, parameters, 7, &rows, why);
    if (!status)
        status = request_audit(request, path.workspace_id, "device.change", path.name, json_incref(request->body), why);
    if (!status) {
        reply_open_object(reply, NULL);
        reply_string(reply, "id", path.name);
        reply_string(reply, "workspace", path.workspace_name);
        reply_string(reply, "status", path.status);
        reply_column_number(reply, "messages_per_second", rows, 0, 0);
        reply_column_number(reply, "bytes_per_second", rows, 0, 1);
        reply_close_object(reply);
    }
    db_rows_free(rows);
    return status;
}

/* Of another kind or of the same: what it had counts no more, and connections that it let in end. */
ROUTE_HANDLER(devices_authenticate)
{
    static const char *const members[] = {DEVICE_CREDENTIAL_MEMBERS, NULL};
    const char *host = NULL;
    struct device_path path;
    struct device_credential credential;

    enum status status = request_members(request, members, why);
    if (!status)
        status = device_credential_wanted(request, &credential, why);
    if (!status)
        status = device_path_find(request, &path, reply, why);
    if (!status) {
        const char *const identity[] = {path.workspace, path.device, path.module};
        status = device_credential_put(query, request, identity, &credential, why);
    }
    if (!status)
        status = device_host(query, request, path.workspace, &host, why);
    if (!status)
        status = request_audit(request, path.workspace_id, "device.authentication", path.name,
                               json_pack("{s:s}", "authentication", device_credential_name(&credential)), why);
    if (!status)
        credential_answer(&path, host, &credential, request, reply);
    secret_wipe(&credential, sizeof credential);
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
    struct device_credential credential;

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
        status = device_credential_get(query, request, &path, &credential, why);
    if (!status && credential.kind != DEVICE_CREDENTIAL_SAS)
        status = problem_set(why, STATUS_REJECT, "the device %.300s shows a certificate: it has no keys", path.name);
    if (status)
        return status;
    if (primary)
        device_key_random(&credential.keys.primary);
    if (secondary)
        device_key_random(&credential.keys.secondary);
    const char *const identity[] = {path.workspace, path.device, path.module};
    status = device_credential_put(query, request, identity, &credential, why);
    if (!status)
        status = device_host(query, request, path.workspace, &host, why);
    if (!status)
        status = request_audit(request, path.workspace_id, "device.rotate-key", path.name, json_pack("{s:s}", "key", which), why);
    if (!status)
        credential_answer(&path, host, &credential, request, reply);
    secret_wipe(&credential, sizeof credential);
    return status;
}

/* Reading a key is audited as a change is: who has it can speak for the device. */
ROUTE_HANDLER(devices_connection_string)
{
    static const char *const words[] = {"primary", "secondary", NULL};
    const char *which = NULL, *host = NULL;
    struct device_path path;
    struct device_credential credential;

    enum status status = request_word(request, "key", words, &which, why);
    if (!status)
        status = device_path_find(request, &path, reply, why);
    if (!status)
        status = device_credential_get(query, request, &path, &credential, why);
    if (status)
        return status;
    const struct device_keys *keys = credential.kind == DEVICE_CREDENTIAL_SAS ? &credential.keys : NULL;
    bool secondary = which && strcmp(which, "secondary") == 0;
    status = device_host(query, request, path.workspace, &host, why);
    if (!status)
        status = request_audit(request, path.workspace_id, "device.connection-string", path.name, NULL, why);
    if (!status) {
        reply_open_object(reply, NULL);
        connection_string(host, path.device, path.module, !keys ? NULL : secondary ? &keys->secondary : &keys->primary, request,
                          reply);
        reply_close_object(reply);
    }
    secret_wipe(&credential, sizeof credential);
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

/* Without a key it is for a device that shows a certificate, as Azure's SDKs have it. */
static void connection_string(const char *host, const char *device, const char *module, const struct device_key *key,
                              const struct request *request, struct reply *reply)
{
    char *text = arena_format(request->arena, "HostName=%s;DeviceId=%s;%s%s%s%s%s", host, device, *module ? "ModuleId=" : "",
                              module, *module ? ";" : "", key ? "SharedAccessKey=" : "x509=true", key ? key->text : "");
    reply_string(reply, "connection_string", text);
    secret_wipe(text, strlen(text));
}

static void credential_answer(const struct device_path *path, const char *host, const struct device_credential *credential,
                              const struct request *request, struct reply *reply)
{
    reply_open_object(reply, NULL);
    reply_string(reply, "id", path->name);
    reply_string(reply, "workspace", path->workspace_name);
    reply_string(reply, "status", path->status);
    device_credential_write(credential, reply);
    connection_string(host, path->device, path->module,
                      credential->kind == DEVICE_CREDENTIAL_SAS ? &credential->keys.primary : NULL, request, reply);
    reply_close_object(reply);
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
