#include "detect/door_facts.h"
#include "detect/rule.h"

#define GUESSES_MIN 10             /* wrong credentials of one identity … */
#define GUESSES_US MINUTES_US(10)  /* … within this */

static void judge_guessing(struct judging *judging)
{
    door_judge_count(judging, door_counted(judging, "Refused.401") + door_counted(judging, "Refused.403"), GUESSES_MIN, GUESSES_US, "refused credentials of this identity within ten minutes");
}

static const struct rule_sample guessing_samples[] = {
    {true, "x2 " DOOR_EVENT("\"401\":5", "\"token-signature\":5")},
    {true, DOOR_EVENT("\"401\":9,\"403\":1", "\"token-signature\":9")},
    {false, DOOR_EVENT("\"401\":9", "\"token-signature\":9")},
    {false, DOOR_EVENT("\"401\":6", "\"token-signature\":6") "\n+700 " DOOR_EVENT("\"401\":6", "\"token-signature\":6")},
};

const struct rule rule_identity_guessing = {
    .id = "Picket_IdentityBruteForce",
    .title = "Many wrong credentials for one identity",
    .severity = "Medium",
    .tactics = "CredentialAccess",
    .techniques = "T1110, T0859",
    .fires = "Ten refused credentials for one enrolled identity within ten minutes.",
    .spares = "A device that tries again now and then.",
    .needs = "What the front door refuses; every device that is enrolled has it.",
    .tuning = "An exception for a device whose key is known to be wrong, until it is mended.",
    .remediation = door_check_key,
    .kinds = EVENT_BIT(EVENT_DOOR),
    .remembers = true,
    .judge = judge_guessing,
    RULE_SAMPLES(guessing_samples),
};
