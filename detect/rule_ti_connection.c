#include "detect/listed.h"
#include "detect/rule.h"

static void judge_connection(struct judging *judging)
{
    const struct event *event = judging->event;
    struct listed listed = {.judging = judging, .cause = event->remote_address, .field = "RemoteAddress", .clause = "it is listed", .seen = event->remote_address};

    if (judging->indicators && event->remote_address.count)
        (void)indicators_find_ip(judging->indicators, event->remote_address, event->direction == EVENT_IN ? 0 : event->remote_port, listed_add, &listed);
}

/* What the samples match is listed by tests and canaries as they need: see detect/rule_samples.h. */
static const struct rule_sample connection_samples[] = {
    {true, "ConnectionCreate {\"RemoteAddress\":\"203.0.113.66\",\"RemotePort\":\"48101\",\"Direction\":\"Out\",\"Protocol\":\"tcp\"}"},
    {true, "NetworkActivity {\"LocalAddress\":\"10.0.0.4\",\"RemoteAddress\":\"203.0.113.66\",\"LocalPort\":50112,\"RemotePort\":23,\"Protocol\":\"TCP\"}"},
    {false, "ConnectionCreate {\"RemoteAddress\":\"203.0.113.67\",\"RemotePort\":\"48101\",\"Direction\":\"Out\",\"Protocol\":\"tcp\"}"},
    {false, "Login {\"RemoteAddress\":\"203.0.113.66\",\"Result\":\"Fail\",\"UserName\":\"x\"}"},
};

const struct rule rule_ti_connection = {
    .id = "IoT_TiConnection",
    .title = "Traffic with an address that is listed as a threat",
    .severity = "Medium",
    .tactics = "CommandAndControl",
    .techniques = "T1071, T0885",
    .fires = "A connection with an address, or with an address and port, of one of the feeds that are loaded.",
    .spares = "The next address; another port where one is listed; what warning lists know as harmless; indicators whose time is over.",
    .needs = "Connections, and a feed.",
    .tuning = "Warning lists; the confidence that a feed's indicators must have; an exception for an address.",
    .remediation = rule_block_address,
    .kinds = EVENT_BIT(EVENT_CONNECTION),
    .asks_indicators = true,
    .judge = judge_connection,
    RULE_SAMPLES(connection_samples),
};
