#include "store/ruleset.h"

#include <pthread.h>
#include <stdlib.h>

#include "detect/sigma_parse.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "store/threats.h"

/* A workspace that has rules or feeds of its own, or switched some off. */
struct workspace_rules {
    int workspace;
    struct engine *engine;
    bool *off;
    const struct sigma_rule **sigma;
    size_t sigma_count, sigma_room;
    struct threats *threats; /* NULL: it has no feeds */
};

struct ruleset_view {
    size_t held; /* by the ruleset itself too, while it is in force */
    struct arena arena; /* of rules and mapping */
    struct sigma_mapping *mapping;
    struct engine *usual;
    struct workspace_rules *workspaces; /* in the order of their numbers */
    size_t count;
};

struct ruleset {
    pthread_mutex_t lock, refreshing; /* the second is held while the first is not, and longer */
    struct ruleset_view *view; /* NULL: none was read yet */
    int64_t state;             /* of the table, as the view has it */
};

struct ruleset *ruleset_new(void)
{
    struct ruleset *ruleset = calloc(1, sizeof *ruleset);

    if (!ruleset)
        abort();
    pthread_mutex_init(&ruleset->lock, NULL);
    pthread_mutex_init(&ruleset->refreshing, NULL);
    return ruleset;
}

static void view_free(struct ruleset_view *view)
{
    if (!view)
        return;
    for (size_t i = 0; i < view->count; i++) {
        struct workspace_rules *of = &view->workspaces[i];
        engine_free(of->engine);
        threats_drop(of->threats);
        for (size_t k = 0; k < of->sigma_count; k++)
            sigma_rule_done(of->sigma[k]);
        free(of->sigma);
        free(of->off);
    }
    free(view->workspaces);
    engine_free(view->usual);
    arena_done(&view->arena);
    free(view);
}

void ruleset_free(struct ruleset *ruleset)
{
    if (!ruleset)
        return;
    view_free(ruleset->view);
    pthread_mutex_destroy(&ruleset->refreshing);
    pthread_mutex_destroy(&ruleset->lock);
    free(ruleset);
}

/* ---- reading ---- */

static struct workspace_rules *workspace_add(struct ruleset_view *view, int workspace)
{
    if (view->count && view->workspaces[view->count - 1].workspace == workspace)
        return &view->workspaces[view->count - 1];
    view->workspaces = realloc(view->workspaces, (view->count + 1) * sizeof *view->workspaces);
    if (!view->workspaces)
        abort();
    struct workspace_rules *added = &view->workspaces[view->count++];
    *added = (struct workspace_rules){.workspace = workspace, .off = calloc(builtin_rules_count, sizeof(bool))};
    if (!added->off)
        abort();
    return added;
}

static void builtin_switch(struct workspace_rules *of, struct text id, bool enabled)
{
    for (size_t i = 0; i < builtin_rules_count; i++)
        if (text_equal(text_of(builtin_rules[i]->id), id))
            of->off[i] = !enabled;
}

/* Where a rule that was read goes. */
struct taking {
    struct workspace_rules *of;
    const char *id;
};

/* It was understood when it was added: by another version, where it is not any more. */
static void rule_take(void *context, const struct sigma_rule *rule, struct text id, const char *reason)
{
    const struct taking *taking = context;
    struct workspace_rules *of = taking->of;

    (void)id;
    if (!rule) {
        log_error("store.rule_refused", "workspace=%d rule=%s reason=\"%s\"", of->workspace, taking->id, reason);
        return;
    }
    if (of->sigma_count == of->sigma_room) {
        of->sigma_room = 2 * of->sigma_room + 64;
        of->sigma = realloc(of->sigma, of->sigma_room * sizeof *of->sigma);
        if (!of->sigma)
            abort();
    }
    of->sigma[of->sigma_count++] = rule;
}

static void sigma_add(struct ruleset_view *view, struct workspace_rules *of, const char *id, struct text source)
{
    struct taking taking = {of, id};
    struct problem why;

    if (sigma_parse(source, &view->arena, rule_take, &taking, &why))
        rule_take(&taking, NULL, TEXT_NONE, why.text);
}

static void engines_make(struct ruleset_view *view)
{
    view->usual = engine_new(&(struct engine_content){.off = NULL});
    for (size_t i = 0; i < view->count; i++) {
        struct workspace_rules *of = &view->workspaces[i];
        of->engine = engine_new(&(struct engine_content){.off = of->off, .mapping = view->mapping, .sigma = of->sigma, .sigma_count = of->sigma_count, .indicators = of->threats ? threats_indicators(of->threats) : NULL});
    }
}

/* Those of the view before are taken over where nothing has changed about them: a rule that is added loads no feed again. */
static enum status threats_take(struct db *db, const struct ruleset_view *before, struct workspace_rules *of, uint32_t timeout_ms, struct problem *why)
{
    int64_t state;
    enum status status = threats_state(db, of->workspace, timeout_ms, &state, why);

