#include "kql/binder.h"

/* Where rows come from, and the way through the operators. */

static const struct {
    const char *name;
    enum kql_operator_kind kind;
    operator_binder *bind;
} operators[] = {
    {"as", KQL_AS, bind_as},
    {"count", KQL_COUNT, bind_count_operator},
    {"datatable", KQL_DATATABLE, bind_datatable},
    {"distinct", KQL_DISTINCT, bind_distinct},
    {"evaluate", KQL_EVALUATE, bind_evaluate},
    {"extend", KQL_EXTEND, bind_extend},
    {"getschema", KQL_GETSCHEMA, bind_getschema},
    {"invoke", KQL_INVOKE, bind_invoke},
    {"join", KQL_JOIN, bind_join},
    {"lookup", KQL_LOOKUP, bind_lookup},
    {"make-series", KQL_MAKE_SERIES, bind_make_series},
    {"mv-apply", KQL_MV_APPLY, bind_mv_apply},
    {"mv-expand", KQL_MV_EXPAND, bind_mv_expand},
    {"parse", KQL_PARSE, bind_parse},
    {"parse-kv", KQL_PARSE_KV, bind_parse_kv},
    {"parse-where", KQL_PARSE_WHERE, bind_parse},
    {"partition", KQL_PARTITION, bind_partition},
    {"print", KQL_PRINT, bind_print},
    {"project", KQL_PROJECT, bind_project},
    {"project-away", KQL_PROJECT_AWAY, bind_project_away},
    {"project-keep", KQL_PROJECT_KEEP, bind_project_keep},
    {"project-rename", KQL_PROJECT_RENAME, bind_project_rename},
    {"project-reorder", KQL_PROJECT_REORDER, bind_project_reorder},
    {"range", KQL_RANGE, bind_range},
    {"render", KQL_RENDER, bind_render},
    {"sample", KQL_SAMPLE, bind_take},
    {"sample-distinct", KQL_SAMPLE_DISTINCT, bind_sample_distinct},
    {"search", KQL_SEARCH, bind_search},
    {"find", KQL_FIND, bind_find},
    {"serialize", KQL_SERIALIZE, bind_serialize},
    {"sort", KQL_SORT, bind_sort},
    {"summarize", KQL_SUMMARIZE, bind_summarize},
    {"take", KQL_TAKE, bind_take},
    {"top", KQL_TOP, bind_top},
    {"top-nested", KQL_TOP_NESTED, bind_top_nested},
    {"union", KQL_UNION, bind_union},
    {"where", KQL_WHERE, bind_where},
};

const char *operator_supported(size_t i)
{
    return i < sizeof operators / sizeof *operators ? operators[i].name : NULL;
}

static struct bound_rows *bind_operator_rows(struct binder *binder, const struct scope *scope,
                                             const struct kql_operator *operator, struct bound_rows * rows)
{
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++)
        if (operators[i].kind == operator->kind)
            return operators[i].bind(binder, scope, operator, rows);
    return binder_wrong(binder, "unsupported.operator", operator->place, "%.*s is not supported",
                        TEXT_ARGS(operator->name.text));
}

struct bound_rows *bind_operators(struct binder *binder, const struct scope *scope,
                                  const struct kql_operator *first, struct bound_rows *rows)
{
    for (const struct kql_operator *operator = first; operator && !binder_failed(binder);
         operator = operator->next)
        rows = bind_operator_rows(binder, scope, operator, rows);
    return binder_failed(binder) ? NULL : rows;
}

struct bound_rows *bind_pipeline(struct binder *binder, const struct scope *scope,
                                 const struct kql_pipeline *pipeline)
{
    struct bound_rows *rows = NULL;

    if (pipeline->source) {
        rows = bind_rows(binder, scope, pipeline->source);
        if (!rows)
            return NULL;
    }
    return bind_operators(binder, scope, pipeline->operators, rows);
}

/* ---- sources ---- */

static struct bound_rows *within_time(struct binder *binder, struct bound_rows *rows)
{
    struct bound_column *time = rows_column(rows, TEXT("TimeGenerated"));
    const struct kql_options *options = binder->options;
    struct bound_value *values[3];
    struct bound_rows *filter;

