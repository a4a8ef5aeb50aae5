#ifndef PICKET_KQL_BINDER_H
#define PICKET_KQL_BINDER_H

#include "kql/bound.h"
#include "kql/functions.h"
#include "kql/kql.h"

/* What the parts of the binder share. A function that fails has set `wrong` and gives NULL. */
enum binding_kind {
    BINDING_EXPRESSION, /* `let`: bound anew in its own scope wherever it is named */
    BINDING_VALUE,      /* a parameter's value, bound where the function was called */
    BINDING_ROWS,       /* a parameter's table, what `as` named */
    BINDING_FUNCTION,
};

struct scope;
struct binding {
    struct binding *next;
    enum binding_kind kind;
    struct text name;
    const struct scope *scope;
    const struct kql_expression *expression;
    const struct kql_function *function;
    const struct catalog_function *saved; /* of BINDING_FUNCTION: NULL for one of the query's own */
    struct bound_value *value;
    struct bound_shared *shared;
};

/* Names that are known at a place: those of `let`, and the columns of the rows that are being looked at. */
struct scope {
    const struct scope *outer;
    struct binding *bindings;
    struct bound_rows *rows;
    const struct bound_rows *right; /* of a join's conditions */
    bool aggregates, windows;              /* may be called here */
    bool searching;                        /* a text alone means: some column has it */
};

struct binder {
    const struct kql_options *options;
    const struct catalog *catalog;
    struct arena *arena;
    struct kql_diagnostic *wrong;
    struct bound_shared *shared, **shared_end;
    struct binding *named; /* by `as` */
    uint32_t ids;
    unsigned depth, values, shared_count;
    const struct catalog_function *inside; /* a saved one: places are those of its call */
    struct kql_place call;
    const struct kql_operator *render;
    unsigned discovered;     /* of the options' */
    struct bound_rows *asks; /* what has to be asked of data before */
};

#define BINDER_DEPTH_MAX 400
#define BINDER_VALUES_MAX 200000 /* a name that stands for names that stand for names grows fast */

