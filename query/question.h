#ifndef PICKET_QUERY_QUESTION_H
#define PICKET_QUERY_QUESTION_H

#include "kql/kql.h"
#include "query/catalogs.h"

/* One KQL text, from its words to its rows: whose tables it may see, what it may cost, and who takes what it gives. Each
 * question is a transaction of its own that can only read, on the worker's connection. */
struct question {
    struct text kql;
    const char *workspace;        /* name or id; NULL: the only one the token opens, or "default" */
    const char *const *beside;    /* more of them, whose rows count as well */
    size_t beside_count;
    int64_t from_ticks, to_ticks; /* TimeGenerated within; 0: unbounded */
    const struct kql_named *parameters;
    unsigned parameter_count;
    uint32_t timeout_ms;
    int64_t rows_max, bytes_max; /* of all results together; bytes as PostgreSQL wrote them */
};

/* Takes results in their order: begin, rows, end, for each. A status other than STATUS_OK ends the question. */
struct question_sink {
    void *context;
    enum status (*begin)(void *context, const struct kql_sql *result, struct problem *why);
    enum status (*row)(void *context, const struct db_rows *row, struct problem *why);
    enum status (*end)(void *context, struct problem *why);
};

enum question_trouble_kind {
    TROUBLE_NONE,
    TROUBLE_WORKSPACE, /* none of that name for this token */
    TROUBLE_SYNTAX,
    TROUBLE_SEMANTIC, /* also what is not supported */
    TROUBLE_COST,     /* refused before it ran */
    TROUBLE_TIMEOUT,
    TROUBLE_LIMIT, /* more rows or bytes than may be: what came before stands */
    TROUBLE_EXECUTION,
};

struct question_trouble {
    enum question_trouble_kind kind;
    const char *code; /* "semantic.unknown_table" */
    char message[512];
    unsigned line, column; /* 0: no place */
};

/* What happened on the way, for those who ask for statistics. */
struct question_facts {
    int64_t compile_us, run_us, rows, bytes;
    double cost;
    const char *workspaces; /* their names, commas between */
};

/* STATUS_OK: answered, or `trouble` says why not; where rows were begun already, they stand. STATUS_RETRY, STATUS_FAULT: the
 * database is away, or we are wrong. */
MUST_CHECK enum status question_ask(struct query *query, const struct request *request, const struct question *question,
                                    const struct question_sink *sink, struct question_trouble *trouble,
                                    struct question_facts *facts, struct problem *why);

/* Opens the read-only transaction in which the request sees that workspace alone, and gives its catalog; for lists of what a
 * question may name. question_close() ends both. */
struct question_room {
    const struct catalog *catalog;
    const char *scope;                   /* array literal */
    const struct kql_named *workspaces;  /* all that the token opens; the ones in question first */
    unsigned workspace_count, home_count;
    bool everywhere; /* the transaction sees all of them, since the text names some */
};
MUST_CHECK enum status question_open(struct query *query, const struct request *request, const struct question *question,
                                     struct question_room *out, struct question_trouble *trouble, struct problem *why);
void question_close(struct query *query, const struct request *request, struct question_room *room);

#endif
