#include "kql/binder.h"

/* Operators that change one row at a time, or only which columns are seen. */

struct text name_of_unnamed(struct binder *binder, const struct bound_rows *taken, const char *stem)
{
    for (unsigned i = 1;; i++) {
        struct text name = text_of(arena_format(binder->arena, "%s%u", stem, i));
        if (!rows_column(taken, name))
            return name;
    }
}

bool item_value(struct binder *binder, const struct scope *scope, const struct kql_expression *item,
                struct text *name, struct bound_value **value)
{
    bool named = item->kind == KQL_NAMED;

    if (named && item->names && item->names->next) {
        binder_wrong(binder, "unsupported.several_names", item->place,
                     "several names for one value are not supported");
        return false;
    }
    *value = bind_value(binder, scope, named ? item->left : item);
    if (!*value)
        return false;
    *name = named ? item->names->name.text : (*value)->label;
    return true;
}

/* A column under that name, which may be another's alias. */
struct bound_column *column_of_value(struct binder *binder, struct bound_rows *rows, struct text name,
                                     struct bound_value *value)
{
    struct bound_column *column;

    if (value->kind == BOUND_COLUMN) { /* the same one by another name */
        column = ARENA_NEW(binder->arena, struct bound_column);
        *column = *value->column;
        column->name = name;
        return column;
    }
    column = column_new(binder, name, value->type);
    column->definition = value;
    rows_define(binder, rows, column, value);
    return column;
}

void rows_replace(struct binder *binder, struct bound_rows *rows, struct bound_column *column)
{
    struct bound_column **columns = ARENA_ARRAY(binder->arena, struct bound_column *, rows->count);

    for (unsigned i = 0; i < rows->count; i++) {
        if (!text_equal(rows->columns[i]->name, column->name))
            continue;
        memcpy(columns, rows->columns, rows->count * sizeof *columns);
        columns[i] = column;
        rows->columns = columns;
        return;
    }
    rows_show(binder, rows, column);
}

struct bound_rows *bind_extend(struct binder *binder, const struct scope *scope,
                               const struct kql_operator *operator, struct bound_rows * input)
{
    struct bound_rows *rows = rows_new(binder, ROWS_EXTEND, input, operator->place);
    struct scope here = scope_of(scope, input);
    struct bound_value *value;
    struct text name;

    for (const struct kql_expression *item = operator->items; item; item = item->next) {
        if (!item_value(binder, &here, item, &name, &value))
            return NULL;
        if (!name.bytes)
            name = name_of_unnamed(binder, rows, "Column");
        rows_replace(binder, rows, column_of_value(binder, rows, name, value));
    }
    return rows;
}

struct bound_rows *bind_serialize(struct binder *binder, const struct scope *scope,
                                  const struct kql_operator *operator, struct bound_rows * input)
{
    struct bound_rows *serialized = rows_new(binder, ROWS_EXTEND, input, operator->place);

    serialized->serialized = true;
    return operator->items ? bind_extend(binder, scope, operator, serialized) : serialized;
}

struct bound_rows *bind_project(struct binder *binder, const struct scope *scope,
                                const struct kql_operator *operator, struct bound_rows * input)
{
    struct bound_rows *rows = rows_new(binder, ROWS_EXTEND, input, operator->place);
    struct scope here = scope_of(scope, input);
    struct bound_value *value;
    struct text name;

    rows_clear(rows);
    for (const struct kql_expression *item = operator->items; item; item = item->next) {
        if (item->kind == KQL_REFERENCE && text_find(item->name.text, '*') < item->name.text.count) {
            for (unsigned i = 0; i < input->count; i++)
                if (text_like(input->columns[i]->name, item->name.text))
                    rows_show(binder, rows, input->columns[i]);
            continue;
        }
        if (!item_value(binder, &here, item, &name, &value))
            return NULL;
        bool said = item->kind == KQL_NAMED || item->kind == KQL_REFERENCE;
        if (!name.bytes)
            name = name_of_unnamed(binder, rows, "Column");
        else if (said && rows_column(rows, name))
            return binder_wrong(binder, "semantic.duplicate_column", item->place,
                                "a column %.*s is there already", TEXT_ARGS(name));
        else
            name = rows_unique_name(binder, rows, name);
        rows_show(binder, rows, column_of_value(binder, rows, name, value));
    }
    return rows;
}

