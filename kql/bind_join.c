#include "kql/binder.h"

#include <stdlib.h>

/* Rows beside rows, and rows below rows. */

static const struct {
    const char *word;
    enum join_kind kind;
} kinds[] = {
    {"innerunique", JOIN_INNER_UNIQUE}, {"inner", JOIN_INNER},          {"leftouter", JOIN_LEFT},
    {"rightouter", JOIN_RIGHT},         {"fullouter", JOIN_FULL},       {"leftsemi", JOIN_LEFT_SEMI},
    {"rightsemi", JOIN_RIGHT_SEMI},     {"leftanti", JOIN_LEFT_ANTI},   {"anti", JOIN_LEFT_ANTI},
    {"leftantisemi", JOIN_LEFT_ANTI},   {"rightanti", JOIN_RIGHT_ANTI}, {"rightantisemi", JOIN_RIGHT_ANTI},
};

const struct kql_parameter *operator_parameter(const struct kql_operator *operator, const char *name)
{
    for (const struct kql_parameter *parameter = operator->parameters; parameter; parameter = parameter->next)
        if (text_equal(parameter->name.text, text_of(name)))
            return parameter;
    return NULL;
}

/* What stands behind kind= and its like; TEXT_NONE where it is not said. */
struct text operator_word(const struct kql_operator *operator, const char *name)
{
    const struct kql_parameter *parameter = operator_parameter(operator, name);

    if (!parameter || !parameter->value)
        return TEXT_NONE;
    return parameter->value->kind == KQL_REFERENCE ? parameter->value->name.text : parameter->value->text;
}

static bool join_kind_of(struct binder *binder, const struct kql_operator *operator, enum join_kind otherwise,
                         enum join_kind *out)
{
    struct text word = operator_word(operator, "kind");

    *out = otherwise;
    for (size_t i = 0; word.bytes && i < sizeof kinds / sizeof *kinds; i++) {
        if (!text_equal(word, text_of(kinds[i].word)))
            continue;
        *out = kinds[i].kind;
        return true;
    }
    if (word.bytes)
        binder_wrong(binder, "semantic.kind", operator_parameter(operator, "kind")->value->place,
                     "%.*s is no kind of %.*s", TEXT_ARGS(word), TEXT_ARGS(operator->name.text));
    return !word.bytes;
}

/* ---- on what ---- */

struct join {
    struct binder *binder;
    const struct scope *scope;
    struct bound_rows *left, *right;
    struct bound_join keys;
};

static bool add_key(struct join *join, struct bound_value *left, struct bound_value *right,
                    struct kql_place place)
{
    enum kql_type type;

    if (left->type == TYPE_DYNAMIC || right->type == TYPE_DYNAMIC) {
        binder_wrong(join->binder, "semantic.type", place,
                     "rows are not joined on a dynamic: use tostring() or another before");
        return false;
    }
    if (!value_common_type(left->type, right->type, &type)) {
        binder_wrong(join->binder, "semantic.type", place, "a %s and a %s are never the same",
                     kql_type_name(left->type), kql_type_name(right->type));
        return false;
    }
    join->keys.left[join->keys.count] = value_convert(join->binder, left, type);
    join->keys.right[join->keys.count] = value_convert(join->binder, right, type);
    return join->keys.left[join->keys.count] && join->keys.right[join->keys.count++];
}

static bool names_side(const struct kql_expression *expression, const char *side)
{
    for (; expression; expression = expression->left) {
        if (expression->kind == KQL_REFERENCE)
            return text_equal(expression->name.text, text_of(side));
        if (expression->kind != KQL_MEMBER && expression->kind != KQL_ELEMENT)
            return false;
    }
    return false;
}

/* $left.a is the column a of the left side. */
static struct bound_value *side_value(struct join *join, const struct kql_expression *member, bool left)
{
    struct bound_rows *rows = left ? join->left : join->right;
    struct bound_column *column;

    if (member->kind != KQL_MEMBER || member->left->kind != KQL_REFERENCE)
        return binder_wrong(join->binder, "unsupported.join_key", member->place,
                            "a column is wanted here: name what is in it by extend before");
    column = rows_open_column(join->binder, rows, member->name.text);
    if (!column)
        return binder_wrong(join->binder, "semantic.unknown_column", member->place,
                            "the %s side has no column %.*s", left ? "left" : "right",
                            TEXT_ARGS(member->name.text));
    return value_of_column(join->binder, column, member->place);
}

