#include "kql/binder.h"

/* Plug-ins whose columns come from data: bag_unpack() makes one of each name in a bag, pivot() one of each value. Their names
 * are what the query says behind a colon, or what the rows have: those are asked for first, and then the query is bound again
 * with the answer. */

struct plugin {
    struct binder *binder;
    const struct scope *scope;
    const struct kql_operator *operator;
    const struct kql_expression *arguments;
    struct bound_rows *input;
};

/* The columns that are there, one for each name; NULL where that is not known yet. */
static const struct kql_discovered *discovered(struct plugin *plugin, struct bound_value *aggregate)
{
    struct binder *binder = plugin->binder;
    const struct kql_options *options = binder->options;
    struct kql_discovered *said = ARENA_NEW(binder->arena, struct kql_discovered);
    unsigned count = 0;

    if (plugin->operator->schema) {
        for (const struct kql_column *column = plugin->operator->schema; column; column = column->next)
            count++;
        struct kql_named *columns = ARENA_ARRAY(binder->arena, struct kql_named, count);
        for (const struct kql_column *column = plugin->operator->schema; column; column = column->next)
            columns[said->count++] = (struct kql_named){column->name.text, column->type.text};
        said->columns = columns;
        return said;
    }
    if (binder->discovered < options->discovered_count)
        return &options->discovered[binder->discovered++];
    struct bound_rows *asks = rows_new(binder, ROWS_GROUP, plugin->input, plugin->operator->place);
    struct bound_column *column = column_new(binder, TEXT("columns"), TYPE_DYNAMIC);
    rows_clear(asks);
    asks->order = NULL;
    aggregate->aggregates = true;
    asks->aggregates = ARENA_NEW(binder->arena, struct bound_definition);
    *asks->aggregates = (struct bound_definition){NULL, column, aggregate};
    rows_show(binder, asks, column);
    binder->asks = asks;
    return NULL;
}

/* Where the data is not at hand, any name may be one of the columns. */
static struct bound_rows *not_known(struct plugin *plugin, struct bound_rows *rows)
{
    if (plugin->binder->options->open_schemas) {
        rows->open = rows;
        return rows;
    }
    return binder_wrong(plugin->binder, "unsupported.schema", plugin->operator->place,
                        "the columns of this evaluate are only known from data: say them behind it, as in : (a:string, b:long)");
}

static bool is_shown(const struct bound_rows *rows, const struct bound_column *column)
{
    return rows_column(rows, column->name) == column;
}

static void hide(struct bound_rows *rows, const struct bound_column *hidden, struct binder *binder)
{
    struct bound_column **columns = ARENA_ARRAY(binder->arena, struct bound_column *, rows->count + 1);
    unsigned count = 0;

    for (unsigned i = 0; i < rows->count; i++)
        if (rows->columns[i] != hidden)
            columns[count++] = rows->columns[i];
    rows->columns = columns;
    rows->count = count;
}

/* ---- bag_unpack(bag, prefix, columnsConflict, ignoredProperties) ---- */

struct unpacking {
    struct bound_value *bag;
    struct text prefix, conflict;
    struct bound_value **ignored;
    unsigned ignored_count;
};

static bool read_unpacking(struct plugin *plugin, struct unpacking *out)
{
    struct binder *binder = plugin->binder;
    struct scope here = scope_of(plugin->scope, plugin->input);
    const struct kql_expression *argument = plugin->arguments;

    *out = (struct unpacking){.prefix = TEXT(""), .conflict = TEXT("error")};
    out->bag = argument ? bind_value_as(binder, &here, argument, TYPE_DYNAMIC, "what bag_unpack() takes apart") : NULL;
    if (!out->bag)
        return binder_failed(binder) ? false
                                     : binder_wrong(binder, "semantic.arguments", plugin->operator->items->place,
                                                    "bag_unpack() needs a bag") != NULL;
    for (unsigned place = 1; (argument = argument->next); place++) {
        struct text name = argument->kind == KQL_NAMED ? argument->names->name.text : TEXT_NONE;
        const struct kql_expression *value = argument->kind == KQL_NAMED ? argument->left : argument;
        if (place == 3 || text_equal(name, TEXT("ignoredProperties"))) {
            struct bound_value *list = bind_value(binder, plugin->scope, value);
            if (list && !(out->ignored = dynamic_elements(binder, list, &out->ignored_count)))
                return binder_wrong(binder, "semantic.arguments", value->place, "a list of names is wanted here") != NULL;
        } else if (!bind_constant_text(binder, plugin->scope, value,
                                       place == 2 || text_equal(name, TEXT("columnsConflict")) ? &out->conflict : &out->prefix)) {
            return false;
        }
    }
    return !binder_failed(binder);
}

