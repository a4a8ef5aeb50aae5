#include "detect/door_facts.h"
#include "detect/rule.h"

#define FLOOD_MIN 100              /* refusals for rate of one identity … */
#define FLOOD_US MINUTES_US(5)     /* … within this */

static void judge_flood(struct judging *judging)
{
    door_judge_count(judging, door_counted(judging, "Refused.429"), FLOOD_MIN, FLOOD_US, "messages beyond the identity's rate within five minutes");
}

static const char *const slow_down[] = {"See what the device repeats: `picket events --device`.", "If it is healthy, raise its rate.", NULL};

static const struct rule_sample flood_samples[] = {
    {true, DOOR_EVENT("\"429\":100", "")},
    {true, "x10 " DOOR_EVENT("\"429\":12", "")},
    {false, DOOR_EVENT("\"429\":99", "")},
    {false, DOOR_EVENT("\"503\":500", "")},
};

const struct rule rule_message_flood = {
    .id = "Picket_MessageFlood",
    .title = "A device floods the front door",
    .severity = "Medium",
    .tactics = "Impact",
    .techniques = "T1499, T0814",
    .fires = "A hundred messages beyond the identity's rate within five minutes.",
    .spares = "Refusals because of ourselves (503); a device now and then above its rate.",
    .needs = "What the front door refuses; every device that is enrolled has it.",
    .tuning = "The identity's rate.",
    .remediation = slow_down,
    .kinds = EVENT_BIT(EVENT_DOOR),
    .remembers = true,
    .judge = judge_flood,
    RULE_SAMPLES(flood_samples),
};
