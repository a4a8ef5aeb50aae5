#include "detect/user_changes.h"

#define REMEMBERED_US (INT64_MAX / 4) /* until the next snapshot, whenever it comes */
#define USERS_MAX 200                 /* of one snapshot; beyond that changes are not told */

/* A snapshot is kept as marks "user:group"; a user without any as "user:". The trace is written anew by each. */
struct comparing {
    struct judging *judging;
    enum user_change change;
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

void user_judge_change(struct judging *judging, enum user_change change)
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

const char *const user_verify_change[] = {"Verify with who keeps the device that the change was meant.", "If it was not, undo it, and look at what the user did since.", NULL};
