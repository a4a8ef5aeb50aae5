#ifndef PICKET_DETECT_SIGMA_CORRELATION_H
#define PICKET_DETECT_SIGMA_CORRELATION_H

#include "detect/memory.h"
#include "detect/sigma_match.h"

/* What stands between a list of Sigma rules matching and being told: filters, and correlations over the matches of one device. A match
 * that a filter does not let through is none; one of a rule that a correlation names is told only where the correlation says so. */
struct sigma_correlations;

/* The rules are borrowed. A reference to a rule that is not among them is left out: see sigma_correlations_lacking(). */
struct sigma_correlations *sigma_correlations_new(const struct sigma_rule *const *rules, size_t count);
void sigma_correlations_free(struct sigma_correlations *take_correlations); /* NULL is fine */

/* The first rule that a correlation or filter names and that is not there; TEXT_NONE. */
struct text sigma_correlations_lacking(const struct sigma_correlations *correlations, size_t rule);
/* Whether any correlation counts that rule: then judging it asks the memory. */
bool sigma_correlations_count(const struct sigma_correlations *correlations, size_t rule);

/* Rule number `rule` matched the event. Calls `told` for what is to be told: the rule itself, and each correlation that is full now. */
typedef void sigma_told(void *context, size_t rule);
void sigma_correlations_match(const struct sigma_correlations *correlations, size_t rule, const struct sigma_event *event, int64_t at_us, uint64_t hits, struct memory *memory,
                              struct arena *arena, sigma_told *told, void *context);

#endif
