#ifndef PICKET_DETECT_LOGIN_FACTS_H
#define PICKET_DETECT_LOGIN_FACTS_H

#include "detect/rule.h"

/* Logins at the device itself. */

/* A finding for its user, where the login ended so. */
void login_judge_local(struct judging *judging, enum event_outcome outcome, const char *clause);

#endif
