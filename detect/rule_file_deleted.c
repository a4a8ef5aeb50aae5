#include "detect/file_facts.h"
#include "detect/rule.h"

#define MASK_MOVED_FROM 0x40u
#define MASK_DELETE 0x200u
#define MASK_DELETE_SELF 0x400u

static void judge_deleted(struct judging *judging)
{
    file_judge_change(judging, file_mask_says(judging->event->action, "delet", "moved_from", MASK_DELETE | MASK_DELETE_SELF | MASK_MOVED_FROM), "a file went");
}

static const struct rule_sample deleted_samples[] = {
    {true, "FileSystem {\"Path\":\"/var/log/auth.log\",\"Mask\":\"Deleted\"}"},
    {true, "FileSystem {\"path\":\"/etc/init.d/agent\",\"mask\":512}"},
    {false, "FileSystem {\"Path\":\"/var/log/auth.log\",\"Mask\":\"Modified\"}"},
    {false, "FileSystem {\"Path\":\"/var/log/auth.log\",\"Mask\":\"Opened\"}"},
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
