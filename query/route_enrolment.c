#include "query/routes.h"

#include <stdlib.h>
#include <string.h>

#include "query/device_credential.h"
#include "query/device_path.h"
#include "query/twin_rules.h"

/* Groups and individual enrolments differ in what names them and little else, so they share their handlers: a table says
 * which is which. */
#define MODULES_MAX 32

struct kind {
    const char *list, *noun;   /* "groups", "group" */
    const char *name;          /* member and column that names one */
    const char *select;        /* up to WHERE */
    const char *insert, *status, *remove;
};

#define TIMES                                                                                                        \
    " (extract(epoch FROM e.created_at) * 1000000)::bigint, (extract(epoch FROM e.changed_at) * 1000000)::bigint"
#define REGISTERED(condition)                                                                                        \
    " (SELECT count(*) FROM picket.registration r WHERE r.workspace_id = e.workspace_id AND " condition ")"

static const struct kind group_kind = {
    .list = "groups",
    .noun = "group",
    .name = "name",
    .select = "SELECT e.workspace_id, e.name, w.name, e.status, e.tags, e.desired, to_json(e.modules), NULL,"
              " w.id_scope," REGISTERED("r.group_name = e.name") "," TIMES
              ", CASE WHEN e.authority IS NULL THEN 'sas' ELSE 'authority' END, e.authority, NULL"
              " FROM picket.enrollment_group e JOIN picket.workspace w USING (workspace_id)",
    .insert = "INSERT INTO picket.enrollment_group (workspace_id, name, sealed_primary, sealed_secondary, tags, desired, modules,"
              " authority) VALUES ($1::int, $2, $3::bytea, $4::bytea, $5::jsonb, $6::jsonb, $7::text[], $9)"
              " ON CONFLICT DO NOTHING RETURNING $8::text, $10::text, $11::text",
    .status = "UPDATE picket.enrollment_group SET status = $3, changed_at = now() WHERE workspace_id = $1::int AND name = $2",
    .remove = "DELETE FROM picket.enrollment_group WHERE workspace_id = $1::int AND name = $2",
};

static const struct kind enrollment_kind = {
    .list = "enrollments",
    .noun = "enrollment",
    .name = "registration_id",
    .select = "SELECT e.workspace_id, e.registration_id, w.name, e.status, e.tags, e.desired, to_json(e.modules), e.device_id,"
              " w.id_scope," REGISTERED("r.group_name IS NULL AND r.registration_id = e.registration_id") "," TIMES
              ", CASE WHEN e.thumbprint_primary IS NULL THEN 'sas' ELSE 'thumbprint' END,"
              " upper(encode(e.thumbprint_primary, 'hex')), upper(encode(e.thumbprint_secondary, 'hex'))"
              " FROM picket.enrollment e JOIN picket.workspace w USING (workspace_id)",
    .insert = "INSERT INTO picket.enrollment (workspace_id, registration_id, sealed_primary, sealed_secondary, tags, desired,"
              " modules, device_id, thumbprint_primary, thumbprint_secondary)"
              " VALUES ($1::int, $2, $3::bytea, $4::bytea, $5::jsonb, $6::jsonb, $7::text[], $8, $10::bytea, $11::bytea)"
              " ON CONFLICT DO NOTHING RETURNING $9::text",
    .status = "UPDATE picket.enrollment SET status = $3, changed_at = now() WHERE workspace_id = $1::int AND registration_id = $2",
    .remove = "DELETE FROM picket.enrollment WHERE workspace_id = $1::int AND registration_id = $2",
};

/* What one begins its devices with. */
struct wish {
    const char *name, *device, *tags, *desired, *modules;
    int64_t workspace;
    const char *workspace_name;
    struct device_credential credential; /* of the enrolment itself; its keys are the caller's to wipe */
    const char *authority;               /* name, or NULL */
};

static enum status kind_list(const struct kind *kind, const struct request *request, struct reply *reply, struct problem *why);
static enum status kind_show(const struct kind *kind, const struct request *request, struct reply *reply, struct problem *why);
static enum status kind_create(const struct kind *kind, const struct query *query, const struct request *request,
                               struct reply *reply, struct problem *why);
