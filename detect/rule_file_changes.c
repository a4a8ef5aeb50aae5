#include "detect/command_facts.h"
#include "detect/rule.h"

/* Bits of Linux' inotify, where the agent sends its mask as a number. */
#define MASK_MODIFY 0x2u
#define MASK_MOVED_FROM 0x40u
#define MASK_MOVED_TO 0x80u
#define MASK_CREATE 0x100u
#define MASK_DELETE 0x200u
#define MASK_DELETE_SELF 0x400u

static bool mask_says(struct text mask, const char *word, const char *other, unsigned bits)
{
    uint64_t number;

    if (text_to_u64(mask, &number))
        return number & bits;
    return text_contains_nocase(mask, word) || text_contains_nocase(mask, other);
}

static void judge_change(struct judging *judging, bool says, const char *clause)
{
    struct text path = judging->event->path;

    if (!says || !path.count)
        return;
    struct finding *finding = finding_add(judging, path);
    finding_reason(finding, "Mask", text_of(clause), judging->event->action);
    finding_reason(finding, "Path", TEXT("it is watched"), path);
}

static void judge_created(struct judging *judging)
{
    judge_change(judging, mask_says(judging->event->action, "creat", "moved_to", MASK_CREATE | MASK_MOVED_TO), "a file came");
}

static void judge_modified(struct judging *judging)
{
    judge_change(judging, mask_says(judging->event->action, "modif", "close_write", MASK_MODIFY), "a file was written");
}

static void judge_deleted(struct judging *judging)
{
    judge_change(judging, mask_says(judging->event->action, "delet", "moved_from", MASK_DELETE | MASK_DELETE_SELF | MASK_MOVED_FROM), "a file went");
}

static const struct rule_sample created_samples[] = {
    {true, "FileSystem {\"Path\":\"/etc/cron.d/x\",\"Mask\":\"Created\"}"},
    {true, "FileSystem {\"path\":\"/usr/bin/.hidden\",\"mask\":256,\"hitcount\":1}"},
    {false, "FileSystem {\"Path\":\"/etc/cron.d/x\",\"Mask\":\"Opened\"}"},
    {false, "FileSystem {\"Path\":\"/etc/passwd\",\"Mask\":\"Metadata changed\"}"},
};
static const struct rule_sample modified_samples[] = {
    {true, "FileSystem {\"Path\":\"/etc/passwd\",\"Mask\":\"Modified\"}"},
    {true, "FileSystem {\"path\":\"/etc/hosts\",\"mask\":2}"},
    {false, "FileSystem {\"Path\":\"/etc/passwd\",\"Mask\":\"Access\"}"},
    {false, "FileSystem {\"Path\":\"/etc/passwd\",\"Mask\":\"Closed\"}"},
};
static const struct rule_sample deleted_samples[] = {
    {true, "FileSystem {\"Path\":\"/var/log/auth.log\",\"Mask\":\"Deleted\"}"},
    {true, "FileSystem {\"path\":\"/etc/init.d/agent\",\"mask\":512}"},
    {false, "FileSystem {\"Path\":\"/var/log/auth.log\",\"Mask\":\"Modified\"}"},
    {false, "FileSystem {\"Path\":\"/var/log/auth.log\",\"Mask\":\"Opened\"}"},
};

const struct rule rule_file_created = {
    .id = "IoT_FileCreated",
    .title = "A file was created under a watched path",
    .severity = "High",
    .tactics = "Persistence",
    .techniques = "T1543, T1053.003, T0873",
    .fires = "A file was created below a path that the device's agent was told to watch, or moved there.",
    .spares = "Files opened, read or closed, and changes of their rights.",
    .needs = "The file system, and paths to watch (`FileSystem_Paths` in the module's twin).",
    .tuning = "Watch only what does not change by itself; an exception for a path.",
    .remediation = rule_confirm,
    .kinds = EVENT_BIT(EVENT_FILE),
    .judge = judge_created,
    RULE_SAMPLES(created_samples),
};

const struct rule rule_file_modified = {
    .id = "IoT_FileModified",
    .title = "A watched file was changed",
    .severity = "High",
    .tactics = "Persistence, DefenseEvasion",
    .techniques = "T1565.001, T1222.002, T0836",
    .fires = "A file below a watched path was written.",
    .spares = "Files opened, read or closed, and changes of their rights.",
    .needs = "The file system, and paths to watch (`FileSystem_Paths` in the module's twin).",
    .tuning = "Watch only what does not change by itself; an exception for a path.",
    .remediation = rule_confirm,
    .kinds = EVENT_BIT(EVENT_FILE),
    .judge = judge_modified,
    RULE_SAMPLES(modified_samples),
};

const struct rule rule_file_deleted = {
    .id = "IoT_FileDeleted",
    .title = "A watched file was deleted",
    .severity = "High",
    .tactics = "Impact, DefenseEvasion",
    .techniques = "T1070.004, T1485, T0809",
    .fires = "A file below a watched path was deleted, or moved away.",
    .spares = "Files opened, read, closed or changed.",
    .needs = "The file system, and paths to watch (`FileSystem_Paths` in the module's twin).",
    .tuning = "Watch only what does not change by itself; an exception for a path.",
    .remediation = rule_confirm,
    .kinds = EVENT_BIT(EVENT_FILE),
    .judge = judge_deleted,
    RULE_SAMPLES(deleted_samples),
};
