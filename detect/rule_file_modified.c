#include "detect/file_facts.h"
#include "detect/rule.h"

/* Bits of Linux' inotify, where the agent sends its mask as a number. */
#define MASK_MODIFY 0x2u

static void judge_modified(struct judging *judging)
{
    file_judge_change(judging, file_mask_says(judging->event->action, "modif", "close_write", MASK_MODIFY), "a file was written");
}

static const struct rule_sample modified_samples[] = {
    {true, "FileSystem {\"Path\":\"/etc/passwd\",\"Mask\":\"Modified\"}"},
    {true, "FileSystem {\"path\":\"/etc/hosts\",\"mask\":2}"},
    {false, "FileSystem {\"Path\":\"/etc/passwd\",\"Mask\":\"Access\"}"},
    {false, "FileSystem {\"Path\":\"/etc/passwd\",\"Mask\":\"Closed\"}"},
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