static enum status kind_status(const struct kind *kind, const struct request *request, const char *status_wanted,
                               struct reply *reply, struct problem *why);
static enum status kind_delete(const struct kind *kind, const struct request *request, struct reply *reply, struct problem *why);
static enum status find(const struct kind *kind, const struct request *request, struct reply *reply, struct db_rows **out,
                        struct problem *why);
static void row_write(const struct kind *kind, const struct db_rows *rows, size_t row, struct reply *reply);
static enum status wish_read(const struct kind *kind, const struct request *request, struct wish *out, struct problem *why);
static enum status attestation_read(const struct kind *kind, const struct request *request, struct wish *out, struct problem *why);
static enum status authority_check(const struct request *request, const struct wish *wish, struct problem *why);
static enum status modules_read(const struct request *request, const char **out, struct problem *why);

ROUTE_HANDLER(groups_list)
{
    (void)query;
    return kind_list(&group_kind, request, reply, why);
}

ROUTE_HANDLER(groups_show)
{
    (void)query;
    return kind_show(&group_kind, request, reply, why);
}

ROUTE_HANDLER(groups_create)
{
    return kind_create(&group_kind, query, request, reply, why);
}

ROUTE_HANDLER(groups_disable)
{
    (void)query;
    return kind_status(&group_kind, request, "disabled", reply, why);
}

ROUTE_HANDLER(groups_enable)
{
    (void)query;
    return kind_status(&group_kind, request, "enabled", reply, why);
}

ROUTE_HANDLER(groups_delete)
{
    (void)query;
    return kind_delete(&group_kind, request, reply, why);
}

/* A device of the group is configured with this; audited, since who has it can register as the device. */
ROUTE_HANDLER(groups_derive_key)
{
    static const char get[] = "SELECT sealed_primary FROM picket.enrollment_group WHERE workspace_id = $1::int AND name = $2";
    static const char *const members[] = {"registration_id", NULL};
    const char *registration = NULL, *name = request_parameter(request, "name");
    struct db_rows *found = NULL, *rows = NULL;
    struct device_key key = {.count = 0}, derived = {.count = SECRET_HMAC_BYTES};

    enum status status = request_members(request, members, why);
    if (!status)
        status = request_string(request, "registration_id", &registration, why);
    if (!status && (!registration || !device_id_valid(text_of(registration))))
        status = problem_set(why, STATUS_REJECT, "\"registration_id\" has to be the id that a device registers with");
    if (!status)
        status = find(&group_kind, request, reply, &found, why);
    const char *const parameters[] = {request_decimal(request, status ? 0 : db_i64(found, 0, 0)), name};
    if (!status)
        status = request_query(request, get, parameters, 2, &rows, why);
    if (!status && db_is_null(rows, 0, 0))
        status = reply_refuse(reply, why, 409, "NoKey", "The devices of the group %.128s show certificates: it has no key.", name);
    if (!status)
        status = device_key_open(query, db_bytea(rows, 0, 0, request->arena), &key, why);
    if (!status)
        status = request_audit(request, db_i64(found, 0, 0), "group.derive-key", name,
                               json_pack("{s:s}", "registration_id", registration), why);
    if (!status) {
        secret_hmac_sha256(key.bytes, key.count, text_of(registration), derived.bytes);
        text_base64_encode(derived.bytes, derived.count, derived.text);
        reply_open_object(reply, NULL);
        reply_column_text(reply, "id_scope", found, 0, 8);
        reply_string(reply, "registration_id", registration);
        reply_string(reply, "key", derived.text);
        reply_close_object(reply);
    }
    secret_wipe(&key, sizeof key);
    secret_wipe(&derived, sizeof derived);
    db_rows_free(found);
    db_rows_free(rows);
    return status;
}

ROUTE_HANDLER(enrollments_list)
{
    (void)query;
    return kind_list(&enrollment_kind, request, reply, why);
}

ROUTE_HANDLER(enrollments_show)
{
    (void)query;
    return kind_show(&enrollment_kind, request, reply, why);
}

ROUTE_HANDLER(enrollments_create)
{
    return kind_create(&enrollment_kind, query, request, reply, why);
}

ROUTE_HANDLER(enrollments_disable)
{
    (void)query;
    return kind_status(&enrollment_kind, request, "disabled", reply, why);
}