struct bound_rows *bind_print(struct binder *binder, const struct scope *scope,
                              const struct kql_operator *operator, struct bound_rows * input)
{
    struct bound_rows *rows =
        rows_new(binder, ROWS_EXTEND, rows_new(binder, ROWS_NOTHING, NULL, operator->place), operator->place);
    struct bound_value *value;
    struct text name;
    unsigned i = 0;

    (void)input;
    for (const struct kql_expression *item = operator->items; item; item = item->next, i++) {
        if (!item_value(binder, scope, item, &name, &value))
            return NULL;
        if (item->kind != KQL_NAMED)
            name = text_of(arena_format(binder->arena, "print_%u", i));
        rows_show(binder, rows, column_of_value(binder, rows, rows_unique_name(binder, rows, name), value));
    }
    rows->serialized = true;
    return rows;
}

/* ---- which columns are seen ---- */

/* Whether a name or a pattern of the items says that column; one that says none is wrong. */
static bool said(const struct kql_expression *items, struct text name)
{
    for (; items; items = items->next)
        if (text_like(name, items->name.text))
            return true;
    return false;
}

static bool all_exist(struct binder *binder, const struct bound_rows *rows,
                      const struct kql_expression *items)
{
    for (; items; items = items->next) {
        const struct kql_expression *reference = items->kind == KQL_ORDERED ? items->left : items;
        bool wild = text_find(reference->name.text, '*') < reference->name.text.count;
        if (wild || rows_open_column(binder, rows, reference->name.text))
            continue;
        binder_wrong(binder, "semantic.unknown_column", reference->place, "there is no column %.*s",
                     TEXT_ARGS(reference->name.text));
        return false;
    }
    return true;
}

/* One that is named and was not shown so far. */
static void show_hidden(struct binder *binder, const struct bound_rows *input, const struct kql_expression *item,
                        struct bound_rows *rows)
{
    struct text name = (item->kind == KQL_ORDERED ? item->left : item)->name.text;
    struct bound_column *column = rows_known(input, name);

    if (column && !rows_column(input, name) && !rows_column(rows, name))
        rows_show(binder, rows, column);
}

static struct bound_rows *seen_if(struct binder *binder, const struct kql_operator *operator,
                                  struct bound_rows * input, bool wanted)
{
    struct bound_rows *rows = rows_new(binder, ROWS_EXTEND, input, operator->place);

    if (!all_exist(binder, input, operator->items))
        return NULL;
    rows_clear(rows);
    for (unsigned i = 0; i < input->count; i++)
        if (said(operator->items, input->columns[i]->name) == wanted)
            rows_show(binder, rows, input->columns[i]);
    for (const struct kql_expression *item = wanted ? operator->items : NULL; item; item = item->next)
        show_hidden(binder, input, item, rows);
    if (!wanted)
        rows->open = input->open;
    for (const struct bound_definition *unshown = wanted ? NULL : input->unshown; unshown; unshown = unshown->next)
        if (!said(operator->items, unshown->column->name))
            rows_alias(binder, rows, unshown->column->name, unshown->column);
    return rows;
}

struct bound_rows *bind_project_away(struct binder *binder, const struct scope *scope,
                                     const struct kql_operator *operator, struct bound_rows * input)
{
    (void)scope;
    return seen_if(binder, operator, input, false);
}

struct bound_rows *bind_project_keep(struct binder *binder, const struct scope *scope,
                                     const struct kql_operator *operator, struct bound_rows * input)
{
    (void)scope;
    return seen_if(binder, operator, input, true);
}

