#include "kql/binder.h"

/* Functions whose result is no plain call: what depends on names, types or the moment, and those of the query's own. */

typedef struct bound_value *special_binder(struct binder *binder, const struct scope *scope,
                                           const struct kql_expression *call);

static special_binder special_case, special_coalesce, special_not, special_isnull,
    special_isnotnull, special_now, special_ago, special_cast, special_parse_json, special_gettype,
    special_max_of, special_min_of, special_column_ifexists, special_pack_all, special_toscalar,
    special_ingestion_time, special_countof, special_rows, special_pack_columns, special_column_names;

static const struct special {
    const char *name;
    special_binder *bind;
    unsigned least, most; /* arguments */
} specials[] = {
    {"iff", special_case, 3, 3},
    {"iif", special_case, 3, 3},
    {"case", special_case, 3, 65535},
    {"coalesce", special_coalesce, 2, 64},
    {"not", special_not, 1, 1},
    {"isnull", special_isnull, 1, 1},
    {"isnotnull", special_isnotnull, 1, 1},
    {"notnull", special_isnotnull, 1, 1},
    {"now", special_now, 0, 1},
    {"ago", special_ago, 1, 1},
    {"tostring", special_cast, 1, 1},
    {"toint", special_cast, 1, 1},
    {"tolong", special_cast, 1, 1},
    {"toreal", special_cast, 1, 1},
    {"todouble", special_cast, 1, 1},
    {"todecimal", special_cast, 1, 1},
    {"tobool", special_cast, 1, 1},
    {"toboolean", special_cast, 1, 1},
    {"todatetime", special_cast, 1, 1},
    {"totimespan", special_cast, 1, 1},
    {"totime", special_cast, 1, 1},
    {"toguid", special_cast, 1, 1},
    {"parse_json", special_parse_json, 1, 1},
    {"parsejson", special_parse_json, 1, 1},
    {"todynamic", special_parse_json, 1, 1},
    {"toobject", special_parse_json, 1, 1},
    {"gettype", special_gettype, 1, 1},
    {"max_of", special_max_of, 2, 64},
    {"min_of", special_min_of, 2, 64},
    {"column_ifexists", special_column_ifexists, 2, 2},
    {"columnifexists", special_column_ifexists, 2, 2},
    {"pack_all", special_pack_all, 0, 1},
    {"bag_pack_columns", special_pack_columns, 1, 64},
    {"column_names_of", special_column_names, 1, 1},
    {"toscalar", special_toscalar, 1, 1},
    {"ingestion_time", special_ingestion_time, 0, 0},
    {"countof", special_countof, 2, 3},
    {"materialize", special_rows, 1, 1},
    {"table", special_rows, 1, 2},
};

static unsigned items_count(const struct kql_expression *items)
{
    unsigned count = 0;

    for (; items; items = items->next)
        count++;
    return count;
}

struct bound_value *bind_special(struct binder *binder, const struct scope *scope,
                                 const struct kql_expression *call, bool *handled)
{
    unsigned count = items_count(call->items);

    for (size_t i = 0; i < sizeof specials / sizeof *specials; i++) {
        const struct special *special = &specials[i];
        if (!text_equal(call->name.text, text_of(special->name)))
            continue;
        *handled = true;
        if (count < special->least || count > special->most)
            return binder_wrong(binder, "semantic.arguments", call->place,
                                special->least == special->most ? "%s() takes %u arguments"
                                                                : "%s() takes %u arguments or more, up to %u",
                                special->name, special->least, special->most);
        return special->bind(binder, scope, call);
    }
    return NULL;
}

const char *special_name(size_t i)
{
    return i < sizeof specials / sizeof *specials ? specials[i].name : NULL;
}

/* ---- conditions ---- */

/* Brings the values that may come out to one type: those at `first`, and every `step` behind it. */
static bool to_common_type(struct binder *binder, struct bound_value **values, unsigned count, unsigned first,
                           unsigned step, struct kql_place place, enum kql_type *type)
{
    *type = values[first]->type;
    for (unsigned i = first; i < count; i += i + step < count ? step : 1) {
        if (value_common_type(*type, values[i]->type, type))
            continue;
        binder_wrong(binder, "semantic.type", place, "a %s or a %s may come of this: convert one of them",
                     kql_type_name(*type), kql_type_name(values[i]->type));
        return false;
    }
    for (unsigned i = first; i < count; i += i + step < count ? step : 1)
        if (!(values[i] = value_convert(binder, values[i], *type)))
            return false;
    return true;
}

