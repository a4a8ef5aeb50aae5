#ifndef PICKET_DETECT_SIGMA_RULE_H
#define PICKET_DETECT_SIGMA_RULE_H

#include <stdint.h>

#include "detect/regex.h"
#include "runtime/arena.h"

/* A Sigma rule, read and understood. Facts: the Sigma specification 2.1 (rules, modifiers). All of it lies in the arena that
 * it was read into, but for compiled expressions: sigma_rule_done(). It is not changed once read; any thread may match with
 * it. */
enum sigma_test {
    SIGMA_EQUAL,
    SIGMA_CONTAINS,
    SIGMA_STARTS,
    SIGMA_ENDS,
    SIGMA_GLOB,   /* with stars and question marks within */
    SIGMA_REGEX,
    SIGMA_CIDR,
    SIGMA_LESS,
    SIGMA_LESS_EQUAL,
    SIGMA_GREATER,
    SIGMA_GREATER_EQUAL,
    SIGMA_NULL,   /* there is no value */
    SIGMA_EXISTS, /* the event has the field */
    SIGMA_SAME,   /* as the field that `text` names, or with that at its beginning, end or anywhere: `same` */
};

/* Which part of a time is compared, where one is. */
enum sigma_part { SIGMA_WHOLE, SIGMA_MINUTE, SIGMA_HOUR, SIGMA_DAY, SIGMA_WEEK, SIGMA_MONTH, SIGMA_YEAR };

/* A pattern is runs of text with stars and question marks between. */
enum sigma_token_kind { SIGMA_TEXT, SIGMA_STAR, SIGMA_ANY };
struct sigma_token {
    enum sigma_token_kind kind;
    struct text text;
};

struct sigma_clause {
    struct text field;   /* TEXT_NONE: any value of the event */
    struct text printed; /* "CommandLine|contains '/etc/shadow'", for people */
    enum sigma_test test, same; /* `same`: SIGMA_EQUAL, _CONTAINS, _STARTS or _ENDS */
    enum sigma_part part;
    bool cased;
    struct text text;
    double number;
    bool is_number;
    const struct sigma_token *tokens;
    size_t token_count;
    struct regex *regex;
    uint8_t address[16], bits;
    bool is_ipv6;
};

enum sigma_node_kind { SIGMA_CLAUSE, SIGMA_AND, SIGMA_OR, SIGMA_NOT };
struct sigma_node {
    enum sigma_node_kind kind;
    struct sigma_clause *clause;
    struct sigma_node **nodes;
    size_t count;
};

/* A rule over the matches of others, which it names by their id or their name. */
enum sigma_correlation_kind { SIGMA_EVENT_COUNT, SIGMA_VALUE_COUNT, SIGMA_TEMPORAL, SIGMA_TEMPORAL_ORDERED };
struct sigma_alias {
    struct text alias, rule, field; /* what the group's field is called in the events of a rule */
};
struct sigma_correlation {
    enum sigma_correlation_kind kind;
    const struct text *rules, *group_by;
    size_t rule_count, group_count;
    const struct sigma_alias *aliases;
    size_t alias_count;
    struct text field; /* whose values are counted */
    int64_t timespan_us;
    uint64_t threshold; /* it fires at this many */
    bool generate;      /* the rules that it names raise alerts of their own as well */
};

struct sigma_rule {
    struct text name; /* by which others may name it */
    const struct sigma_correlation *correlation; /* NULL: it has a condition */
    const struct text *filtered;                 /* of a filter: the rules that match only where its condition holds too */
    size_t filtered_count;
    struct text id, title, status, level, category, product, service; /* TEXT_NONE: not said */
    struct text description, author, source; /* the last is the document it was read from, borrowed */
    struct text tactics, techniques; /* of its tags, with commas between; "" for none */
    struct sigma_node *condition;
    struct sigma_clause **clauses; /* all that the condition reaches */
    size_t clause_count;
};

#endif