struct bound_rows *bind_project_rename(struct binder *binder, const struct scope *scope,
                                       const struct kql_operator *operator, struct bound_rows * input)
{
    struct bound_rows *rows = rows_new(binder, ROWS_EXTEND, input, operator->place);
    struct bound_column **columns = ARENA_ARRAY(binder->arena, struct bound_column *, input->count);

    (void)scope;
    if (input->count)
        memcpy(columns, input->columns, input->count * sizeof *columns);
    rows->columns = columns;
    for (const struct kql_expression *item = operator->items; item; item = item->next) {
        unsigned i = 0;
        if (item->kind != KQL_NAMED || item->left->kind != KQL_REFERENCE)
            return binder_wrong(binder, "semantic.rename", item->place,
                                "a new name = a column is wanted here");
        while (i < input->count && !text_equal(input->columns[i]->name, item->left->name.text))
            i++;
        if (i == input->count) {
            struct bound_column *hidden = rows_open_column(binder, input, item->left->name.text);
            if (!hidden)
                return binder_wrong(binder, "semantic.unknown_column", item->left->place,
                                    "there is no column %.*s", TEXT_ARGS(item->left->name.text));
            rows_show(binder, rows, column_of_value(binder, rows, item->names->name.text,
                                                    value_of_column(binder, hidden, item->place)));
            columns = rows->columns;
            continue;
        }
        columns[i] = column_of_value(binder, rows, item->names->name.text,
                                     value_of_column(binder, input->columns[i], item->place));
    }
    for (unsigned i = 0; i < rows->count; i++)
        if (rows_column(rows, columns[i]->name) != columns[i])
            return binder_wrong(binder, "semantic.duplicate_column", operator->place,
                                "a column %.*s is there already", TEXT_ARGS(columns[i]->name));
    return rows;
}

/* a2 before a10: digits count as numbers. */
static int granny_compare(struct text a, struct text b)
{
    while (a.count && b.count) {
        size_t digits_a = 0, digits_b = 0;
        while (digits_a < a.count && a.bytes[digits_a] >= '0' && a.bytes[digits_a] <= '9')
            digits_a++;
        while (digits_b < b.count && b.bytes[digits_b] >= '0' && b.bytes[digits_b] <= '9')
            digits_b++;
        if (digits_a && digits_b) {
            uint64_t left = 0, right = 0;
            (void)text_to_u64((struct text){a.bytes, digits_a}, &left);
            (void)text_to_u64((struct text){b.bytes, digits_b}, &right);
            if (left != right)
                return left < right ? -1 : 1;
        } else if (*a.bytes != *b.bytes) {
            return *a.bytes < *b.bytes ? -1 : 1;
        } else {
            digits_a = digits_b = 1;
        }
        a = (struct text){a.bytes + digits_a, a.count - digits_a};
        b = (struct text){b.bytes + digits_b, b.count - digits_b};
    }
    return (a.count > 0) - (b.count > 0);
}

static bool goes_before(enum kql_order order, struct text a, struct text b)
{
    switch (order) {
    case KQL_ASCENDING:
        return text_compare(a, b) < 0;
    case KQL_DESCENDING:
        return text_compare(a, b) > 0;
    case KQL_GRANNY_ASCENDING:
        return granny_compare(a, b) < 0;
    case KQL_GRANNY_DESCENDING:
        return granny_compare(a, b) > 0;
    default:
        return false;
    }
}

/* Shows the columns that the item says and nobody else does more exactly, in its order. */
static void show_said(struct binder *binder, const struct bound_rows *input,
                      const struct kql_expression *items, const struct kql_expression *item,
                      struct bound_rows *rows)
{
    unsigned from = rows->count;

    for (unsigned i = 0; i < input->count; i++) {
        struct text name = input->columns[i]->name, pattern = item->left->name.text;
        bool wild = text_find(pattern, '*') < pattern.count, elsewhere = rows_column(rows, name) != NULL;
        for (const struct kql_expression *other = items; other && wild;
             other = other->next) /* who is named alone, or before */
            elsewhere |= other != item && text_equal(other->left->name.text, name);
        for (const struct kql_expression *other = item->next; other && wild; other = other->next)
            elsewhere |= text_equal(pattern, TEXT("*")) && text_like(name, other->left->name.text);
        if (elsewhere || !text_like(name, pattern))
            continue;
        rows_show(binder, rows, input->columns[i]);
        for (unsigned k = rows->count - 1;
             k > from && goes_before(item->order, name, rows->columns[k - 1]->name); k--) {
            rows->columns[k] = rows->columns[k - 1];
            rows->columns[k - 1] = input->columns[i];
        }
    }
}

