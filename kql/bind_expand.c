#include "kql/binder.h"

/* Rows made of what one row holds: mv-expand, mv-apply; and of what several share: partition. */

struct expansion {
    struct bound_rows *elements; /* ROWS_ELEMENTS */
    struct bound_rows *typed;    /* the same, each column of its type and name */
    struct bound_column **columns;
    bool *replaces; /* the item was a column alone */
    unsigned count;
};

static bool expand_item(struct binder *binder, const struct scope *here, const struct kql_expression *item,
                        struct expansion *out)
{
    enum kql_type type = TYPE_DYNAMIC;
    struct bound_value *value = bind_value(binder, here, item->left), *element;
    struct text name = item->names ? item->names->name.text : TEXT_NONE;

    if (!value)
        return false;
    if (item->names && item->names->next)
        return binder_wrong(binder, "unsupported.several_names", item->place,
                            "several names for one value are not supported") != NULL;
    if (value->type != TYPE_DYNAMIC)
        return binder_wrong(binder, "semantic.type", item->left->place,
                            "only a dynamic expands, and this is a %s", kql_type_name(value->type)) != NULL;
    if (item->right && (!item->right->schema || !kql_type_of(item->right->schema->type.text, &type)))
        return binder_wrong(binder, "semantic.type", item->right->place, "this is no type") != NULL;
    if (!name.bytes)
        name = value->label.bytes ? value->label : name_of_unnamed(binder, out->typed, "Column");
    struct bound_column *raw = column_new(binder, name, TYPE_DYNAMIC);
    rows_show(binder, out->elements, raw);
    out->elements->values[out->count] = value;
    element = value_convert(binder, value_of_column(binder, raw, item->place), type);
    if (!element)
        return false;
    out->replaces[out->count] = !item->names && item->left->kind == KQL_REFERENCE;
    out->columns[out->count++] = column_of_value(binder, out->typed, name, element);
    return true;
}

static bool expand(struct binder *binder, const struct scope *scope, const struct kql_operator *operator,
                   struct bound_rows * input, struct expansion *out)
{
    struct scope here = scope_of(scope, input);
    struct text kind = operator_word(operator, "kind"), bags = operator_word(operator, "bagexpansion");
    unsigned count = 0;

    for (const struct kql_expression *item = operator->items; item; item = item->next)
        count++;
    *out = (struct expansion){.elements = rows_new(binder, ROWS_ELEMENTS, NULL, operator->place)};
    out->typed = rows_new(binder, ROWS_EXTEND, out->elements, operator->place);
    out->elements->values = ARENA_ARRAY(binder->arena, struct bound_value *, count);
    out->elements->value_count = count;
    out->elements->bags_as_arrays = text_equal(kind, TEXT("array")) || text_equal(bags, TEXT("array"));
    out->elements->ordinal = column_new(binder, TEXT("ordinal"), TYPE_LONG);
    out->columns = ARENA_ARRAY(binder->arena, struct bound_column *, count);
    out->replaces = ARENA_ARRAY(binder->arena, bool, count);
    if (operator->limit && !(out->elements->limit = bind_value_as(binder, scope, operator->limit, TYPE_LONG,
                                                                  "the number of elements")))
        return false;
    for (const struct kql_expression *item = operator->items; item; item = item->next)
        if (!expand_item(binder, &here, item, out))
            return false;
    return true;
}

static struct bound_order *then_by(struct binder *binder, const struct bound_order *order,
                                   struct bound_column *column)
{
    struct bound_order *copy = ARENA_NEW(binder->arena, struct bound_order);

    if (!order) {
        copy->column = column;
        return copy;
    }
    *copy = *order;
    copy->next = then_by(binder, order->next, column);
    return copy;
}

