#ifndef PICKET_DETECT_SIGMA_SET_H
#define PICKET_DETECT_SIGMA_SET_H

#include "detect/sigma_match.h"

/* Many rules over one event, of which only those are looked at that can match: a rule that cannot hold without one of some texts
 * is passed over where the event has none of them. What it costs grows with the rules that may match, not with all. */
struct sigma_set;

/* The rules are borrowed, and tried in their order. Read only once made; any thread may match with it. */
struct sigma_set *sigma_set_new(const struct sigma_rule *const *rules, size_t count);
void sigma_set_free(struct sigma_set *take_set); /* NULL is fine */

/* Room for one thread's matching with that set. */
struct sigma_scratch;
struct sigma_scratch *sigma_scratch_new(const struct sigma_set *set);
void sigma_scratch_free(struct sigma_scratch *take_scratch);

/* Calls `each` for every rule that matches; `rule` is its number. The answers are those of sigma_match() for each rule. */
typedef void sigma_matched(void *context, size_t rule, const struct sigma_found *found, size_t found_count);
void sigma_set_match(const struct sigma_set *set, struct sigma_scratch *scratch, const struct sigma_event *event, sigma_matched *each, void *context);

/* How many rules are tried on every event, since no text tells them apart; and whether that one is. */
size_t sigma_set_always(const struct sigma_set *set);
bool sigma_set_tries(const struct sigma_set *set, size_t rule);

#endif
