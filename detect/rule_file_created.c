#include "detect/file_facts.h"
#include "detect/rule.h"

#define MASK_MOVED_TO 0x80u
#define MASK_CREATE 0x100u

static void judge_created(struct judging *judging)
{
    file_judge_change(judging, file_mask_says(judging->event->action, "creat", "moved_to", MASK_CREATE | MASK_MOVED_TO), "a file came");
}

static const struct rule_sample created_samples[] = {
    {true, "FileSystem {\"Path\":\"/etc/cron.d/x\",\"Mask\":\"Created\"}"},
    {true, "FileSystem {\"path\":\"/usr/bin/.hidden\",\"mask\":256,\"hitcount\":1}"},
    {false, "FileSystem {\"Path\":\"/etc/cron.d/x\",\"Mask\":\"Opened\"}"},
    {false, "FileSystem {\"Path\":\"/etc/passwd\",\"Mask\":\"Metadata changed\"}"},
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