    if (!time || time->type != TYPE_DATETIME || (!options->from_ticks && !options->to_ticks))
        return rows;
    values[0] = value_of_column(binder, time, rows->place);
    values[1] = value_integer(binder, TYPE_DATETIME, options->from_ticks, rows->place);
    values[2] = value_integer(binder, TYPE_DATETIME, options->to_ticks ? options->to_ticks : KQL_TICKS_MAX,
                              rows->place);
    filter = rows_new(binder, ROWS_FILTER, rows, rows->place);
    filter->predicate = bind_operator(binder, "between", rows->place, values, 3);
    return filter;
}

/* What every table of a workspace has beside its own columns. */
struct bound_rows *rows_with_standard(struct binder *binder, struct bound_rows *rows)
{
    static const struct {
        const char *name;
        enum kql_type type;
    } standard[] = {
        {"TenantId", TYPE_STRING},        {"Type", TYPE_STRING},         {"SourceSystem", TYPE_STRING},
        {"_ItemId", TYPE_STRING},         {"_ResourceId", TYPE_STRING},  {"_SubscriptionId", TYPE_STRING},
        {"_BilledSize", TYPE_REAL},       {"_IsBillable", TYPE_STRING},  {"_TimeReceived", TYPE_DATETIME},
        {"ResourceId", TYPE_STRING},      {"SubscriptionId", TYPE_STRING}, {"TimeGenerated", TYPE_DATETIME},
    };

    for (size_t i = 0; i < sizeof standard / sizeof *standard; i++)
        rows = rows_with_unshown(binder, rows, text_of(standard[i].name), standard[i].type);
    /* Hunting queries know the time under another name. */
    struct bound_column *time = rows_known(rows, TEXT("TimeGenerated"));
    if (!rows_known(rows, TEXT("Timestamp")))
        rows_alias(binder, rows, TEXT("Timestamp"), time);
    return rows;
}

/* Only the rows of these workspaces. A table without such a column has none at all. */
static struct bound_rows *within_workspaces(struct binder *binder, struct bound_rows *rows,
                                            const struct kql_named *workspaces, unsigned count)
{
    struct bound_column *tenant = rows_column(rows, TEXT("TenantId"));
    struct bound_value *wanted = NULL;
    struct bound_rows *filter;

    if (!tenant || !count)
        return rows;
    for (unsigned i = 0; i < count; i++) {
        struct bound_value *one =
            value_equal(binder, value_of_column(binder, tenant, rows->place),
                        value_text(binder, workspaces[i].text, rows->place), false, rows->place);
        wanted = wanted ? value_both(binder, BOUND_OR, wanted, one) : one;
    }
    filter = rows_new(binder, ROWS_FILTER, rows, rows->place);
    filter->predicate = wanted;
    return filter;
}

struct bound_rows *rows_bare(struct binder *binder, const struct catalog_table *table, struct kql_place place)
{
    struct bound_rows *rows = rows_new(binder, ROWS_TABLE, NULL, place);

    rows->table = table;
    rows->columns = ARENA_ARRAY(binder->arena, struct bound_column *, table->count);
    rows->count = (unsigned)table->count;
    for (size_t i = 0; i < table->count; i++) {
        rows->columns[i] = column_new(binder, table->columns[i].name, table->columns[i].type);
        rows->columns[i]->storage = table->columns[i].storage;
        rows->columns[i]->empty = table->columns[i].empty;
        if (table->columns[i].parsed_sql.bytes) {
            rows->columns[i]->parsed = column_new(binder, TEXT("parsed"), TYPE_DYNAMIC);
            rows->columns[i]->parsed->storage = KQL_JSONB;
        }
        if (table->columns[i].words_sql.bytes)
            rows->columns[i]->words = column_new(binder, TEXT("words"), TYPE_STRING);
    }
    return rows;
}

static struct bound_rows *rows_of_catalog(struct binder *binder, const struct catalog_table *table,
                                          struct kql_place place)
{
    struct bound_rows *rows = within_time(binder, rows_bare(binder, table, place));
    bool is_log = rows_column(rows, TEXT("TimeGenerated")) || rows_column(rows, TEXT("_ResourceId"));
    return is_log ? rows_with_standard(binder, rows) : rows;
}

