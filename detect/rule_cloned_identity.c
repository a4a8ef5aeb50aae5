#include "detect/door_facts.h"
#include "detect/rule.h"

static void judge_clone(struct judging *judging)
{
    struct text other = event_field(judging->event, TEXT("OtherAddress"));
    struct finding *finding = finding_add(judging, TEXT(""));

    finding_reason(finding, "RemoteAddress", TEXT("it came from here and from the other address in turns"), judging->event->remote_address);
    finding_reason(finding, "OtherAddress", TEXT("the other address"), other);
    finding_entity(finding, FINDING_ADDRESS, other);
}

static const char *const rotate_identity[] = {"Rotate the identity's key or certificate, and give the new one to the device you can see.", "Find where the credential was copied from.", NULL};

static const struct rule_sample clone_samples[] = {
    {true, "ClonedIdentity {\"RemoteAddress\":\"203.0.113.9\",\"OtherAddress\":\"198.51.100.7\",\"Returns\":3}"},
    {true, "ClonedIdentity {\"RemoteAddress\":\"2001:db8::1\",\"OtherAddress\":\"198.51.100.7\",\"Returns\":2}"},
    {false, DOOR_EVENT("\"401\":1", "\"token-signature\":1")},
    {false, "Login {\"RemoteAddress\":\"203.0.113.9\",\"Result\":\"Fail\",\"UserName\":\"x\"}"},
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
