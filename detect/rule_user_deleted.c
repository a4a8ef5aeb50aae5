#include "detect/rule.h"
#include "detect/user_changes.h"

static void judge_deleted(struct judging *judging)
{
    user_judge_change(judging, USER_DELETED);
}

static const struct rule_sample deleted_samples[] = {
    {true, USERS_LINE("backup", "backup") "\n+60 " USERS_LINE("admin", "admin")},
    {true, USERS_LINE("guest", "") "\n+60 " USERS_LINE("root", "root")},
    {false, "x2 " USERS_LINE("backup", "backup")},
    {false, USERS_LINE("backup", "backup;adm") "\n+60 " USERS_LINE("backup", "backup")},
};

const struct rule rule_user_deleted = {
    .id = "IoT_LocalUserDeleted",
    .title = "A local user was deleted",
    .severity = "Low",
    .tactics = "Impact",
    .techniques = "T1531",
    .fires = "A user of the snapshot before is not in this one.",
    .spares = "Users that changed their groups.",
    .needs = "Local users.",
    .tuning = "An exception for a user.",
    .remediation = user_verify_change,
    .kinds = EVENT_BIT(EVENT_USER),
    .remembers = true,
    .judge = judge_deleted,
    RULE_SAMPLES(deleted_samples),
};