static struct bound_value *value_case(struct binder *binder, struct bound_value **values, unsigned count,
                                      enum kql_type type, struct kql_place place)
{
    struct bound_value *value = value_call(binder, "", type, place, values, count);

    value->kind = BOUND_CASE;
    return value;
}

/* condition, value, condition, value, …, otherwise */
static struct bound_value *special_case(struct binder *binder, const struct scope *scope,
                                        const struct kql_expression *call)
{
    unsigned count = items_count(call->items), i = 0;
    struct bound_value **values = ARENA_ARRAY(binder->arena, struct bound_value *, count);
    enum kql_type type;

    if (count % 2 == 0)
        return binder_wrong(binder, "semantic.arguments", call->place, "%.*s() lacks what it gives otherwise",
                            TEXT_ARGS(call->name.text));
    for (const struct kql_expression *item = call->items; item; item = item->next, i++) {
        bool condition = i % 2 == 0 && i + 1 < count;
        const struct kql_expression *value = item->kind == KQL_NAMED ? item->left : item; /* a name says nothing here */
        values[i] = condition ? bind_predicate(binder, scope, value) : bind_value(binder, scope, value);
        if (!values[i])
            return NULL;
    }
    return to_common_type(binder, values, count, 1, 2, call->place, &type)
               ? value_case(binder, values, count, type, call->place)
               : NULL;
}

static struct bound_value **bind_all(struct binder *binder, const struct scope *scope,
                                     const struct kql_expression *call, unsigned *count)
{
    struct bound_value **values = ARENA_ARRAY(binder->arena, struct bound_value *, items_count(call->items));

    *count = 0;
    for (const struct kql_expression *item = call->items; item; item = item->next)
        if (!(values[(*count)++] = bind_value(binder, scope, item)))
            return NULL;
    return values;
}

static struct bound_value *common_call(struct binder *binder, const struct scope *scope,
                                       const struct kql_expression *call, const char *of_texts,
                                       const char *of_dynamics, const char *of_others)
{
    unsigned count;
    struct bound_value **values = bind_all(binder, scope, call, &count);
    enum kql_type type;

    if (!values || !to_common_type(binder, values, count, 0, 1, call->place, &type))
        return NULL;
    const char *sql = type == TYPE_STRING ? of_texts : type == TYPE_DYNAMIC ? of_dynamics : of_others;
    if (!sql)
        return binder_wrong(binder, "semantic.type", call->place,
                            "a dynamic has no order: use tolong() or another");
    return value_call(binder, sql, type, call->place, values, count);
}

/* Empty texts are passed over as well as nulls. */
static struct bound_value *special_coalesce(struct binder *binder, const struct scope *scope,
                                            const struct kql_expression *call)
{
    return common_call(binder, scope, call, "!@first_text(%*)", "@first_json(%*)", "coalesce(%*)");
}

static struct bound_value *special_max_of(struct binder *binder, const struct scope *scope,
                                          const struct kql_expression *call)
{
    return common_call(binder, scope, call, "!@greatest_text(%*)", NULL, "greatest(%*)");
}

static struct bound_value *special_min_of(struct binder *binder, const struct scope *scope,
                                          const struct kql_expression *call)
{
    return common_call(binder, scope, call, "!@least_text(%*)", NULL, "least(%*)");
}

static struct bound_value *special_not(struct binder *binder, const struct scope *scope,
                                       const struct kql_expression *call)
{
    return value_negated_if(binder, true, bind_predicate(binder, scope, call->items));
}

static struct bound_value *special_isnull(struct binder *binder, const struct scope *scope,
                                          const struct kql_expression *call)
{
    struct bound_value *value = bind_value(binder, scope, call->items);

    if (!value)
        return NULL;
    if (value->type == TYPE_STRING) /* it has no null */
        return value_bool(binder, false, call->place);
    value = value_call1(binder, value->type == TYPE_DYNAMIC ? "!@is_null(%1)" : "!(%1 IS NULL)", TYPE_BOOL,
                        value);
    return value;
}

