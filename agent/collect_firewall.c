#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "agent/collector.h"
#include "agent/file.h"
#include "agent/firewall_rule.h"
#include "agent/iptables_rules.h"
#include "agent/netlink.h"
#include "agent/reason.h"

#define ANSWER_BYTES 65536
#define CHAINS_MAX 1024
#define WAIT_S 5

/* nftables, as the kernel has it: what iptables-nft sets shows there too; and the rules of the old iptables. A chain that hangs on a hook ends with its policy, as one more
 * rule, as the classic agent has it. */
struct chain {
    char name[160]; /* "inet filter/input" */
    int hook;       /* -1: it hangs on none */
    uint32_t policy;
    unsigned rules;
};

struct firewall {
    int socket;
    char *answer;
    struct chain *chains;
    size_t count;
    struct chain old; /* the one of iptables under way */
    struct payload *payload;
};

typedef void take_message(struct firewall *firewall, const struct nfgenmsg *about, const unsigned char *attributes, size_t count);

static const char *family_name(uint8_t family)
{
    return family == NFPROTO_INET ? "inet" : family == NFPROTO_IPV4 ? "ip" : family == NFPROTO_IPV6 ? "ip6" : family == NFPROTO_ARP ? "arp" : family == NFPROTO_BRIDGE ? "bridge" : "netdev";
}

static void chain_name(const struct nfgenmsg *about, struct attribute table, struct attribute chain, char out[160])
{
    snprintf(out, 160, "%s %.*s/%.*s", family_name(about->nfgen_family), (int)table.count, table.data ? (const char *)table.data : "", (int)chain.count,
             chain.data ? (const char *)chain.data : "");
}

static struct chain *chain_find(struct firewall *firewall, const char *name)
{
    for (size_t i = 0; i < firewall->count; i++)
        if (strcmp(firewall->chains[i].name, name) == 0)
            return &firewall->chains[i];
    return NULL;
}

static void report(struct firewall *firewall, struct chain *chain, const struct firewall_rule *rule)
{
    static const char *const actions[] = {"Other", "Allow", "Deny"};
    struct picket_json_writer *writer = payload_begin(firewall->payload);
    const struct {
        const char *name, *value;
    } members[] = {{"Protocol", rule->protocol}, {"SourceAddress", rule->source}, {"SourcePort", rule->source_port}, {"DestinationAddress", rule->destination}, {"DestinationPort", rule->destination_port}};

    picket_json_write_name(writer, "Enabled");
    picket_json_write_bool(writer, true);
    /* One that asks for more than there are words for lets through, or keeps out, less than it would seem to. */
    member_text(writer, "Action", rule->more ? "Other" : actions[rule->action]);
    member_number(writer, "Priority", chain->rules++);
    if (chain->hook == NF_INET_LOCAL_IN || chain->hook == NF_INET_LOCAL_OUT)
        member_text(writer, "Direction", chain->hook == NF_INET_LOCAL_IN ? "In" : "Out");
    member_text(writer, "ChainName", chain->name);
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        if (*members[i].value)
            member_text(writer, members[i].name, members[i].value);
    if (rule->more) {
        picket_json_write_name(writer, "ExtraDetails");
        picket_json_open_object(writer);
        member_text(writer, "Verdict", actions[rule->action]);
        member_text(writer, "MoreConditions", "true");
        picket_json_close_object(writer);
    }
    payload_end(firewall->payload);
}

static void take_chain(struct firewall *firewall, const struct nfgenmsg *about, const unsigned char *attributes, size_t count)
{
    struct attribute hook = attribute_find(attributes, count, NFTA_CHAIN_HOOK), number = attribute_find(hook.data, hook.count, NFTA_HOOK_HOOKNUM);
    struct chain *chain = &firewall->chains[firewall->count];

    if (firewall->count == CHAINS_MAX)
        return;
    firewall->count++;
    *chain = (struct chain){.hook = number.count ? (int)attribute_u32(number) : -1, .policy = attribute_u32(attribute_find(attributes, count, NFTA_CHAIN_POLICY))};
    chain_name(about, attribute_find(attributes, count, NFTA_CHAIN_TABLE), attribute_find(attributes, count, NFTA_CHAIN_NAME), chain->name);
}

static void take_rule(struct firewall *firewall, const struct nfgenmsg *about, const unsigned char *attributes, size_t count)
{
    struct attribute expressions = attribute_find(attributes, count, NFTA_RULE_EXPRESSIONS);
    struct firewall_rule rule;
    char name[160];

    chain_name(about, attribute_find(attributes, count, NFTA_RULE_TABLE), attribute_find(attributes, count, NFTA_RULE_CHAIN), name);
    struct chain *chain = chain_find(firewall, name);
    if (!chain)
        return;
    firewall_rule_read(expressions.data, expressions.count, &rule);
    report(firewall, chain, &rule);
}