struct bound_rows *bind_project_reorder(struct binder *binder, const struct scope *scope,
                                        const struct kql_operator *operator, struct bound_rows * input)
{
    struct bound_rows *rows = rows_new(binder, ROWS_EXTEND, input, operator->place);

    (void)scope;
    if (!all_exist(binder, input, operator->items))
        return NULL;
    rows_clear(rows);
    for (const struct kql_expression *item = operator->items; item; item = item->next) {
        show_said(binder, input, operator->items, item, rows);
        show_hidden(binder, input, item, rows);
    }
    for (unsigned i = 0; i < input->count; i++)
        if (!rows_column(rows, input->columns[i]->name))
            rows_show(binder, rows, input->columns[i]);
    return rows;
}

/* ---- rows ---- */

/* What is computed over rows in order is a column before it may be a condition. */
struct bound_rows *rows_filtered(struct binder *binder, struct bound_rows *input,
                                 struct bound_value *predicate)
{
    struct bound_rows *rows;

    if (predicate->windows) {
        struct bound_rows *extended = rows_new(binder, ROWS_EXTEND, input, predicate->place);
        struct bound_column *column = column_new(binder, TEXT("condition"), TYPE_BOOL);
        rows_define(binder, extended, column, predicate);
        input = extended;
        predicate = value_of_column(binder, column, predicate->place);
    }
    rows = rows_new(binder, ROWS_FILTER, input, predicate->place);
    rows->predicate = predicate;
    return rows;
}

struct bound_rows *bind_where(struct binder *binder, const struct scope *scope,
                              const struct kql_operator *operator, struct bound_rows * input)
{
    struct scope here = scope_of(scope, input);
    struct bound_value *predicate = bind_predicate(binder, &here, operator->items);

    return predicate ? rows_filtered(binder, input, predicate) : NULL;
}

/* By `values` of the first list, then as the rows lay. */
static bool bind_keys(struct binder *binder, const struct scope *scope, const struct kql_expression *by,
                      struct bound_rows *rows)
{
    struct scope here = scope_of(scope, rows->input);
    struct bound_order *before = rows->order, **end = &rows->order;

    for (; by; by = by->next) {
        bool ordered = by->kind == KQL_ORDERED;
        const struct kql_expression *key = ordered ? by->left : by;
        struct bound_value *value = bind_value(binder, &here, key->kind == KQL_NAMED ? key->left : key);
        if (!value)
            return false;
        if (value->type == TYPE_DYNAMIC) {
            binder_wrong(binder, "semantic.type", key->place,
                         "a dynamic has no order: use tostring() or another");
            return false;
        }
        struct bound_column *column = column_of_value(binder, rows, TEXT("key"), value);
        *end = ARENA_NEW(binder->arena, struct bound_order);
        (*end)->column = column;
        (*end)->descending = !ordered || by->order != KQL_ASCENDING;
        (*end)->nulls_last =
            ordered && by->nulls != KQL_NULLS_DEFAULT ? by->nulls == KQL_NULLS_LAST : (*end)->descending;
        end = &(*end)->next;
    }
    *end = before;
    rows->serialized = true;
    return true;
}

struct bound_rows *bind_sort(struct binder *binder, const struct scope *scope,
                             const struct kql_operator *operator, struct bound_rows * input)
{
    struct bound_rows *rows = rows_new(binder, ROWS_EXTEND, input, operator->place);

    return bind_keys(binder, scope, operator->by, rows) ? rows : NULL;
}