static bool bind_key(struct join *join, const struct kql_expression *key)
{
    struct bound_column *left, *right;

    if (key->kind == KQL_BINARY && key->sign == KQL_AND)
        return bind_key(join, key->left) && bind_key(join, key->right);
    if (key->kind == KQL_REFERENCE) {
        left = rows_open_column(join->binder, join->left, key->name.text);
        right = rows_open_column(join->binder, join->right, key->name.text);
        if (!left || !right) {
            binder_wrong(join->binder, "semantic.unknown_column", key->place,
                         "the %s side has no column %.*s", left ? "right" : "left",
                         TEXT_ARGS(key->name.text));
            return false;
        }
        return add_key(join, value_of_column(join->binder, left, key->place),
                       value_of_column(join->binder, right, key->place), key->place);
    }
    if (key->kind == KQL_BINARY && key->sign == KQL_EQUAL) {
        bool turned = names_side(key->left, "$right");
        const struct kql_expression *of_left = turned ? key->right : key->left,
                                    *of_right = turned ? key->left : key->right;
        if (names_side(of_left, "$left") && names_side(of_right, "$right")) {
            struct bound_value *a = side_value(join, of_left, true),
                               *b = a ? side_value(join, of_right, false) : NULL;
            return b && add_key(join, a, b, key->place);
        }
    }
    binder_wrong(join->binder, "semantic.join_key", key->place,
                 "a column of both sides is wanted here, or $left.a == $right.b");
    return false;
}

static unsigned keys_of(const struct kql_expression *key)
{
    return key->kind == KQL_BINARY && key->sign == KQL_AND ? keys_of(key->left) + keys_of(key->right) : 1;
}

static bool bind_keys_of(struct join *join, const struct kql_operator *operator)
{
    unsigned count = 0;

    for (const struct kql_expression *key = operator->on; key; key = key->next)
        count += keys_of(key);
    join->keys.left = ARENA_ARRAY(join->binder->arena, struct bound_value *, count);
    join->keys.right = ARENA_ARRAY(join->binder->arena, struct bound_value *, count);
    for (const struct kql_expression *key = operator->on; key; key = key->next)
        if (!bind_key(join, key))
            return false;
    if (!count)
        binder_wrong(join->binder, "semantic.join_key", operator->place, "%.*s wants to know on what",
                     TEXT_ARGS(operator->name.text));
    return count != 0;
}

/* Columns of the side that may be missing: a text is "" then. */
static void show_side(struct binder *binder, struct bound_rows *rows, const struct bound_rows *side,
                      bool padded)
{
    for (unsigned i = 0; i < side->count; i++) {
        struct bound_column *column = ARENA_NEW(binder->arena, struct bound_column), *old = side->columns[i];
        *column = *old;
        if (padded && old->type == TYPE_STRING) {
            column = column_new(binder, old->name, old->type);
            rows_define(binder, rows, column,
                        value_call1(binder, "!coalesce(%1, '')", TYPE_STRING,
                                    value_of_column(binder, old, rows->place)));
        }
        column->name = rows_unique_name(binder, rows, old->name);
        rows_show(binder, rows, column);
    }
}

static bool join_open(struct join *join, struct binder *binder, const struct scope *scope,
                      const struct kql_operator *operator, struct bound_rows * left)
{
    *join = (struct join){.binder = binder, .scope = scope, .left = left};
    join->right = bind_pipeline(binder, scope, operator->pipeline);
    return join->right && bind_keys_of(join, operator);
}

static struct bound_rows *joined(struct join *join, enum join_kind kind, struct kql_place place)
{
    struct bound_rows *rows = rows_new(join->binder, ROWS_JOIN, join->left, place);

    rows->right = join->right;
    rows->join = join->keys;
    rows->join.kind = kind;
    rows->order = NULL;
    rows->serialized = false;
    rows_clear(rows);
    rows = rows_new(join->binder, ROWS_EXTEND, rows, place);
    rows->open = join->left->open ? join->left->open : join->right->open;
    return rows;
}