/* One dump. False: the reason says why there is none. */
static bool dump(struct firewall *firewall, int message, take_message *take, struct reason *why)
{
    struct {
        struct nlmsghdr head;
        struct nfgenmsg body;
    } ask = {.head = {.nlmsg_len = sizeof ask, .nlmsg_type = (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | message), .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
             .body = {.nfgen_family = NFPROTO_UNSPEC, .version = NFNETLINK_V0}};

    if (send(firewall->socket, &ask, sizeof ask, 0) != (ssize_t)sizeof ask)
        return reason_set(why, "nftables: %s", strerror(errno));
    for (;;) {
        ssize_t got = recv(firewall->socket, firewall->answer, ANSWER_BYTES, 0);
        if (got <= 0)
            return reason_set(why, "nftables: %s", got ? strerror(errno) : "no answer");
        size_t left = (size_t)got;
        for (struct nlmsghdr *head = (struct nlmsghdr *)(void *)firewall->answer; NLMSG_OK(head, left); head = NLMSG_NEXT(head, left)) {
            if (head->nlmsg_type == NLMSG_DONE)
                return true;
            if (head->nlmsg_type == NLMSG_ERROR) {
                const struct nlmsgerr *error = NLMSG_DATA(head);
                errno = -error->error;
                return reason_set(why, "nftables: %s", strerror(-error->error));
            }
            const unsigned char *body = NLMSG_DATA(head);
            size_t count = NLMSG_PAYLOAD(head, 0);
            if (count >= sizeof(struct nfgenmsg))
                take(firewall, (const struct nfgenmsg *)(const void *)body, body + NLMSG_ALIGN(sizeof(struct nfgenmsg)), count - NLMSG_ALIGN(sizeof(struct nfgenmsg)));
        }
    }
}

static void policies_report(struct firewall *firewall)
{
    for (size_t i = 0; i < firewall->count; i++) {
        struct firewall_rule rule = {.action = firewall->chains[i].policy == NF_ACCEPT ? FIREWALL_ALLOW : FIREWALL_DENY};
        if (firewall->chains[i].hook >= 0)
            report(firewall, &firewall->chains[i], &rule);
    }
}

/* Of the old iptables: its chains come one after the other. */
static void take_iptables(void *context, const char *name, int hook, const struct firewall_rule *rule)
{
    struct firewall *firewall = context;

    if (strcmp(firewall->old.name, name) != 0) {
        firewall->old = (struct chain){.hook = hook};
        snprintf(firewall->old.name, sizeof firewall->old.name, "%s", name);
    }
    report(firewall, &firewall->old, rule);
}

/* False: this kernel has no nftables, or does not let us read it; `absent` says which. */
static bool nftables_read(struct firewall *firewall, bool *absent, struct reason *why)
{
    const struct timeval wait = {.tv_sec = WAIT_S};

    firewall->socket = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
    if (firewall->socket < 0) {
        *absent = errno == EPROTONOSUPPORT;
        return reason_set(why, "nftables: %s", strerror(errno));
    }
    (void)setsockopt(firewall->socket, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    bool read = dump(firewall, NFT_MSG_GETCHAIN, take_chain, why) && dump(firewall, NFT_MSG_GETRULE, take_rule, why);
    *absent = !read && errno == EINVAL; /* what netfilter says of a part that it does not have */
    close(firewall->socket);
    return read;
}

static void collect(void *memory, struct collector_scope *scope)
{
    struct firewall firewall = {.answer = malloc(ANSWER_BYTES), .chains = calloc(CHAINS_MAX, sizeof *firewall.chains)};
    char path[FILE_PATH_SIZE];
    struct payload payload;
    struct reason why;
    bool absent = false;

    (void)memory;
    if (!firewall.answer || !firewall.chains)
        abort();
    payload_open_list(&payload, scope, "FirewallConfiguration");
    firewall.payload = &payload;
    snprintf(path, sizeof path, "%s/proc/net/ip_tables_names", scope->root);
    bool nftables = nftables_read(&firewall, &absent, &why);
    bool read = (nftables || (absent && access(path, R_OK) == 0)) && iptables_read(scope->root, take_iptables, &firewall, &why);
    if (read) {
        policies_report(&firewall);
        payload_close(&payload);
    } else { /* an empty list would say that everything is let through */
        scope_say(scope, SEVERITY_WARNING, "the firewall's rules are not known: %s", why.text);
    }
    free(firewall.chains);
    free(firewall.answer);
}

static enum self_check_result check(const char *root, const struct picket_settings *settings, struct reason *out)
{
    struct reason why;
    bool opens = netlink_allowed(NETLINK_NETFILTER, &why), old = file_readable(root, "/proc/net/ip_tables_names");

    (void)settings;
    if (!opens) {
        reason_set(out, "the rules cannot be read without CAP_NET_ADMIN, or this kernel has no firewall: %s", why.text);
        return SELF_CHECK_LIMITED;
    }
    reason_set(out, "nftables, and iptables-nft%s", old ? "; and the old iptables" : "");
    return SELF_CHECK_OK;
}

const struct collector collector_firewall = {
    .name = "firewall", .subject = PICKET_FIREWALL, .pace = COLLECT_SNAPSHOT, .collect = collect, .check = check,
};