static bool is_ignored(const struct unpacking *unpacking, struct text name)
{
    for (unsigned i = 0; i < unpacking->ignored_count; i++)
        if (text_equal(unpacking->ignored[i]->text, name))
            return true;
    return false;
}

/* One property as a column; what is there already wins or loses, as the query says. */
static bool unpack_one(struct plugin *plugin, struct bound_rows *rows, const struct unpacking *unpacking,
                       const struct kql_named *property)
{
    struct binder *binder = plugin->binder;
    struct kql_place place = plugin->operator->place;
    struct text name = text_of(arena_format(binder->arena, "%.*s%.*s", TEXT_ARGS(unpacking->prefix), TEXT_ARGS(property->name)));
    struct bound_column *there = rows_column(rows, name);
    enum kql_type type = TYPE_DYNAMIC;

    if (is_ignored(unpacking, property->name) || (there && text_equal(unpacking->conflict, TEXT("keep_source"))))
        return true;
    if (there && !text_equal(unpacking->conflict, TEXT("replace_source")))
        return binder_wrong(binder, "semantic.duplicate_column", place, "bag_unpack() makes a column %.*s, and there is one",
                            TEXT_ARGS(name)) != NULL;
    if (property->text.count && !kql_type_of(property->text, &type))
        return binder_wrong(binder, "semantic.type", place, "%.*s is no type", TEXT_ARGS(property->text)) != NULL;
    /* A column that the query declares may be one that is there. */
    struct bound_value *value = value_call2(binder, "(%1 -> %2)", TYPE_DYNAMIC, unpacking->bag,
                                            value_text(binder, property->name, place));
    if (!(value = value_convert(binder, value, type)))
        return false;
    rows_replace(binder, rows, column_of_value(binder, rows, name, value));
    return true;
}

static struct bound_rows *bind_bag_unpack(struct plugin *plugin)
{
    struct binder *binder = plugin->binder;
    struct unpacking unpacking;

    if (!read_unpacking(plugin, &unpacking))
        return NULL;
    const struct kql_discovered *columns =
        discovered(plugin, value_call1(binder, "@bag_types(%1)", TYPE_DYNAMIC, unpacking.bag));
    struct bound_rows *rows = rows_new(binder, ROWS_EXTEND, plugin->input, plugin->operator->place);
    if (unpacking.bag->kind == BOUND_COLUMN && is_shown(rows, unpacking.bag->column))
        hide(rows, unpacking.bag->column, binder);
    if (!columns)
        return not_known(plugin, rows);
    bool declared = plugin->operator->schema != NULL;
    for (unsigned i = 0; i < columns->count; i++) {
        /* What is declared names the columns that stay as well. */
        if (declared && rows_column(rows, columns->columns[i].name) && !text_equal(unpacking.conflict, TEXT("replace_source")))
            continue;
        if (!unpack_one(plugin, rows, &unpacking, &columns->columns[i]))
            return NULL;
    }
    return rows;
}

/* ---- pivot(column, aggregate, others …) ---- */

/* sum(x) where the column has one value is sumif(x, column == value). */
static struct bound_value *pivoted(struct plugin *plugin, const struct kql_expression *call, struct bound_value *column,
                                   struct text value)
{
    static const struct {
        const char *name, *conditional;
    } renamed[] = {{"make_list", "make_list_if"}, {"make_set", "make_set_if"}, {"make_bag", "make_bag_if"}, {"any", "take_anyif"}};
    struct binder *binder = plugin->binder;
    struct scope here = scope_of(plugin->scope, plugin->input);
    struct text name = call ? call->name.text : TEXT("count");
    const char *conditional = arena_format(binder->arena, "%.*sif", TEXT_ARGS(name));
    struct bound_value *arguments[8];
    unsigned count = 0;

    for (size_t i = 0; i < sizeof renamed / sizeof *renamed; i++)
        if (text_equal(name, text_of(renamed[i].name)))
            conditional = renamed[i].conditional;
    for (const struct kql_expression *item = call ? call->items : NULL; item && count < 6; item = item->next)
        if (!(arguments[count++] = bind_value(binder, &here, item)))
            return NULL;
    if (text_equal(name, TEXT("count")))
        count = 0;
    struct bound_value *as_text = value_convert(binder, column, TYPE_STRING);
    arguments[count] = as_text ? value_equal(binder, as_text, value_text(binder, value, plugin->operator->place), false,
                                             plugin->operator->place)
                               : NULL;
    if (!arguments[count++])
        return NULL;
    struct bound_value **kept = ARENA_ARRAY(binder->arena, struct bound_value *, count);
    memcpy(kept, arguments, count * sizeof *kept);
    struct bound_value *aggregate = bind_signature(binder, FUNCTION_AGGREGATE, text_of(conditional), plugin->operator->place, kept, count);
    if (aggregate)
        aggregate->aggregates = true;
    return aggregate;
}

