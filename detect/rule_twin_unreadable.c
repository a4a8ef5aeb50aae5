#include "detect/rule.h"

static void judge(struct judging *judging)
{
    struct text type = event_field(judging->event, TEXT("ErrorType"));

    if (!text_equal(type, TEXT("TypeMismatch")))
        return;
    struct finding *finding = finding_add(judging, event_field(judging->event, TEXT("ConfigurationName")));
    finding_reason(finding, "ErrorType", TEXT("the agent could not read it, and runs by what it had before"), type);
    finding_reason(finding, "Message", TEXT("what it says"), judging->event->message);
}

static const char *const mend_twin[] = {"Mend the module's twin: the message names the keys.", NULL};

static const struct rule_sample samples[] = {
    {true, "ConfigurationError {\"ConfigurationName\":\"TwinConfiguration\",\"ErrorType\":\"TypeMismatch\",\"Message\":\"maxMessageSizeInBytes\",\"UsedConfiguration\":\"{}\"}"},
    {true, "ConfigurationError {\"ConfigurationName\":\"lowPriorityMessageFrequency\",\"ErrorType\":\"TypeMismatch\",\"Message\":\"no duration\",\"UsedConfiguration\":\"{}\"}"},
    {false, "ConfigurationError {\"ConfigurationName\":\"maxMessageSizeInBytes\",\"ErrorType\":\"NotOptimal\",\"Message\":\"\",\"UsedConfiguration\":\"{}\"}"},
    {false, "ConfigurationError {\"ConfigurationName\":\"maxLocalCacheSizeInBytes\",\"ErrorType\":\"Conflict\",\"Message\":\"\",\"UsedConfiguration\":\"{}\"}"},
};

const struct rule rule_twin_unreadable = {
    .id = "IoT_TwinConfigurationUnreadable",
    .title = "The agent could not read its configuration",
    .severity = "Medium",
    .tactics = "DefenseEvasion",
    .techniques = "T1562.001",
    .fires = "The agent says of its module's twin that a value is of the wrong type.",
    .spares = "Values that are not optimal, or conflict: those are recommendations.",
    .needs = "Configuration errors.",
    .tuning = "None should be needed.",
    .remediation = mend_twin,
    .kinds = EVENT_BIT(EVENT_CONFIGURATION),
    .judge = judge,
    RULE_SAMPLES(samples),
};