static struct bound_value *special_isnotnull(struct binder *binder, const struct scope *scope,
                                             const struct kql_expression *call)
{
    return value_negated_if(binder, true, special_isnull(binder, scope, call));
}

/* ---- the moment ---- */

static struct bound_value *moment(struct binder *binder, const struct scope *scope,
                                  const struct kql_expression *call, const char *sign)
{
    struct bound_value *sides[2] = {
        value_integer(binder, TYPE_DATETIME, binder->options->now_ticks, call->place)};

    if (!call->items)
        return sides[0];
    sides[1] = bind_value_as(binder, scope, call->items, TYPE_TIMESPAN, "the distance");
    return sides[1] ? bind_operator(binder, sign, call->place, sides, 2) : NULL;
}

static struct bound_value *special_now(struct binder *binder, const struct scope *scope,
                                       const struct kql_expression *call)
{
    return moment(binder, scope, call, "+");
}

static struct bound_value *special_ago(struct binder *binder, const struct scope *scope,
                                       const struct kql_expression *call)
{
    return moment(binder, scope, call, "-");
}

static struct bound_value *special_ingestion_time(struct binder *binder, const struct scope *scope,
                                                  const struct kql_expression *call)
{
    static const char *const names[] = {"_TimeReceived", "TimeGenerated"};
    struct bound_column *column = NULL;

    for (; scope && !scope->rows; scope = scope->outer)
        ;
    for (size_t i = 0; scope && !column && i < sizeof names / sizeof *names; i++)
        column = rows_column(scope->rows, text_of(names[i]));
    if (!column || column->type != TYPE_DATETIME)
        return binder_wrong(binder, "unsupported.ingestion_time", call->place,
                            "ingestion_time() of rows that do not say when they came");
    struct bound_value *value = value_of_column(binder, column, call->place);
    value->label = TEXT("$IngestionTime");
    return value;
}

/* ---- types ---- */

static struct bound_value *special_cast(struct binder *binder, const struct scope *scope,
                                        const struct kql_expression *call)
{
    struct text name = {call->name.text.bytes + 2, call->name.text.count - 2};
    struct bound_value *value = bind_value(binder, scope, call->items);
    enum kql_type type;

    if (!value || !kql_type_of(name, &type))
        return NULL;
    if (!value_converts(value->type, type)) {
        struct bound_value *null = value_null(binder, type, call->place);
        null->label = value->label;
        return null;
    }
    return value_convert(binder, value, type);
}

static struct bound_value *special_parse_json(struct binder *binder, const struct scope *scope,
                                              const struct kql_expression *call)
{
    struct bound_value *value = bind_value(binder, scope, call->items);

    if (!value || value->type == TYPE_DYNAMIC)
        return value;
    return bind_signature(binder, FUNCTION_SCALAR, call->name.text, call->place, &value, 1);
}

static struct bound_value *special_gettype(struct binder *binder, const struct scope *scope,
                                           const struct kql_expression *call)
{
    struct bound_value *value = bind_value(binder, scope, call->items), *type;

    if (!value)
        return NULL;
    if (value->type == TYPE_DYNAMIC)
        type = value_call1(binder, "!@gettype(%1)", TYPE_STRING, value);
    else
        type = value_text(binder, text_of(kql_type_name(value->type)), call->place);
    if (value->label.bytes)
        type->label = text_of(arena_format(binder->arena, "type_%.*s", TEXT_ARGS(value->label)));
    return type;
}

/* ---- columns ---- */

static struct bound_value *special_column_ifexists(struct binder *binder, const struct scope *scope,
                                                   const struct kql_expression *call)
{
    const struct scope *here = scope;
    struct bound_column *column;
    struct text name;

    if (!bind_constant_text(binder, scope, call->items, &name))
        return NULL;
    while (here && !here->rows)
        here = here->outer;
    column = here ? rows_known(here->rows, name) : NULL;
    struct bound_value *otherwise = call->items->next ? bind_value(binder, scope, call->items->next) : NULL;
    if (!column || !otherwise)
        return otherwise;
    struct bound_value *value = value_of_column(binder, column, call->place);
    /* Parsers say int(null) of what is a long, and go on with the type that they said. */
    if (column->type == TYPE_LONG && otherwise->type == TYPE_INT) {
        value = value_call1(binder, "%1", TYPE_INT, value);
        value->label = column->name;
    }
    return value;
}