/* What a side does not show can still be named: the right side's with a number behind it where the left has it as well. */
static void hide_side(struct binder *binder, struct bound_rows *rows, const struct bound_rows *side)
{
    for (const struct bound_definition *unshown = side->unshown; unshown; unshown = unshown->next) {
        struct text said = unshown->column->name, name = said;
        for (unsigned i = 1; rows_known(rows, name); i++)
            name = text_of(arena_format(binder->arena, "%.*s%u", TEXT_ARGS(said), i));
        rows_alias(binder, rows, name, unshown->column);
    }
}

struct bound_rows *bind_join(struct binder *binder, const struct scope *scope,
                             const struct kql_operator *operator, struct bound_rows * left)
{
    enum join_kind kind;
    struct join join;

    if (!join_kind_of(binder, operator, JOIN_INNER_UNIQUE, &kind) ||
        !join_open(&join, binder, scope, operator, left))
        return NULL;
    struct bound_rows *rows = joined(&join, kind, operator->place);
    if (kind != JOIN_RIGHT_SEMI && kind != JOIN_RIGHT_ANTI)
        show_side(binder, rows, join.left, kind == JOIN_RIGHT || kind == JOIN_FULL);
    if (kind != JOIN_LEFT_SEMI && kind != JOIN_LEFT_ANTI)
        show_side(binder, rows, join.right, kind == JOIN_LEFT || kind == JOIN_FULL);
    if (kind != JOIN_RIGHT_SEMI && kind != JOIN_RIGHT_ANTI)
        hide_side(binder, rows, join.left);
    if (kind != JOIN_LEFT_SEMI && kind != JOIN_LEFT_ANTI)
        hide_side(binder, rows, join.right);
    return rows;
}

static bool is_key(const struct bound_join *keys, const struct bound_column *column)
{
    for (unsigned i = 0; i < keys->count; i++) {
        const struct bound_value *key = keys->right[i];
        while (key->kind == BOUND_CALL && key->count == 1) /* converted */
            key = key->arguments[0];
        if (key->kind == BOUND_COLUMN && key->column->id == column->id)
            return true;
    }
    return false;
}

/* The right side's keys are not shown again. */
struct bound_rows *bind_lookup(struct binder *binder, const struct scope *scope,
                               const struct kql_operator *operator, struct bound_rows * left)
{
    enum join_kind kind;
    struct join join;

    if (!join_kind_of(binder, operator, JOIN_LEFT, &kind) || !join_open(&join, binder, scope, operator, left))
        return NULL;
    if (kind != JOIN_LEFT && kind != JOIN_INNER)
        return binder_wrong(binder, "semantic.kind", operator->place, "lookup is leftouter or inner");
    struct bound_rows *rows = joined(&join, kind, operator->place), seen = *join.right;
    seen.columns = ARENA_ARRAY(binder->arena, struct bound_column *, join.right->count);
    seen.count = 0;
    for (unsigned i = 0; i < join.right->count; i++)
        if (!is_key(&join.keys, join.right->columns[i]))
            seen.columns[seen.count++] = join.right->columns[i];
    show_side(binder, rows, join.left, false);
    show_side(binder, rows, &seen, kind == JOIN_LEFT);
    hide_side(binder, rows, join.left);
    hide_side(binder, rows, join.right);
    return rows;
}

/* ---- union ---- */

struct empty_table {
    struct empty_table *next;
    const struct catalog_table *table;
};

struct union_ {
    struct binder *binder;
    struct empty_table *empties;
    struct bound_rows *rows; /* its columns are those of the union */
    struct bound_leg **end;
    struct text *sources;
    unsigned count, room;
    bool fuzzy, tables; /* the second: one of its legs is a table of the catalog */
};

static void add_leg(struct union_ *all, struct bound_rows *rows, struct text source)
{
    struct binder *binder = all->binder;

    if (all->count == all->room) {
        struct text *grown = ARENA_ARRAY(binder->arena, struct text, 2 * all->room + 8);
        if (all->count)
            memcpy(grown, all->sources, all->count * sizeof *grown);
        all->sources = grown;
        all->room = 2 * all->room + 8;
    }
    *all->end = ARENA_NEW(binder->arena, struct bound_leg);
    (*all->end)->rows = rows;
    all->tables |= rows->unshown != NULL;
    all->end = &(*all->end)->next;
    all->sources[all->count++] = source;
}

