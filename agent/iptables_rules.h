#ifndef PICKET_AGENT_IPTABLES_RULES_H
#define PICKET_AGENT_IPTABLES_RULES_H

#include "agent/firewall_rule.h"
#include "agent/reason.h"

/* The rules of the old iptables and ip6tables, which are no rules of nftables. Facts: the kernel's
 * include/uapi/linux/netfilter_ipv4/ip_tables.h, netfilter_ipv6/ip6_tables.h and netfilter/x_tables.h. */

/* A rule, in the order of the table: of "iptables filter/INPUT"; `hook` is a number of enum nf_inet_hooks, or -1 for a chain of the user's. The
 * last one of a chain on a hook is its policy. */
typedef void iptables_take(void *context, const char *chain, int hook, const struct firewall_rule *rule);

/* Every table of this host, below `root` for their names. True when there is none. False: the reason says which cannot be read and why. */
bool iptables_read(const char *root, iptables_take *take, void *context, struct reason *why);

#endif
