#include "detect/rule.h"

#define REMEMBERED_US (INT64_MAX / 4) /* until the next snapshot, whenever it comes */
#define USERS_MAX 200                 /* of one snapshot; beyond that changes are not told */

/* A snapshot is kept as marks "user:group"; a user without any as "user:". The trace is written anew by each. */
enum change { USER_ADDED_TO_GROUP, USER_REMOVED_FROM_GROUP, USER_DELETED };

struct comparing {
    struct judging *judging;
    enum change change;
};

static struct text mark_of(struct arena *arena, struct text user, struct text group)
{
    return text_of(arena_format(arena, "%.*s:%.*s", TEXT_ARGS(user), TEXT_ARGS(group)));
}

/* Whether the snapshot at hand has that user, and in that group. */
static bool now_has(const struct judging *judging, struct text user, struct text group, bool *has_user)
{
    *has_user = false;
    for (size_t i = 0; i < judging->group_count; i++) {
        struct text rest = judging->group[i].groups, name;
        if (!text_equal(judging->group[i].user, user))
            continue;
        *has_user = true;
        if (!group.count)
            return true;
        while (rest.bytes && rest.count) {
            rest = text_cut(rest, ';', &name);
            if (text_equal(name, group))
                return true;
        }
    }
    return false;
}

static void change_tell(struct judging *judging, struct text user, struct text group, const char *clause)
{
    struct finding *finding = finding_add(judging, group.count ? mark_of(judging->arena, user, group) : user);

    finding_reason(finding, group.count ? "GroupNames" : "UserName", text_of(clause), group.count ? group : user);
    finding_entity(finding, FINDING_USER, user);
}

static void was_look(void *context, struct text value, int64_t at_us, uint64_t times)
{
    struct comparing *comparing = context;
    struct text user, group = text_cut(value, ':', &user);
    bool has_user;

    (void)at_us;
    (void)times;
    bool has = now_has(comparing->judging, user, group, &has_user);
    user = arena_text(comparing->judging->arena, user); /* the trace is about to be written anew */
    group = arena_text(comparing->judging->arena, group);
    if (comparing->change == USER_REMOVED_FROM_GROUP && group.count && !has && has_user)
        change_tell(comparing->judging, user, group, "the user left a group");
    if (comparing->change == USER_DELETED && !has_user && !group.count)
        change_tell(comparing->judging, user, TEXT(""), "the user is gone");
}

/* Each user's mark without a group says that it was there; those with groups which. */
static void snapshot_each(struct judging *judging, void (*each)(struct judging *, struct text, struct text))
{
    for (size_t i = 0; i < judging->group_count; i++) {
        struct text rest = judging->group[i].groups, group;
        each(judging, judging->group[i].user, TEXT(""));
        while (rest.bytes && rest.count) {
            rest = text_cut(rest, ';', &group);
            if (group.count)
                each(judging, judging->group[i].user, group);
        }
    }
}

static void snapshot_keep(struct judging *judging, struct text user, struct text group)
{
    memory_note(judging->memory, judging->rule->id, TEXT("users"), mark_of(judging->arena, user, group), 1, judging->event->at_us, REMEMBERED_US);
}

static void addition_look(struct judging *judging, struct text user, struct text group)
{
    if (group.count && !memory_has(judging->memory, judging->rule->id, TEXT("users"), mark_of(judging->arena, user, group), INT64_MAX / 2, INT64_MAX))
        change_tell(judging, user, group, "the user came into a group");
}

static void judge_change(struct judging *judging, enum change change)
{
    struct comparing comparing = {judging, change};

    if (judging->event != judging->group || judging->group_count > USERS_MAX)
        return;
    bool taught = memory_knows(judging->memory, judging->rule->id, TEXT("users"));
    if (taught && change == USER_ADDED_TO_GROUP)
        snapshot_each(judging, addition_look);
    else if (taught)
        memory_walk(judging->memory, judging->rule->id, TEXT("users"), was_look, &comparing);
    memory_forget(judging->memory, judging->rule->id, TEXT("users"));
    snapshot_each(judging, snapshot_keep);
}

static void judge_added(struct judging *judging)
{
    judge_change(judging, USER_ADDED_TO_GROUP);
}

static void judge_removed(struct judging *judging)
{
    judge_change(judging, USER_REMOVED_FROM_GROUP);
}

static void judge_deleted(struct judging *judging)
{
    judge_change(judging, USER_DELETED);
}

static const char *const verify_change[] = {"Verify with who keeps the device that the change was meant.", "If it was not, undo it, and look at what the user did since.", NULL};

#define USERS_LINE(user, groups) "LocalUsers {\"UserName\":\"" user "\",\"UserId\":\"1000\",\"GroupNames\":\"" groups "\",\"GroupIds\":\"1\"}"

static const struct rule_sample added_samples[] = {
    {true, USERS_LINE("admin", "admin") "\n+60 " USERS_LINE("admin", "admin;sudo")},
    {true, USERS_LINE("root", "root") "\n+60 " USERS_LINE("support", "root")},
    {false, "x2 " USERS_LINE("admin", "admin;sudo")},
    {false, USERS_LINE("admin", "admin;sudo") "\n+60 " USERS_LINE("admin", "admin")},
};
static const struct rule_sample removed_samples[] = {
    {true, USERS_LINE("admin", "admin;sudo") "\n+60 " USERS_LINE("admin", "admin")},
    {true, USERS_LINE("pi", "pi;gpio;audio") "\n+60 " USERS_LINE("pi", "pi;audio")},
    {false, USERS_LINE("admin", "admin") "\n+60 " USERS_LINE("admin", "admin;sudo")},
    {false, USERS_LINE("admin", "admin;sudo") "\n+60 " USERS_LINE("admin", "sudo;admin")},
};
static const struct rule_sample deleted_samples[] = {
    {true, USERS_LINE("backup", "backup") "\n+60 " USERS_LINE("admin", "admin")},
    {true, USERS_LINE("guest", "") "\n+60 " USERS_LINE("root", "root")},
    {false, "x2 " USERS_LINE("backup", "backup")},
    {false, USERS_LINE("backup", "backup;adm") "\n+60 " USERS_LINE("backup", "backup")},
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
    .remediation = verify_change,
    .kinds = EVENT_BIT(EVENT_USER),
    .remembers = true,
    .judge = judge_added,
    RULE_SAMPLES(added_samples),
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
    .remediation = verify_change,
    .kinds = EVENT_BIT(EVENT_USER),
    .remembers = true,
    .judge = judge_removed,
    RULE_SAMPLES(removed_samples),
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
    .remediation = verify_change,
    .kinds = EVENT_BIT(EVENT_USER),
    .remembers = true,
    .judge = judge_deleted,
    RULE_SAMPLES(deleted_samples),
};
