#include "detect/rule.h"

#define GUESSES_MIN 10             /* wrong credentials of one identity … */
#define GUESSES_US MINUTES_US(10)  /* … within this */
#define FLOOD_MIN 100              /* refusals for rate of one identity … */
#define FLOOD_US MINUTES_US(5)     /* … within this */

/* How often the front door counted it in the window that the event is about. */
static uint64_t counted(const struct judging *judging, const char *name)
{
    uint64_t count = 0;

    return text_to_u64(event_field(judging->event, text_of(name)), &count) ? count : 0;
}

static void judge_reason(struct judging *judging, const char *field, const char *clause)
{
    uint64_t count = counted(judging, field);

    if (count)
        finding_reason(finding_add(judging, TEXT("")), field, text_of(clause), text_of(arena_format(judging->arena, "%llu", (unsigned long long)count)));
}

static void judge_token_expired(struct judging *judging)
{
    judge_reason(judging, "Reasons.token-expired", "tokens that were over");
}

static void judge_token_invalid(struct judging *judging)
{
    judge_reason(judging, "Reasons.token-signature", "tokens that no key of the identity signed");
}

static void judge_thumbprint(struct judging *judging)
{
    judge_reason(judging, "Reasons.certificate-mismatch", "certificates that are not the identity's");
}

static void judge_certificate_expired(struct judging *judging)
{
    judge_reason(judging, "Reasons.certificate-expired", "certificates that were over, or not valid yet");
}

static void judge_count(struct judging *judging, uint64_t count, uint64_t min, int64_t within_us, const char *clause)
{
    if (!count)
        return;
    memory_note(judging->memory, judging->rule->id, TEXT(""), TEXT(""), count, judging->event->at_us, within_us);
    uint64_t sum = memory_sum(judging->memory, judging->rule->id, TEXT(""), judging->event->at_us, within_us).times;
    if (sum >= min)
        finding_reason(finding_add(judging, TEXT("")), "Refused", text_of(clause), text_of(arena_format(judging->arena, "%llu", (unsigned long long)sum)));
}

static void judge_guessing(struct judging *judging)
{
    judge_count(judging, counted(judging, "Refused.401") + counted(judging, "Refused.403"), GUESSES_MIN, GUESSES_US, "refused credentials of this identity within ten minutes");
}

static void judge_flood(struct judging *judging)
{
    judge_count(judging, counted(judging, "Refused.429"), FLOOD_MIN, FLOOD_US, "messages beyond the identity's rate within five minutes");
}

static void judge_clone(struct judging *judging)
{
    struct text other = event_field(judging->event, TEXT("OtherAddress"));
    struct finding *finding = finding_add(judging, TEXT(""));

    finding_reason(finding, "RemoteAddress", TEXT("it came from here and from the other address in turns"), judging->event->remote_address);
    finding_reason(finding, "OtherAddress", TEXT("the other address"), other);
    finding_entity(finding, FINDING_ADDRESS, other);
}

static const char *const renew_token[] = {"See whether the device's clock is right and its agent makes new tokens.", "If the device is not yours to see, rotate its key.", NULL};
static const char *const check_key[] = {"See whether the device still has the key that is enrolled.", "If it has, someone else tries its identity: look for the addresses in the front door's log.", NULL};
static const char *const check_certificate[] = {"Compare the thumbprints that are enrolled with the device's certificate.", "If the certificate was changed on purpose, enrol its thumbprint.", NULL};
static const char *const renew_certificate[] = {"Issue the device a new certificate, and look at its clock.", NULL};
static const char *const slow_down[] = {"See what the device repeats: `picket events --device`.", "If it is healthy, raise its rate.", NULL};
static const char *const rotate_identity[] = {"Rotate the identity's key or certificate, and give the new one to the device you can see.", "Find where the credential was copied from.", NULL};

#define DOOR(refused, reasons) "FrontDoor {\"From\":1,\"To\":2,\"Refused\":{" refused "},\"Reasons\":{" reasons "}}"

