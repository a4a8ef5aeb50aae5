#ifndef PICKET_DETECT_SIGMA_CORRELATION_H
#define PICKET_DETECT_SIGMA_CORRELATION_H

#include "detect/memory.h"
#include "detect/sigma_match.h"

/* What stands between a list of Sigma rules matching and being told: filters, and correlations over the matches. A match that a filter does
 * not let through is none; one of a rule that a correlation names is told only where the correlation says so.
 *
 * A correlation that is grouped by the device (`Computer`, `host` …), with whatever else, counts on each device by itself. Any other counts
 * over all devices, and is not judged where the match is: see sigma_hit_completes(). */
struct sigma_correlations;
bool sigma_correlation_spans(const struct sigma_rule *rule); /* over all devices */

/* A match that counts. */
struct sigma_hit {
    size_t by;         /* the correlation's number */
    struct text key;   /* its group, the values parted by SIGMA_KEY_PART */
    struct text value; /* which of those that are counted apart */
    int64_t at_us;
    uint64_t hits;
};
#define SIGMA_KEY_PART "\x1f"

/* The rules are borrowed. A reference to a rule that is not among them is left out: see sigma_correlations_lacking(). */
struct sigma_correlations *sigma_correlations_new(const struct sigma_rule *const *rules, size_t count);
void sigma_correlations_free(struct sigma_correlations *take_correlations); /* NULL is fine */

/* The first rule that a correlation or filter names and that is not there; TEXT_NONE. */
struct text sigma_correlations_lacking(const struct sigma_correlations *correlations, size_t rule);
/* Whether any correlation counts that rule on the device: then judging it asks the memory. */
bool sigma_correlations_count(const struct sigma_correlations *correlations, size_t rule);

/* Whether it is full with this match, which it begins anew then. The memory is the device's, or that of all devices, to which matches are
 * best told in their order. */
bool sigma_hit_completes(const struct sigma_rule *by, const struct sigma_hit *hit, struct memory *memory, struct arena *arena);

/* Who is told: the rule itself and each correlation that is full now by `told`; what counts over all devices by `counted`. */
struct sigma_hearer {
    void (*told)(void *context, size_t rule);
    void (*counted)(void *context, const struct sigma_hit *hit); /* NULL: such are judged in the memory too */
    void *context;
};
/* Rule number `rule` matched the event. */
void sigma_correlations_match(const struct sigma_correlations *correlations, size_t rule, const struct sigma_event *event, int64_t at_us, uint64_t hits, struct memory *memory,
                              struct arena *arena, const struct sigma_hearer *hearer);

#endif