struct bound_rows *bind_mv_expand(struct binder *binder, const struct scope *scope,
                                  const struct kql_operator *operator, struct bound_rows * input)
{
    struct text index = operator_word(operator, "with_itemindex");
    struct expansion expansion;
    struct bound_rows *rows;

    if (!expand(binder, scope, operator, input, &expansion))
        return NULL;
    rows = rows_new(binder, ROWS_LATERAL, input, operator->place);
    rows->right = expansion.typed;
    if (input->order)
        rows->order = then_by(binder, input->order, expansion.elements->ordinal);
    for (unsigned i = 0; i < expansion.count; i++)
        rows_replace(binder, rows, expansion.columns[i]);
    if (index.bytes) {
        struct bound_column *column = ARENA_NEW(binder->arena, struct bound_column);
        *column = *expansion.elements->ordinal;
        column->name = index;
        rows_show(binder, rows, column);
    }
    return rows;
}

/* The body sees the row's own columns beside the element's. */
struct bound_rows *bind_mv_apply(struct binder *binder, const struct scope *scope,
                                 const struct kql_operator *operator, struct bound_rows * input)
{
    struct text index = operator_word(operator, "with_itemindex");
    struct expansion expansion;
    struct bound_rows *rows, *inside;

    if (!expand(binder, scope, operator, input, &expansion))
        return NULL;
    inside = rows_new(binder, ROWS_EXTEND, expansion.typed, operator->place);
    inside->columns = input->columns;
    inside->count = input->count;
    for (unsigned i = 0; i < expansion.count; i++)
        rows_replace(binder, inside, expansion.columns[i]);
    if (index.bytes) {
        struct bound_column *column = ARENA_NEW(binder->arena, struct bound_column);
        *column = *expansion.elements->ordinal;
        column->name = index;
        rows_show(binder, inside, column);
    }
    inside->order = then_by(binder, NULL, expansion.elements->ordinal);
    inside->serialized = true;
    inside = bind_operators(binder, scope, operator->pipeline->operators, inside);
    if (!inside)
        return NULL;
    rows = rows_new(binder, ROWS_LATERAL, input, operator->place);
    rows->right = inside;
    for (unsigned i = 0; i < inside->count; i++)
        rows_replace(binder, rows, inside->columns[i]);
    return rows;
}

struct bound_rows *bind_partition(struct binder *binder, const struct scope *scope,
                                  const struct kql_operator *operator, struct bound_rows * input)
{
    struct bound_shared *shared = rows_share(binder, input, false);
    struct bound_rows *of_keys = rows_of_shared(binder, shared, operator->place),
                      *of_one = rows_of_shared(binder, shared, operator->place);
    struct bound_rows *keys = rows_new(binder, ROWS_GROUP, of_keys, operator->place), *rows;
    struct bound_column *by = rows_column(of_keys, operator->by->name.text), *key;
    struct bound_value *both[2];

    if (!by)
        return binder_wrong(binder, "semantic.unknown_column", operator->by->place, "there is no column %.*s",
                            TEXT_ARGS(operator->by->name.text));
    if (by->type == TYPE_DYNAMIC)
        return binder_wrong(binder, "semantic.type", operator->by->place,
                            "rows are not parted by a dynamic: use tostring() or another");
    if (operator->pipeline->source)
        return binder_wrong(binder, "unsupported.partition", operator->pipeline->place,
                            "a part that names its rows itself is not supported");
    key = column_new(binder, by->name, by->type);
    rows_clear(keys);
    keys->order = NULL;
    rows_define(binder, keys, key, value_of_column(binder, by, operator->place));
    rows_show(binder, keys, key);
    both[0] = value_of_column(binder, rows_column(of_one, by->name), operator->place);
    both[1] = value_of_column(binder, key, operator->place);
    of_one = rows_filtered(
        binder, of_one,
        value_call(binder, "!(%1 IS NOT DISTINCT FROM %2)", TYPE_BOOL, operator->place,
                   memcpy(ARENA_ARRAY(binder->arena, struct bound_value *, 2), both, sizeof both), 2));
    of_one = bind_operators(binder, scope, operator->pipeline->operators, of_one);
    if (!of_one)
        return NULL;
    rows = rows_new(binder, ROWS_LATERAL, keys, operator->place);
    rows->right = of_one;
    rows->columns = of_one->columns;
    rows->count = of_one->count;
    rows->serialized = false;
    return rows;
}