static bool mentions(const struct kql_expression *expression, struct text name)
{
    for (; expression; expression = expression->next)
        if ((expression->kind == KQL_REFERENCE && text_equal(expression->name.text, name)) || mentions(expression->items, name) ||
            mentions(expression->left, name) || mentions(expression->right, name))
            return true;
    return false;
}

static bool group_by_column(struct plugin *plugin, struct bound_rows *groups, struct bound_column *column)
{
    struct binder *binder = plugin->binder;
    struct bound_column *kept;

    if (column->type == TYPE_DYNAMIC)
        return binder_wrong(binder, "semantic.type", plugin->operator->place,
                            "rows are not grouped by a dynamic, and %.*s is one: project it away, or use tostring()",
                            TEXT_ARGS(column->name)) != NULL;
    kept = column_new(binder, column->name, column->type);
    rows_define(binder, groups, kept, value_of_column(binder, column, plugin->operator->place));
    rows_show(binder, groups, kept);
    return true;
}

/* The columns that rows are grouped by: those that the query names, in its order, or all that the others leave. Published
 * queries name some that only a few workspaces have (MG): these are passed over. */
static bool group_by(struct plugin *plugin, struct bound_rows *groups, const struct bound_value *pivot,
                     const struct kql_expression *call, const struct kql_expression *named)
{
    for (const struct kql_expression *item = named; item; item = item->next) {
        struct bound_column *column = item->kind == KQL_REFERENCE ? rows_column(plugin->input, item->name.text) : NULL;
        if (column && !group_by_column(plugin, groups, column))
            return false;
    }
    for (unsigned i = 0; !named && i < plugin->input->count; i++) {
        struct bound_column *column = plugin->input->columns[i];
        if (column != pivot->column && !(call && mentions(call->items, column->name)) && !group_by_column(plugin, groups, column))
            return false;
    }
    return true;
}

static struct bound_rows *bind_pivot(struct plugin *plugin)
{
    struct binder *binder = plugin->binder;
    struct scope here = scope_of(plugin->scope, plugin->input);
    const struct kql_expression *call = plugin->arguments ? plugin->arguments->next : NULL, *named;
    struct bound_value *column = plugin->arguments ? bind_value(binder, &here, plugin->arguments) : NULL;

    if (!column)
        return binder_failed(binder) ? NULL
                                     : binder_wrong(binder, "semantic.arguments", plugin->operator->items->place,
                                                    "pivot() needs a column");
    if (call && call->kind != KQL_CALL) {
        named = call;
        call = NULL;
    } else {
        named = call ? call->next : NULL;
    }
    struct bound_value *text = value_convert(binder, column, TYPE_STRING);
    if (!text)
        return NULL;
    const struct kql_discovered *columns = discovered(plugin, value_call1(binder, "@value_names(DISTINCT %1)", TYPE_DYNAMIC, text));
    struct bound_rows *groups = rows_new(binder, ROWS_GROUP, plugin->input, plugin->operator->place);
    rows_clear(groups);
    groups->order = NULL;
    if (!group_by(plugin, groups, column, call, named))
        return NULL;
    if (!columns)
        return not_known(plugin, groups);
    struct bound_definition **end = &groups->aggregates;
    for (unsigned i = 0; i < columns->count; i++) {
        struct text name = columns->columns[i].name;
        if (plugin->operator->schema && rows_column(groups, name))
            continue;
        struct bound_value *value = pivoted(plugin, call, column, name);
        if (!value)
            return NULL;
        struct bound_column *made = column_new(binder, rows_unique_name(binder, groups, name), value->type);
        *end = ARENA_NEW(binder->arena, struct bound_definition);
        **end = (struct bound_definition){NULL, made, value};
        end = &(*end)->next;
        rows_show(binder, groups, made);
    }
    return groups;
}

/* ---- which ---- */

struct bound_rows *bind_evaluate(struct binder *binder, const struct scope *scope, const struct kql_operator *operator,
                                 struct bound_rows * input)
{
    const struct kql_expression *call = operator->items;
    struct plugin plugin = {binder, scope, operator, call->items, input};

    if (input && text_equal(call->name.text, TEXT("bag_unpack")))
        return bind_bag_unpack(&plugin);
    if (input && text_equal(call->name.text, TEXT("pivot")))
        return bind_pivot(&plugin);
    return binder_wrong(binder, "unsupported.plugin", call->place, "the plug-in %.*s is not supported", TEXT_ARGS(call->name.text));
}
