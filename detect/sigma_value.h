#ifndef PICKET_DETECT_SIGMA_VALUE_H
#define PICKET_DETECT_SIGMA_VALUE_H

#include "detect/sigma_rule.h"

/* Values of a rule on their way through modifiers, and the clauses that they become. */
enum sigma_value_kind { SIGMA_VALUE_TEXT, SIGMA_VALUE_NUMBER, SIGMA_VALUE_TRUTH, SIGMA_VALUE_NULL };
struct sigma_value {
    enum sigma_value_kind kind;
    struct text raw; /* as it is written in the rule */
    struct sigma_token *tokens;
    size_t count;
    double number;
    bool truth;
    size_t origin; /* which of the rule's values this is a variant of: one of a value's variants is enough, also under "all" */
};

#define SIGMA_VALUES_MAX 4096 /* of one field, all variants counted */
#define SIGMA_REASON_SIZE 200

/* What the modifiers behind a field's name say. */
struct sigma_item {
    struct arena *arena;
    struct text field;     /* TEXT_NONE: none */
    struct text modifiers; /* "contains|all" */
    struct sigma_value *values;
    size_t count;
    enum sigma_test test; /* SIGMA_EQUAL: as the values' patterns say */
    enum sigma_part part;
    enum sigma_test same; /* of SIGMA_SAME: how much of the field is the other's */
    bool all, negated, cased, insensitive, multiline, dotall, encoded, opened;
    const struct sigma_placeholder *placeholders; /* of the rule; NULL: none */
    char *reason; /* SIGMA_REASON_SIZE bytes; "" while all is well */
};

struct sigma_value sigma_value_text(struct arena *arena, struct text raw);
/* Applies the modifiers in their order. False: `reason` says why not. */
bool sigma_modify(struct sigma_item *item);
/* One value as a clause; NULL: `reason` says why not. */
struct sigma_clause *sigma_clause_of(struct sigma_item *item, const struct sigma_value *value);

#endif