struct bound_rows *rows_of_table(struct binder *binder, const struct catalog_table *table,
                                 struct kql_place place)
{
    return within_workspaces(binder, rows_of_catalog(binder, table, place), binder->options->workspaces,
                             binder->options->home_count);
}

struct bound_shared *rows_share(struct binder *binder, struct bound_rows *rows, bool once)
{
    struct bound_shared *shared = ARENA_NEW(binder->arena, struct bound_shared);

    shared->rows = rows;
    shared->once = once;
    shared->number = ++binder->shared_count;
    if (once) {
        *binder->shared_end = shared;
        binder->shared_end = &shared->next;
    }
    return shared;
}

static struct bound_column *unshown_copy(struct binder *binder, struct bound_rows *rows, const struct bound_column *old)
{
    struct bound_definition *unshown = ARENA_NEW(binder->arena, struct bound_definition);

    *unshown = (struct bound_definition){rows->unshown, column_new(binder, old->name, old->type), NULL};
    unshown->column->storage = old->storage;
    rows->unshown = unshown;
    return unshown->column;
}

/* Columns of their own, so that the same rows may stand on both sides of a join. */
struct bound_rows *rows_of_shared(struct binder *binder, struct bound_shared *shared, struct kql_place place)
{
    struct bound_rows *rows = rows_new(binder, ROWS_SHARED, NULL, place);
    struct bound_order **end = &rows->order;

    rows->shared = shared;
    rows->serialized = shared->rows->serialized;
    for (unsigned i = 0; i < shared->rows->count; i++) {
        struct bound_column *old = shared->rows->columns[i],
                            *column = column_new(binder, old->name, old->type);
        column->storage = old->storage;
        rows_define(binder, rows, column, value_of_column(binder, old, place));
        rows_show(binder, rows, column);
    }
    for (const struct bound_definition *unshown = shared->rows->unshown; unshown; unshown = unshown->next)
        rows_define(binder, rows, unshown_copy(binder, rows, unshown->column),
                    value_of_column(binder, unshown->column, place));
    for (const struct bound_order *order = shared->rows->order; order; order = order->next) {
        struct bound_column *column = column_new(binder, order->column->name, order->column->type);
        column->storage = order->column->storage;
        rows_define(binder, rows, column, value_of_column(binder, order->column, place));
        *end = ARENA_NEW(binder->arena, struct bound_order);
        **end = *order;
        (*end)->column = column;
        (*end)->next = NULL;
        end = &(*end)->next;
    }
    return rows;
}

static struct bound_rows *materialized(struct binder *binder, const struct scope *scope,
                                       const struct kql_expression *call)
{
    struct bound_rows *rows =
        call->items && !call->items->next ? bind_rows(binder, scope, call->items) : NULL;

    if (!rows)
        return binder_failed(binder)
                   ? NULL
                   : binder_wrong(binder, "semantic.arguments", call->place, "materialize() takes rows");
    return rows_of_shared(binder, rows_share(binder, rows, true), call->place);
}

static struct bound_rows *named_table(struct binder *binder, const struct scope *scope, struct text name,
                                      struct kql_place place, const struct kql_expression *expression);

static struct bound_rows *called_rows(struct binder *binder, const struct scope *scope,
                                      const struct kql_expression *call)
{
    const struct binding *function;
    struct text name;

    if (call->left)
        return binder_wrong(binder, "unsupported.cross_cluster", call->place,
                            "%.*s() of another database is not supported", TEXT_ARGS(call->name.text));
    function = function_named(binder, scope, call->name.text);
    if (function)
        return bind_user_rows(binder, scope, call, function, NULL);
    if (text_equal(call->name.text, TEXT("materialize")))
        return materialized(binder, scope, call);
    if (text_equal(call->name.text, TEXT("table")) && call->items)
        return bind_constant_text(binder, scope, call->items, &name)
                   ? named_table(binder, scope, name, call->place, call)
                   : NULL;
    if (function_is_known(call->name.text))
        return binder_wrong(binder, "unsupported.function", call->place, "%.*s() is not supported",
                            TEXT_ARGS(call->name.text));
    return binder_wrong(binder, "semantic.unknown_function", call->place, "there is no function %.*s()",
                        TEXT_ARGS(call->name.text));
}