static const struct rule_sample token_expired_samples[] = {
    {true, DOOR("\"401\":2", "\"token-expired\":2")},
    {true, DOOR("\"401\":5", "\"token-signature\":4,\"token-expired\":1")},
    {false, DOOR("\"401\":2", "\"token-signature\":2")},
    {false, DOOR("\"429\":2", "")},
};
static const struct rule_sample token_invalid_samples[] = {
    {true, DOOR("\"401\":2", "\"token-signature\":2")},
    {true, DOOR("\"401\":5", "\"token-signature\":1,\"token-expired\":4")},
    {false, DOOR("\"401\":2", "\"token-expired\":2")},
    {false, DOOR("\"413\":2", "")},
};
static const struct rule_sample thumbprint_samples[] = {
    {true, DOOR("\"401\":1", "\"certificate-mismatch\":1")},
    {true, DOOR("\"401\":3", "\"certificate-mismatch\":2,\"certificate-expired\":1")},
    {false, DOOR("\"401\":1", "\"certificate-expired\":1")},
    {false, DOOR("\"401\":1", "\"token-expired\":1")},
};
static const struct rule_sample certificate_expired_samples[] = {
    {true, DOOR("\"401\":1", "\"certificate-expired\":1")},
    {true, DOOR("\"401\":3", "\"certificate-mismatch\":2,\"certificate-expired\":1")},
    {false, DOOR("\"401\":1", "\"certificate-mismatch\":1")},
    {false, DOOR("\"403\":1", "")},
};
static const struct rule_sample guessing_samples[] = {
    {true, "x2 " DOOR("\"401\":5", "\"token-signature\":5")},
    {true, DOOR("\"401\":9,\"403\":1", "\"token-signature\":9")},
    {false, DOOR("\"401\":9", "\"token-signature\":9")},
    {false, DOOR("\"401\":6", "\"token-signature\":6") "\n+700 " DOOR("\"401\":6", "\"token-signature\":6")},
};
static const struct rule_sample flood_samples[] = {
    {true, DOOR("\"429\":100", "")},
    {true, "x10 " DOOR("\"429\":12", "")},
    {false, DOOR("\"429\":99", "")},
    {false, DOOR("\"503\":500", "")},
};
static const struct rule_sample clone_samples[] = {
    {true, "ClonedIdentity {\"RemoteAddress\":\"203.0.113.9\",\"OtherAddress\":\"198.51.100.7\",\"Returns\":3}"},
    {true, "ClonedIdentity {\"RemoteAddress\":\"2001:db8::1\",\"OtherAddress\":\"198.51.100.7\",\"Returns\":2}"},
    {false, DOOR("\"401\":1", "\"token-signature\":1")},
    {false, "Login {\"RemoteAddress\":\"203.0.113.9\",\"Result\":\"Fail\",\"UserName\":\"x\"}"},
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
    .remediation = check_key,
    .kinds = EVENT_BIT(EVENT_DOOR),
    .judge = judge_token_invalid,
    RULE_SAMPLES(token_invalid_samples),
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
    .remediation = check_key,
    .kinds = EVENT_BIT(EVENT_DOOR),
    .remembers = true,
    .judge = judge_guessing,
    RULE_SAMPLES(guessing_samples),
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

const struct rule rule_cloned_identity = {
    .id = "Picket_ClonedIdentity",
    .title = "One identity is used from two places",
    .severity = "High",
    .tactics = "InitialAccess, Persistence",
    .techniques = "T1078, T1552, T0859",
    .fires = "Credentials of one identity came from two addresses in turns, back and forth within minutes.",
    .spares = "A device that moved to another address and stays there.",
    .needs = "What the front door lets in; every device that is enrolled has it.",
    .tuning = "An exception for a device with two uplinks.",
    .remediation = rotate_identity,
    .kinds = EVENT_BIT(EVENT_CLONE),
    .judge = judge_clone,
    RULE_SAMPLES(clone_samples),
};
