#include "kql/binder.h"

/* Rows of many tables that have something somewhere. */

/* "term", "begins*", "*within*": of any column. */
static struct bound_value *somewhere(struct binder *binder, const struct bound_rows *rows, struct text term,
                                     bool exact, struct kql_place place)
{
    bool before = text_starts(term, TEXT("*")), behind = term.count > 1 && text_ends(term, TEXT("*"));
    struct text sought = {term.bytes + before, term.count - before - behind};

    if (!before && !behind)
        return value_any_column(binder, rows, "has", term, exact, place);
    return value_any_column(binder, rows,
                            before && behind ? "contains"
                            : before         ? "hassuffix"
                                             : "hasprefix",
                            sought, exact, place);
}

static struct bound_value *bind_searched(struct binder *binder, const struct scope *here,
                                         const struct kql_expression *expression, bool exact)
{
    struct bound_value *left, *right;

    if (expression->kind == KQL_ALL)
        return value_bool(binder, true, expression->place);
    if (expression->kind == KQL_LITERAL && expression->token == KQL_STRING)
        return somewhere(binder, here->rows, expression->text, exact, expression->place);
    if (expression->kind == KQL_CALL && text_equal(expression->name.text, TEXT("not")) && expression->items &&
        !expression->items->next)
        return value_negated_if(binder, true, bind_searched(binder, here, expression->items, exact));
    if (expression->kind != KQL_BINARY || (expression->sign != KQL_AND && expression->sign != KQL_OR))
        return bind_predicate(binder, here, expression);
    if (!binder_enter(binder, expression->place))
        return NULL;
    left = bind_searched(binder, here, expression->left, exact);
    right = left ? bind_searched(binder, here, expression->right, exact) : NULL;
    binder->depth--;
    return right ? value_both(binder, expression->sign == KQL_AND ? BOUND_AND : BOUND_OR, left, right) : NULL;
}

struct bound_rows *bind_search(struct binder *binder, const struct scope *scope,
                               const struct kql_operator *operator, struct bound_rows * input)
{
    bool exact = text_equal(operator_word(operator, "kind"), TEXT("case_sensitive"));
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
    if (input)
        rows->legs->values[0] = value_text(binder, TEXT("search_arg0"), operator->place);
    struct scope here = scope_of(scope, rows);
    struct bound_value *predicate = bind_searched(binder, &here, operator->items, exact);
    return predicate ? rows_filtered(binder, rows, predicate) : NULL;
}
