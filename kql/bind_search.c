#include "kql/binder.h"

/* Rows of many tables that have something somewhere. Each table brings all of its own columns as one text beside them, so
 * that a term is looked for in that, and not in all columns of all tables. */

struct search {
    struct binder *binder;
    const struct scope *scope;
    struct scope here;
    struct bound_column *text;
    struct bound_column *words; /* a cheaper text, or NULL: value_words() */
    bool exact;
};

/* "term", "begins*", "*within*": of any column. */
static struct bound_value *somewhere(struct search *search, struct text term, struct kql_place place)
{
    struct bound_value *text = value_of_column(search->binder, search->text, place);
    bool before = text_starts(term, TEXT("*")), behind = term.count > 1 && text_ends(term, TEXT("*"));
    struct text sought = {term.bytes + before, term.count - before - behind};

    struct bound_value *words = search->words ? value_of_column(search->binder, search->words, place) : NULL;
    return value_has_somewhere(search->binder, text, before || behind ? NULL : words,
                               before && behind ? "contains"
                               : before         ? "hassuffix"
                               : behind         ? "hasprefix"
                                                : "has",
                               sought, search->exact);
}

static struct bound_value *bind_searched(struct search *search, const struct kql_expression *expression)
{
    struct binder *binder = search->binder;
    struct bound_value *left, *right;

    if (expression->kind == KQL_ALL)
        return value_bool(binder, true, expression->place);
    if (expression->kind == KQL_LITERAL && expression->token == KQL_STRING)
        return somewhere(search, expression->text, expression->place);
    if (expression->kind == KQL_CALL && text_equal(expression->name.text, TEXT("not")) && expression->items &&
        !expression->items->next)
        return value_negated_if(binder, true, bind_searched(search, expression->items));
    if (expression->kind != KQL_BINARY || (expression->sign != KQL_AND && expression->sign != KQL_OR))
        return bind_predicate(binder, &search->here, expression);
    if (!binder_enter(binder, expression->place))
        return NULL;
    left = bind_searched(search, expression->left);
    right = left ? bind_searched(search, expression->right) : NULL;
    binder->depth--;
    return right ? value_both(binder, expression->sign == KQL_AND ? BOUND_AND : BOUND_OR, left, right) : NULL;
}

/* A union with one column more, the last, which each leg gives itself. */
typedef struct bound_value *leg_value(struct binder *binder, const struct bound_leg *leg, const void *context);

static struct bound_column *add_column(struct binder *binder, struct bound_rows *all, struct bound_column *column,
                                       leg_value *value, const void *context)
{
    rows_show(binder, all, column);
    for (struct bound_leg *leg = all->legs; leg; leg = leg->next) {
        struct bound_value **values = ARENA_ARRAY(binder->arena, struct bound_value *, all->count);
        memcpy(values, leg->values, (all->count - 1) * sizeof *values);
        values[all->count - 1] = value(binder, leg, context);
        leg->values = values;
    }
    return column;
}

/* `context`: struct sought. */
static struct bound_value *leg_text(struct binder *binder, const struct bound_leg *leg, const void *context)
{
    return value_all_columns(binder, leg->rows, context, leg->rows->place);
}

/* The same, cheaper where there is something cheaper. */
static struct bound_value *leg_words(struct binder *binder, const struct bound_leg *leg, const void *context)
{
    struct bound_value *text = leg_text(binder, leg, context), *words = text ? value_words(binder, text) : NULL;

    return words ? words : text;
}

static bool has_words(const struct bound_rows *all)
{
    for (const struct bound_leg *leg = all->legs; leg; leg = leg->next)
        for (unsigned i = 0; i < leg->rows->count; i++)
            if (leg->rows->columns[i]->words)
                return true;
    return false;
}

/* The texts that stand in the expression, alone or not, without the stars at their ends. */
static void sought_add(struct binder *binder, const struct kql_expression *expression, struct sought *out)
{
    for (; expression; expression = expression->next) {
        if (expression->kind == KQL_LITERAL && expression->token == KQL_STRING) {
            struct text *grown = ARENA_ARRAY(binder->arena, struct text, out->count + 1), term = expression->text;
            if (out->count)
                memcpy(grown, out->terms, out->count * sizeof *grown);
            while (text_starts(term, TEXT("*")))
                term = (struct text){term.bytes + 1, term.count - 1};
            while (text_ends(term, TEXT("*")))
                term.count--;
            grown[out->count++] = term;
            out->terms = grown;
        }
        sought_add(binder, expression->left, out);
        sought_add(binder, expression->right, out);
        sought_add(binder, expression->items, out);
    }
}