struct bound_value *value_pack(struct binder *binder, struct bound_column *const *columns, unsigned count, bool present_only,
                               struct kql_place place)
{
    struct bound_value **pairs = ARENA_ARRAY(binder->arena, struct bound_value *, 2 * count);

    for (unsigned i = 0; i < count; i++) {
        pairs[2 * i] = value_text(binder, columns[i]->name, place);
        if (present_only) /* where all of them are JSON */
            pairs[2 * i] = value_convert(binder, pairs[2 * i], TYPE_DYNAMIC);
        pairs[2 * i + 1] = value_convert(binder, value_of_column(binder, columns[i], place), TYPE_DYNAMIC);
    }
    return value_call(binder,
                      present_only ? "!@bag_pack_present(ARRAY[%*]::json[])" : "!@bag_pack(json_build_array(%*))",
                      TYPE_DYNAMIC, place, pairs, 2 * count);
}

static struct bound_value *special_pack_all(struct binder *binder, const struct scope *scope,
                                            const struct kql_expression *call)
{
    struct bound_value *only_present = call->items ? bind_predicate(binder, scope, call->items) : NULL;
    const struct scope *here = scope;

    while (here && !here->rows)
        here = here->outer;
    if (!here)
        return binder_wrong(binder, "semantic.rows", call->place, "pack_all() where there are no columns");
    if (call->items && (!only_present || only_present->kind != BOUND_CONSTANT))
        return binder_wrong(binder, "semantic.type", call->place, "pack_all() takes true or false");
    return value_pack(binder, here->rows->columns, here->rows->count, only_present && only_present->integer, call->place);
}

static struct bound_value *special_pack_columns(struct binder *binder, const struct scope *scope,
                                                const struct kql_expression *call)
{
    struct bound_column **columns = ARENA_ARRAY(binder->arena, struct bound_column *, items_count(call->items));
    unsigned count = 0;

    for (const struct kql_expression *item = call->items; item; item = item->next) {
        struct bound_value *value = item->kind == KQL_REFERENCE ? bind_value(binder, scope, item) : NULL;
        if (!value || value->kind != BOUND_COLUMN)
            return binder_failed(binder) ? NULL
                                         : binder_wrong(binder, "semantic.arguments", item->place,
                                                        "bag_pack_columns() takes the names of columns");
        columns[count++] = value->column;
    }
    return value_pack(binder, columns, count, false, call->place);
}

static const struct scope *without_rows(const struct scope *scope)
{
    while (scope && scope->rows)
        scope = scope->outer;
    return scope;
}

static struct bound_value *special_toscalar(struct binder *binder, const struct scope *scope,
                                            const struct kql_expression *call)
{
    const struct scope *outside = without_rows(scope);
    struct bound_value *scalar;
    struct bound_rows *rows;

    if (!is_rows(binder, outside, call->items))
        return bind_value(binder, outside, call->items);
    rows = bind_rows(binder, outside, call->items);
    if (!rows)
        return NULL;
    if (!rows->count)
        return binder_wrong(binder, "semantic.rows", call->place, "toscalar() of rows without columns");
    scalar = value_new(binder, BOUND_SCALAR, rows->columns[0]->type, call->place);
    scalar->rows = rows;
    scalar->column = rows->columns[0];
    return scalar;
}

