#include "agent/iptables_rules.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/x_tables.h>
#include <linux/netfilter/xt_multiport.h>
#include <linux/netfilter/xt_tcpudp.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/file.h"

#define CHAIN_SIZE 96
#define ENTRIES_MAX (16 << 20)
#define VERDICT_RETURN (-NF_REPEAT - 1)

/* What an entry of either family says, before its matches. */
struct entry {
    unsigned target_offset, next_offset, protocol;
    bool protocol_inverted, more;
};

struct table {
    bool ipv6;
    const char *name;
    const unsigned char *entries;
    unsigned size;
    unsigned hooks[NF_INET_NUMHOOKS], valid_hooks;
};

/* ---- what an entry looks at ---- */

static void address_print(bool ipv6, const void *address, const void *mask, bool inverted, char out[FIREWALL_TEXT])
{
    const unsigned char *bits = mask;
    size_t count = ipv6 ? 16 : 4;
    char text[INET6_ADDRSTRLEN];
    unsigned length = 0;

    for (size_t i = 0; i < count; i++)
        length += (unsigned)__builtin_popcount(bits[i]); /* masks with holes are as good as unheard of */
    out[0] = '\0';
    if (length == 0)
        return;
    (void)inet_ntop(ipv6 ? AF_INET6 : AF_INET, address, text, sizeof text);
    if (length == count * 8)
        snprintf(out, FIREWALL_TEXT, "%s%s", inverted ? "!" : "", text);
    else
        snprintf(out, FIREWALL_TEXT, "%s%s/%u", inverted ? "!" : "", text, length);
}

static void protocol_print(const struct entry *entry, struct firewall_rule *rule)
{
    static const struct {
        unsigned number;
        const char *name;
    } names[] = {{IPPROTO_TCP, "tcp"}, {IPPROTO_UDP, "udp"}, {IPPROTO_ICMP, "icmp"}, {IPPROTO_ICMPV6, "ipv6-icmp"}, {IPPROTO_SCTP, "sctp"}, {IPPROTO_ESP, "esp"}, {IPPROTO_GRE, "gre"}};
    const char *sign = entry->protocol_inverted ? "!" : "";

    if (entry->protocol == 0)
        return;
    snprintf(rule->protocol, sizeof rule->protocol, "%s%u", sign, entry->protocol);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].number == entry->protocol)
            snprintf(rule->protocol, sizeof rule->protocol, "%s%s", sign, names[i].name);
}

static struct entry entry_of_ipv4(const unsigned char *from, struct firewall_rule *rule)
{
    struct ipt_entry about;

    memcpy(&about, from, sizeof about);
    const struct ipt_ip *ip = &about.ip;
    address_print(false, &ip->src, &ip->smsk, ip->invflags & IPT_INV_SRCIP, rule->source);
    address_print(false, &ip->dst, &ip->dmsk, ip->invflags & IPT_INV_DSTIP, rule->destination);
    return (struct entry){about.target_offset, about.next_offset, ip->proto, ip->invflags & IPT_INV_PROTO, ip->iniface[0] || ip->outiface[0] || ip->flags & IPT_F_FRAG};
}

static struct entry entry_of_ipv6(const unsigned char *from, struct firewall_rule *rule)
{
    struct ip6t_entry about;

    memcpy(&about, from, sizeof about);
    const struct ip6t_ip6 *ip = &about.ipv6;
    address_print(true, &ip->src, &ip->smsk, ip->invflags & IP6T_INV_SRCIP, rule->source);
    address_print(true, &ip->dst, &ip->dmsk, ip->invflags & IP6T_INV_DSTIP, rule->destination);
    return (struct entry){about.target_offset, about.next_offset, ip->proto, ip->invflags & IP6T_INV_PROTO, ip->iniface[0] || ip->outiface[0] || ip->flags & IP6T_F_TOS};
}

static void ports_print(const uint16_t range[2], bool inverted, char out[FIREWALL_TEXT])
{
    if (range[0] == 0 && range[1] == UINT16_MAX)
        return;
    if (range[0] == range[1])
        snprintf(out, FIREWALL_TEXT, "%s%u", inverted ? "!" : "", range[0]);
    else
        snprintf(out, FIREWALL_TEXT, "%s%u-%u", inverted ? "!" : "", range[0], range[1]);
}

