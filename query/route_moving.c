#include "query/routes.h"

#include <stdlib.h>
#include <string.h>

#include "query/device_credential.h"
#include "query/twin_rules.h"

/* Whole fleets, in and out. An import takes devices by the hundreds: what is there already is read with one statement,
 * compared here, where keys can be opened, and what differs is written with a few. So the same import once more writes
 * nothing, and a device that cannot be taken costs no other. */
#define DEVICES_MAX 1000
#define EXPORT_FIELDS 3

enum fate { FATE_UNCHANGED, FATE_CREATED, FATE_UPDATED, FATE_SKIPPED, FATE_REFUSED };

struct item {
    const json_t *wish;
    size_t position; /* in the request */
    const char *id, *device, *module;
    bool disabled, was_disabled; /* wanted, and found */
    bool has_credential;         /* the wish says something of it */
    bool keys_made;
    const char *tags, *desired; /* JSON text; NULL: as they are */
    struct device_credential credential;
    bool credential_differs, desired_differs;
    enum fate fate;
    const char *refusal;
};

struct import {
    const struct query *query;
    const struct request *request;
    int64_t workspace;
    const char *workspace_name, *workspace_text;
    bool skip_existing, dry_run;
    struct item *items, **by_id;
    size_t count;
};

static enum status import_read(struct import *import, struct problem *why);
static void item_read(struct import *import, struct item *item);
static void items_sort(struct import *import);
static const struct item *item_find(const struct import *import, const char *device, const char *module);
static enum status items_compare(struct import *import, struct problem *why);
static enum status item_compare(struct import *import, struct item *item, const struct db_rows *rows, size_t row,
                                struct problem *why);
static bool credentials_differ(const struct item *item, const struct device_credential *found);
static enum status items_write(struct import *import, struct problem *why);
static void import_answer(const struct import *import, struct reply *reply);
static size_t fates_count(const struct import *import, enum fate fate);
static const char *rows_text(const struct import *import, bool (*wanted)(const struct item *item),
                             json_t *(*row)(const struct import *import, const struct item *item));

ROUTE_HANDLER(moving_import)
{
    struct import import = {.query = query, .request = request};

    enum status status = import_read(&import, why);
    if (!status)
        status = items_compare(&import, why);
    if (!status && !import.dry_run)
        status = items_write(&import, why);
    size_t changed = fates_count(&import, FATE_CREATED) + fates_count(&import, FATE_UPDATED);
    if (!status && changed && !import.dry_run)
        status = request_audit(request, import.workspace, "device.import", import.workspace_name,
                               json_pack("{s:I, s:I}", "created", (json_int_t)fates_count(&import, FATE_CREATED), "updated",
                                         (json_int_t)fates_count(&import, FATE_UPDATED)), why);
    if (!status)
        import_answer(&import, reply);
    for (size_t i = 0; i < import.count; i++)
        secret_wipe(&import.items[i].credential, sizeof import.items[i].credential);
    return status;
}

/* ---- what is asked for ---- */

static enum status import_read(struct import *import, struct problem *why)
{
    static const char *const members[] = {"workspace", "devices", "skip_existing", "dry_run", NULL};
    const struct request *request = import->request;
    const json_t *devices = json_object_get(request->body, "devices");

    enum status status = request_members(request, members, why);
    if (!status && (!json_is_array(devices) || json_array_size(devices) > DEVICES_MAX))
        status = problem_set(why, STATUS_REJECT, "\"devices\" has to be a list of at most %d devices", DEVICES_MAX);
    if (!status)
        status = request_workspace(request, &import->workspace, &import->workspace_name, why);
    if (status)
        return status;
    import->workspace_text = request_decimal(request, import->workspace);
    import->skip_existing = json_is_true(json_object_get(request->body, "skip_existing"));
    import->dry_run = json_is_true(json_object_get(request->body, "dry_run"));
    import->items = ARENA_ARRAY(request->arena, struct item, json_array_size(devices) + 1);
    for (size_t i = 0; i < json_array_size(devices); i++) {
        struct item *item = &import->items[import->count++];
        *item = (struct item){.wish = json_array_get(devices, i), .position = i, .id = "", .device = "", .module = ""};
        item_read(import, item);
    }
    items_sort(import);
    return STATUS_OK;
}

