#include "detect/door_facts.h"
#include "detect/rule.h"

static void judge_certificate_expired(struct judging *judging)
{
    door_judge_reason(judging, "Reasons.certificate-expired", "certificates that were over, or not valid yet");
}

static const char *const renew_certificate[] = {"Issue the device a new certificate, and look at its clock.", NULL};

static const struct rule_sample certificate_expired_samples[] = {
    {true, DOOR_EVENT("\"401\":1", "\"certificate-expired\":1")},
    {true, DOOR_EVENT("\"401\":3", "\"certificate-mismatch\":2,\"certificate-expired\":1")},
    {false, DOOR_EVENT("\"401\":1", "\"certificate-mismatch\":1")},
    {false, DOOR_EVENT("\"403\":1", "")},
};

const struct rule rule_certificate_expired = {
    .id = "IoT_Cert_Expired",
    .title = "Expired X.509 certificate",
    .severity = "Medium",
    .tactics = "InitialAccess",
    .techniques = "T1078, T0859",
    .fires = "The device's certificate was over, or not valid yet, when it called.",
    .spares = "Certificates that are not the device's.",
    .needs = "What the front door refuses; every device that is enrolled has it.",
    .tuning = "None should be needed.",
    .remediation = renew_certificate,
    .kinds = EVENT_BIT(EVENT_DOOR),
    .judge = judge_certificate_expired,
    RULE_SAMPLES(certificate_expired_samples),
};