/* "22,80,1000-2000". False: it is too long for our words. */
static bool multiport_print(const struct xt_multiport_v1 *ports, char out[FIREWALL_TEXT])
{
    int used = snprintf(out, FIREWALL_TEXT, "%s", ports->invert ? "!" : "");

    for (size_t i = 0; i < ports->count && i < XT_MULTI_PORTS; i++) {
        bool ranges = ports->pflags[i] && i + 1 < XT_MULTI_PORTS;
        used += snprintf(out + used, FIREWALL_TEXT - (size_t)used, "%s%u", i ? "," : "", ports->ports[i]);
        if (ranges && used < FIREWALL_TEXT)
            used += snprintf(out + used, FIREWALL_TEXT - (size_t)used, "-%u", ports->ports[++i]);
        if (used >= FIREWALL_TEXT)
            return out[0] = '\0', false;
    }
    return true;
}

/* False: there are no words for what this match looks at. */
static bool match_read(const char *name, unsigned revision, const unsigned char *data, size_t count, struct firewall_rule *rule)
{
    struct xt_tcp tcp;
    struct xt_udp udp;
    struct xt_multiport_v1 ports;

    if (strcmp(name, "comment") == 0)
        return true;
    if (strcmp(name, "tcp") == 0 && count >= sizeof tcp) {
        memcpy(&tcp, data, sizeof tcp);
        ports_print(tcp.spts, tcp.invflags & XT_TCP_INV_SRCPT, rule->source_port);
        ports_print(tcp.dpts, tcp.invflags & XT_TCP_INV_DSTPT, rule->destination_port);
        return !tcp.flg_mask && !tcp.option;
    }
    if (strcmp(name, "udp") == 0 && count >= sizeof udp) {
        memcpy(&udp, data, sizeof udp);
        ports_print(udp.spts, udp.invflags & XT_UDP_INV_SRCPT, rule->source_port);
        ports_print(udp.dpts, udp.invflags & XT_UDP_INV_DSTPT, rule->destination_port);
        return true;
    }
    if (strcmp(name, "multiport") == 0 && revision == 1 && count >= sizeof ports) {
        memcpy(&ports, data, sizeof ports);
        return ports.flags != XT_MULTIPORT_EITHER && multiport_print(&ports, ports.flags == XT_MULTIPORT_SOURCE ? rule->source_port : rule->destination_port);
    }
    return false;
}

/* ---- a table ---- */

/* The name, revision and data of what begins there: a match or a target. False: it is cut. */
static bool extension_read(const unsigned char *from, const unsigned char *end, struct xt_entry_match *out)
{
    if ((size_t)(end - from) < sizeof *out)
        return false;
    memcpy(out, from, sizeof *out);
    out->u.user.name[sizeof out->u.user.name - 1] = '\0';
    return out->u.match_size >= sizeof *out && out->u.match_size <= end - from;
}

static enum firewall_action action_of(const char *name, int verdict)
{
    if (strcmp(name, XT_STANDARD_TARGET) == 0)
        return verdict == -NF_ACCEPT - 1 ? FIREWALL_ALLOW : verdict == -NF_DROP - 1 ? FIREWALL_DENY : FIREWALL_OTHER;
    return strcmp(name, "REJECT") == 0 ? FIREWALL_DENY : FIREWALL_OTHER;
}

/* Whether a chain begins there, and how it is called. */
static bool hook_at(const struct table *table, unsigned offset, int *hook, char chain[CHAIN_SIZE])
{
    static const char *const names[NF_INET_NUMHOOKS] = {"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"};

    for (int i = 0; i < NF_INET_NUMHOOKS; i++)
        if (table->valid_hooks & 1u << i && table->hooks[i] == offset) {
            *hook = i;
            snprintf(chain, CHAIN_SIZE, "%s %.31s/%s", table->ipv6 ? "ip6tables" : "iptables", table->name, names[i]);
            return true;
        }
    return false;
}

