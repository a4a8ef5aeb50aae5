#include "detect/door_facts.h"
#include "detect/rule.h"

static void judge_token_invalid(struct judging *judging)
{
    door_judge_reason(judging, "Reasons.token-signature", "tokens that no key of the identity signed");
}

static const struct rule_sample token_invalid_samples[] = {
    {true, DOOR_EVENT("\"401\":2", "\"token-signature\":2")},
    {true, DOOR_EVENT("\"401\":5", "\"token-signature\":1,\"token-expired\":4")},
    {false, DOOR_EVENT("\"401\":2", "\"token-expired\":2")},
    {false, DOOR_EVENT("\"413\":2", "")},
};

const struct rule rule_token_invalid = {
    .id = "IoT_Invalid_SAS_Token",
    .title = "Token with a wrong signature",
    .severity = "Low",
    .tactics = "InitialAccess",
    .techniques = "T1078, T1110, T0859",
    .fires = "A token for the device was signed with none of its keys.",
    .spares = "Tokens that are only over.",
    .needs = "What the front door refuses; every device that is enrolled has it.",
    .tuning = "None should be needed.",
    .remediation = door_check_key,
    .kinds = EVENT_BIT(EVENT_DOOR),
    .judge = judge_token_invalid,
    RULE_SAMPLES(token_invalid_samples),
};