ROUTE_HANDLER(enrollments_enable)
{
    (void)query;
    return kind_status(&enrollment_kind, request, "enabled", reply, why);
}

ROUTE_HANDLER(enrollments_delete)
{
    (void)query;
    return kind_delete(&enrollment_kind, request, reply, why);
}

static enum status kind_list(const struct kind *kind, const struct request *request, struct reply *reply, struct problem *why)
{
    struct db_rows *rows = NULL;
    struct page page;

    enum status status = request_page(request, kind->list, 2, &page, why);
    if (status)
        return status;
    const char *list = arena_format(request->arena,
                                    "%s WHERE e.workspace_id = ANY($1::int[]) AND ($2::int IS NULL OR (e.workspace_id, e.%s) >"
                                    " ($2::int, $3::text)) ORDER BY e.workspace_id, e.%s LIMIT $4::int + 1",
                                    kind->select, kind->name, kind->name);
    const char *const parameters[] = {request->scope, page.fields[0], page.fields[1], request_decimal(request, page.limit)};
    status = request_query(request, list, parameters, 4, &rows, why);
    if (status)
        return status;
    reply_open_object(reply, NULL);
    reply_open_array(reply, kind->list);
    for (size_t i = 0; i < request_page_rows(&page, rows); i++) {
        reply_open_object(reply, NULL);
        row_write(kind, rows, i, reply);
        reply_close_object(reply);
    }
    request_page_end(request, reply, kind->list, &page, rows, (const int[]){0, 1}, 2);
    db_rows_free(rows);
    return STATUS_OK;
}

static enum status kind_show(const struct kind *kind, const struct request *request, struct reply *reply, struct problem *why)
{
    struct db_rows *rows = NULL;

    enum status status = find(kind, request, reply, &rows, why);
    if (!status) {
        reply_open_object(reply, NULL);
        row_write(kind, rows, 0, reply);
        reply_close_object(reply);
    }
    db_rows_free(rows);
    return status;
}

static enum status kind_create(const struct kind *kind, const struct query *query, const struct request *request,
                               struct reply *reply, struct problem *why)
{
    static const char scope_of[] = "SELECT id_scope FROM picket.workspace WHERE workspace_id = $1::int";
    struct db_rows *rows = NULL, *scope = NULL;
    struct wish wish;

    enum status status = wish_read(kind, request, &wish, why);
    if (status)
        return status;
    const struct device_credential *credential = &wish.credential;
    bool sas = credential->kind == DEVICE_CREDENTIAL_SAS;
    const char *const parameters[] = {request_decimal(request, wish.workspace), wish.name,
                                      sas ? device_key_seal(query, request, &credential->keys.primary) : NULL,
                                      sas ? device_key_seal(query, request, &credential->keys.secondary) : NULL,
                                      wish.tags, wish.desired, wish.modules, wish.device, wish.authority,
                                      device_thumbprint_bytea(request, &credential->primary),
                                      device_thumbprint_bytea(request, &credential->secondary)};
    status = request_query(request, kind->insert, parameters, 11, &rows, why);
    if (!status && !db_rows_count(rows))
        status = reply_refuse(reply, why, 409, "Exists", "There is %s %s %.128s already.",
                              kind == &group_kind ? "a" : "an", kind->noun, wish.name);
    if (!status)
        status = request_audit(request, wish.workspace, arena_format(request->arena, "%s.create", kind->noun), wish.name, NULL,
                               why);
    if (!status)
        status = request_query(request, scope_of, parameters, 1, &scope, why);
    if (!status) {
        reply_code(reply, 201);
        reply_open_object(reply, NULL);
        reply_string(reply, kind->name, wish.name);
        reply_string(reply, "workspace", wish.workspace_name);
        reply_string(reply, "status", "enabled");
        reply_column_text(reply, "id_scope", scope, 0, 0);
        device_credential_write(credential, reply);
        if (wish.authority)
            reply_string(reply, "authority", wish.authority);
        reply_close_object(reply);
    }
    secret_wipe(&wish.credential, sizeof wish.credential);
    db_rows_free(scope);
    db_rows_free(rows);
    return status;
}