/* False: the table is not what it should be. */
static bool entries_read(const struct table *table, iptables_take *take, void *context)
{
    size_t head = table->ipv6 ? sizeof(struct ip6t_entry) : sizeof(struct ipt_entry);
    char chain[CHAIN_SIZE] = "";
    int hook = -1, verdict = 0;

    for (unsigned at = 0; at < table->size;) {
        const unsigned char *from = table->entries + at;
        struct firewall_rule rule = {.action = FIREWALL_OTHER};
        struct xt_entry_match part;
        if (table->size - at < head)
            return false;
        struct entry entry = table->ipv6 ? entry_of_ipv6(from, &rule) : entry_of_ipv4(from, &rule);
        if (entry.next_offset > table->size - at || entry.target_offset < head || entry.target_offset > entry.next_offset)
            return false;
        const unsigned char *target = from + entry.target_offset, *end = from + entry.next_offset, *data = target + sizeof part;
        rule.more = entry.more;
        for (const unsigned char *match = from + head; match < target; match += part.u.match_size) {
            if (!extension_read(match, target, &part))
                return false;
            rule.more |= !match_read(part.u.user.name, part.u.user.revision, match + sizeof part, part.u.match_size - sizeof part, &rule);
        }
        if (!extension_read(target, end, &part))
            return false;
        if ((size_t)(end - data) >= sizeof verdict)
            memcpy(&verdict, data, sizeof verdict);
        (void)hook_at(table, at, &hook, chain);
        bool last_of_user = hook < 0 && strcmp(part.u.user.name, XT_STANDARD_TARGET) == 0 && verdict == VERDICT_RETURN && entry.target_offset == head;
        at += entry.next_offset;
        if (strcmp(part.u.user.name, XT_ERROR_TARGET) == 0) { /* a chain of the user's begins, or the table ends */
            hook = -1;
            snprintf(chain, sizeof chain, "%s %.31s/%.*s", table->ipv6 ? "ip6tables" : "iptables", table->name, (int)strnlen((const char *)data, (size_t)(end - data) < 31 ? (size_t)(end - data) : 31), (const char *)data);
            continue;
        }
        protocol_print(&entry, &rule);
        rule.action = action_of(part.u.user.name, verdict);
        if (!last_of_user)
            take(context, chain, hook, &rule);
    }
    return true;
}

/* ---- the kernel ---- */

static bool table_read(bool ipv6, const char *name, iptables_take *take, void *context, struct reason *why)
{
    /* Both families have the same numbers and the same shape of these. */
    struct ipt_getinfo info;
    struct ipt_get_entries *entries = NULL;
    socklen_t size = sizeof info;
    int level = ipv6 ? SOL_IPV6 : SOL_IP, family = socket(ipv6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    memset(&info, 0, sizeof info);
    snprintf(info.name, sizeof info.name, "%.31s", name);
    bool fine = family >= 0 && getsockopt(family, level, IPT_SO_GET_INFO, &info, &size) == 0 && info.size <= ENTRIES_MAX;
    if (fine) {
        size = (socklen_t)(sizeof *entries + info.size);
        entries = calloc(1, size);
        if (!entries)
            abort();
        memcpy(entries->name, info.name, sizeof entries->name);
        entries->size = info.size;
        fine = getsockopt(family, level, IPT_SO_GET_ENTRIES, entries, &size) == 0;
    }
    if (!fine)
        (void)reason_set(why, "%s, table %s: %s", ipv6 ? "ip6tables" : "iptables", name, strerror(errno));
    if (family >= 0)
        close(family);
    if (fine) {
        struct table table = {.ipv6 = ipv6, .name = name, .entries = (const unsigned char *)entries->entrytable, .size = info.size, .valid_hooks = info.valid_hooks};
        memcpy(table.hooks, info.hook_entry, sizeof table.hooks);
        fine = entries_read(&table, take, context) || reason_set(why, "%s, table %s: not in the form that is known", ipv6 ? "ip6tables" : "iptables", name);
    }
    free(entries);
    return fine;
}

/* /proc has the names of the tables that are in use, a line each; to ask for another would put it in use. */
static bool family_read(const char *root, bool ipv6, iptables_take *take, void *context, struct reason *why)
{
    char path[FILE_PATH_SIZE], names[512];
    bool fine = true;

    snprintf(path, sizeof path, "%s/proc/net/ip%s_tables_names", root, ipv6 ? "6" : "");
    long count = file_read(path, names, sizeof names - 1);
    names[count > 0 ? count : 0] = '\0';
    for (char *line = names; *line && fine;) {
        size_t length = strcspn(line, "\n");
        char *next = line + length + (line[length] == '\n');
        line[length] = '\0';
        fine = table_read(ipv6, line, take, context, why);
        line = next;
    }
    return fine;
}

bool iptables_read(const char *root, iptables_take *take, void *context, struct reason *why)
{
    return family_read(root, false, take, context, why) && family_read(root, true, take, context, why);
}
