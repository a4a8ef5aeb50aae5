#include "query/routes.h"

#include "detect/engine.h"
#include "detect/sigma_parse.h"

#define LIST "rules"
#define RULES_OF_REQUEST_MAX 500
#define RULES_OF_WORKSPACE_MAX 5000
#define ID_BYTES_MAX 200

/* The built-in rules as three arrays for a statement, which then joins what the workspace said of them. */
struct catalogue {
    struct buf ids, titles, severities;
};

static void catalogue_make(struct catalogue *out)
{
    struct buf *const all[] = {&out->ids, &out->titles, &out->severities};

    for (size_t i = 0; i < 3; i++) {
        buf_init(all[i], 1 << 20);
        db_array_open(all[i]);
    }
    for (size_t i = 0; i < builtin_rules_count; i++) {
        db_array_text(&out->ids, text_of(builtin_rules[i]->id));
        db_array_text(&out->titles, text_of(builtin_rules[i]->title));
        db_array_text(&out->severities, text_of(builtin_rules[i]->severity));
    }
    for (size_t i = 0; i < 3; i++)
        db_array_close(all[i]);
}

static void catalogue_done(struct catalogue *catalogue)
{
    buf_done(&catalogue->ids);
    buf_done(&catalogue->titles);
    buf_done(&catalogue->severities);
}

/* $1 scope, $2..$4 the catalogue, $5 and $6 where the page begins, $7 how many, $8 one rule alone. */
static const char select_rules[] =
    "SELECT r.workspace_id, w.name, r.rule_id, r.kind, r.enabled, r.title, r.severity, (extract(epoch FROM r.changed_at) * 1000000)::bigint, r.source,"
    " (SELECT count(*) FROM picket.alert a WHERE a.workspace_id = r.workspace_id AND a.rule_id = r.rule_id AND a.status <> 'closed')"
    " FROM (SELECT s.workspace_id, b.rule_id, 'builtin' AS kind, coalesce(o.enabled, true) AS enabled, b.title, b.severity, o.changed_at, NULL::text AS source"
    "  FROM unnest($1::int[]) s (workspace_id) CROSS JOIN unnest($2::text[], $3::text[], $4::text[]) b (rule_id, title, severity)"
    "  LEFT JOIN picket.rule o ON o.workspace_id = s.workspace_id AND o.rule_id = b.rule_id AND o.kind = 'builtin'"
    "  UNION ALL SELECT workspace_id, rule_id, kind, enabled, title, severity, changed_at, source FROM picket.rule"
    "  WHERE workspace_id = ANY($1::int[]) AND kind <> 'builtin') r JOIN picket.workspace w USING (workspace_id)"
    " WHERE ($5::int IS NULL OR (r.workspace_id, r.rule_id COLLATE \"C\") > ($5::int, $6::text)) AND ($8::text IS NULL OR r.rule_id = $8)"
    " ORDER BY r.workspace_id, r.rule_id COLLATE \"C\" LIMIT $7::int + 1";

static enum status rules_select(const struct request *request, const char *after_workspace, const char *after_rule, int64_t limit, const char *one, struct db_rows **out,
                                struct problem *why)
{
    struct catalogue catalogue;

    catalogue_make(&catalogue);
    const char *const parameters[] = {request->scope, catalogue.ids.bytes, catalogue.titles.bytes, catalogue.severities.bytes, after_workspace, after_rule,
                                      request_decimal(request, limit), one};
    enum status status = request_query(request, select_rules, parameters, 8, out, why);
    catalogue_done(&catalogue);
    return status;
}

static void rule_head(const struct db_rows *rows, size_t i, struct reply *reply)
{
    reply_column_text(reply, "id", rows, i, 2);
    reply_column_text(reply, "workspace", rows, i, 1);
    reply_column_text(reply, "kind", rows, i, 3);
    reply_flag(reply, "enabled", db_bool(rows, i, 4));
    reply_column_text(reply, "severity", rows, i, 6);
    reply_column_text(reply, "title", rows, i, 5);
    reply_column_number(reply, "alerts_open", rows, i, 9);
    reply_column_time(reply, "changed_at", rows, i, 7);
}

