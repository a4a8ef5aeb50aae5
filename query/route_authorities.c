#include "query/routes.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/clock.h"
#include "runtime/secret.h"
#include "runtime/x509.h"

/* Authorities whose certificates let devices in. One counts only once somebody has shown that he has its key: by a
 * certificate of it for a name that we made up, as Azure's services have it. */
#define CODE_BYTES 20 /* as hex it fits a common name, which has 64 characters at most */
#define US_PER_S 1000000

/* Of every row that is shown; find() asks for two more. */
#define COLUMNS                                                                                                         \
    "SELECT a.workspace_id, a.name, w.name, a.status, a.subject, upper(encode(a.sha256, 'hex')),"                       \
    " (extract(epoch FROM a.not_before) * 1000000)::bigint, (extract(epoch FROM a.not_after) * 1000000)::bigint,"       \
    " a.verification_code, (extract(epoch FROM a.verified_at) * 1000000)::bigint,"                                      \
    " (extract(epoch FROM a.crl_this_update) * 1000000)::bigint, (extract(epoch FROM a.crl_next_update) * 1000000)::bigint," \
    " a.crl_count, (extract(epoch FROM a.created_at) * 1000000)::bigint"
#define TABLES " FROM picket.certificate_authority a JOIN picket.workspace w USING (workspace_id)"

enum {
    COLUMN_WORKSPACE_ID = 0,
    COLUMN_NAME = 1,
    COLUMN_STATUS = 3,
    COLUMN_CODE = 8,
    COLUMN_CRL_THIS_UPDATE = 10,
    COLUMN_CERTIFICATE = 14,
    COLUMN_VERIFIED = 15, /* ever */
};

static enum status find(const struct request *request, struct reply *reply, struct db_rows **out, struct problem *why);
static void row_write(const struct db_rows *rows, struct reply *reply);
static void members_write(const struct db_rows *rows, size_t row, struct reply *reply);
static enum status pem_wanted(const struct request *request, const char *member, const char **out, struct problem *why);
static enum status certificate_wanted(const struct request *request, struct x509_chain **out, struct problem *why);
static enum status authority_take(const struct request *request, const struct db_rows *rows, struct x509_authority **out,
                                  struct problem *why);
static enum status possession_check(const struct x509_chain *chain, const struct x509_authority *authority, struct text code,
                                    struct problem *why);
static enum status insert(const struct request *request, const char *name, int64_t workspace, const struct x509_chain *chain,
                          struct reply *reply, struct problem *why);
static enum status change(const struct request *request, const char *statement, const struct db_rows *found,
                          const char *action, struct reply *reply, struct problem *why);
static enum status taken(const struct request *request, enum status status, struct reply *reply, struct problem *why);
static enum status shown_again(const struct request *request, enum status status, struct reply *reply, struct problem *why);
static const char *hex_of(const struct request *request, const char *before, const uint8_t *bytes, size_t count);

ROUTE_HANDLER(authorities_list)
{
    static const char list[] = COLUMNS TABLES
        " WHERE a.workspace_id = ANY($1::int[]) AND ($2::int IS NULL OR (a.workspace_id, a.name) > ($2::int, $3::text))"
        " ORDER BY a.workspace_id, a.name LIMIT $4::int + 1";
    struct db_rows *rows = NULL;
    struct page page;

    (void)query;
    enum status status = request_page(request, "authorities", 2, &page, why);
    if (status)
        return status;
    const char *const parameters[] = {request->scope, page.fields[0], page.fields[1], request_decimal(request, page.limit)};
    status = request_query(request, list, parameters, 4, &rows, why);
    if (status)
        return status;
    reply_open_object(reply, NULL);
    reply_open_array(reply, "authorities");
    for (size_t i = 0; i < request_page_rows(&page, rows); i++) {
        reply_open_object(reply, NULL);
        members_write(rows, i, reply);
        reply_close_object(reply);
    }
    request_page_end(request, reply, "authorities", &page, rows, (const int[]){COLUMN_WORKSPACE_ID, COLUMN_NAME}, 2);
    db_rows_free(rows);
    return STATUS_OK;
}

ROUTE_HANDLER(authorities_show)
{
    struct db_rows *rows = NULL;

    (void)query;
    enum status status = find(request, reply, &rows, why);
    if (!status)
        row_write(rows, reply);
    db_rows_free(rows);
    return status;
}