static void item_refuse(struct import *import, struct item *item, const char *sentence)
{
    item->fate = FATE_REFUSED;
    item->refusal = arena_string(import->request->arena, text_of(sentence));
}

static void item_read(struct import *import, struct item *item)
{
    static const char *const members[] = {"id", "status", "tags", "desired", DEVICE_CREDENTIAL_MEMBERS, NULL};
    struct arena *arena = import->request->arena;
    struct request one = *import->request; /* so that a device here is read as one alone */
    const char *status_wanted = NULL;
    struct text device, module;
    struct problem why;

    if (!json_is_object(item->wish)) {
        item_refuse(import, item, "it is no object");
        return;
    }
    one.body = (json_t *)(uintptr_t)item->wish;
    const char *id = json_string_value(json_object_get(item->wish, "id"));
    item->id = id ? id : "";
    module = text_cut(text_of(item->id), '/', &device);
    if (!device_id_valid(device) || (module.bytes && !device_id_valid(module))) {
        item_refuse(import, item, "its id has other characters than an id may have, or none, or more than 128");
        return;
    }
    item->device = arena_string(arena, device);
    item->module = arena_string(arena, module.bytes ? module : TEXT(""));
    const json_t *tags = json_object_get(item->wish, "tags"), *desired = json_object_get(item->wish, "desired");
    enum status status = request_members(&one, members, &why);
    if (!status)
        status = request_string(&one, "status", &status_wanted, &why);
    if (!status && status_wanted && strcmp(status_wanted, "enabled") != 0 && strcmp(status_wanted, "disabled") != 0)
        status = problem_set(&why, STATUS_REJECT, "its status is neither enabled nor disabled");
    if (!status && tags && *item->module)
        status = problem_set(&why, STATUS_REJECT, "a module has no tags");
    if (!status && tags)
        status = twin_rules_check(arena, "tags", tags, TWIN_TAGS_MAX, &item->tags, &why);
    if (!status && desired)
        status = twin_rules_check(arena, "desired", desired, TWIN_DESIRED_MAX, &item->desired, &why);
    if (!status)
        status = device_credential_wanted(&one, &item->credential, &why);
    if (status) {
        item_refuse(import, item, why.text);
        return;
    }
    item->disabled = status_wanted && strcmp(status_wanted, "disabled") == 0;
    item->has_credential = item->credential.kind != DEVICE_CREDENTIAL_SAS ||
                           json_is_string(json_object_get(item->wish, "primary_key")) ||
                           json_is_string(json_object_get(item->wish, "secondary_key"));
}

static int id_order(const void *a, const void *b)
{
    const struct item *x = *(struct item *const *)a, *y = *(struct item *const *)b;
    int order = strcmp(x->device, y->device);

    if (!order)
        order = strcmp(x->module, y->module);
    return order ? order : (x->position > y->position) - (x->position < y->position);
}

/* Of two with one id the first counts. */
static void items_sort(struct import *import)
{
    import->by_id = ARENA_ARRAY(import->request->arena, struct item *, import->count + 1);
    for (size_t i = 0; i < import->count; i++)
        import->by_id[i] = &import->items[i];
    qsort(import->by_id, import->count, sizeof(struct item *), id_order);
    for (size_t i = 1; i < import->count; i++) {
        struct item *item = import->by_id[i], *before = import->by_id[i - 1];
        if (item->fate != FATE_REFUSED && strcmp(item->device, before->device) == 0 && strcmp(item->module, before->module) == 0)
            item_refuse(import, item, "the same id stands before it");
    }
}

static const struct item *item_find(const struct import *import, const char *device, const char *module)
{
    size_t low = 0, high = import->count;

    while (low < high) {
        size_t middle = (low + high) / 2;
        const struct item *item = import->by_id[middle];
        int order = strcmp(item->device, device);
        if (!order)
            order = strcmp(item->module, module);
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == import->count || strcmp(import->by_id[low]->device, device) != 0 || strcmp(import->by_id[low]->module, module) != 0)
        return NULL;
    return import->by_id[low]->fate == FATE_REFUSED ? NULL : import->by_id[low];
}

/* ---- what is there ---- */

