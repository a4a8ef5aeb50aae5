#ifndef PICKET_DETECT_LOGIN_FAILURES_H
#define PICKET_DETECT_LOGIN_FAILURES_H

#include "detect/rule.h"

/* Logins that fail again and again, for the rules that judge them. Both keep their own traces: each answers the same whether or not the other is on. */
#define LOGIN_FAILURES_REMEMBERED_US HOURS_US(12)
/* Who tries: the address, or the user where there is none. */
struct text login_source(const struct judging *judging);
/* How many failures make it one; 0: not enough. */
uint64_t login_failures(const struct judging *judging, struct text source, int64_t *first_us);
/* Adds the finding: how many, by that clause, and of which users. */
void login_failures_tell(struct judging *judging, struct text source, uint64_t times, const char *clause);

#endif