ROUTE_HANDLER(rules_list)
{
    struct db_rows *rows = NULL;
    struct page page;

    (void)query;
    enum status status = request_page(request, LIST, 2, &page, why);
    if (!status)
        status = rules_select(request, page.fields[0], page.fields[1], page.limit, NULL, &rows, why);
    if (status)
        return status;
    request_page_write(request, reply, LIST, &page, rows, rule_head, (const int[]){0, 2}, 2);
    db_rows_free(rows);
    return STATUS_OK;
}

/* ---- one rule ---- */

static void builtin_explain(const struct rule *rule, struct reply *reply)
{
    reply_string(reply, "description", rule->fires);
    reply_string(reply, "spares", rule->spares);
    reply_string(reply, "needs", rule->needs);
    reply_string(reply, "tuning", rule->tuning);
    reply_string(reply, "tactics", rule->tactics);
    reply_string(reply, "techniques", rule->techniques);
    reply_open_array(reply, "remediation");
    for (size_t i = 0; rule->remediation[i]; i++)
        reply_string(reply, NULL, rule->remediation[i]);
    reply_close_array(reply);
    reply_open_array(reply, "samples");
    for (size_t i = 0; i < rule->sample_count; i++) {
        reply_open_object(reply, NULL);
        reply_flag(reply, "fires", rule->samples[i].fires);
        reply_string(reply, "events", rule->samples[i].events);
        reply_close_object(reply);
    }
    reply_close_array(reply);
}

/* What reading a source gave. */
struct understood {
    const struct request *request;
    const struct sigma_rule *rules[RULES_OF_REQUEST_MAX];
    size_t count;
    struct problem refused; /* the first refusal */
    bool is_refused;
};

static void rule_take(void *context, const struct sigma_rule *rule, struct text id, const char *reason)
{
    struct understood *understood = context;

    if (rule && understood->count < RULES_OF_REQUEST_MAX) {
        understood->rules[understood->count++] = rule;
        return;
    }
    if (rule)
        sigma_rule_done(rule);
    if (!understood->is_refused)
        problem_set(&understood->refused, STATUS_REJECT, "rule %.*s: %s", TEXT_ARGS(id.bytes ? id : TEXT("without an id")),
                    rule ? "more than 500 in one request" : reason);
    understood->is_refused = true;
}

static enum status source_read(const struct request *request, struct text source, struct understood *out, struct problem *why)
{
    out->request = request;
    out->count = 0;
    out->is_refused = false;
    enum status status = sigma_parse(source, request->arena, rule_take, out, why);
    if (!status && out->is_refused) {
        *why = out->refused;
        status = STATUS_REJECT;
    }
    if (!status && !out->count)
        status = problem_set(why, STATUS_REJECT, "\"source\" holds no rule");
    return status;
}

static void understood_done(struct understood *understood)
{
    for (size_t i = 0; i < understood->count; i++)
        sigma_rule_done(understood->rules[i]);
}

/* What about the rule its owner should know. */
static void warnings_write(const struct request *request, const struct sigma_rule *rule, struct reply *reply)
{
    struct sigma_mapping *mapping = NULL;
    struct problem why;

    if (!sigma_mapping_read(sigma_mapping_builtin(), request->arena, &mapping, &why)) {
        const char *never = sigma_mapping_never(mapping, rule, request->arena);
        if (never)
            reply_string(reply, NULL, never);
    }
}

/* A correlation or filter of a rule that is nowhere never does anything. */
static enum status references_warn(const struct request *request, const char *workspace, const struct understood *understood, const struct sigma_rule *rule, struct reply *reply,
                                   struct problem *why)
{
    size_t count = rule->correlation ? rule->correlation->rule_count : rule->filtered_count;
    const struct text *references = rule->correlation ? rule->correlation->rules : rule->filtered;
    enum status status = STATUS_OK;

    for (size_t i = 0; !status && i < count; i++) {
        struct db_rows *rows = NULL;
        bool there = false;
        for (size_t k = 0; k < understood->count && !there; k++)
            there = understood->rules[k] != rule && (text_equal(understood->rules[k]->id, references[i]) || text_equal(understood->rules[k]->name, references[i]));
        const char *const parameters[] = {workspace, arena_string(request->arena, references[i])};
        if (!there)
            status = request_query(request, "SELECT 1 FROM picket.rule WHERE workspace_id = $1::int AND rule_id = $2 AND source IS NOT NULL", parameters, 2, &rows, why);
        if (!status && !there && !db_rows_count(rows))
            reply_string(reply, NULL, arena_format(request->arena, "it names the rule %s, which is not there by that id", parameters[1]));
        db_rows_free(rows);
    }
    return status;
}

