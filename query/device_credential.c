#include "query/device_credential.h"

#include <string.h>

#define HEX_SIZE (2 * X509_SHA256_BYTES + 1)

static const char *const kind_names[] = {
    [DEVICE_CREDENTIAL_SAS] = "sas",
    [DEVICE_CREDENTIAL_THUMBPRINT] = "thumbprint",
    [DEVICE_CREDENTIAL_AUTHORITY] = "authority",
};

static enum status kind_wanted(const struct request *request, enum device_credential_kind *out, struct problem *why);
static enum status strangers_refuse(const struct request *request, enum device_credential_kind kind, struct problem *why);
static enum status thumbprint_wanted(const struct request *request, const char *member, struct device_thumbprint *out,
                                     struct problem *why);
static void thumbprint_read(const struct request *request, const struct db_rows *rows, size_t row, int column,
                            struct device_thumbprint *out);
static void thumbprint_write(const struct device_thumbprint *thumbprint, const char *name, struct reply *reply);

enum status device_credential_wanted(const struct request *request, struct device_credential *out, struct problem *why)
{
    memset(out, 0, sizeof *out);
    enum status status = kind_wanted(request, &out->kind, why);
    if (!status)
        status = strangers_refuse(request, out->kind, why);
    if (status)
        return status;
    switch (out->kind) {
    case DEVICE_CREDENTIAL_SAS:
        status = device_key_wanted(request, "primary_key", &out->keys.primary, why);
        return status ? status : device_key_wanted(request, "secondary_key", &out->keys.secondary, why);
    case DEVICE_CREDENTIAL_THUMBPRINT:
        status = thumbprint_wanted(request, "primary_thumbprint", &out->primary, why);
        if (!status)
            status = thumbprint_wanted(request, "secondary_thumbprint", &out->secondary, why);
        if (!status && !out->primary.count)
            status = problem_set(why, STATUS_REJECT, "\"primary_thumbprint\" is missing: the SHA-1 or SHA-256 of the "
                                                     "device's certificate in DER, as hex");
        return status;
    case DEVICE_CREDENTIAL_AUTHORITY:
        return STATUS_OK;
    }
    return STATUS_OK;
}

enum status device_credential_put(const struct query *query, const struct request *request, const char *const identity[3],
                                  const struct device_credential *credential, struct problem *why)
{
    static const char put[] =
        "INSERT INTO picket.credential (workspace_id, device_id, module_id, kind, sealed_primary, sealed_secondary,"
        " thumbprint_primary, thumbprint_secondary)"
        " VALUES ($1::int, $2, $3, $4, $5::bytea, $6::bytea, $7::bytea, $8::bytea)"
        " ON CONFLICT (workspace_id, device_id, module_id) DO UPDATE SET kind = excluded.kind,"
        " sealed_primary = excluded.sealed_primary, sealed_secondary = excluded.sealed_secondary,"
        " thumbprint_primary = excluded.thumbprint_primary, thumbprint_secondary = excluded.thumbprint_secondary,"
        " changed_at = now()";
    bool sas = credential->kind == DEVICE_CREDENTIAL_SAS;
    const char *const parameters[] = {identity[0],
                                      identity[1],
                                      identity[2],
                                      kind_names[credential->kind],
                                      sas ? device_key_seal(query, request, &credential->keys.primary) : NULL,
                                      sas ? device_key_seal(query, request, &credential->keys.secondary) : NULL,
                                      device_thumbprint_bytea(request, &credential->primary),
                                      device_thumbprint_bytea(request, &credential->secondary)};

    return request_query(request, put, parameters, 8, NULL, why);
}

enum status device_credential_get(const struct query *query, const struct request *request, const struct device_path *path,
                                  struct device_credential *out, struct problem *why)
{
    static const char get[] = "SELECT kind, sealed_primary, sealed_secondary, thumbprint_primary, thumbprint_secondary"
                              " FROM picket.credential WHERE workspace_id = $1::int AND device_id = $2 AND module_id = $3"
                              " FOR UPDATE";
    const char *const parameters[] = {path->workspace, path->device, path->module};
    struct db_rows *rows = NULL;

    enum status status = request_query(request, get, parameters, 3, &rows, why);
    if (!status && db_rows_count(rows) == 0)
        status = problem_set(why, STATUS_REJECT, "the device %.300s has no credential", path->name);
    if (!status)
        status = device_credential_read(query, request, rows, 0, 0, out, why);
    db_rows_free(rows);
    return status;
}

enum status device_credential_read(const struct query *query, const struct request *request, const struct db_rows *rows,
                                   size_t row, int column, struct device_credential *out, struct problem *why)
{
    memset(out, 0, sizeof *out);
    for (size_t kind = 0; kind < sizeof kind_names / sizeof kind_names[0]; kind++)
        if (text_equal(db_text(rows, row, column), text_of(kind_names[kind])))
            out->kind = (enum device_credential_kind)kind;
    if (out->kind != DEVICE_CREDENTIAL_SAS) {
        thumbprint_read(request, rows, row, column + 3, &out->primary);
        thumbprint_read(request, rows, row, column + 4, &out->secondary);
        return STATUS_OK;
    }
    enum status status = device_key_open(query, db_bytea(rows, row, column + 1, request->arena), &out->keys.primary, why);
    return status ? status : device_key_open(query, db_bytea(rows, row, column + 2, request->arena), &out->keys.secondary, why);
}