static struct bound_value *special_countof(struct binder *binder, const struct scope *scope,
                                           const struct kql_expression *call)
{
    struct bound_value *in = bind_value_as(binder, scope, call->items, TYPE_STRING, "what is counted in");
    struct text kind = TEXT("normal");

    if (!in ||
        (call->items->next->next && !bind_constant_text(binder, scope, call->items->next->next, &kind)))
        return NULL;
    struct bound_value *what =
        bind_value_as(binder, scope, call->items->next, TYPE_STRING, "what is counted");
    if (!what)
        return NULL;
    if (text_equal(kind, TEXT("normal")))
        return value_call2(binder, "!@countof(%1, %2)", TYPE_LONG, in, what);
    if (!text_equal(kind, TEXT("regex")))
        return binder_wrong(binder, "semantic.arguments", call->place,
                            "countof() counts normal or regex, not %.*s", TEXT_ARGS(kind));
    if (!value_is_text(what))
        return binder_wrong(binder, "unsupported.regex", call->place,
                            "a regular expression has to stand in the query itself");
    what = value_regex(binder, what->text, REGEX_WHOLE, what->place);
    return what ? value_call2(binder, "!@countof_regex(%1, %2)", TYPE_LONG, in, what) : NULL;
}

/* ["A","B"] */
static struct bound_value *special_column_names(struct binder *binder, const struct scope *scope,
                                                const struct kql_expression *call)
{
    struct bound_rows *rows = bind_rows(binder, without_rows(scope), call->items);
    struct bound_value **names;

    if (!rows)
        return NULL;
    names = ARENA_ARRAY(binder->arena, struct bound_value *, rows->count);
    for (unsigned i = 0; i < rows->count; i++)
        names[i] = value_text(binder, rows->columns[i]->name, call->place);
    return value_call(binder, "!json_build_array(%*)", TYPE_DYNAMIC, call->place, names, rows->count);
}

static struct bound_value *special_rows(struct binder *binder, const struct scope *scope,
                                        const struct kql_expression *call)
{
    (void)scope;
    return binder_wrong(binder, "semantic.rows", call->place, "one value is wanted here, and %.*s() has rows",
                        TEXT_ARGS(call->name.text));
}

/* ---- functions of the query's own, and saved ones ---- */

struct binding *function_named(struct binder *binder, const struct scope *scope, struct text name)
{
    struct binding *binding = scope_find(scope, name);
    const struct catalog_function *saved;
    const struct kql_signature *end;

    if (binding)
        return binding->kind == BINDING_FUNCTION ? binding : NULL;
    if (signatures_find(FUNCTION_SCALAR, name, &end) || signatures_find(FUNCTION_AGGREGATE, name, &end))
        return NULL;
    saved = catalog_function_find(binder->catalog, name);
    if (!saved)
        return NULL;
    binding = ARENA_NEW(binder->arena, struct binding);
    binding->kind = BINDING_FUNCTION;
    binding->name = name;
    binding->function = saved->function;
    binding->saved = saved;
    binding->scope = ARENA_NEW(binder->arena, struct scope); /* it sees nothing of the query's */
    return binding;
}

/* What the call gives for a parameter: the argument of its name, or the one at its place. */
static const struct kql_expression *argument_of(const struct kql_expression *items,
                                                const struct kql_column *parameter, unsigned place)
{
    unsigned i = 0;

    for (const struct kql_expression *item = items; item; item = item->next)
        if (item->kind == KQL_NAMED && item->names && !item->names->next &&
            text_equal(item->names->name.text, parameter->name.text))
            return item->left;
    for (const struct kql_expression *item = items; item; item = item->next, i++)
        if (i == place && item->kind != KQL_NAMED)
            return item;
    return NULL;
}

static bool has_columns(struct binder *binder, const struct bound_rows *rows,
                        const struct kql_column *parameter, struct kql_place place)
{
    for (const struct kql_column *column = parameter->columns; column; column = column->next) {
        if (text_equal(column->name.text, TEXT("*")) || !column->name.text.bytes ||
            rows_column(rows, column->name.text))
            continue;
        binder_wrong(binder, "semantic.unknown_column", place,
                     "%.*s wants a column %.*s, and these rows have none", TEXT_ARGS(parameter->name.text),
                     TEXT_ARGS(column->name.text));
        return false;
    }
    return true;
}

/* From here on places are those of the call. False: they are already. */
static bool go_inside(struct binder *binder, const struct binding *function, struct kql_place place)
{
    if (!function->saved || binder->inside)
        return false;
    binder->inside = function->saved;
    binder->call = place;
    return true;
}

