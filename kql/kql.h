#ifndef PICKET_KQL_KQL_H
#define PICKET_KQL_KQL_H

#include "kql/bound.h"

struct kql_named {
    struct text name, text;
};

/* What one evaluate makes of the rows that it gets: names, and types where the names are of a bag. */
struct kql_discovered {
    const struct kql_named *columns;
    unsigned count;
};

/* What a compilation is told beside the query's text. */
struct kql_options {
    int64_t now_ticks;            /* what now() means, everywhere in the query */
    int64_t from_ticks, to_ticks; /* TimeGenerated of every table lies within; 0: unbounded */
    /* What `declare query_parameters` gets: a string as it is, any other type as KQL writes it. */
    const struct kql_named *parameters;
    unsigned parameter_count;
    /* Those that workspace("name or id").T may name, with their TenantId. `home_count` of them come first: where it is not
     * 0, a table that is named alone has the rows of these only. */
    const struct kql_named *workspaces;
    unsigned workspace_count, home_count;
    /* In the order in which the compiler came to ask for them. `open_schemas`: none will be told, and any name may be one of
     * them, a dynamic; for looking at queries without data. */
    const struct kql_discovered *discovered;
    unsigned discovered_count;
    bool open_schemas;
    bool value_is_answer; /* one value does for rows: the text is a function's, and looked at by itself */
};

#define KQL_DISCOVERED_MAX 16 /* in one query */

/* Finds the names and the types of a query; gives its results in their order. Pure: no database, no clock; any number of
 * threads may bind against one catalog. Everything lies in `arena`. STATUS_REJECT: `wrong` says what, and where.
 * STATUS_RETRY: columns depend on data. `*out` is a query of one row and one dynamic column; its value is what
 * kql_discovered_read() takes, to be put behind `discovered` for another try. `wrong` says it for who cannot. */
MUST_CHECK enum status kql_bind(struct text source, const struct catalog *catalog,
                                const struct kql_options *options, struct arena *arena,
                                struct bound_query **out, struct kql_diagnostic *wrong);

/* {"name":"type",…} or ["name",…], as the query of STATUS_RETRY gives it. The result lies in `arena`. False: it is neither. */
bool kql_discovered_read(struct text json, struct arena *arena, struct kql_discovered *out);

/* A value that the statement is run with: text as PostgreSQL reads the type, TEXT_NONE for null. */
struct kql_parameter_value {
    enum kql_type type;
    bool is_array;
    struct text text;
};

/* One result of a query as one SQL statement. Its columns come in the order of `columns`: bool, bigint for int and long,
 * float8, numeric, text, uuid; datetime and timespan as ticks in a bigint; dynamic as json. */
struct kql_sql {
    struct kql_sql *next;
    struct text sql;
    struct kql_parameter_value *parameters;
    unsigned parameter_count;
    struct bound_column **columns;
    unsigned column_count;
    bool ordered;
    const struct kql_operator *render; /* NULL: not said */
};

#define KQL_SQL_BYTES_MAX (8 * 1024 * 1024)

/* `helpers` is the schema that has the functions of migrations/helpers/kql.sql: "kql", "pg_temp". STATUS_REJECT: a statement would
 * be longer than KQL_SQL_BYTES_MAX. */
MUST_CHECK enum status kql_emit(const struct bound_query *queries, const char *helpers, struct arena *arena,
                                struct kql_sql **out, struct kql_diagnostic *wrong);

#endif