static struct bound_rows *binding_rows(struct binder *binder, struct binding *binding,
                                       const struct kql_expression *expression)
{
    switch (binding->kind) {
    case BINDING_EXPRESSION:
        if (!binding->shared) {
            struct bound_rows *rows = bind_rows(binder, binding->scope, binding->expression);
            if (!rows)
                return NULL;
            binding->shared = rows_share(binder, rows, false);
            return rows;
        }
        break;
    case BINDING_FUNCTION:
        return bind_user_rows(binder, binding->scope, expression, binding, NULL);
    case BINDING_VALUE:
        return binder_wrong(binder, "semantic.rows", expression->place,
                            "rows are wanted here, and %.*s is one value", TEXT_ARGS(binding->name));
    default:
        break;
    }
    return rows_of_shared(binder, binding->shared, expression->place);
}

static struct bound_rows *named_table(struct binder *binder, const struct scope *scope, struct text name,
                                      struct kql_place place, const struct kql_expression *expression)
{
    const struct catalog_table *table = catalog_table_find(binder->catalog, name);
    struct binding *function;

    if (table)
        return rows_of_table(binder, table, place);
    function = function_named(binder, scope, name);
    if (function)
        return bind_user_rows(binder, scope, expression, function, NULL);
    return binder_wrong(binder, "semantic.unknown_table", place, "there is no table %.*s", TEXT_ARGS(name));
}

/* workspace("name or id").Table, and database("name").Table, which is the same here. */
static struct bound_rows *table_elsewhere(struct binder *binder, const struct scope *scope,
                                          const struct kql_expression *member)
{
    const struct kql_expression *of = member->left;
    const struct kql_options *options = binder->options;
    const struct catalog_table *table = catalog_table_find(binder->catalog, member->name.text);
    struct text wanted;

    if (of->kind != KQL_CALL || of->left || !of->items || !options->workspace_count ||
        (!text_equal(of->name.text, TEXT("workspace")) && !text_equal(of->name.text, TEXT("database"))))
        return binder_wrong(binder, "unsupported.cross_cluster", member->place,
                            "a table of another database or workspace is not supported");
    if (!bind_constant_text(binder, scope, of->items, &wanted))
        return NULL;
    if (!table)
        return binder_wrong(binder, "semantic.unknown_table", member->name.place, "there is no table %.*s",
                            TEXT_ARGS(member->name.text));
    for (unsigned i = 0; i < options->workspace_count; i++)
        if (text_equal_nocase(options->workspaces[i].name, wanted) ||
            text_equal_nocase(options->workspaces[i].text, wanted))
            return within_workspaces(binder, rows_of_catalog(binder, table, member->place),
                                     &options->workspaces[i], 1);
    return binder_wrong(binder, "semantic.unknown_workspace", of->place, "there is no workspace %.*s",
                        TEXT_ARGS(wanted));
}

struct bound_rows *bind_rows(struct binder *binder, const struct scope *scope,
                             const struct kql_expression *expression)
{
    struct binding *binding;
    struct bound_rows *rows = NULL;

    if (!binder_enter(binder, expression->place))
        return NULL;
    switch (expression->kind) {
    case KQL_SUBQUERY:
        rows = bind_pipeline(binder, scope, expression->pipeline);
        break;
    case KQL_REFERENCE:
        binding = name_find(binder, scope, expression->name.text);
        rows = binding ? binding_rows(binder, binding, expression)
                       : named_table(binder, scope, expression->name.text, expression->place, expression);
        break;
    case KQL_CALL:
        rows = called_rows(binder, scope, expression);
        break;
    case KQL_MEMBER:
        rows = table_elsewhere(binder, scope, expression);
        break;
    default:
        binder_wrong(binder, "semantic.rows", expression->place, "rows are wanted here");
    }
    binder->depth--;
    return binder_failed(binder) ? NULL : rows;
}

/* ---- names ---- */

struct binding *name_find(const struct binder *binder, const struct scope *scope, struct text name)
{
    struct binding *found = scope_find(scope, name);

    for (struct binding *binding = binder->named; !found && binding; binding = binding->next)
        if (text_equal(binding->name, name))
            found = binding;
    return found;
}

