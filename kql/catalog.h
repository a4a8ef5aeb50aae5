#ifndef PICKET_KQL_CATALOG_H
#define PICKET_KQL_CATALOG_H

#include "kql/ast.h"
#include "kql/types.h"

/* How a column's values lie in the database where that is not what expressions work with: a datetime as timestamptz
 * rather than ticks, a dynamic as jsonb rather than json. */
enum kql_storage { KQL_AS_IS, KQL_TIMESTAMPTZ, KQL_JSONB };

struct catalog_column {
    struct text name;
    enum kql_type type;
    enum kql_storage storage;
    struct text sql; /* how the table calls it; quoted where it has to be */
    struct text parsed_sql; /* of a text that is JSON, and lies there as jsonb as well; else TEXT_NONE */
    /* Of such a text: one that costs less and has the words that it has, but for those that a view adds to it, and others only
     * where it has "null"; else TEXT_NONE. */
    struct text words_sql;
    bool empty; /* nothing fills it */
};

struct catalog_table {
    struct text name;
    struct catalog_column *columns;
    size_t count;
    struct text sql; /* what stands behind FROM; TEXT_NONE: the table is only known, not there */
    bool empty;      /* nothing fills it: names with a star pass it over, though its columns may be named then */
    /* The same rows added up, or NULL: those of its columns that are kept, by their names; TimeGenerated as its hour in UTC;
     * `_count` of rows, and `_sum_X`, `_min_X`, `_max_X` of columns. */
    const struct catalog_table *rollup;
};

/* A saved function, or a table by another name. Its parameters and body are a tree of kql_parse()'s. */
struct catalog_function {
    struct text name;
    struct text source; /* of the body, for places in it */
    struct kql_function *function;
};

/* What a query may name. Tables and functions are found by name, case counts. The catalog is read only while
 * compilations use it, from any thread. */
struct catalog;

struct catalog *catalog_new(void);
void catalog_free(struct catalog *take_catalog); /* NULL is fine */

/* Its strings are copied. A table or function of a name that is there replaces it. */
void catalog_add_table(struct catalog *catalog, const struct catalog_table *table);
/* "Table(column:type,…)", as people declare one. STATUS_REJECT: `why` says what is wrong. */
MUST_CHECK enum status catalog_add_declared(struct catalog *catalog, struct text declaration,
                                            struct problem *why);
/* `parameters` as in "(x:long, T:(*), y:string='z')", TEXT_NONE for none. STATUS_REJECT: it is no KQL; `wrong` says why. */
MUST_CHECK enum status catalog_add_function(struct catalog *catalog, struct text name, struct text parameters,
                                            struct text body, struct kql_diagnostic *wrong);

const struct catalog_table *catalog_table_find(const struct catalog *catalog, struct text name);
const struct catalog_function *catalog_function_find(const struct catalog *catalog, struct text name);
size_t catalog_tables(const struct catalog *catalog);
const struct catalog_table *catalog_table_at(const struct catalog *catalog,
                                             size_t i); /* in the order they came */

#endif