static struct binding *bind_parameter(struct binder *binder, const struct scope *scope,
                                      const struct binding *function, const struct kql_column *parameter,
                                      const struct kql_expression *argument, struct bound_rows *first,
                                      struct kql_place place)
{
    struct binding *binding = ARENA_NEW(binder->arena, struct binding);
    enum kql_type type;

    binding->name = parameter->name.text;
    if (parameter->is_table) {
        struct bound_rows *rows = first      ? first
                                  : argument ? bind_rows(binder, without_rows(scope), argument)
                                             : NULL;
        if (!rows && !binder_failed(binder))
            binder_wrong(binder, "semantic.arguments", place, "rows are lacking for %.*s",
                         TEXT_ARGS(parameter->name.text));
        if (!rows || !has_columns(binder, rows, parameter, place))
            return NULL;
        binding->kind = BINDING_ROWS;
        binding->shared = rows_share(binder, rows, false);
        return binding;
    }
    if (!kql_type_of(parameter->type.text.bytes ? parameter->type.text : TEXT("string"), &type))
        return binder_wrong(binder, "semantic.type", place, "%.*s is no type",
                            TEXT_ARGS(parameter->type.text));
    binding->kind = BINDING_VALUE;
    if (argument) {
        binding->value = bind_value(binder, scope, argument);
    } else if (parameter->otherwise) {
        bool entered = go_inside(binder, function, place);
        binding->value = bind_value(binder, function->scope, parameter->otherwise);
        if (entered)
            binder->inside = NULL;
    } else {
        return binder_wrong(binder, "semantic.arguments", place, "a value is lacking for %.*s",
                            TEXT_ARGS(parameter->name.text));
    }
    binding->value =
        value_as(binder, binding->value, type, arena_string(binder->arena, parameter->name.text));
    return binding->value ? binding : NULL;
}

/* Binds the body where the parameters have their values. Gives rows, or NULL and sets `*value`. */
static struct bound_rows *bind_user(struct binder *binder, const struct scope *scope,
                                    const struct kql_expression *call, const struct binding *function,
                                    struct bound_rows *first, struct bound_value **value)
{
    const struct kql_expression *items = call->kind == KQL_CALL ? call->items : NULL;
    struct scope *inside = ARENA_NEW(binder->arena, struct scope);
    unsigned place = 0, count = 0;

    for (const struct kql_column *parameter = function->function->parameters; parameter;
         parameter = parameter->next)
        count++;
    if (items_count(items) + (first != NULL) > count)
        return binder_wrong(binder, "semantic.arguments", call->place, "%.*s() takes %u arguments",
                            TEXT_ARGS(function->name), count);
    inside->outer = function->scope;
    for (const struct kql_column *parameter = function->function->parameters; parameter;
         parameter = parameter->next, place++) {
        const struct kql_expression *argument = argument_of(items, parameter, place - (first != NULL));
        struct binding *binding =
            bind_parameter(binder, scope, function, parameter, place || !first ? argument : NULL,
                           place ? NULL : first, call->place);
        if (!binding)
            return NULL;
        binding->next = inside->bindings;
        inside->bindings = binding;
    }
    if (!binder_enter(binder, call->place))
        return NULL;
    bool entered = go_inside(binder, function, call->place);
    struct bound_rows *rows = bind_statements(binder, inside, function->function->body, value);
    if (entered)
        binder->inside = NULL;
    binder->depth--;
    return rows;
}

struct bound_value *bind_user_value(struct binder *binder, const struct scope *scope,
                                    const struct kql_expression *call, const struct binding *function)
{
    struct bound_value *value = NULL;

    if (bind_user(binder, scope, call, function, NULL, &value))
        return binder_wrong(binder, "semantic.rows", call->place,
                            "one value is wanted here, and %.*s() has rows", TEXT_ARGS(function->name));
    return value;
}

struct bound_rows *bind_user_rows(struct binder *binder, const struct scope *scope,
                                  const struct kql_expression *call, const struct binding *function,
                                  struct bound_rows *first)
{
    struct bound_value *value = NULL;
    struct bound_rows *rows = bind_user(binder, scope, call, function, first, &value);

    if (!rows && !binder_failed(binder))
        return binder_wrong(binder, "semantic.rows", call->place,
                            "rows are wanted here, and %.*s() is one value", TEXT_ARGS(function->name));
    return rows;
}
