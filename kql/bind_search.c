#include "kql/binder.h"

/* Rows of many tables that have something somewhere. Each table brings all of its own columns as one text beside them, so
 * that a term is looked for in that, and not in all columns of all tables. */

struct search {
    struct binder *binder;
    struct scope here;
    struct bound_column *text;
    bool exact;
};

/* "term", "begins*", "*within*": of any column. */
static struct bound_value *somewhere(struct search *search, struct text term, struct kql_place place)
{
    struct bound_value *text = value_of_column(search->binder, search->text, place);
    bool before = text_starts(term, TEXT("*")), behind = term.count > 1 && text_ends(term, TEXT("*"));
    struct text sought = {term.bytes + before, term.count - before - behind};

    if (!before && !behind)
        return value_has_somewhere(search->binder, text, "has", term, search->exact);
    return value_has_somewhere(search->binder, text,
                               before && behind ? "contains"
                               : before         ? "hassuffix"
                                                : "hasprefix",
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

/* A union with one column more, the last. */
static struct bound_column *add_text(struct binder *binder, struct bound_rows *all)
{
    struct bound_column *text = column_new(binder, TEXT("$text"), TYPE_STRING);

    rows_show(binder, all, text);
    for (struct bound_leg *leg = all->legs; leg; leg = leg->next) {
        struct bound_value **values = ARENA_ARRAY(binder->arena, struct bound_value *, all->count);
        memcpy(values, leg->values, (all->count - 1) * sizeof *values);
        values[all->count - 1] = value_all_columns(binder, leg->rows, all->place);
        leg->values = values;
    }
    return text;
}

struct bound_rows *bind_search(struct binder *binder, const struct scope *scope,
                               const struct kql_operator *operator, struct bound_rows * input)
{
    struct search search = {.binder = binder, .exact = text_equal(operator_word(operator, "kind"), TEXT("case_sensitive"))};
    struct kql_operator of_all = *operator;
    struct kql_expression every = {
        .kind = KQL_REFERENCE, .place = operator->place, .name = {operator->place, TEXT("*")}};
    struct kql_parameter source = {
        .name = {operator->place, TEXT("withsource")},
        .value = &(struct kql_expression){.kind = KQL_REFERENCE, .name = {operator->place, TEXT("$table")}}};
    struct bound_rows *rows;

    of_all.items = input ? NULL : operator->by ? operator->by : & every;
    of_all.parameters = &source;
    rows = bind_union(binder, scope, &of_all, input);
    if (!rows)
        return NULL;
    struct bound_rows *all = rows;
    while (all->kind != ROWS_UNION)
        all = all->input;
    if (input)
        all->legs->values[0] = value_text(binder, TEXT("search_arg0"), operator->place);
    search.here = scope_of(scope, rows);
    search.text = add_text(binder, all);
    struct bound_value *predicate = bind_searched(&search, operator->items);
    if (!predicate)
        return NULL;
    struct bound_rows *found = rows_filtered(binder, rows, predicate);
    found->count -= rows == all; /* the text is for looking into */
    return found;
}