static const struct scope *scope_with(struct binder *binder, const struct scope *scope,
                                      struct binding binding)
{
    struct scope *inner = ARENA_NEW(binder->arena, struct scope);

    inner->outer = scope;
    inner->bindings = ARENA_NEW(binder->arena, struct binding);
    *inner->bindings = binding;
    return inner;
}

static const struct scope *enter_let(struct binder *binder, const struct scope *scope,
                                     const struct kql_statement *let)
{
    struct binding binding = {
        .name = let->name.text, .scope = scope, .expression = let->value, .kind = BINDING_EXPRESSION};

    if (let->value->kind == KQL_LAMBDA) {
        binding.kind = BINDING_FUNCTION;
        binding.function = let->value->function;
    }
    return scope_with(binder, scope, binding);
}

/* What a parameter was given: KQL's own writing of a value, or the bare text of one: 2024-01-01 for datetime(2024-01-01). */
static struct kql_expression *parameter_value(struct binder *binder, const struct kql_column *parameter,
                                              struct text given)
{
    struct kql_expression *value = ARENA_NEW(binder->arena, struct kql_expression);
    struct kql_statement *statements;
    struct kql_diagnostic ignored = {0};

    if (text_equal(parameter->type.text, TEXT("string"))) {
        value->kind = KQL_LITERAL;
        value->token = KQL_STRING;
        value->text = given;
        value->place = parameter->name.place;
        return value;
    }
    for (unsigned i = 0; i < 2; i++) {
        char *source = i ? arena_format(binder->arena, "let v = %.*s(%.*s);", TEXT_ARGS(parameter->type.text), TEXT_ARGS(given))
                         : arena_format(binder->arena, "let v = %.*s;", TEXT_ARGS(given));
        if (kql_parse(text_of(source), binder->arena, &statements, &ignored) || !statements || statements->next)
            continue;
        value = statements->value;
        if (value->kind == KQL_LITERAL || value->kind == KQL_DYNAMIC || value->kind == KQL_SIGNED)
            return value;
    }
    return binder_wrong(binder, "semantic.parameter", parameter->name.place,
                        "the parameter %.*s is given %.*s, which is no %.*s", TEXT_ARGS(parameter->name.text),
                        TEXT_ARGS(given), TEXT_ARGS(parameter->type.text));
}

static const struct scope *enter_parameters(struct binder *binder, const struct scope *scope,
                                            const struct kql_statement *declared)
{
    for (const struct kql_column *parameter = declared->schema; parameter; parameter = parameter->next) {
        struct binding binding = {.name = parameter->name.text,
                                  .scope = scope,
                                  .expression = parameter->otherwise,
                                  .kind = BINDING_EXPRESSION};
        for (unsigned i = 0; i < binder->options->parameter_count; i++)
            if (text_equal(binder->options->parameters[i].name, parameter->name.text))
                binding.expression =
                    parameter_value(binder, parameter, binder->options->parameters[i].text);
        if (!binding.expression)
            binder_wrong(binder, "semantic.parameter", parameter->name.place,
                         "the parameter %.*s has no value", TEXT_ARGS(parameter->name.text));
        scope = scope_with(binder, scope, binding);
    }
    return scope;
}

/* Behind a statement that gives names. */
static const struct scope *enter_statement(struct binder *binder, const struct scope *scope,
                                           const struct kql_statement *statement)
{
    switch (statement->kind) {
    case KQL_LET:
        return enter_let(binder, scope, statement);
    case KQL_DECLARE:
        return enter_parameters(binder, scope, statement);
    case KQL_ALIAS:
        return binder_wrong(binder, "unsupported.alias", statement->place, "alias is not supported");
    case KQL_RESTRICT:
        return binder_wrong(binder, "unsupported.restrict", statement->place, "restrict is not supported");
    default:
        return scope;
    }
}

