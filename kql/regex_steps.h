#ifndef PICKET_KQL_REGEX_STEPS_H
#define PICKET_KQL_REGEX_STEPS_H

#include "runtime/arena.h"
#include "runtime/text.h"

/* A regular expression as steps that are taken one after another.
 *
 * RE2 decides from left to right: each repetition takes as much, or as little, as lets the rest match. PostgreSQL decides for
 * the whole expression whether it is long or short. Where the two differ, the match is found step by step: a step has one
 * repetition at most, so there is no difference within it, and the steps behind are looked ahead for. Groups are places
 * between steps. */
#define REGEX_STEPS_MAX 48
#define REGEX_GROUPS_MAX 24

struct regex_step {
    struct text pattern; /* as Kusto writes it, without the parentheses of groups that span steps */
    bool folds;          /* whatever the case of letters: behind an (?i) within the expression */
};

struct regex_steps {
    struct regex_step steps[REGEX_STEPS_MAX];
    unsigned count;
    struct {
        unsigned from, to; /* steps [from, to); to == 0: it is within a step, and not to be had */
    } groups[REGEX_GROUPS_MAX];
    unsigned group_count; /* the first is 1, at groups[0] */
};

/* `pattern` without options at its beginning. False: it cannot be taken apart so. */
bool regex_steps_read(struct text pattern, struct regex_steps *out);

#endif