static struct bound_rows *limited(struct binder *binder, const struct scope *scope,
                                  const struct kql_expression *limit, struct bound_rows *input)
{
    struct bound_rows *rows = rows_new(binder, ROWS_LIMIT, input, limit->place);

    rows->values = ARENA_ARRAY(binder->arena, struct bound_value *, 1);
    rows->values[0] = bind_value_as(binder, scope, limit, TYPE_LONG, "the number of rows");
    return rows->values[0] ? rows : NULL;
}

struct bound_rows *bind_top(struct binder *binder, const struct scope *scope,
                            const struct kql_operator *operator, struct bound_rows * input)
{
    struct bound_rows *sorted = bind_sort(binder, scope, operator, input);

    return sorted ? limited(binder, scope, operator->limit, sorted) : NULL;
}

struct bound_rows *bind_take(struct binder *binder, const struct scope *scope,
                             const struct kql_operator *operator, struct bound_rows * input)
{
    return limited(binder, scope, operator->limit, input);
}

struct bound_rows *bind_as(struct binder *binder, const struct scope *scope,
                           const struct kql_operator *operator, struct bound_rows * input)
{
    struct binding *binding = ARENA_NEW(binder->arena, struct binding);

    (void)scope;
    binding->kind = BINDING_ROWS;
    binding->name = operator->name.text;
    binding->shared = rows_share(binder, input, false);
    binding->next = binder->named;
    binder->named = binding;
    return input;
}

struct bound_rows *bind_render(struct binder *binder, const struct scope *scope,
                               const struct kql_operator *operator, struct bound_rows * input)
{
    (void)scope;
    binder->render = operator;
    return input;
}

struct bound_rows *bind_invoke(struct binder *binder, const struct scope *scope,
                               const struct kql_operator *operator, struct bound_rows * input)
{
    const struct kql_expression *call = operator->items;
    const struct binding *function =
        call->kind == KQL_CALL && !call->left ? function_named(binder, scope, call->name.text) : NULL;

    if (call->kind != KQL_CALL)
        return binder_wrong(binder, "semantic.invoke", call->place, "a call of a function is wanted here");
    if (!function)
        return binder_wrong(
            binder, function_is_known(call->name.text) ? "unsupported.function" : "semantic.unknown_function",
            call->place, "there is no function %.*s() of rows", TEXT_ARGS(call->name.text));
    return bind_user_rows(binder, scope, call, function, input);
}

/* ---- rows of literals ---- */

struct bound_rows *bind_range(struct binder *binder, const struct scope *scope,
                              const struct kql_operator *operator, struct bound_rows * input)
{
    struct bound_rows *rows = rows_new(binder, ROWS_RANGE, NULL, operator->place);
    struct bound_value *from = bind_value(binder, scope, operator->from),
                       *to = from ? bind_value(binder, scope, operator->to) : NULL;
    struct bound_value *by = to ? bind_value(binder, scope, operator->step) : NULL;
    enum kql_type type;

    (void)input;
    if (!by)
        return NULL;
    bool of_time = from->type == TYPE_DATETIME;
    if (!value_common_type(from->type, to->type, &type) ||
        (!of_time && !value_common_type(type, by->type, &type)) || (of_time && by->type != TYPE_TIMESPAN) ||
        (!of_time && type != TYPE_TIMESPAN && !kql_type_is_number(type)))
        return binder_wrong(binder, "semantic.type", operator->place,
                            "range goes over numbers, or over times by timespans");
    if (type == TYPE_INT || type == TYPE_DYNAMIC)
        type = TYPE_LONG;
    rows->values = ARENA_ARRAY(binder->arena, struct bound_value *, 3);
    rows->values[0] = value_convert(binder, from, type);
    rows->values[1] = value_convert(binder, to, type);
    rows->values[2] = of_time ? by : value_convert(binder, by, type);
    struct bound_column *column = column_new(binder, operator->name.text, type);
    rows_show(binder, rows, column);
    rows->ordinal = column_new(binder, TEXT("ordinal"), TYPE_LONG);
    rows->order = ARENA_NEW(binder->arena, struct bound_order);
    *rows->order = (struct bound_order){NULL, rows->ordinal, false, false};
    rows->serialized = true;
    return rows;
}