enum {
    COLUMN_POSITION,
    COLUMN_STATUS,
    COLUMN_TAGS_SAME,
    COLUMN_DESIRED_SAME,
    COLUMN_PARENT_STATUS,
    COLUMN_KIND, /* and the four after it, as device_credential_read() has them */
};

static bool not_refused(const struct item *item)
{
    return item->fate != FATE_REFUSED;
}

static json_t *compare_row(const struct import *import, const struct item *item)
{
    (void)import;
    json_t *row = json_pack("{s:I, s:s, s:s}", "n", (json_int_t)item->position, "device", item->device, "module", item->module);
    if (item->tags)
        json_object_set(row, "tags", json_object_get(item->wish, "tags"));
    if (item->desired)
        json_object_set(row, "desired", json_object_get(item->wish, "desired"));
    return row;
}

static enum status items_compare(struct import *import, struct problem *why)
{
    /* OFFSET 0 keeps each a look into an index for each device: in a table that was filled a moment ago, and of which
     * PostgreSQL knows nothing yet, it would otherwise read all of it for every batch. Devices come before their modules,
     * which ask for them. */
    static const char find[] =
        "SELECT w.n, d.status, w.tags IS NULL OR w.tags = d.tags, w.desired IS NULL OR w.desired = coalesce(t.desired, '{}'),"
        " p.status, c.kind, c.sealed_primary, c.sealed_secondary, c.thumbprint_primary, c.thumbprint_secondary"
        " FROM jsonb_to_recordset($2::jsonb) AS w(n bigint, device text, module text, tags jsonb, desired jsonb)"
        " LEFT JOIN LATERAL (SELECT * FROM picket.device WHERE workspace_id = $1::int AND device_id = w.device"
        "  AND module_id = w.module OFFSET 0) d ON true"
        " LEFT JOIN LATERAL (SELECT * FROM picket.device WHERE workspace_id = $1::int AND device_id = w.device"
        "  AND module_id = '' AND w.module <> '' OFFSET 0) p ON true"
        " LEFT JOIN LATERAL (SELECT * FROM picket.credential WHERE workspace_id = $1::int AND device_id = w.device"
        "  AND module_id = w.module OFFSET 0) c ON true"
        " LEFT JOIN LATERAL (SELECT * FROM picket.twin WHERE workspace_id = $1::int AND device_id = w.device"
        "  AND module_id = w.module OFFSET 0) t ON true"
        " ORDER BY w.module <> '', w.n";
    const char *const parameters[] = {import->workspace_text, rows_text(import, not_refused, compare_row)};
    struct db_rows *rows = NULL;

    enum status status = request_query(import->request, find, parameters, 2, &rows, why);
    for (size_t row = 0; !status && row < db_rows_count(rows); row++)
        status = item_compare(import, &import->items[db_i64(rows, row, COLUMN_POSITION)], rows, row, why);
    db_rows_free(rows);
    return status;
}

static enum status item_compare(struct import *import, struct item *item, const struct db_rows *rows, size_t row,
                                struct problem *why)
{
    struct text found = db_text(rows, row, COLUMN_STATUS), parent = db_text(rows, row, COLUMN_PARENT_STATUS);
    bool there = found.bytes && !text_equal(found, TEXT("deleted"));
    struct device_credential credential;

    if (*item->module) {
        const struct item *device = item_find(import, item->device, "");
        if (!device && (!parent.bytes || text_equal(parent, TEXT("deleted")))) {
            item_refuse(import, item, "there is no device to have the module: it has to come before it, or be there");
            return STATUS_OK;
        }
        /* A device that is switched off takes its modules with it. */
        item->disabled = item->disabled || (device ? device->disabled : text_equal(parent, TEXT("disabled")));
    }
    if (there && import->skip_existing) {
        item->fate = FATE_SKIPPED;
        return STATUS_OK;
    }
    item->was_disabled = text_equal(found, TEXT("disabled"));
    item->desired_differs = item->desired && (!there || !db_bool(rows, row, COLUMN_DESIRED_SAME));
    item->credential_differs = !there || db_is_null(rows, row, COLUMN_KIND);
    item->keys_made = item->credential_differs && !item->has_credential;
    if (!item->credential_differs && item->has_credential) {
        enum status status = device_credential_read(import->query, import->request, rows, row, COLUMN_KIND, &credential, why);
        if (status)
            return status;
        item->credential_differs = credentials_differ(item, &credential);
        if (item->credential.kind == DEVICE_CREDENTIAL_SAS && credential.kind == DEVICE_CREDENTIAL_SAS) {
            /* A key that is not said stays. */
            if (!json_is_string(json_object_get(item->wish, "primary_key")))
                item->credential.keys.primary = credential.keys.primary;
            if (!json_is_string(json_object_get(item->wish, "secondary_key")))
                item->credential.keys.secondary = credential.keys.secondary;
        }
        secret_wipe(&credential, sizeof credential);
    }
    if (!there)
        item->fate = FATE_CREATED;
    else if (item->disabled != item->was_disabled || item->desired_differs || item->credential_differs ||
             !db_bool(rows, row, COLUMN_TAGS_SAME))
        item->fate = FATE_UPDATED;
    return STATUS_OK;
}