ROUTE_HANDLER(authorities_create)
{
    static const char *const members[] = {"name", "workspace", "certificate", NULL};
    struct x509_authority *authority = NULL;
    struct x509_chain *chain = NULL;
    const char *name = NULL, *workspace_name;
    int64_t workspace = 0;

    (void)query;
    enum status status = request_members(request, members, why);
    if (!status)
        status = request_string(request, "name", &name, why);
    if (!status && !name)
        status = problem_set(why, STATUS_REJECT, "\"name\" is missing: the name that the authority shall have here");
    if (!status)
        status = request_workspace(request, &workspace, &workspace_name, why);
    if (!status) {
        reply_tries(reply, workspace, "authority.create", arena_format(request->arena, "%.128s", name));
        status = certificate_wanted(request, &chain, why);
    }
    if (!status)
        status = x509_authority_new(x509_chain_leaf(chain, request->arena), TEXT_NONE, &authority, why);
    if (!status)
        status = x509_chain_in_time(chain, clock_utc_us() / US_PER_S, why);
    if (!status)
        status = insert(request, name, workspace, chain, reply, why);
    if (!status)
        status = request_audit(request, workspace, "authority.create", name, NULL, why);
    x509_authority_free(authority);
    x509_chain_free(chain);
    return status;
}

ROUTE_HANDLER(authorities_prove)
{
    static const char verified[] = "UPDATE picket.certificate_authority SET status = 'verified', verified_at = now()"
                                   " WHERE workspace_id = $1::int AND name = $2";
    static const char *const members[] = {"certificate", NULL};
    struct x509_authority *authority = NULL;
    struct x509_chain *chain = NULL;
    struct db_rows *rows = NULL;

    (void)query;
    enum status status = request_members(request, members, why);
    if (!status)
        status = certificate_wanted(request, &chain, why);
    if (!status)
        status = find(request, reply, &rows, why);
    if (!status && db_bool(rows, 0, COLUMN_VERIFIED))
        status = reply_refuse(reply, why, 409, "Verified", "The authority is verified already.");
    if (!status)
        status = authority_take(request, rows, &authority, why);
    if (!status)
        status = possession_check(chain, authority, db_text(rows, 0, COLUMN_CODE), why);
    if (!status)
        status = change(request, verified, rows, "authority.verify", reply, why);
    x509_authority_free(authority);
    x509_chain_free(chain);
    db_rows_free(rows);
    return status;
}

ROUTE_HANDLER(authorities_disable)
{
    static const char disable[] = "UPDATE picket.certificate_authority SET status = 'disabled'"
                                  " WHERE workspace_id = $1::int AND name = $2";
    struct db_rows *rows = NULL;

    (void)query;
    enum status status = find(request, reply, &rows, why);
    if (!status && !db_bool(rows, 0, COLUMN_VERIFIED))
        status = problem_set(why, STATUS_REJECT, "the authority was never verified, so it lets nobody in");
    if (!status)
        status = change(request, disable, rows, "authority.disable", reply, why);
    db_rows_free(rows);
    return status;
}

ROUTE_HANDLER(authorities_enable)
{
    static const char enable[] = "UPDATE picket.certificate_authority SET status = 'verified'"
                                 " WHERE workspace_id = $1::int AND name = $2";
    struct db_rows *rows = NULL;

    (void)query;
    enum status status = find(request, reply, &rows, why);
    if (!status && !db_bool(rows, 0, COLUMN_VERIFIED))
        status = problem_set(why, STATUS_REJECT, "the authority was never verified: show first that you have its key");
    if (!status)
        status = change(request, enable, rows, "authority.enable", reply, why);
    db_rows_free(rows);
    return status;
}

/* `parameters`: workspace and name. */
static enum status unused_check(const struct request *request, const char *const parameters[2], struct reply *reply,
                                struct problem *why)
{
    static const char find_group[] = "SELECT name FROM picket.enrollment_group WHERE workspace_id = $1::int AND authority = $2"
                                     " ORDER BY name LIMIT 1";
    struct db_rows *rows = NULL;

    enum status status = request_query(request, find_group, parameters, 2, &rows, why);
    if (!status && db_rows_count(rows))
        status = reply_refuse(reply, why, 409, "InUse",
                              "The group %.*s enrols devices on its word: delete that first, or disable the authority.",
                              TEXT_ARGS(db_text(rows, 0, 0)));
    db_rows_free(rows);
    return status;
}

/* Devices that it let in stay enrolled, and get in again when it comes back. */
ROUTE_HANDLER(authorities_delete)
{
    static const char forget[] = "DELETE FROM picket.certificate_authority WHERE workspace_id = $1::int AND name = $2";
    const char *name = request_parameter(request, "name");
    struct db_rows *rows = NULL;

    (void)query;
    enum status status = find(request, reply, &rows, why);
    if (!status) {
        int64_t workspace = db_i64(rows, 0, COLUMN_WORKSPACE_ID);
        const char *const parameters[] = {request_decimal(request, workspace), name};
        reply_tries(reply, workspace, "authority.delete", name);
        status = unused_check(request, parameters, reply, why);
        if (!status)
            status = request_query(request, forget, parameters, 2, NULL, why);
        if (!status)
            status = request_audit(request, workspace, "authority.delete", name, NULL, why);
    }
    if (!status)
        reply_code(reply, 204);
    db_rows_free(rows);
    return status;
}

