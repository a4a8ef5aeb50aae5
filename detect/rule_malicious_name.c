#include "detect/listed.h"
#include "detect/rule.h"

static void judge_name_query(struct judging *judging)
{
    const struct event *event = judging->event;
    struct listed listed = {.judging = judging, .cause = event->domain, .field = "Domain", .clause = "it is listed", .seen = event->domain};

    if (judging->indicators && event->domain.count && indicators_find_domain(judging->indicators, event->domain, listed_add, &listed))
        finding_entity(listed.finding, FINDING_DOMAIN, event->domain);
}

static const char *const off_the_network[] = {"Take the device off the network until it is known what asked for the name.", "Block the name at the resolver.",
                                              "Hand over to the security team, with the process if it is known.", NULL};

static const struct rule_sample name_samples[] = {
    {true, "DnsRequest {\"Domain\":\"c2.malware.example\"}"},
    {true, "NetworkActivity {\"dns_query\":\"A.C2.malware.example.\"}"},
    {false, "DnsRequest {\"Domain\":\"notc2.malware.example\"}"},
    {false, "DnsRequest {\"Domain\":\"malware.example\"}"},
};

const struct rule rule_malicious_name = {
    .id = "IoT_MaliciousNameQueriesDetection",
    .title = "A name was looked up that is listed as a threat",
    .severity = "Medium",
    .tactics = "CommandAndControl",
    .techniques = "T1071.004, T1568, T0885",
    .fires = "A question to DNS for a name of one of the feeds that are loaded, or for one below it.",
    .spares = "Names above it; longer names that only end in the same letters.",
    .needs = "DNS questions, and a feed.",
    .tuning = "Warning lists; an exception for a name.",
    .remediation = off_the_network,
    .kinds = EVENT_BIT(EVENT_NAME_QUERY),
    .asks_indicators = true,
    .judge = judge_name_query,
    RULE_SAMPLES(name_samples),
};
