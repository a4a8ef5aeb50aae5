#ifndef PICKET_DETECT_USER_CHANGES_H
#define PICKET_DETECT_USER_CHANGES_H

#include "detect/rule.h"

/* What changed between two lists of a device's users. */
enum user_change { USER_ADDED_TO_GROUP, USER_REMOVED_FROM_GROUP, USER_DELETED };
/* A finding for each change of that kind since the list before. */
void user_judge_change(struct judging *judging, enum user_change change);
/* What to do; NULL ends it. */
extern const char *const user_verify_change[];
/* An event of a list, for samples. */
#define USERS_LINE(user, groups) "LocalUsers {\"UserName\":\"" user "\",\"UserId\":\"1000\",\"GroupNames\":\"" groups "\",\"GroupIds\":\"1\"}"

#endif