bool is_rows(struct binder *binder, const struct scope *scope, const struct kql_expression *expression)
{
    const struct binding *binding;
    const struct kql_statement *statement;
    bool answer = false;

    if (!expression || !binder_enter(binder, expression->place))
        return false;
    if (expression->kind == KQL_SUBQUERY) {
        answer = true;
    } else if (expression->kind == KQL_MEMBER && expression->left->kind == KQL_CALL && !expression->left->left) {
        answer = text_equal(expression->left->name.text, TEXT("workspace")) ||
                 text_equal(expression->left->name.text, TEXT("database"));
    } else if (expression->kind == KQL_REFERENCE || (expression->kind == KQL_CALL && !expression->left)) {
        struct text name = expression->name.text;
        binding = expression->kind == KQL_CALL ? function_named(binder, scope, name)
                                               : name_find(binder, scope, name);
        if (!binding && expression->kind == KQL_REFERENCE) {
            answer = catalog_table_find(binder->catalog, name) != NULL;
            binding = answer ? NULL : function_named(binder, scope, name);
        }
        if (!binding) {
            answer |= expression->kind == KQL_CALL &&
                      (text_equal(name, TEXT("materialize")) || text_equal(name, TEXT("table")));
        } else if (binding->kind == BINDING_EXPRESSION) {
            answer = is_rows(binder, binding->scope, binding->expression);
        } else if (binding->kind == BINDING_FUNCTION) {
            const struct scope *inside = binding->scope;
            for (statement = binding->function->body; statement && statement->kind != KQL_QUERY;
                 statement = statement->next)
                inside = enter_statement(binder, inside, statement);
            for (const struct kql_column *parameter = binding->function->parameters; parameter && statement;
                 parameter = parameter->next)
                if (statement->value->kind == KQL_REFERENCE &&
                    text_equal(statement->value->name.text, parameter->name.text))
                    answer = parameter->is_table;
            answer = answer || (statement && is_rows(binder, inside, statement->value));
        } else {
            answer = binding->kind == BINDING_ROWS;
        }
    }
    binder->depth--;
    return answer;
}

struct bound_rows *bind_statements(struct binder *binder, const struct scope *scope,
                                   const struct kql_statement *statements, struct bound_value **value)
{
    for (const struct kql_statement *statement = statements; statement && !binder_failed(binder);
         statement = statement->next) {
        if (statement->kind != KQL_QUERY) {
            scope = enter_statement(binder, scope, statement);
            continue;
        }
        if (is_rows(binder, scope, statement->value))
            return bind_rows(binder, scope, statement->value);
        *value = bind_value(binder, scope, statement->value);
        return NULL;
    }
    return binder_failed(binder)
               ? NULL
               : binder_wrong(binder, "semantic.empty", (struct kql_place){0, 0}, "nothing is asked");
}

static struct bound_rows *statement_rows(struct binder *binder, const struct scope *scope, const struct kql_statement *statement)
{
    struct bound_rows *rows = bind_rows(binder, scope, statement->value);

    if (rows || !binder->options->value_is_answer || strcmp(binder->wrong->code, "semantic.rows") != 0)
        return rows;
    struct kql_diagnostic before = *binder->wrong;
    struct scope here = {.outer = scope};
    *binder->wrong = (struct kql_diagnostic){0};
    binder->depth = 0;
    struct bound_value *value = bind_value(binder, &here, statement->value);
    if (!value) {
        *binder->wrong = before;
        return NULL;
    }
    rows = rows_new(binder, ROWS_EXTEND, rows_new(binder, ROWS_NOTHING, NULL, statement->place), statement->place);
    rows_show(binder, rows, column_of_value(binder, rows, TEXT("Value"), value));
    return rows;
}

struct bound_query *bind_queries(struct binder *binder, const struct scope *scope,
                                 const struct kql_statement *statements)
{
    struct bound_query *first = NULL, **end = &first;
    struct kql_place place = {0, 0};

    for (const struct kql_statement *statement = statements; statement && !binder_failed(binder);
         statement = statement->next) {
        place = statement->place;
        if (statement->kind != KQL_QUERY) {
            scope = enter_statement(binder, scope, statement);
            continue;
        }
        binder->render = NULL;
        *end = ARENA_NEW(binder->arena, struct bound_query);
        (*end)->rows = statement_rows(binder, scope, statement);
        (*end)->render = binder->render;
        end = &(*end)->next;
    }
    if (!first && !binder_failed(binder))
        return binder_wrong(binder, "semantic.empty", place,
                            "nothing is asked: a statement that gives rows is lacking");
    return binder_failed(binder) ? NULL : first;
}