static bool key_differs(const struct item *item, const char *member, const struct device_key *wanted, const struct device_key *found)
{
    return json_is_string(json_object_get(item->wish, member)) &&
           (wanted->count != found->count || !secret_equal(wanted->bytes, found->bytes, wanted->count));
}

static bool thumbprint_differs(const struct device_thumbprint *wanted, const struct device_thumbprint *found)
{
    return wanted->count != found->count || memcmp(wanted->bytes, found->bytes, wanted->count) != 0;
}

static bool credentials_differ(const struct item *item, const struct device_credential *found)
{
    const struct device_credential *wanted = &item->credential;

    if (wanted->kind != found->kind)
        return true;
    return key_differs(item, "primary_key", &wanted->keys.primary, &found->keys.primary) ||
           key_differs(item, "secondary_key", &wanted->keys.secondary, &found->keys.secondary) ||
           thumbprint_differs(&wanted->primary, &found->primary) || thumbprint_differs(&wanted->secondary, &found->secondary);
}

/* ---- what differs ---- */

static bool is_created(const struct item *item)
{
    return item->fate == FATE_CREATED;
}

static bool is_updated(const struct item *item)
{
    return item->fate == FATE_UPDATED;
}

static bool has_new_credential(const struct item *item)
{
    return (is_created(item) || is_updated(item)) && item->credential_differs;
}

static bool has_new_desired(const struct item *item)
{
    return (is_created(item) || is_updated(item)) && item->desired_differs;
}

static json_t *device_row(const struct import *import, const struct item *item)
{
    json_t *row = compare_row(import, item);

    json_object_set_new(row, "status", json_string(item->disabled ? "disabled" : "enabled"));
    return row;
}

static void bytea_set(json_t *row, const char *name, const char *bytea)
{
    if (bytea)
        json_object_set_new(row, name, json_string(bytea));
}

static json_t *credential_row(const struct import *import, const struct item *item)
{
    const struct device_credential *credential = &item->credential;
    json_t *row = json_pack("{s:s, s:s, s:s}", "device", item->device, "module", item->module, "kind",
                            device_credential_name(credential));

    if (credential->kind == DEVICE_CREDENTIAL_SAS) {
        bytea_set(row, "k1", device_key_seal(import->query, import->request, &credential->keys.primary));
        bytea_set(row, "k2", device_key_seal(import->query, import->request, &credential->keys.secondary));
    }
    bytea_set(row, "t1", device_thumbprint_bytea(import->request, &credential->primary));
    bytea_set(row, "t2", device_thumbprint_bytea(import->request, &credential->secondary));
    return row;
}

