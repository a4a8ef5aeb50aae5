#include "detect/rule.h"
#include "detect/user_changes.h"

static void judge_added(struct judging *judging)
{
    user_judge_change(judging, USER_ADDED_TO_GROUP);
}

static const struct rule_sample added_samples[] = {
    {true, USERS_LINE("admin", "admin") "\n+60 " USERS_LINE("admin", "admin;sudo")},
    {true, USERS_LINE("root", "root") "\n+60 " USERS_LINE("support", "root")},
    {false, "x2 " USERS_LINE("admin", "admin;sudo")},
    {false, USERS_LINE("admin", "admin;sudo") "\n+60 " USERS_LINE("admin", "admin")},
};

const struct rule rule_user_added_to_group = {
    .id = "IoT_LocalUserAddedToGroup",
    .title = "A local user came into a group",
    .severity = "Low",
    .tactics = "Persistence, PrivilegeEscalation",
    .techniques = "T1098.007",
    .fires = "A snapshot of local users holds one in a group where the snapshot before did not have it; new users too.",
    .spares = "A device's first snapshot, which only teaches; the same groups in another order.",
    .needs = "Local users.",
    .tuning = "An exception for a user or a group.",
    .remediation = user_verify_change,
    .kinds = EVENT_BIT(EVENT_USER),
    .remembers = true,
    .judge = judge_added,
    RULE_SAMPLES(added_samples),
};