struct bound_rows *bind_datatable(struct binder *binder, const struct scope *scope,
                                  const struct kql_operator *operator, struct bound_rows * input)
{
    struct bound_rows *rows = rows_new(binder, ROWS_VALUES, NULL, operator->place);
    unsigned count = 0;

    (void)input;
    for (const struct kql_column *column = operator->schema; column; column = column->next) {
        enum kql_type type;
        if (!kql_type_of(column->type.text, &type))
            return binder_wrong(binder, "semantic.type", column->type.place, "%.*s is no type",
                                TEXT_ARGS(column->type.text));
        rows_show(binder, rows, column_new(binder, column->name.text, type));
    }
    for (const struct kql_expression *item = operator->items; item; item = item->next)
        count++;
    if (!rows->count || count % rows->count)
        return binder_wrong(binder, "semantic.datatable", operator->place,
                            "%u values do not fill rows of %u columns", count, rows->count);
    rows->values = ARENA_ARRAY(binder->arena, struct bound_value *, count);
    rows->value_count = count;
    count = 0;
    for (const struct kql_expression *item = operator->items; item; item = item->next, count++) {
        struct bound_value *value = bind_value(binder, scope, item);
        enum kql_type type = rows->columns[count % rows->count]->type;
        if (!value)
            return NULL;
        bool null = value->kind == BOUND_CONSTANT && !value->text.bytes;
        if (!null && !value_converts(value->type, type))
            return binder_wrong(binder, "semantic.type", item->place, "a %s does not go into a column of %s",
                                kql_type_name(value->type), kql_type_name(type));
        rows->values[count] =
            null ? value_null(binder, type, item->place) : value_convert(binder, value, type);
    }
    rows->ordinal = column_new(binder, TEXT("ordinal"), TYPE_LONG);
    rows->order = ARENA_NEW(binder->arena, struct bound_order);
    *rows->order = (struct bound_order){NULL, rows->ordinal, false, false};
    return rows;
}

/* What the rows are like: one row a column. */
struct bound_rows *bind_getschema(struct binder *binder, const struct scope *scope,
                                  const struct kql_operator *operator, struct bound_rows * input)
{
    static const char *const clr[] = {"System.SByte",
                                      "System.Int32",
                                      "System.Int64",
                                      "System.Double",
                                      "System.Data.SqlTypes.SqlDecimal",
                                      "System.String",
                                      "System.DateTime",
                                      "System.TimeSpan",
                                      "System.Guid",
                                      "System.Object"};
    static const struct {
        const char *name;
        enum kql_type type;
    } columns[] = {{"ColumnName", TYPE_STRING},
                   {"ColumnOrdinal", TYPE_LONG},
                   {"DataType", TYPE_STRING},
                   {"ColumnType", TYPE_STRING}};
    struct bound_rows *rows = rows_new(binder, ROWS_VALUES, NULL, operator->place);

    (void)scope;
    for (size_t i = 0; i < 4; i++)
        rows_show(binder, rows, column_new(binder, text_of(columns[i].name), columns[i].type));
    rows->value_count = 4 * input->count;
    rows->values = ARENA_ARRAY(binder->arena, struct bound_value *, rows->value_count);
    for (unsigned i = 0; i < input->count; i++) {
        rows->values[4 * i] = value_text(binder, input->columns[i]->name, operator->place);
        rows->values[4 * i + 1] = value_integer(binder, TYPE_LONG, i, operator->place);
        rows->values[4 * i + 2] = value_text(binder, text_of(clr[input->columns[i]->type]), operator->place);
        rows->values[4 * i + 3] =
            value_text(binder, text_of(kql_type_name(input->columns[i]->type)), operator->place);
    }
    rows->ordinal = column_new(binder, TEXT("ordinal"), TYPE_LONG);
    rows->order = ARENA_NEW(binder->arena, struct bound_order);
    *rows->order = (struct bound_order){NULL, rows->ordinal, false, false};
    rows->serialized = true;
    return rows;
}