static enum status items_write(struct import *import, struct problem *why)
{
    static const char create[] =
        "INSERT INTO picket.device AS d (workspace_id, device_id, module_id, status, tags)"
        " SELECT $1::int, w.device, w.module, w.status, coalesce(w.tags, '{}')"
        " FROM jsonb_to_recordset($2::jsonb) AS w(device text, module text, status text, tags jsonb)"
        " ON CONFLICT (workspace_id, device_id, module_id) DO UPDATE SET status = excluded.status, tags = excluded.tags,"
        " messages_per_second = NULL, bytes_per_second = NULL, created_at = now(), changed_at = now()";
    static const char update[] =
        "INSERT INTO picket.device AS d (workspace_id, device_id, module_id, status, tags)"
        " SELECT $1::int, w.device, w.module, w.status, coalesce(w.tags, (SELECT n.tags FROM picket.device n"
        "  WHERE n.workspace_id = $1::int AND n.device_id = w.device AND n.module_id = w.module), '{}')"
        " FROM jsonb_to_recordset($2::jsonb) AS w(device text, module text, status text, tags jsonb)"
        " ON CONFLICT (workspace_id, device_id, module_id) DO UPDATE SET status = excluded.status, tags = excluded.tags,"
        " changed_at = now()";
    static const char credentials[] =
        "INSERT INTO picket.credential AS c (workspace_id, device_id, module_id, kind, sealed_primary, sealed_secondary,"
        " thumbprint_primary, thumbprint_secondary)"
        " SELECT $1::int, w.device, w.module, w.kind, w.k1::bytea, w.k2::bytea, w.t1::bytea, w.t2::bytea"
        " FROM jsonb_to_recordset($2::jsonb) AS w(device text, module text, kind text, k1 text, k2 text, t1 text, t2 text)"
        " ON CONFLICT (workspace_id, device_id, module_id) DO UPDATE SET kind = excluded.kind,"
        " sealed_primary = excluded.sealed_primary, sealed_secondary = excluded.sealed_secondary,"
        " thumbprint_primary = excluded.thumbprint_primary, thumbprint_secondary = excluded.thumbprint_secondary,"
        " changed_at = now()";
    static const char twins[] =
        "INSERT INTO picket.twin AS t (workspace_id, device_id, module_id, desired)"
        " SELECT $1::int, w.device, w.module, w.desired"
        " FROM jsonb_to_recordset($2::jsonb) AS w(device text, module text, desired jsonb)"
        " ON CONFLICT (workspace_id, device_id, module_id) DO UPDATE SET desired = excluded.desired,"
        " desired_version = t.desired_version + 1";
    const struct {
        const char *sql;
        bool (*wanted)(const struct item *item);
        json_t *(*row)(const struct import *import, const struct item *item);
    } steps[] = {
        {create, is_created, device_row},
        {update, is_updated, device_row},
        {credentials, has_new_credential, credential_row},
        {twins, has_new_desired, compare_row},
    };
    enum status status = STATUS_OK;

    for (size_t i = 0; !status && i < sizeof steps / sizeof steps[0]; i++) {
        const char *const parameters[] = {import->workspace_text, rows_text(import, steps[i].wanted, steps[i].row)};
        if (strcmp(parameters[1], "[]") != 0)
            status = request_query(import->request, steps[i].sql, parameters, 2, NULL, why);
    }
    return status;
}

/* A JSON list for jsonb_to_recordset(), in the request's arena. */
static const char *rows_text(const struct import *import, bool (*wanted)(const struct item *item),
                             json_t *(*row)(const struct import *import, const struct item *item))
{
    json_t *list = json_array();

    for (size_t i = 0; i < import->count; i++)
        if (wanted(&import->items[i]))
            json_array_append_new(list, row(import, &import->items[i]));
    char *text = json_dumps(list, JSON_COMPACT);
    if (!text)
        abort();
    const char *kept = arena_string(import->request->arena, text_of(text));
    free(text);
    json_decref(list);
    return kept;
}

/* ---- the answer ---- */

static size_t fates_count(const struct import *import, enum fate fate)
{
    size_t count = 0;

    for (size_t i = 0; i < import->count; i++)
        count += import->items[i].fate == fate;
    return count;
}