/* A table without rows that a star means: its columns may be named, and are not shown. */
static void add_empty(struct union_ *all, const struct catalog_table *table)
{
    struct empty_table *empty = ARENA_NEW(all->binder->arena, struct empty_table);

    *empty = (struct empty_table){all->empties, table};
    all->empties = empty;
}

struct named_column {
    struct text name;
    enum kql_type type;
    bool shown;
};

static int compare_names(const void *left, const void *right)
{
    const struct named_column *a = left, *b = right;
    int order = text_compare(a->name, b->name);

    return order ? order : b->shown - a->shown;
}

/* The same names stand in most of the tables: sorted, with those that are shown first, each is looked at once. */
static struct bound_rows *with_empties(struct union_ *all, struct bound_rows *rows)
{
    struct named_column *columns;
    size_t count = rows->count, at = 0;

    for (const struct empty_table *empty = all->empties; empty; empty = empty->next)
        count += empty->table->count;
    columns = ARENA_ARRAY(all->binder->arena, struct named_column, count);
    for (unsigned i = 0; i < rows->count; i++)
        columns[at++] = (struct named_column){rows->columns[i]->name, rows->columns[i]->type, true};
    for (const struct empty_table *empty = all->empties; empty; empty = empty->next)
        for (size_t i = 0; i < empty->table->count; i++)
            columns[at++] = (struct named_column){empty->table->columns[i].name, empty->table->columns[i].type, false};
    qsort(columns, count, sizeof *columns, compare_names);
    for (size_t i = 0; i < count; i++)
        if (!columns[i].shown && (!i || !text_equal(columns[i].name, columns[i - 1].name)))
            rows = rows_hide(all->binder, rows, columns[i].name, columns[i].type);
    return rows;
}

/* A leg that names nothing known is left out where the union is fuzzy. */
static bool add_expression(struct union_ *all, const struct scope *scope, const struct kql_expression *item)
{
    struct binder *binder = all->binder;
    struct kql_diagnostic before = *binder->wrong;
    unsigned depth = binder->depth, count = 0;
    struct text name = item->kind == KQL_REFERENCE ? item->name.text : TEXT_NONE;
    struct bound_rows *rows;

    if (name.bytes && text_find(name, '*') < name.count) {
        for (size_t i = 0; i < catalog_tables(binder->catalog); i++) {
            const struct catalog_table *table = catalog_table_at(binder->catalog, i);
            if (!text_like(table->name, name) || ++count == 0)
                continue;
            if (table->empty)
                add_empty(all, table);
            else
                add_leg(all, rows_of_table(binder, table, item->place), table->name);
        }
        if (!count && !all->fuzzy)
            binder_wrong(binder, "semantic.unknown_table", item->place, "there is no table %.*s",
                         TEXT_ARGS(name));
        return !binder_failed(binder);
    }
    rows = bind_rows(binder, scope, item);
    if (!rows && all->fuzzy && strncmp(binder->wrong->code, "semantic.unknown_", 17) == 0) {
        *binder->wrong = before;
        binder->depth = depth;
        return true;
    }
    if (!rows)
        return false;
    const struct binding *binding = name.bytes ? name_find(binder, scope, name) : NULL;
    bool has_name = name.bytes && (!binding || (binding->function && binding->function->is_view));
    add_leg(all, rows, has_name ? name : text_of(arena_format(binder->arena, "union_arg%u", all->count)));
    return true;
}

/* A column of the same name and type; another type makes both go by name_type. */
static struct bound_column *column_like(const struct bound_rows *rows, struct text name, enum kql_type type)
{
    for (unsigned i = 0; i < rows->count; i++)
        if (rows->columns[i]->type == type && text_equal(rows->columns[i]->name, name))
            return rows->columns[i];
    return NULL;
}

static bool in_every_leg(const struct bound_rows *rows, const struct bound_column *column)
{
    for (const struct bound_leg *leg = rows->legs; leg; leg = leg->next)
        if (!column_like(leg->rows, column->name, column->type))
            return false;
    return true;
}

static bool types_clash(const struct bound_rows *rows, const struct bound_column *column)
{
    for (const struct bound_leg *leg = rows->legs; leg; leg = leg->next) {
        struct bound_column *same = rows_column(leg->rows, column->name);
        if (same && same->type != column->type)
            return true;
    }
    return false;
}

