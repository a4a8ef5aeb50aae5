#include "detect/door_facts.h"
#include "detect/rule.h"

static void judge_thumbprint(struct judging *judging)
{
    door_judge_reason(judging, "Reasons.certificate-mismatch", "certificates that are not the identity's");
}

static const char *const check_certificate[] = {"Compare the thumbprints that are enrolled with the device's certificate.", "If the certificate was changed on purpose, enrol its thumbprint.", NULL};

static const struct rule_sample thumbprint_samples[] = {
    {true, DOOR_EVENT("\"401\":1", "\"certificate-mismatch\":1")},
    {true, DOOR_EVENT("\"401\":3", "\"certificate-mismatch\":2,\"certificate-expired\":1")},
    {false, DOOR_EVENT("\"401\":1", "\"certificate-expired\":1")},
    {false, DOOR_EVENT("\"401\":1", "\"token-expired\":1")},
};

const struct rule rule_certificate_mismatch = {
    .id = "IoT_Cert_Print_Mismatch",
    .title = "X.509 certificate that is not the device's",
    .severity = "Medium",
    .tactics = "InitialAccess",
    .techniques = "T1078, T1588.004, T0859",
    .fires = "A certificate was shown for the device that has none of its thumbprints, or names another.",
    .spares = "Certificates that are only over.",
    .needs = "What the front door refuses; every device that is enrolled has it.",
    .tuning = "None should be needed.",
    .remediation = check_certificate,
    .kinds = EVENT_BIT(EVENT_DOOR),
    .judge = judge_thumbprint,
    RULE_SAMPLES(thumbprint_samples),
};