static inline bool binder_failed(const struct binder *binder)
{
    return binder->wrong->code != NULL;
}
/* Sets what is wrong, at the place where the query, not a function it calls, has it. Gives NULL, for returning. */
void *binder_wrong(struct binder *binder, const char *code, struct kql_place place, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
bool binder_enter(struct binder *binder, struct kql_place place);
/* Where that is in the query: within a saved function it is where that is called. */
static inline struct kql_place binder_place(const struct binder *binder, struct kql_place place)
{
    return binder->inside ? binder->call : place;
}

/* bind_value.c: values as such */
struct bound_value *value_new(struct binder *binder, enum bound_kind kind, enum kql_type type,
                              struct kql_place place);
struct bound_value *value_of_column(struct binder *binder, struct bound_column *column,
                                    struct kql_place place);
struct bound_value *value_call(struct binder *binder, const char *sql, enum kql_type type,
                               struct kql_place place, struct bound_value **arguments, unsigned count);
struct bound_value *value_call1(struct binder *binder, const char *sql, enum kql_type type,
                                struct bound_value *argument);
struct bound_value *value_call2(struct binder *binder, const char *sql, enum kql_type type,
                                struct bound_value *left, struct bound_value *right);
struct bound_value *value_text(struct binder *binder, struct text text, struct kql_place place);
struct bound_value *value_integer(struct binder *binder, enum kql_type type, int64_t integer,
                                  struct kql_place place);
struct bound_value *value_null(struct binder *binder, enum kql_type type,
                               struct kql_place place); /* "" of a string */
struct bound_value *value_bool(struct binder *binder, bool truth, struct kql_place place);
struct bound_value *value_both(struct binder *binder, enum bound_kind kind, struct bound_value *left,
                               struct bound_value *right);
/* As that type, the way tostring(), tolong() … do it: what cannot be is null. */
struct bound_value *value_convert(struct binder *binder, struct bound_value *value, enum kql_type type);
/* The type that two come to; false: none. */
bool value_common_type(enum kql_type left, enum kql_type right, enum kql_type *out);
struct bound_value *value_equal(struct binder *binder, struct bound_value *left, struct bound_value *right,
                                bool negated, struct kql_place place);
bool value_is_drawn(const struct bound_value *value); /* each row and each time another, as rand() is */
/* The same with another in place of each aggregate that it is made of; NULL where `replace` gave NULL, or where it reads
 * columns beside them. */
typedef struct bound_value *value_replacer(void *context, struct bound_value *aggregate);
struct bound_value *value_replace_aggregates(struct binder *binder, struct bound_value *value, value_replacer *replace, void *context);
bool value_converts(enum kql_type from, enum kql_type to); /* whether value_convert() can */
const struct bound_value *value_made_of(const struct bound_value *value); /* of a column: what it was defined as, where known */
bool value_is_text(const struct bound_value *value);       /* a constant string */
/* Of that type where it is, widens to it, or is dynamic; `what` names it in the message. NULL passes. */
struct bound_value *value_as(struct binder *binder, struct bound_value *value, enum kql_type type,
                             const char *what);
struct bound_value *value_negated_if(struct binder *binder, bool negated, struct bound_value *value);

/* bind_expression.c */
struct bound_value *bind_value(struct binder *binder, const struct scope *scope,
                               const struct kql_expression *expression);
/* Of that type after conversion from what fits it; `what` names it in the message. */
struct bound_value *bind_value_as(struct binder *binder, const struct scope *scope,
                                  const struct kql_expression *expression, enum kql_type type,
                                  const char *what);
struct bound_value *bind_predicate(struct binder *binder, const struct scope *scope,
                                   const struct kql_expression *expression);
/* A whole number that is known now. */
bool bind_count(struct binder *binder, const struct scope *scope, const struct kql_expression *expression,
                int64_t *out);
/* As a text, a member of parse_json() that is taken from what lies parsed in the database; NULL: it is something else.
 * `compared`: a text that it is only compared with, or NULL; most cannot be those of an object or an array. */
struct bound_value *value_member_text(struct binder *binder, struct bound_value *value, const struct bound_value *compared);
bool bind_constant_text(struct binder *binder, const struct scope *scope,
                        const struct kql_expression *expression, struct text *out);
struct binding *scope_find(const struct scope *scope, struct text name);
struct binding *name_find(const struct binder *binder, const struct scope *scope,
                          struct text name); /* also what `as` named */
struct bound_column *rows_column(const struct bound_rows *rows, struct text name);
struct bound_column *rows_known(const struct bound_rows *rows, struct text name); /* also one that is not shown */

/* bind_literal.c */
struct bound_value *bind_literal(struct binder *binder, const struct kql_expression *literal);
struct bound_value *bind_dynamic(struct binder *binder, const struct kql_expression *dynamic);
bool dynamic_text(struct binder *binder, const struct kql_expression *value, struct buf *out);
/* The elements of a dynamic literal that is an array of scalars, as constants in a list; NULL: it is none. */
struct bound_value **dynamic_elements(struct binder *binder, const struct bound_value *value,
                                      unsigned *count);

/* bind_text.c: has, contains, in and their like */
struct bound_value *bind_text_operator(struct binder *binder, const struct scope *scope,
                                       const struct kql_expression *expression);
struct bound_value *bind_in(struct binder *binder, const struct scope *scope,
                            const struct kql_expression *expression);
/* All columns as one text, in which terms do not run together; and whether it has one, `word` is has, contains or another
 * of them. */
/* A bag of columns by their names; `present_only`: without those that are null or empty. */
struct bound_value *value_pack(struct binder *binder, struct bound_column *const *columns, unsigned count, bool present_only,
                               struct kql_place place);
struct sought {
    const struct text *terms;
    unsigned count;
};
/* `sought`: nothing but these will be looked for in it, so that columns that cannot have any may be lacking; NULL: not known. */
struct bound_value *value_all_columns(struct binder *binder, const struct bound_rows *rows, const struct sought *sought,
                                      struct kql_place place);
/* A text that costs less and has the plain words that `value` has; more only where it has "null". NULL: there is none. */
struct bound_value *value_words(struct binder *binder, const struct bound_value *value);
/* `words`: those of the text, or NULL. */
struct bound_value *value_has_somewhere(struct binder *binder, struct bound_value *text, struct bound_value *words, const char *word,
                                        struct text term, bool exact);
/* bind_regex.c: a regular expression of Kusto's as PostgreSQL has it. NULL: it cannot be. */
enum regex_wanted {
    REGEX_MATCH,  /* only whether it matches */
    REGEX_GROUPS, /* what its groups have */
    REGEX_WHOLE,  /* how far it reaches, too */
};
struct bound_value *value_regex(struct binder *binder, struct text pattern, enum regex_wanted wanted,
                                struct kql_place place);

/* What a group has, 0 for the whole, found step by step where value_regex() cannot. NULL: it cannot be taken apart so. */
struct bound_value *value_extract_stepwise(struct binder *binder, struct text pattern, int64_t group, struct bound_value *text,
                                           struct kql_place place);

/* bind_call.c */
/* Of a stored time that is compared with constants: narrows from <= t < to and gives the time. NULL: it is something else. */
const struct bound_value *value_bounds_time(const struct bound_value *value, int64_t *from, int64_t *to);
bool value_bins_time(const struct bound_value *value, int64_t *span); /* bin() of a datetime by a constant, in ticks */
struct bound_value *bind_call(struct binder *binder, const struct scope *scope,
                              const struct kql_expression *call);
struct bound_value *bind_operator(struct binder *binder, const char *name, struct kql_place place,
                                  struct bound_value **arguments, unsigned count);
struct bound_value *bind_signature(struct binder *binder, enum function_kind kind, struct text name,
                                   struct kql_place place, struct bound_value **arguments, unsigned count);

/* bind_function.c: what the binder makes by hand, and functions of the query's own */
struct bound_value *bind_special(struct binder *binder, const struct scope *scope,
                                 const struct kql_expression *call, bool *handled);
struct bound_value *bind_user_value(struct binder *binder, const struct scope *scope,
                                    const struct kql_expression *call, const struct binding *function);
struct bound_rows *bind_user_rows(struct binder *binder, const struct scope *scope,
                                  const struct kql_expression *call, const struct binding *function,
                                  struct bound_rows *first);
struct binding *function_named(struct binder *binder, const struct scope *scope, struct text name);

/* bind_rows.c */
/* The last statement, where those before have given their names: rows, or NULL and `*value` is set. */
struct bound_rows *bind_statements(struct binder *binder, const struct scope *scope,
                                   const struct kql_statement *statements, struct bound_value **value);
/* All queries of a text. */
struct bound_query *bind_queries(struct binder *binder, const struct scope *scope,
                                 const struct kql_statement *statements);
/* Whether it means rows rather than a value, as far as that can be seen; false also where it means nothing. */
bool is_rows(struct binder *binder, const struct scope *scope, const struct kql_expression *expression);
struct bound_rows *bind_rows(struct binder *binder, const struct scope *scope,
                             const struct kql_expression *expression);
struct bound_rows *bind_pipeline(struct binder *binder, const struct scope *scope,
                                 const struct kql_pipeline *pipeline);
struct bound_rows *bind_operators(struct binder *binder, const struct scope *scope,
                                  const struct kql_operator *operators, struct bound_rows *rows);
struct bound_rows *rows_of_table(struct binder *binder, const struct catalog_table *table,
                                 struct kql_place place);
struct bound_rows *rows_bare(struct binder *binder, const struct catalog_table *table,
                             struct kql_place place); /* all of them, of whatever workspace and time */
struct bound_rows *rows_with_standard(struct binder *binder, struct bound_rows *rows);
struct bound_rows *rows_of_shared(struct binder *binder, struct bound_shared *shared, struct kql_place place);
struct bound_shared *rows_share(struct binder *binder, struct bound_rows *rows, bool once);

/* bind_rollup.c: has a group read rows that are added up already, where it can; the same otherwise. */
void rows_from_rollup(struct binder *binder, struct bound_rows *group);

/* bind_two_steps.c: has a group be made in two steps where that is faster; the same otherwise. */
void rows_in_two_steps(struct binder *binder, struct bound_rows *group);

/* rows.c: rows as such */
struct bound_rows *rows_new(struct binder *binder, enum rows_kind kind, struct bound_rows *input,
                            struct kql_place place);
struct bound_column *column_new(struct binder *binder, struct text name, enum kql_type type);
void rows_define(struct binder *binder, struct bound_rows *rows, struct bound_column *column,
                 struct bound_value *value);
void rows_show(struct binder *binder, struct bound_rows *rows,
               struct bound_column *column); /* at the end of its columns */
/* rows_known(), or a column that becomes one by being named, where rows are open. */
struct bound_column *rows_open_column(struct binder *binder, const struct bound_rows *rows, struct text name);
void rows_clear(struct bound_rows *rows); /* it shows nothing yet */
/* With a column that may be named and is not shown, null or "" in every row, unless one of that name is known. */
struct bound_rows *rows_with_unshown(struct binder *binder, struct bound_rows *input, struct text name,
                                     enum kql_type type);
struct bound_rows *rows_hide(struct binder *binder, struct bound_rows *input, struct text name,
                             enum kql_type type); /* the same of a name that is not known */
void rows_alias(struct binder *binder, struct bound_rows *rows, struct text name,
                const struct bound_column *column); /* another name for it, not shown */
/* The column of a table that it is, whatever the operators since then called it, and that table; NULL: it is made of something. */
struct bound_column *rows_table_column(const struct bound_rows *rows, const struct bound_column *column,
                                       const struct bound_rows **table);
struct text rows_unique_name(struct binder *binder, const struct bound_rows *rows, struct text name);
struct scope scope_of(const struct scope *outer, struct bound_rows *rows);
/* Has `rows` compute it for each of them: what is over rows in order may then stand within another such. */
struct bound_value *rows_compute(struct binder *binder, struct bound_rows *rows, struct bound_value *value);

/* bind_project.c: also used by other operators */
struct text name_of_unnamed(struct binder *binder, const struct bound_rows *taken,
                            const char *stem); /* Column1, Column2 … */
/* An item's value, and its name: the one it is given, or the value's label. */
bool item_value(struct binder *binder, const struct scope *scope, const struct kql_expression *item,
                struct text *name, struct bound_value **value);
/* A column of that name: defined by `rows`, or an alias where the value is a column. */
struct bound_column *column_of_value(struct binder *binder, struct bound_rows *rows, struct text name,
                                     struct bound_value *value);
void rows_replace(struct binder *binder, struct bound_rows *rows,
                  struct bound_column *column); /* that of its name, or at the end */
struct bound_rows *rows_filtered(struct binder *binder, struct bound_rows *input,
                                 struct bound_value *predicate);

/* bind_join.c */
const struct kql_parameter *operator_parameter(const struct kql_operator *operator, const char *name);
struct text operator_word(const struct kql_operator *operator,
                          const char *name); /* kind=word; TEXT_NONE: it is not said */
/* Gives a ROWS_UNION its columns and its legs their values; `source_name` TEXT_NONE: no column that says the source. */
struct bound_rows *union_rows(struct binder *binder, struct bound_rows *rows, struct text source_name,
                              const struct text *sources, bool inner);

/* One operator each; they give the rows behind it. */
typedef struct bound_rows *operator_binder(struct binder *binder, const struct scope *scope,
                                           const struct kql_operator *operator, struct bound_rows * rows);
operator_binder bind_project, bind_extend, bind_project_away, bind_project_keep, bind_project_rename,
    bind_project_reorder, bind_where, bind_sort, bind_top, bind_top_nested, bind_take, bind_count_operator, bind_distinct,
    bind_serialize, bind_getschema, bind_as, bind_render, bind_parse, bind_parse_kv, bind_mv_expand,
    bind_mv_apply, bind_summarize, bind_join, bind_lookup, bind_union, bind_search, bind_find, bind_partition,
    bind_invoke, bind_make_series, bind_evaluate, bind_print, bind_range, bind_datatable, bind_sample_distinct;

#endif
