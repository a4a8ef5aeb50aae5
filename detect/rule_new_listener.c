#include "detect/rule.h"

#define REMEMBERED_US HOURS_US(24 * 30) /* a port that was open in the last month is not new */
#define PORTS_MAX 200                   /* of one snapshot; beyond that the device's are not kept */

/* A row of /proc/net may be a connection under way: what listens has no other end. */
static bool listens(const struct event *event)
{
    return event->kind == EVENT_LISTENER && event->local_port && !event->remote_port;
}

static bool is_loopback(struct text address)
{
    return text_starts(address, TEXT("127.")) || text_equal(address, TEXT("::1"));
}

/* The first snapshot of a device only teaches. */
static void judge(struct judging *judging)
{
    const char *id = judging->rule->id;
    const struct event *event = judging->event;
    bool taught = memory_knows(judging->memory, id, TEXT("ports"));

    if (event != judging->group || judging->group_count > PORTS_MAX)
        return;
    for (size_t i = 0; i < judging->group_count; i++) {
        const struct event *row = &judging->group[i];
        if (!listens(row) || is_loopback(row->local_address))
            continue;
        struct text port = text_of(arena_format(judging->arena, "%.*s/%u", TEXT_ARGS(row->protocol.bytes ? row->protocol : TEXT("?")), row->local_port));
        bool known = memory_has(judging->memory, id, TEXT("ports"), port, INT64_MAX / 2, INT64_MAX);
        memory_note(judging->memory, id, TEXT("ports"), port, 1, event->at_us, REMEMBERED_US);
        if (known || !taught)
            continue;
        judging->event = row;
        struct finding *finding = finding_add(judging, port);
        finding_reason(finding, "LocalPort", TEXT("it was not open in the last 30 days"), port);
        judging->event = event;
    }
}

static const struct rule_sample samples[] = {
    {true, "ListeningPorts {\"Protocol\":\"tcp\",\"LocalAddress\":\"0.0.0.0\",\"LocalPort\":\"22\"}\n+3600 ListeningPorts {\"Protocol\":\"tcp\",\"LocalAddress\":\"0.0.0.0\",\"LocalPort\":\"4444\"}"},
    {true, "ListeningPorts {\"Protocol\":\"TCP\",\"LocalAddress\":\"::\",\"LocalPort\":80}\n+60 ListeningPorts {\"Protocol\":\"UDP\",\"LocalAddress\":\"::\",\"LocalPort\":80}"},
    {false, "x3 ListeningPorts {\"Protocol\":\"tcp\",\"LocalAddress\":\"0.0.0.0\",\"LocalPort\":\"22\"}"},
    {false, "ListeningPorts {\"Protocol\":\"tcp\",\"LocalAddress\":\"0.0.0.0\",\"LocalPort\":\"22\"}\nListeningPorts {\"Protocol\":\"tcp\",\"LocalAddress\":\"127.0.0.1\",\"LocalPort\":\"6379\"}"},
    {false, "ListeningPorts {\"Protocol\":\"tcp\",\"LocalAddress\":\"0.0.0.0\",\"LocalPort\":\"22\"}\n"
            "ListeningPorts {\"Protocol\":\"tcp\",\"LocalAddress\":\"10.0.0.4\",\"LocalPort\":\"51000\",\"RemoteAddress\":\"198.51.100.7\",\"RemotePort\":\"443\"}"},
};

const struct rule rule_new_listener = {
    .id = "Picket_NewListener",
    .title = "A port was opened that was not open before",
    .severity = "Medium",
    .tactics = "Persistence, CommandAndControl",
    .techniques = "T1205, T1571, T0885",
    .fires = "A snapshot of listening ports holds one beyond loopback that none of the last 30 days held. A device's first snapshot only teaches.",
    .spares = "Ports on loopback; connections under way, which some agents list too.",
    .needs = "Listening ports.",
    .tuning = "An exception for a port that comes with an update.",
    .remediation = rule_confirm,
    .kinds = EVENT_BIT(EVENT_LISTENER),
    .remembers = true,
    .judge = judge,
    RULE_SAMPLES(samples),
};