/* Behind those of its name, or at the end. */
static void show_beside(struct binder *binder, struct bound_rows *rows, struct bound_column *column)
{
    unsigned at = rows->count;

    for (unsigned i = 0; i < rows->count; i++)
        if (text_equal(rows->columns[i]->name, column->name))
            at = i + 1;
    rows_show(binder, rows, column);
    for (unsigned i = rows->count - 1; i > at; i--) {
        rows->columns[i] = rows->columns[i - 1];
        rows->columns[i - 1] = column;
    }
}

/* Where every leg that has the column keeps it as a timestamp, so does the union: a condition on time then reaches the
 * tables as they are, and only the partitions in question are looked at. */
static void keep_stored(struct bound_rows *rows, unsigned k)
{
    for (const struct bound_leg *leg = rows->legs; leg; leg = leg->next)
        if (leg->values[k] && leg->values[k]->column->storage != KQL_TIMESTAMPTZ)
            return;
    rows->columns[k]->storage = KQL_TIMESTAMPTZ;
    for (const struct bound_leg *leg = rows->legs; leg; leg = leg->next)
        if (leg->values[k])
            leg->values[k]->stored = true;
}

struct bound_rows *union_rows(struct binder *binder, struct bound_rows *rows, struct text source_name,
                              const struct text *sources, bool inner)
{
    unsigned i = 0;

    if (source_name.bytes)
        rows_show(binder, rows, column_new(binder, source_name, TYPE_STRING));
    unsigned first = rows->count;
    for (const struct bound_leg *leg = rows->legs; leg; leg = leg->next)
        for (unsigned k = 0; k < leg->rows->count; k++) {
            struct bound_column *column = leg->rows->columns[k];
            if (!column_like(rows, column->name, column->type) && (!inner || in_every_leg(rows, column)))
                show_beside(binder, rows, column_new(binder, column->name, column->type));
        }
    for (struct bound_leg *leg = rows->legs; leg; leg = leg->next, i++) {
        leg->values = ARENA_ARRAY(binder->arena, struct bound_value *, rows->count);
        if (first)
            leg->values[0] = value_text(binder, sources[i], rows->place);
        for (unsigned k = first; k < rows->count; k++) {
            struct bound_column *column =
                column_like(leg->rows, rows->columns[k]->name, rows->columns[k]->type);
            leg->values[k] = column ? value_of_column(binder, column, rows->place) : NULL;
        }
    }
    for (unsigned k = first; k < rows->count; k++)
        keep_stored(rows, k);
    for (unsigned k = first; k < rows->count; k++)
        if (types_clash(rows, rows->columns[k]))
            rows->columns[k]->name = rows_unique_name(
                binder, rows,
                text_of(arena_format(binder->arena, "%.*s_%s", TEXT_ARGS(rows->columns[k]->name),
                                     kql_type_name(rows->columns[k]->type))));
    return rows;
}

struct bound_rows *bind_union(struct binder *binder, const struct scope *scope,
                              const struct kql_operator *operator, struct bound_rows * input)
{
    struct text source_name = operator_word(operator, "withsource"), kind = operator_word(operator, "kind"),
                fuzzy = operator_word(operator, "isfuzzy");
    struct union_ all = {.binder = binder,
                         .rows = rows_new(binder, ROWS_UNION, NULL, operator->place),
                         .fuzzy = text_equal(fuzzy, TEXT("true"))};

    all.end = &all.rows->legs;
    if (!source_name.bytes)
        source_name = operator_word(operator, "with_source");
    if (input)
        add_leg(&all, input, TEXT("union_arg0"));
    for (const struct kql_expression *item = operator->items; item; item = item->next)
        if (!add_expression(&all, scope, item))
            return NULL;
    if (!all.count)
        return binder_wrong(binder, "semantic.unknown_table", operator->place,
                            "none of what is put together is there");
    struct bound_rows *rows =
        union_rows(binder, all.rows, source_name, all.sources, text_equal(kind, TEXT("inner")));
    if (all.empties)
        rows = with_empties(&all, rows);
    return all.tables ? rows_with_standard(binder, rows) : rows;
}