static void import_answer(const struct import *import, struct reply *reply)
{
    size_t keys_made = 0;

    for (size_t i = 0; i < import->count; i++)
        keys_made += import->items[i].keys_made && (is_created(&import->items[i]) || is_updated(&import->items[i]));
    reply_open_object(reply, NULL);
    reply_string(reply, "workspace", import->workspace_name);
    reply_flag(reply, "dry_run", import->dry_run);
    reply_number(reply, "created", (int64_t)fates_count(import, FATE_CREATED));
    reply_number(reply, "updated", (int64_t)fates_count(import, FATE_UPDATED));
    reply_number(reply, "unchanged", (int64_t)fates_count(import, FATE_UNCHANGED));
    reply_number(reply, "skipped", (int64_t)fates_count(import, FATE_SKIPPED));
    reply_number(reply, "keys_made", (int64_t)keys_made);
    reply_open_array(reply, "refused");
    for (size_t i = 0; i < import->count; i++) {
        const struct item *item = &import->items[i];
        if (item->fate != FATE_REFUSED)
            continue;
        reply_open_object(reply, NULL);
        reply_number(reply, "position", (int64_t)item->position);
        reply_string(reply, "id", item->id);
        reply_string(reply, "message", item->refusal);
        reply_close_object(reply);
    }
    reply_close_array(reply);
    reply_close_object(reply);
}

/* ---- out ---- */

/* In the shape that an import takes. With keys it is audited, page by page. */
ROUTE_HANDLER(moving_export)
{
    static const char list[] =
        "SELECT d.workspace_id, d.device_id, d.module_id, w.name, d.status, d.tags, coalesce(t.desired, '{}'),"
        " c.kind, c.sealed_primary, c.sealed_secondary, c.thumbprint_primary, c.thumbprint_secondary"
        " FROM picket.device d JOIN picket.workspace w USING (workspace_id)"
        " LEFT JOIN picket.credential c USING (workspace_id, device_id, module_id)"
        " LEFT JOIN picket.twin t USING (workspace_id, device_id, module_id)"
        " WHERE d.workspace_id = ANY($1::int[]) AND d.status <> 'deleted'"
        " AND ($2::int IS NULL OR (d.workspace_id, d.device_id, d.module_id) > ($2::int, $3::text, $4::text))"
        " ORDER BY d.workspace_id, d.device_id, d.module_id LIMIT $5::int + 1";
    static const char *const words[] = {"true", "false", NULL};
    const char *keys = NULL;
    struct db_rows *rows = NULL;
    struct page page;

    enum status status = request_page(request, "devices", EXPORT_FIELDS, &page, why);
    if (!status)
        status = request_word(request, "keys", words, &keys, why);
    if (status)
        return status;
    bool with_keys = keys && strcmp(keys, "true") == 0;
    const char *const parameters[] = {request->scope, page.fields[0], page.fields[1], page.fields[2],
                                      request_decimal(request, page.limit)};
    status = request_query(request, list, parameters, 5, &rows, why);
    reply_open_object(reply, NULL);
    reply_open_array(reply, "devices");
    size_t count = status ? 0 : request_page_rows(&page, rows);
    for (size_t i = 0; !status && i < count; i++) {
        struct device_credential credential = {.kind = DEVICE_CREDENTIAL_SAS};
        bool known = !db_is_null(rows, i, 7);
        if (known)
            status = device_credential_read(query, request, rows, i, 7, &credential, why);
        if (status)
            break;
        reply_open_object(reply, NULL);
        reply_identity(reply, "id", db_text(rows, i, 1), db_text(rows, i, 2));
        reply_column_text(reply, "workspace", rows, i, 3);
        reply_column_text(reply, "status", rows, i, 4);
        if (credential.kind == DEVICE_CREDENTIAL_SAS)
            reply_string(reply, "authentication", "sas");
        if (known && (with_keys || credential.kind != DEVICE_CREDENTIAL_SAS))
            device_credential_write(&credential, reply);
        if (db_text(rows, i, 2).count == 0)
            reply_column_raw(reply, "tags", rows, i, 5);
        reply_column_raw(reply, "desired", rows, i, 6);
        reply_close_object(reply);
        secret_wipe(&credential, sizeof credential);
    }
    for (size_t i = 0, first = 0; !status && with_keys && i < count; i++) {
        if (i + 1 < count && db_i64(rows, i, 0) == db_i64(rows, i + 1, 0))
            continue;
        status = request_audit(request, db_i64(rows, i, 0), "device.export", arena_string(request->arena, db_text(rows, i, 3)),
                               json_pack("{s:I}", "count", (json_int_t)(i + 1 - first)), why);
        first = i + 1;
    }
    if (!status)
        request_page_end(request, reply, "devices", &page, rows, (const int[]){0, 1, 2}, EXPORT_FIELDS);
    db_rows_free(rows);
    return status;
}