static enum status kind_status(const struct kind *kind, const struct request *request, const char *status_wanted,
                               struct reply *reply, struct problem *why)
{
    const char *name = request_parameter(request, "name");
    struct db_rows *rows = NULL;

    enum status status = find(kind, request, reply, &rows, why);
    int64_t workspace = status ? 0 : db_i64(rows, 0, 0);
    const char *const parameters[] = {request_decimal(request, workspace), name, status_wanted};
    if (!status)
        status = request_query(request, kind->status, parameters, 3, NULL, why);
    if (!status)
        status = request_audit(request, workspace, arena_format(request->arena, "%s.%s", kind->noun, status_wanted), name, NULL,
                               why);
    if (!status) {
        reply_open_object(reply, NULL);
        reply_string(reply, kind->name, name);
        reply_column_text(reply, "workspace", rows, 0, 2);
        reply_string(reply, "status", status_wanted);
        reply_close_object(reply);
    }
    db_rows_free(rows);
    return status;
}

/* Devices that registered through it stay what they are. */
static enum status kind_delete(const struct kind *kind, const struct request *request, struct reply *reply, struct problem *why)
{
    const char *name = request_parameter(request, "name");
    struct db_rows *rows = NULL;

    enum status status = find(kind, request, reply, &rows, why);
    int64_t workspace = status ? 0 : db_i64(rows, 0, 0);
    const char *const parameters[] = {request_decimal(request, workspace), name};
    if (!status)
        status = request_query(request, kind->remove, parameters, 2, NULL, why);
    if (!status)
        status = request_audit(request, workspace, arena_format(request->arena, "%s.delete", kind->noun), name, NULL, why);
    if (!status)
        reply_code(reply, 204);
    db_rows_free(rows);
    return status;
}

static enum status find(const struct kind *kind, const struct request *request, struct reply *reply, struct db_rows **out,
                        struct problem *why)
{
    const char *name = request_parameter(request, "name");
    const char *one = arena_format(request->arena, "%s WHERE e.workspace_id = ANY($1::int[]) AND e.%s = $2 ORDER BY 1 LIMIT 2",
                                   kind->select, kind->name);
    const char *const parameters[] = {request->scope, name};

    enum status status = request_query(request, one, parameters, 2, out, why);
    if (!status && !db_rows_count(*out))
        return reply_refuse(reply, why, 404, "NotFound", "There is no %s %.128s.", kind->noun, name);
    if (!status && db_rows_count(*out) > 1)
        return problem_set(why, STATUS_REJECT, "several workspaces have the %s %.128s: name one with workspace", kind->noun,
                           name);
    return status;
}

static void row_write(const struct kind *kind, const struct db_rows *rows, size_t row, struct reply *reply)
{
    reply_column_text(reply, kind->name, rows, row, 1);
    reply_column_text(reply, "workspace", rows, row, 2);
    if (kind == &enrollment_kind)
        reply_column_text(reply, "device", rows, row, 7);
    reply_column_text(reply, "status", rows, row, 3);
    reply_column_text(reply, "id_scope", rows, row, 8);
    reply_column_raw(reply, "tags", rows, row, 4);
    reply_column_raw(reply, "desired", rows, row, 5);
    reply_column_raw(reply, "modules", rows, row, 6);
    reply_column_number(reply, "registered", rows, row, 9);
    reply_column_time(reply, "created_at", rows, row, 10);
    reply_column_time(reply, "changed_at", rows, row, 11);
    reply_column_text(reply, "authentication", rows, row, 12);
    if (!db_is_null(rows, row, 13))
        reply_column_text(reply, kind == &group_kind ? "authority" : "primary_thumbprint", rows, row, 13);
    if (!db_is_null(rows, row, 14))
        reply_column_text(reply, "secondary_thumbprint", rows, row, 14);
}

static enum status wish_read(const struct kind *kind, const struct request *request, struct wish *out, struct problem *why)
{
    static const char *const members[] = {"name",    "registration_id", "device",    "workspace",               "tags",
                                          "desired", "modules",         "authority", DEVICE_CREDENTIAL_MEMBERS, NULL};
    const json_t *tags = json_object_get(request->body, "tags"), *desired = json_object_get(request->body, "desired");