/* An older list than the one in force would let in again what was revoked since. */
ROUTE_HANDLER(authorities_revoke)
{
    static const char put[] =
        "UPDATE picket.certificate_authority SET crl = $3::bytea, crl_this_update = to_timestamp($4::bigint),"
        " crl_next_update = to_timestamp(nullif($5::bigint, 0)), crl_count = $6::int WHERE workspace_id = $1::int AND name = $2";
    static const char *const members[] = {"crl", NULL};
    const char *name = request_parameter(request, "name"), *pem = NULL;
    struct x509_authority *authority = NULL;
    struct x509_revocations list = {.count = 0};
    struct db_rows *rows = NULL;

    (void)query;
    enum status status = request_members(request, members, why);
    if (!status)
        status = pem_wanted(request, "crl", &pem, why);
    if (!status)
        status = find(request, reply, &rows, why);
    if (!status)
        status = authority_take(request, rows, &authority, why);
    if (!status)
        status = x509_revocations_read(text_of(pem), authority, request->arena, &list, why);
    if (!status && list.this_update_s < db_i64(rows, 0, COLUMN_CRL_THIS_UPDATE) / US_PER_S)
        status = reply_refuse(reply, why, 409, "Older", "The list is older than the one in force.");
    if (!status) {
        int64_t workspace = db_i64(rows, 0, COLUMN_WORKSPACE_ID), count = (int64_t)list.count;
        const char *const parameters[] = {request_decimal(request, workspace), name,
                                          hex_of(request, "\\x", (const uint8_t *)list.der.bytes, list.der.count),
                                          request_decimal(request, list.this_update_s),
                                          request_decimal(request, list.next_update_s), request_decimal(request, count)};
        status = request_query(request, put, parameters, 6, NULL, why);
        if (!status)
            status = request_audit(request, workspace, "authority.crl", name, json_pack("{s:I}", "revoked", count), why);
        status = shown_again(request, status, reply, why);
    }
    x509_authority_free(authority);
    db_rows_free(rows);
    return status;
}

static enum status find(const struct request *request, struct reply *reply, struct db_rows **out, struct problem *why)
{
    static const char one[] = COLUMNS ", a.certificate, a.verified_at IS NOT NULL" TABLES
                                      " WHERE a.workspace_id = ANY($1::int[]) AND a.name = $2 ORDER BY 1 LIMIT 2";
    const char *name = request_parameter(request, "name");
    const char *const parameters[] = {request->scope, name};

    enum status status = request_query(request, one, parameters, 2, out, why);
    if (!status && !db_rows_count(*out))
        return reply_refuse(reply, why, 404, "NotFound", "There is no authority %.128s.", name);
    if (!status && db_rows_count(*out) > 1)
        return problem_set(why, STATUS_REJECT, "several workspaces have the authority %.128s: name one with workspace", name);
    return status;
}

static void row_write(const struct db_rows *rows, struct reply *reply)
{
    reply_open_object(reply, NULL);
    members_write(rows, 0, reply);
    reply_close_object(reply);
}

static void members_write(const struct db_rows *rows, size_t row, struct reply *reply)
{
    reply_column_text(reply, "name", rows, row, COLUMN_NAME);
    reply_column_text(reply, "workspace", rows, row, 2);
    reply_column_text(reply, "status", rows, row, COLUMN_STATUS);
    reply_column_text(reply, "subject", rows, row, 4);
    reply_column_text(reply, "sha256", rows, row, 5);
    reply_column_time(reply, "not_before", rows, row, 6);
    reply_column_time(reply, "not_after", rows, row, 7);
    reply_column_text(reply, "verification_code", rows, row, COLUMN_CODE);
    reply_column_time(reply, "verified_at", rows, row, 9);
    reply_column_time(reply, "crl_this_update", rows, row, COLUMN_CRL_THIS_UPDATE);
    reply_column_time(reply, "crl_next_update", rows, row, 11);
    reply_column_number(reply, "crl_count", rows, row, 12);
    reply_column_time(reply, "created_at", rows, row, 13);
}

static enum status pem_wanted(const struct request *request, const char *member, const char **out, struct problem *why)
{
    enum status status = request_string(request, member, out, why);

    if (!status && !*out)
        status = problem_set(why, STATUS_REJECT, "\"%s\" is missing: its text in PEM", member);
    return status;
}

static enum status certificate_wanted(const struct request *request, struct x509_chain **out, struct problem *why)
{
    const char *pem = NULL;