const char *device_credential_name(const struct device_credential *credential)
{
    return kind_names[credential->kind];
}

void device_credential_write(const struct device_credential *credential, struct reply *reply)
{
    if (credential->kind != DEVICE_CREDENTIAL_SAS)
        reply_string(reply, "authentication", kind_names[credential->kind]);
    switch (credential->kind) {
    case DEVICE_CREDENTIAL_SAS:
        reply_string(reply, "primary_key", credential->keys.primary.text);
        reply_string(reply, "secondary_key", credential->keys.secondary.text);
        break;
    case DEVICE_CREDENTIAL_THUMBPRINT:
        thumbprint_write(&credential->primary, "primary_thumbprint", reply);
        thumbprint_write(&credential->secondary, "secondary_thumbprint", reply);
        break;
    case DEVICE_CREDENTIAL_AUTHORITY:
        break;
    }
}

enum status device_credential_show(const struct request *request, const struct device_path *path, struct reply *reply,
                                   struct problem *why)
{
    static const char find[] = "SELECT kind, upper(encode(thumbprint_primary, 'hex')), upper(encode(thumbprint_secondary, 'hex'))"
                               " FROM picket.credential WHERE workspace_id = $1::int AND device_id = $2 AND module_id = $3";
    const char *const parameters[] = {path->workspace, path->device, path->module};
    struct db_rows *rows = NULL;

    enum status status = request_query(request, find, parameters, 3, &rows, why);
    if (status)
        return status;
    if (!db_rows_count(rows)) {
        reply_null(reply, "authentication");
    } else {
        reply_column_text(reply, "authentication", rows, 0, 0);
        if (!db_is_null(rows, 0, 1)) {
            reply_column_text(reply, "primary_thumbprint", rows, 0, 1);
            reply_column_text(reply, "secondary_thumbprint", rows, 0, 2);
        }
    }
    db_rows_free(rows);
    return STATUS_OK;
}

static enum status kind_wanted(const struct request *request, enum device_credential_kind *out, struct problem *why)
{
    const char *name = NULL;

    enum status status = request_string(request, "authentication", &name, why);
    if (status || !name)
        return status;
    for (size_t kind = 0; kind < sizeof kind_names / sizeof kind_names[0]; kind++) {
        if (strcmp(name, kind_names[kind]) != 0)
            continue;
        *out = (enum device_credential_kind)kind;
        return STATUS_OK;
    }
    return problem_set(why, STATUS_REJECT, "\"authentication\" has to be sas, thumbprint or authority");
}

/* A key given to a device that shows a certificate would be taken for one that counts. */
static enum status strangers_refuse(const struct request *request, enum device_credential_kind kind, struct problem *why)
{
    static const struct {
        const char *member;
        enum device_credential_kind kind;
    } owners[] = {
        {"primary_key", DEVICE_CREDENTIAL_SAS},
        {"secondary_key", DEVICE_CREDENTIAL_SAS},
        {"primary_thumbprint", DEVICE_CREDENTIAL_THUMBPRINT},
        {"secondary_thumbprint", DEVICE_CREDENTIAL_THUMBPRINT},
    };

    for (size_t i = 0; i < sizeof owners / sizeof owners[0]; i++) {
        const json_t *value = json_object_get(request->body, owners[i].member);
        if (value && !json_is_null(value) && owners[i].kind != kind)
            return problem_set(why, STATUS_REJECT, "\"%s\" goes with \"authentication\" %s, not %s", owners[i].member,
                               kind_names[owners[i].kind], kind_names[kind]);
    }
    return STATUS_OK;
}

static enum status thumbprint_wanted(const struct request *request, const char *member, struct device_thumbprint *out,
                                     struct problem *why)
{
    const char *text = NULL;

    enum status status = request_string(request, member, &text, why);
    if (!status && text && !x509_thumbprint_read(text_of(text), out->bytes, &out->count))
        status = problem_set(why, STATUS_REJECT, "\"%s\" has to be the SHA-1 or SHA-256 of a certificate: 40 or 64 hex digits",
                             member);
    return status;
}

const char *device_thumbprint_bytea(const struct request *request, const struct device_thumbprint *thumbprint)
{
    char hex[HEX_SIZE];

    if (!thumbprint->count)
        return NULL;
    text_hex_encode(thumbprint->bytes, thumbprint->count, hex);
    return arena_format(request->arena, "\\x%s", hex);
}

static void thumbprint_read(const struct request *request, const struct db_rows *rows, size_t row, int column,
                            struct device_thumbprint *out)
{
    struct text bytes = db_bytea(rows, row, column, request->arena);

    if (bytes.count > sizeof out->bytes)
        return; /* the table allows no such */
    out->count = bytes.count;
    if (bytes.count)
        memcpy(out->bytes, bytes.bytes, bytes.count);
}

/* In capitals, as Azure shows them. */
static void thumbprint_write(const struct device_thumbprint *thumbprint, const char *name, struct reply *reply)
{
    char hex[HEX_SIZE];

    if (!thumbprint->count) {
        reply_null(reply, name);
        return;
    }
    text_hex_encode(thumbprint->bytes, thumbprint->count, hex);
    for (char *at = hex; *at; at++)
        if (*at >= 'a' && *at <= 'f')
            *at = (char)(*at - 'a' + 'A');
    reply_string(reply, name, hex);
}