/* The tables, or `input`, as one; `*all` is the union within. */
static struct bound_rows *search_open(struct search *search, const struct scope *scope, const struct kql_operator *operator,
                                      struct bound_rows *input, const char *source_name, struct bound_rows **all)
{
    struct kql_operator of_all = *operator;
    struct kql_expression every = {
        .kind = KQL_REFERENCE, .place = operator->place, .name = {operator->place, TEXT("*")}};
    struct kql_parameter source = {
        .name = {operator->place, TEXT("withsource")},
        .value = &(struct kql_expression){.kind = KQL_REFERENCE, .name = {operator->place, text_of(source_name)}}};
    struct bound_rows *rows;

    of_all.items = input ? NULL : operator->by ? operator->by : & every;
    of_all.parameters = &source;
    rows = bind_union(search->binder, scope, &of_all, input);
    for (*all = rows; *all && (*all)->kind != ROWS_UNION;)
        *all = (*all)->input;
    return rows;
}

static struct bound_value *search_predicate(struct search *search, struct bound_rows *rows, struct bound_rows *all,
                                            const struct kql_expression *expression)
{
    search->here = scope_of(search->scope, rows);
    struct sought sought = {0};
    sought_add(search->binder, expression, &sought);
    search->text = add_column(search->binder, all, column_new(search->binder, TEXT("$text"), TYPE_STRING), leg_text, &sought);
    if (has_words(all))
        search->words = add_column(search->binder, all, column_new(search->binder, TEXT("$words"), TYPE_STRING), leg_words, &sought);
    return bind_searched(search, expression);
}

struct bound_rows *bind_search(struct binder *binder, const struct scope *scope,
                               const struct kql_operator *operator, struct bound_rows * input)
{
    struct search search = {.binder = binder, .scope = scope,
                            .exact = text_equal(operator_word(operator, "kind"), TEXT("case_sensitive"))};
    struct bound_rows *all, *rows = search_open(&search, scope, operator, input, "$table", &all);

    if (!rows)
        return NULL;
    if (input)
        all->legs->values[0] = value_text(binder, TEXT("search_arg0"), operator->place);
    struct bound_value *predicate = search_predicate(&search, rows, all, operator->items);
    if (!predicate)
        return NULL;
    struct bound_rows *found = rows_filtered(binder, rows, predicate);
    found->count -= rows == all ? search.words ? 2 : 1 : 0; /* the texts are for looking into */
    return found;
}

/* ---- find ---- */

/* Whether the expression names one of the columns; `*names` counts the names that it has at all. */
static bool names_one_of(const struct kql_expression *expression, const struct bound_rows *rows, unsigned *names)
{
    bool found = false;

    for (; expression; expression = expression->next) {
        if (expression->kind == KQL_REFERENCE) {
            ++*names;
            found |= rows_column(rows, expression->name.text) != NULL;
        }
        found |= names_one_of(expression->left, rows, names); /* each is looked at: it counts the names too */
        found |= names_one_of(expression->right, rows, names);
        found |= names_one_of(expression->items, rows, names);
    }
    return found;
}

/* Tables that have none of the columns that are asked for have no rows to give. */
static void keep_legs(struct bound_rows *all, const struct kql_expression *predicate)
{
    for (struct bound_leg **at = &all->legs; *at;) {
        unsigned names = 0;
        if (names_one_of(predicate, (*at)->rows, &names) || !names)
            at = &(*at)->next;
        else
            *at = (*at)->next;
    }
}

static bool every_leg_has(const struct bound_rows *all, const struct bound_column *column)
{
    for (const struct bound_leg *leg = all->legs; leg; leg = leg->next)
        if (!rows_column(leg->rows, column->name))
            return false;
    return true;
}

static struct bound_value *leg_rest(struct binder *binder, const struct bound_leg *leg, const void *context)
{
    const struct bound_rows *shown = context;
    struct bound_column **rest = ARENA_ARRAY(binder->arena, struct bound_column *, leg->rows->count);
    unsigned count = 0;

