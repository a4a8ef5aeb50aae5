#include "detect/door_facts.h"
#include "detect/rule.h"

static void judge_token_expired(struct judging *judging)
{
    door_judge_reason(judging, "Reasons.token-expired", "tokens that were over");
}

static const char *const renew_token[] = {"See whether the device's clock is right and its agent makes new tokens.", "If the device is not yours to see, rotate its key.", NULL};

static const struct rule_sample token_expired_samples[] = {
    {true, DOOR_EVENT("\"401\":2", "\"token-expired\":2")},
    {true, DOOR_EVENT("\"401\":5", "\"token-signature\":4,\"token-expired\":1")},
    {false, DOOR_EVENT("\"401\":2", "\"token-signature\":2")},
    {false, DOOR_EVENT("\"429\":2", "")},
};

const struct rule rule_token_expired = {
    .id = "IoT_Expired_SAS_Token",
    .title = "Expired token",
    .severity = "Low",
    .tactics = "InitialAccess",
    .techniques = "T1078, T0859",
    .fires = "The device's token was over when it called. One whose clock is wrong calls so for ever.",
    .spares = "Tokens that are wrong otherwise.",
    .needs = "What the front door refuses; every device that is enrolled has it.",
    .tuning = "An exception for a device that is known to sleep past its tokens.",
    .remediation = renew_token,
    .kinds = EVENT_BIT(EVENT_DOOR),
    .judge = judge_token_expired,
    RULE_SAMPLES(token_expired_samples),
};