static void clauses_write(const struct sigma_rule *rule, struct reply *reply)
{
    reply_open_array(reply, "clauses");
    for (size_t i = 0; i < rule->clause_count; i++)
        reply_text(reply, NULL, rule->clauses[i]->printed);
    reply_close_array(reply);
}

static void sigma_explain(const struct request *request, struct text source, struct reply *reply)
{
    struct understood understood;
    struct problem why;

    reply_text(reply, "source", source);
    if (source_read(request, source, &understood, &why)) {
        reply_string(reply, "refused", why.text);
    } else {
        const struct sigma_rule *rule = understood.rules[0];
        reply_text(reply, "description", rule->description);
        reply_text(reply, "author", rule->author);
        reply_text(reply, "tactics", rule->tactics);
        reply_text(reply, "techniques", rule->techniques);
        clauses_write(rule, reply);
        reply_open_array(reply, "warnings");
        warnings_write(request, rule, reply);
        reply_close_array(reply);
    }
    understood_done(&understood);
}

static enum status rule_find(const struct request *request, struct reply *reply, struct db_rows **rows, struct problem *why)
{
    const char *id = request_parameter(request, "id");
    enum status status = rules_select(request, NULL, NULL, 1, id, rows, why);

    if (!status && !db_rows_count(*rows))
        status = reply_refuse(reply, why, 404, "NotFound", "There is no rule %.200s.", id);
    if (!status && db_rows_count(*rows) > 1)
        status = problem_set(why, STATUS_REJECT, "several workspaces have that rule: say which with ?workspace=");
    return status;
}

ROUTE_HANDLER(rules_show)
{
    struct db_rows *rows = NULL;

    (void)query;
    enum status status = rule_find(request, reply, &rows, why);
    if (!status) {
        const struct rule *builtin = builtin_rule_find(db_text(rows, 0, 2));
        reply_open_object(reply, NULL);
        rule_head(rows, 0, reply);
        if (builtin)
            builtin_explain(builtin, reply);
        else
            sigma_explain(request, db_text(rows, 0, 8), reply);
        reply_close_object(reply);
    }
    db_rows_free(rows);
    return status;
}

/* ---- changes ---- */

static enum status sigma_put(const struct request *request, const char *workspace, const struct sigma_rule *rule, const char *source, bool *replaced, struct problem *why)
{
    static const char upsert[] =
        "INSERT INTO picket.rule AS r (workspace_id, rule_id, kind, title, severity, source) VALUES ($1::int, $2, 'sigma', $3, $4, $5)"
        " ON CONFLICT (workspace_id, rule_id) DO UPDATE SET title = excluded.title, severity = excluded.severity, source = excluded.source, enabled = true,"
        " changed_at = now() RETURNING xmax <> 0";
    struct text id = rule->id.bytes ? rule->id : rule->title;
    struct db_rows *rows = NULL;

    if (id.count > ID_BYTES_MAX || builtin_rule_find(id))
        return problem_set(why, STATUS_REJECT, "rule %.*s: an id is at most %d bytes, and none of a built-in rule", (int)(id.count < 64 ? id.count : 64), id.bytes, ID_BYTES_MAX);
    struct text severity = engine_severity(rule->level);
    const char *const parameters[] = {workspace, arena_string(request->arena, id), arena_string(request->arena, rule->title), arena_string(request->arena, severity), source};
    enum status status = request_query(request, upsert, parameters, 5, &rows, why);
    if (!status)
        *replaced = db_bool(rows, 0, 0);
    db_rows_free(rows);
    return status;
}

static enum status room_check(const struct request *request, const char *workspace, struct problem *why)
{
    struct db_rows *rows = NULL;
    const char *const parameters[] = {workspace};
    enum status status = request_query(request, "SELECT count(*) FROM picket.rule WHERE workspace_id = $1::int", parameters, 1, &rows, why);

    if (!status && db_i64(rows, 0, 0) > RULES_OF_WORKSPACE_MAX)
        status = problem_set(why, STATUS_REJECT, "a workspace has at most %d rules", RULES_OF_WORKSPACE_MAX);
    db_rows_free(rows);
    return status;
}

