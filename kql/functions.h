#ifndef PICKET_KQL_FUNCTIONS_H
#define PICKET_KQL_FUNCTIONS_H

#include "kql/types.h"

/* Each function and operator: what it takes, what it gives, and its shape in SQL. A name may have several rows; the first
 * whose parameters fit is taken.
 *
 * `parameters`, a letter each: b bool, i int, l long (int too), r real (any number), d decimal, s string, t datetime,
 * p timespan, g guid, y dynamic; a dynamic value fits all of these and is converted. n a number as it is, m numbers brought
 * to one type, c scalars brought to one type, x any scalar as it is, o one that has an order, z one that is not dynamic,
 * S any scalar as its text, Y any scalar as a dynamic, R a constant regular expression, N groups of the one before, K a constant text;
 * G one of which the group is wanted that the next argument says, M one that only has to match; T what replaces a match. '?' behind the
 * letter: it may be left out, and so may all that follow; '*': any number of it, at least one; '+' behind two: pairs.
 *
 * `result`: a letter as above; 1, 2, 3: the type of that argument; w: the type that 'm' or 'c' came to.
 *
 * `sql`: %1 … %9 are the arguments, %* those from the last parameter on, with commas between; @name( a helper function of
 * migrations/helpers/kql.sql; %o the order of rows, as "ORDER BY …", where they have one. A value that is never null says so by
 * a '!' as the first character. NULL: the binder makes it by hand.
 *
 * `label`: how a column made of it is called: NULL Column1, "" as its first argument, "sum_" that with the argument's name.
 *
 * Names and types are those of Kusto's documentation. */
enum function_kind { FUNCTION_SCALAR, FUNCTION_AGGREGATE, FUNCTION_WINDOW };

struct kql_signature {
    const char *name, *parameters, *result, *sql, *label;
};

struct kql_signatures {
    const struct kql_signature *rows;
    size_t count;
    enum function_kind kind;
    const char *family;
};

/* Where rows of that name begin, NULL when there are none; those of one name follow one another. `*end` is behind them. */
const struct kql_signature *signatures_find(enum function_kind kind, struct text name,
                                            const struct kql_signature **end);

/* Known by name only: a query that calls one is refused as unsupported, not as wrong. */
bool function_is_known(struct text name);

/* The tables, one a family; `i` from 0. NULL behind the last. */
const struct kql_signatures *signatures_at(size_t i);

/* What the binder makes by hand, for documentation: operators between bars (bind_rows.c), and functions of no row
 * (bind_function.c). NULL behind the last. */
const char *operator_supported(size_t i);
const char *special_name(size_t i);

extern const struct kql_signatures operator_signatures, text_signatures, number_signatures, time_signatures,
    dynamic_signatures, network_signatures, aggregate_signatures, window_signatures;

#endif