    for (size_t i = 0; !status && before && i < before->count; i++) {
        struct threats *known = before->workspaces[i].threats;
        if (!known || before->workspaces[i].workspace != of->workspace || !threats_fresh(known, state, clock_utc_us()))
            continue;
        of->threats = threats_hold(known);
        return STATUS_OK;
    }
    int64_t from_ms = clock_monotonic_ms();
    if (!status)
        status = threats_load(db, of->workspace, timeout_ms, &of->threats, why);
    if (!status)
        log_info("store.feeds_loaded", "workspace=%d indicators=%zu ms=%lld", of->workspace, indicators_count(threats_indicators(of->threats)),
                 (long long)(clock_monotonic_ms() - from_ms));
    return status;
}

static enum status view_read(struct db *db, const struct ruleset_view *before, uint32_t timeout_ms, struct ruleset_view **out, struct problem *why)
{
    static const char select[] = "SELECT workspace_id, rule_id, kind, enabled, source FROM picket.rule UNION ALL"
                                 " SELECT DISTINCT workspace_id, NULL, 'feeds', true, NULL FROM picket.feed WHERE generation > 0 AND enabled ORDER BY 1, 2";
    struct ruleset_view *view = calloc(1, sizeof *view);
    struct db_rows *rows = NULL;

    if (!view)
        abort();
    view->held = 1;
    arena_init(&view->arena);
    enum status status = sigma_mapping_read(sigma_mapping_builtin(), &view->arena, &view->mapping, why);
    if (!status)
        status = db_query(db, select, NULL, 0, timeout_ms, &rows, why);
    for (size_t i = 0; !status && i < db_rows_count(rows); i++) {
        struct workspace_rules *of = workspace_add(view, (int)db_i64(rows, i, 0));
        if (text_equal(db_text(rows, i, 2), TEXT("feeds")))
            status = threats_take(db, before, of, timeout_ms, why);
        else if (text_equal(db_text(rows, i, 2), TEXT("builtin")))
            builtin_switch(of, db_text(rows, i, 1), db_bool(rows, i, 3));
        else if (db_bool(rows, i, 3))
            sigma_add(view, of, db_text(rows, i, 1).bytes, db_text(rows, i, 4));
    }
    db_rows_free(rows);
    if (status) {
        view_free(view);
        return status;
    }
    engines_make(view);
    *out = view;
    return STATUS_OK;
}

static void view_swap(struct ruleset *ruleset, struct ruleset_view *view, int64_t state)
{
    pthread_mutex_lock(&ruleset->lock);
    struct ruleset_view *old = ruleset->view;
    ruleset->view = view;
    ruleset->state = state;
    pthread_mutex_unlock(&ruleset->lock);
    if (old)
        ruleset_give(ruleset, old);
}

/* A number that is another when any rule or feed was added, changed or removed, or an indicator's time was over: each change gives its
 * row a new transaction number. */
static enum status state_read(struct db *db, uint32_t timeout_ms, int64_t *state, struct problem *why)
{
    static const char select[] = "SELECT coalesce((SELECT bit_xor(hashtextextended(concat_ws('/', workspace_id, rule_id, commit_xid), 0)) FROM picket.rule), 0)"
                                 " # coalesce((SELECT bit_xor(hashtextextended(concat_ws('/', workspace_id, name, kind, generation, min_confidence), 1)) FROM picket.feed"
                                 " WHERE enabled AND generation > 0), 0)";
    struct db_rows *rows = NULL;
    enum status status = db_query(db, select, NULL, 0, timeout_ms, &rows, why);

    if (!status)
        *state = db_i64(rows, 0, 0);
    db_rows_free(rows);
    return status;
}

/* Whether the time of an indicator in it is over. */
static bool view_over(const struct ruleset_view *view)
{
    for (size_t i = 0; i < view->count; i++)
        if (view->workspaces[i].threats && clock_utc_us() >= threats_expires_us(view->workspaces[i].threats))
            return true;
    return false;
}

enum status ruleset_refresh(struct ruleset *ruleset, struct db *db, uint32_t timeout_ms, struct problem *why)
{
    struct ruleset_view *view = NULL;
    int64_t state;

    pthread_mutex_lock(&ruleset->refreshing);
    enum status status = state_read(db, timeout_ms, &state, why);
    if (!status && (!ruleset->view || state != ruleset->state || view_over(ruleset->view))) {
        status = view_read(db, ruleset->view, timeout_ms, &view, why);
        if (!status)
            view_swap(ruleset, view, state);
    }
    pthread_mutex_unlock(&ruleset->refreshing);
    return status;
}

struct ruleset_view *ruleset_take(struct ruleset *ruleset)
{
    pthread_mutex_lock(&ruleset->lock);
    struct ruleset_view *view = ruleset->view;
    if (view)
        view->held++;
    pthread_mutex_unlock(&ruleset->lock);
    return view;
}

void ruleset_give(struct ruleset *ruleset, struct ruleset_view *view)
{
    if (!view)
        return;
    pthread_mutex_lock(&ruleset->lock);
    bool last = --view->held == 0;
    pthread_mutex_unlock(&ruleset->lock);
    if (last)
        view_free(view);
}

static int workspace_compare(const void *key, const void *member)
{
    const struct workspace_rules *of = member;
    int workspace = *(const int *)key;

    return (workspace > of->workspace) - (workspace < of->workspace);
}

const struct engine *ruleset_engine(const struct ruleset_view *view, int workspace)
{
    const struct workspace_rules *own = view->count ? bsearch(&workspace, view->workspaces, view->count, sizeof *view->workspaces, workspace_compare) : NULL;
    return own ? own->engine : view->usual;
}
