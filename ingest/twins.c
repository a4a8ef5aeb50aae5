#include "ingest/twins.h"

#include <stdio.h>

#include "wire/json_reader.h"

/* IoT Hub's rules for what a device reports. */
#define DEPTH_MAX 10
#define NAME_MAX_BYTES 1024
#define STRING_MAX_BYTES 4096

static enum status patch_check(struct text patch, struct problem *why);
static enum status name_check(const struct picket_json_token *name, struct problem *why);

enum status twin_read(struct db *db, const struct identity *identity, uint32_t timeout_ms, struct arena *arena,
                      struct text *out, int64_t *desired_version, struct problem *why)
{
    static const char read[] =
        "SELECT desired, version, reported, reported_version FROM picket.twin_read($1::int, $2, $3)";
    char workspace[16];
    struct db_rows *rows = NULL;

    snprintf(workspace, sizeof workspace, "%u", (unsigned)identity->workspace);
    const char *const parameters[] = {workspace, arena_string(arena, identity->device), arena_string(arena, identity->module)};
    enum status status = db_query(db, read, parameters, 3, timeout_ms, &rows, why);
    if (status)
        return status;
    if (!db_rows_count(rows)) {
        db_rows_free(rows);
        return problem_set(why, STATUS_REJECT, "no such identity is enrolled");
    }
    struct text desired = db_text(rows, 0, 0), reported = db_text(rows, 0, 2);
    *desired_version = db_i64(rows, 0, 1);
    /* Both are objects as PostgreSQL prints them, so the version goes in front of the closing brace. */
    const char *json = arena_format(
        arena, "{\"desired\":%.*s%s\"$version\":%lld},\"reported\":%.*s%s\"$version\":%lld}}", (int)desired.count - 1,
        desired.bytes, desired.count > 2 ? "," : "", (long long)*desired_version, (int)reported.count - 1, reported.bytes,
        reported.count > 2 ? "," : "", (long long)db_i64(rows, 0, 3));
    *out = text_of(json);
    db_rows_free(rows);
    return STATUS_OK;
}

enum status twin_report(struct db *db, const struct identity *identity, struct text patch, uint32_t timeout_ms,
                        int64_t *version, struct problem *why)
{
    static const char report[] = "SELECT picket.twin_report($1::int, $2, $3, $4::jsonb, $5::int)";
    char workspace[16], most[16];
    struct db_rows *rows = NULL;
    struct arena arena;

    enum status status = patch_check(patch, why);
    if (status)
        return status;
    arena_init(&arena);
    snprintf(workspace, sizeof workspace, "%u", (unsigned)identity->workspace);
    snprintf(most, sizeof most, "%d", TWIN_SECTION_MAX);
    const char *const parameters[] = {workspace, arena_string(&arena, identity->device),
                                      arena_string(&arena, identity->module), arena_string(&arena, patch), most};
    status = db_query(db, report, parameters, 5, timeout_ms, &rows, why);
    if (!status && db_is_null(rows, 0, 0))
        status = problem_set(why, STATUS_REJECT, "no such identity is enrolled");
    else if (!status && db_i64(rows, 0, 0) == 0)
        status = problem_set(why, STATUS_REJECT, "the reported properties would be longer than %d bytes", TWIN_SECTION_MAX);
    else if (!status)
        *version = db_i64(rows, 0, 0);
    db_rows_free(rows);
    arena_done(&arena);
    return status;
}

static enum status patch_check(struct text patch, struct problem *why)
{
    struct picket_json_reader reader;
    struct picket_json_token token;
    unsigned line, column;

    if (patch.count > TWIN_SECTION_MAX)
        return problem_set(why, STATUS_REJECT, "the patch is longer than %d bytes", TWIN_SECTION_MAX);
    picket_json_init(&reader, patch.bytes, patch.count, DEPTH_MAX);
    enum picket_json_kind kind = picket_json_next(&reader, &token);
    if (kind != PICKET_JSON_OBJECT_OPEN && kind != PICKET_JSON_ERROR)
        return problem_set(why, STATUS_REJECT, "the patch is no JSON object");
    for (; kind != PICKET_JSON_END; kind = picket_json_next(&reader, &token)) {
        if (kind == PICKET_JSON_ERROR) {
            picket_json_position(&reader, reader.error_at, &line, &column);
            return problem_set(why, STATUS_REJECT, "%s (line %u, column %u)", reader.error, line, column);
        }
        if (kind == PICKET_JSON_NAME && name_check(&token, why))
            return STATUS_REJECT;
        if (kind == PICKET_JSON_STRING && token.count > STRING_MAX_BYTES)
            return problem_set(why, STATUS_REJECT, "a value is longer than %d bytes", STRING_MAX_BYTES);
        if (kind == PICKET_JSON_STRING && token.flags & (PICKET_JSON_NUL | PICKET_JSON_LONE_SURROGATE))
            return problem_set(why, STATUS_REJECT, "a value holds \\u0000 or half a surrogate pair");
    }
    return STATUS_OK;
}

static enum status name_check(const struct picket_json_token *name, struct problem *why)
{
    char plain[NAME_MAX_BYTES];

    if (name->count > sizeof plain)
        return problem_set(why, STATUS_REJECT, "a name is longer than %d bytes", NAME_MAX_BYTES);
    if (name->flags & (PICKET_JSON_NUL | PICKET_JSON_LONE_SURROGATE))
        return problem_set(why, STATUS_REJECT, "a name holds \\u0000 or half a surrogate pair");
    size_t count = picket_json_unescape(name, plain);
    for (size_t i = 0; i < count; i++)
        if ((unsigned char)plain[i] <= ' ' || plain[i] == '.' || plain[i] == '$' || plain[i] == 0x7f)
            return problem_set(why, STATUS_REJECT, "the name \"%.*s\" has a blank, '.', '$' or control character in it",
                               (int)count, plain);
    if (!count)
        return problem_set(why, STATUS_REJECT, "a name is empty");
    return STATUS_OK;
}