    *out = (struct wish){.tags = "{}", .desired = "{}"};
    enum status status = request_members(request, members, why);
    if (!status)
        status = request_string(request, kind->name, &out->name, why);
    if (!status && (!out->name || !device_id_valid(text_of(out->name))))
        status = problem_set(why, STATUS_REJECT, "\"%s\" is missing, or has other characters than an id may have", kind->name);
    if (!status)
        status = request_string(request, "device", &out->device, why);
    if (!status && !out->device)
        out->device = out->name;
    if (!status && !device_id_valid(text_of(out->device)))
        status = problem_set(why, STATUS_REJECT, "\"device\" has other characters than an id may have");
    if (!status && tags)
        status = twin_rules_check(request->arena, "tags", tags, TWIN_TAGS_MAX, &out->tags, why);
    if (!status && desired)
        status = twin_rules_check(request->arena, "desired", desired, TWIN_DESIRED_MAX, &out->desired, why);
    if (!status)
        status = modules_read(request, &out->modules, why);
    if (!status)
        status = request_workspace(request, &out->workspace, &out->workspace_name, why);
    return status ? status : attestation_read(kind, request, out, why);
}

/* A group's devices show keys, or certificates of one authority; a single one shows keys or its own certificate. */
static enum status attestation_read(const struct kind *kind, const struct request *request, struct wish *out, struct problem *why)
{
    enum status status = device_credential_wanted(request, &out->credential, why);
    if (!status)
        status = request_string(request, "authority", &out->authority, why);
    if (status)
        return status;
    bool by_authority = out->credential.kind == DEVICE_CREDENTIAL_AUTHORITY;
    if (kind == &group_kind && out->credential.kind == DEVICE_CREDENTIAL_THUMBPRINT)
        return problem_set(why, STATUS_REJECT, "a thumbprint is one device's: enrol that by an enrollment of its own");
    if (kind == &enrollment_kind && (by_authority || out->authority))
        return problem_set(why, STATUS_REJECT, "an authority vouches for many devices: name it with a group");
    if (by_authority != (out->authority != NULL))
        return problem_set(why, STATUS_REJECT, "\"authority\" names a certificate authority, and \"authentication\" is then"
                                               " \"authority\": one is here without the other");
    return by_authority ? authority_check(request, out, why) : STATUS_OK;
}

static enum status authority_check(const struct request *request, const struct wish *wish, struct problem *why)
{
    static const char find_one[] = "SELECT status FROM picket.certificate_authority WHERE workspace_id = $1::int AND name = $2";
    const char *const parameters[] = {request_decimal(request, wish->workspace), wish->authority};
    struct db_rows *rows = NULL;

    enum status status = request_query(request, find_one, parameters, 2, &rows, why);
    if (!status && !db_rows_count(rows))
        status = problem_set(why, STATUS_REJECT, "there is no authority %.128s in the workspace %.128s: add it with picket ca add",
                             wish->authority, wish->workspace_name);
    else if (!status && text_equal(db_text(rows, 0, 0), TEXT("unverified")))
        status = problem_set(why, STATUS_REJECT, "the authority %.128s is not verified yet: see picket ca verify",
                             wish->authority);
    db_rows_free(rows);
    return status;
}

/* As array literal. Ids with what would have to be quoted in one are refused. */
static enum status modules_read(const struct request *request, const char **out, struct problem *why)
{
    const json_t *modules = json_object_get(request->body, "modules");
    const char *list = "{";

    if (modules && (!json_is_array(modules) || json_array_size(modules) > MODULES_MAX))
        return problem_set(why, STATUS_REJECT, "\"modules\" has to be a list of at most %d ids", MODULES_MAX);
    for (size_t i = 0; modules && i < json_array_size(modules); i++) {
        const char *id = json_string_value(json_array_get(modules, i));
        if (!id || !device_id_valid(text_of(id)) || strpbrk(id, ",{}\""))
            return problem_set(why, STATUS_REJECT, "\"modules\" has an element that is no id of a module");
        list = arena_format(request->arena, "%s%s%s", list, i ? "," : "", id);
    }
    *out = arena_format(request->arena, "%s}", list);
    return STATUS_OK;
}