    enum status status = pem_wanted(request, "certificate", &pem, why);
    if (!status)
        status = x509_chain_read_pem(text_of(pem), out, why);
    if (!status && x509_chain_count(*out) != 1)
        status = problem_set(why, STATUS_REJECT, "\"certificate\" has %zu certificates, where one is wanted",
                             x509_chain_count(*out));
    return status;
}

/* The one of a row that find() gave. */
static enum status authority_take(const struct request *request, const struct db_rows *rows, struct x509_authority **out,
                                  struct problem *why)
{
    enum status status = x509_authority_new(db_bytea(rows, 0, COLUMN_CERTIFICATE, request->arena), TEXT_NONE, out, why);

    return status ? problem_set(why, STATUS_FAULT, "the stored certificate of an authority is none") : STATUS_OK;
}

static enum status possession_check(const struct x509_chain *chain, const struct x509_authority *authority, struct text code,
                                    struct problem *why)
{
    struct x509_facts facts;
    struct x509_path path;

    x509_chain_facts(chain, &facts);
    if (!text_equal_nocase(text_of(facts.common_name), code))
        return problem_set(why, STATUS_REJECT, "the certificate is for %.100s, where its common name has to be the "
                                               "verification code %.*s",
                           facts.subject, TEXT_ARGS(code));
    return x509_verify(chain, authority, clock_utc_us() / US_PER_S, &path, why);
}

static enum status insert(const struct request *request, const char *name, int64_t workspace, const struct x509_chain *chain,
                          struct reply *reply, struct problem *why)
{
    static const char put[] =
        "WITH a AS (INSERT INTO picket.certificate_authority (workspace_id, name, certificate, sha256, subject, not_before,"
        " not_after, verification_code) VALUES ($1::int, $2, $3::bytea, $4::bytea, $5, to_timestamp($6::bigint),"
        " to_timestamp($7::bigint), $8) ON CONFLICT DO NOTHING RETURNING *) " COLUMNS
        " FROM a JOIN picket.workspace w USING (workspace_id)";
    struct x509_facts facts;
    uint8_t code[CODE_BYTES];
    struct db_rows *rows = NULL;

    x509_chain_facts(chain, &facts);
    secret_random(code, sizeof code);
    struct text der = x509_chain_leaf(chain, request->arena);
    const char *const parameters[] = {request_decimal(request, workspace),
                                      name,
                                      hex_of(request, "\\x", (const uint8_t *)der.bytes, der.count),
                                      hex_of(request, "\\x", facts.sha256, sizeof facts.sha256),
                                      facts.subject,
                                      request_decimal(request, facts.not_before_s),
                                      request_decimal(request, facts.not_after_s),
                                      hex_of(request, "", code, sizeof code)};
    enum status status = request_query(request, put, parameters, 8, &rows, why);
    if (status == STATUS_REJECT && strcmp(db_sqlstate(request->db), "23514") == 0)
        status = problem_set(why, STATUS_REJECT, "\"name\" has 1 to 128 letters, digits and, but not first, . _ : -");
    if (!status && !db_rows_count(rows))
        status = reply_refuse(reply, why, 409, "Exists", "There is an authority %.128s already.", name);
    if (!status) {
        reply_code(reply, 201);
        row_write(rows, reply);
    }
    db_rows_free(rows);
    return status;
}

/* Of one row, which is then shown as it became. */
static enum status change(const struct request *request, const char *statement, const struct db_rows *found,
                          const char *action, struct reply *reply, struct problem *why)
{
    const char *name = request_parameter(request, "name");
    int64_t workspace = db_i64(found, 0, COLUMN_WORKSPACE_ID);
    const char *const parameters[] = {request_decimal(request, workspace), name};

    enum status status = taken(request, request_query(request, statement, parameters, 2, NULL, why), reply, why);
    if (!status)
        status = request_audit(request, workspace, action, name, NULL, why);
    return shown_again(request, status, reply, why);
}

/* Another workspace may have the same certificate, seen or unseen. */
static enum status taken(const struct request *request, enum status status, struct reply *reply, struct problem *why)
{
    if (status == STATUS_REJECT && strcmp(db_sqlstate(request->db), "23505") == 0)
        return reply_refuse(reply, why, 409, "Exists", "This authority's certificate leads to a workspace already.");
    return status;
}

static enum status shown_again(const struct request *request, enum status status, struct reply *reply, struct problem *why)
{
    struct db_rows *rows = NULL;

    if (!status)
        status = find(request, reply, &rows, why);
    if (!status)
        row_write(rows, reply);
    db_rows_free(rows);
    return status;
}

static const char *hex_of(const struct request *request, const char *before, const uint8_t *bytes, size_t count)
{
    size_t before_count = strlen(before);
    char *text = arena_alloc(request->arena, 1, before_count + 2 * count + 1);

    memcpy(text, before, before_count);
    text_hex_encode(bytes, count, text + before_count);
    return text;
}
