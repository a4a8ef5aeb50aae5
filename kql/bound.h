#ifndef PICKET_KQL_BOUND_H
#define PICKET_KQL_BOUND_H

#include "kql/catalog.h"

/* A query whose names are found and whose types are known. Every column that comes into being has an id of its own, by
 * which SQL calls it; so any number of them may lie side by side, and a projection is only a list. All of it lies in the
 * arena of the compilation and is not changed once made. */
struct bound_rows;

struct bound_column {
    struct text name;
    enum kql_type type;
    enum kql_storage storage;
    uint32_t id;
    const struct bound_value *definition; /* what it is made of; NULL: of a table, or not known here */
    struct bound_column *parsed, *words;  /* catalog_column's, beside it in the table; or NULL */
    bool empty;                           /* of a table: nothing fills it */
};

struct bound_order {
    struct bound_order *next;
    struct bound_column *column;
    bool descending, nulls_last;
};

enum bound_kind {
    BOUND_CONSTANT, /* `text` as PostgreSQL reads the type, TEXT_NONE for null; `integer` where the type is one */
    BOUND_COLUMN,
    BOUND_CALL, /* `sql` with %1 … %9 and %* for `arguments` */
    BOUND_AND,
    BOUND_OR,
    BOUND_NOT,
    BOUND_EQUAL,
    BOUND_NOT_EQUAL, /* of two values of one type, with KQL's nulls */
    BOUND_CASE,      /* condition, value, condition, value, …, otherwise */
    BOUND_LIST,      /* constants of one type as one array */
    BOUND_SCALAR,    /* the first value of `rows` */
    BOUND_ARRAY,     /* the first column of `rows` as an array */
    BOUND_ORDERED,   /* a BOUND_CALL over rows in order: %o stands for `order` */
};

struct bound_value {
    enum bound_kind kind;
    enum kql_type type;
    struct kql_place place;
    struct text
        label; /* what a column made of this is called where the query does not say; TEXT_NONE: ColumnN */
    bool nullable, aggregates, windows;
    bool stored; /* of a column: as it lies in the database, and not as expressions have it */
    struct text text;
    int64_t integer;
    const struct kql_expression *literal; /* of a dynamic constant: what it was made of */
    const char *sql;
    struct bound_value **arguments;
    unsigned count, variadic; /* %* are the arguments from `variadic` on */
    struct bound_column *column;
    struct bound_rows *rows;
    const struct bound_order *order; /* of the rows that BOUND_ORDERED is of */
};

struct bound_definition {
    struct bound_definition *next;
    struct bound_column *column;
    struct bound_value *value;
};

enum rows_kind {
    ROWS_TABLE,    /* `table`, whose columns are `columns` */
    ROWS_VALUES,   /* constants: `values`, row by row; `ordinal` counts the rows */
    ROWS_RANGE,    /* one column from `values[0]` to [1] by [2]; `ordinal` as well */
    ROWS_NOTHING,  /* one row without columns: what print starts from */
    ROWS_EXTEND,   /* `input` with `definitions` */
    ROWS_FILTER,   /* `input` where `predicate` */
    ROWS_GROUP,    /* `input` by `definitions`, with `aggregates` */
    ROWS_NEWEST,   /* the first row in `order` of each group by `definitions` */
    ROWS_LIMIT,    /* the first `values[0]` of `input` in its order */
    ROWS_JOIN,     /* `input` and `right`, by `join` */
    ROWS_UNION,    /* `legs`: each gives `columns` by its own `definitions` */
    ROWS_LATERAL,  /* `input`, and `right` for each of its rows */
    ROWS_ELEMENTS, /* the elements of the arrays `values`, a column each, side by side; `ordinal` from 0, `limit` of them at most */
    ROWS_SHARED,   /* what several read: `shared`, with columns of their own */
};

enum join_kind {
    JOIN_INNER,
    JOIN_INNER_UNIQUE,
    JOIN_LEFT,
    JOIN_RIGHT,
    JOIN_FULL,
    JOIN_LEFT_SEMI,
    JOIN_LEFT_ANTI,
    JOIN_RIGHT_SEMI,
    JOIN_RIGHT_ANTI
};

struct bound_join {
    enum join_kind kind;
    struct bound_value **left, **right; /* keys, of one type each */
    unsigned count;
};

struct bound_leg {
    struct bound_leg *next;
    struct bound_rows *rows;
    struct bound_value **values; /* one for each column of the union; NULL: this leg has none */
};

struct bound_shared {
    struct bound_shared *next;
    struct bound_rows *rows;
    unsigned number, marked; /* the second is the emitter's */
    bool once; /* computed once, also where it is read once: materialize(), rand() */
};

struct bound_rows {
    enum rows_kind kind;
    struct kql_place place;
    struct bound_column **columns; /* those the query sees, in its order */
    unsigned count;
    struct bound_definition *unshown; /* columns that may be named, and are not among those that * means */
    struct bound_rows *open;          /* these, or some they come from, may have any column: it is made when named */
    struct bound_order *order; /* NULL: none; also columns that the query does not see */
    bool serialized;           /* row_number() and its like may be asked */
    struct bound_rows *input, *right;
    struct bound_definition *definitions, *aggregates;
    struct bound_value *predicate, **values;
    const struct catalog_table *table;
    unsigned value_count; /* of ROWS_VALUES and ROWS_ELEMENTS */
    struct bound_value *limit;
    struct bound_column *ordinal;
    struct bound_join join;
    struct bound_leg *legs;
    struct bound_shared *shared;
    bool bags_as_arrays; /* of ROWS_ELEMENTS: [name, value] for a member of a bag rather than {name: value} */
};

/* One result of a query: rows, and how they want to be shown. */
struct bound_query {
    struct bound_query *next;
    struct bound_rows *rows;
    const struct kql_operator *render; /* NULL: not said */
    struct bound_shared *shared;       /* in the order in which they may be computed */
    uint32_t ids;                      /* of columns, from 1; both of the first result */
};

#endif
