#include "detect/rule.h"
#include "detect/user_changes.h"

static void judge_removed(struct judging *judging)
{
    user_judge_change(judging, USER_REMOVED_FROM_GROUP);
}

static const struct rule_sample removed_samples[] = {
    {true, USERS_LINE("admin", "admin;sudo") "\n+60 " USERS_LINE("admin", "admin")},
    {true, USERS_LINE("pi", "pi;gpio;audio") "\n+60 " USERS_LINE("pi", "pi;audio")},
    {false, USERS_LINE("admin", "admin") "\n+60 " USERS_LINE("admin", "admin;sudo")},
    {false, USERS_LINE("admin", "admin;sudo") "\n+60 " USERS_LINE("admin", "sudo;admin")},
};

const struct rule rule_user_removed_from_group = {
    .id = "IoT_LocalUserDeletedFromGroup",
    .title = "A local user left a group",
    .severity = "Low",
    .tactics = "Impact",
    .techniques = "T1531",
    .fires = "A user that is still there is missing from a group of the snapshot before.",
    .spares = "Users that are gone altogether.",
    .needs = "Local users.",
    .tuning = "An exception for a user or a group.",
    .remediation = user_verify_change,
    .kinds = EVENT_BIT(EVENT_USER),
    .remembers = true,
    .judge = judge_removed,
    RULE_SAMPLES(removed_samples),
};