/* All documents of the source, or none. Each is kept by itself. */
ROUTE_HANDLER(rules_add)
{
    static const char *const members[] = {"source", "workspace", NULL};
    struct understood understood = {.count = 0};
    const char *source = NULL, *workspace_name;
    int64_t workspace;

    (void)query;
    enum status status = request_members(request, members, why);
    if (!status)
        status = request_string(request, "source", &source, why);
    if (!status && !source)
        status = problem_set(why, STATUS_REJECT, "\"source\" is missing: the text of a Sigma rule");
    if (!status)
        status = request_workspace(request, &workspace, &workspace_name, why);
    if (!status)
        status = source_read(request, text_of(source), &understood, why);
    const char *number = status ? NULL : request_decimal(request, workspace);
    reply_open_object(reply, NULL);
    reply_open_array(reply, LIST);
    for (size_t i = 0; !status && i < understood.count; i++) {
        const struct sigma_rule *rule = understood.rules[i];
        bool replaced = false;
        status = sigma_put(request, number, rule, arena_string(request->arena, rule->source), &replaced, why);
        if (!status)
            status = request_audit(request, workspace, replaced ? "rule.replace" : "rule.add", arena_string(request->arena, rule->id.bytes ? rule->id : rule->title), NULL, why);
        reply_open_object(reply, NULL);
        reply_text(reply, "id", rule->id.bytes ? rule->id : rule->title);
        reply_text(reply, "title", rule->title);
        reply_string(reply, "workspace", workspace_name);
        reply_string(reply, "status", replaced ? "replaced" : "added");
        reply_open_array(reply, "warnings");
        warnings_write(request, rule, reply);
        if (!status)
            status = references_warn(request, number, &understood, rule, reply, why);
        reply_close_array(reply);
        reply_close_object(reply);
    }
    reply_close_array(reply);
    reply_close_object(reply);
    if (!status)
        status = room_check(request, number, why);
    understood_done(&understood);
    return status;
}

static enum status rule_switch(const struct request *request, struct reply *reply, bool enabled, struct problem *why)
{
    static const char change[] =
        "INSERT INTO picket.rule AS r (workspace_id, rule_id, kind, enabled) VALUES ($1::int, $2, $3, $4::boolean)"
        " ON CONFLICT (workspace_id, rule_id) DO UPDATE SET enabled = excluded.enabled, changed_at = now()";
    struct db_rows *rows = NULL;

    enum status status = rule_find(request, reply, &rows, why);
    if (!status) {
        const char *const parameters[] = {db_text(rows, 0, 0).bytes, request_parameter(request, "id"), db_text(rows, 0, 3).bytes, enabled ? "true" : "false"};
        status = request_query(request, change, parameters, 4, NULL, why);
        if (!status)
            status = request_audit(request, db_i64(rows, 0, 0), enabled ? "rule.enable" : "rule.disable", parameters[1], NULL, why);
    }
    db_rows_free(rows);
    if (status)
        return status;
    reply_open_object(reply, NULL);
    reply_string(reply, "id", request_parameter(request, "id"));
    reply_flag(reply, "enabled", enabled);
    reply_close_object(reply);
    return STATUS_OK;
}

ROUTE_HANDLER(rules_disable)
{
    (void)query;
    return rule_switch(request, reply, false, why);
}

ROUTE_HANDLER(rules_enable)
{
    (void)query;
    return rule_switch(request, reply, true, why);
}

ROUTE_HANDLER(rules_remove)
{
    static const char removal[] = "DELETE FROM picket.rule WHERE workspace_id = $1::int AND rule_id = $2 AND kind <> 'builtin'";
    struct db_rows *rows = NULL;

    (void)query;
    enum status status = rule_find(request, reply, &rows, why);
    if (!status && builtin_rule_find(db_text(rows, 0, 2)))
        status = reply_refuse(reply, why, 409, "Conflict", "A built-in rule stays; it can be disabled.");
    if (!status) {
        const char *const parameters[] = {db_text(rows, 0, 0).bytes, request_parameter(request, "id")};
        status = request_query(request, removal, parameters, 2, NULL, why);
        if (!status)
            status = request_audit(request, db_i64(rows, 0, 0), "rule.remove", parameters[1], NULL, why);
    }
    db_rows_free(rows);
    return status;
}