    for (unsigned i = 0; i < leg->rows->count; i++)
        if (!rows_column(shown, leg->rows->columns[i]->name))
            rest[count++] = leg->rows->columns[i];
    return value_pack(binder, rest, count, true, leg->rows->place);
}

static bool leaves_some(const struct bound_rows *all, const struct bound_rows *shown)
{
    for (const struct bound_leg *leg = all->legs; leg; leg = leg->next)
        for (unsigned i = 0; i < leg->rows->count; i++)
            if (!rows_column(shown, leg->rows->columns[i]->name))
                return true;
    return false;
}

static void show_named(struct binder *binder, struct bound_rows *rows, const struct bound_rows *all,
                       const struct kql_expression *expression)
{
    for (; expression; expression = expression->next) {
        struct bound_column *column =
            expression->kind == KQL_REFERENCE ? rows_column(all, expression->name.text) : NULL;
        if (column && !rows_column(rows, column->name))
            rows_show(binder, rows, column);
        show_named(binder, rows, all, expression->left);
        show_named(binder, rows, all, expression->right);
        show_named(binder, rows, all, expression->items);
    }
}

/* The columns that all have, then those that the predicate names; the rest of each row is put into a bag. */
static bool show_smart(struct binder *binder, struct bound_rows *rows, const struct bound_rows *all,
                       const struct kql_operator *operator)
{
    for (unsigned i = 1; i < all->count; i++)
        if (every_leg_has(all, all->columns[i]))
            rows_show(binder, rows, all->columns[i]);
    show_named(binder, rows, all, operator->items);
    return leaves_some(all, rows);
}

static bool show_asked(struct binder *binder, const struct scope *here, struct bound_rows *rows,
                       const struct kql_operator *operator)
{
    for (const struct kql_expression *item = operator->on; item && !binder_failed(binder); item = item->next) {
        enum kql_type type;
        if (item->kind == KQL_CALL && text_equal(item->name.text, TEXT("pack"))) {
            if (item->next)
                binder_wrong(binder, "semantic.arguments", item->place, "pack(*) is the last of find's columns");
            return true;
        }
        struct bound_value *value = bind_value(binder, here, item);
        if (value && item->kind != KQL_REFERENCE)
            binder_wrong(binder, "semantic.arguments", item->place, "find shows columns, and what pack(*) makes of the others");
        if (value && item->schema && !kql_type_of(item->schema->type.text, &type))
            binder_wrong(binder, "semantic.type", item->schema->type.place, "this is no type");
        if (!value || binder_failed(binder))
            break;
        if (item->schema)
            value = value_convert(binder, value, type);
        if (value)
            rows_show(binder, rows, column_of_value(binder, rows, item->name.text, value));
    }
    return false;
}

struct bound_rows *bind_find(struct binder *binder, const struct scope *scope,
                             const struct kql_operator *operator, struct bound_rows * input)
{
    struct search search = {.binder = binder, .scope = scope};
    struct text source_name = operator_word(operator, "withsource");
    struct bound_rows *all, *rows, *found;

    if (input)
        return binder_wrong(binder, "semantic.operator", operator->place, "find begins a query; behind rows it is search, or where");
    rows = search_open(&search, scope, operator, NULL, source_name.bytes ? arena_string(binder->arena, source_name) : "source_",
                       &all);
    if (!rows)
        return NULL;
    keep_legs(all, operator->items);
    unsigned own = all->count;
    struct bound_value *predicate = search_predicate(&search, rows, all, operator->items);
    if (!predicate)
        return NULL;
    rows = rows_filtered(binder, rows, predicate);
    found = rows_new(binder, ROWS_EXTEND, rows, operator->place);
    struct scope here = scope_of(scope, rows);
    rows_clear(found);
    rows_show(binder, found, all->columns[0]);
    struct bound_rows of_tables = *all;
    of_tables.count = own;
    bool packs = operator->on ? show_asked(binder, &here, found, operator)
                              : show_smart(binder, found, &of_tables, operator);
    if (packs)
        rows_show(binder, found, add_column(binder, all, column_new(binder, TEXT("pack_"), TYPE_DYNAMIC), leg_rest, found));
    return binder_failed(binder) ? NULL : found;
}
