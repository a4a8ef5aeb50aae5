#ifndef PICKET_AGENT_FIREWALL_RULE_H
#define PICKET_AGENT_FIREWALL_RULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a rule of nftables lets through, as far as FirewallConfiguration has words for it. Facts: the kernel's
 * include/uapi/linux/netfilter/nf_tables.h; a rule is a list of expressions, of which each loads a register, compares one, or gives
 * the verdict. */
enum firewall_action { FIREWALL_OTHER, FIREWALL_ALLOW, FIREWALL_DENY };

#define FIREWALL_TEXT 64
struct firewall_rule {
    enum firewall_action action;
    char protocol[FIREWALL_TEXT];          /* "tcp"; "" for any */
    char source[FIREWALL_TEXT], destination[FIREWALL_TEXT]; /* "192.0.2.0/24", "!2001:db8::1"; "" for any */
    char source_port[FIREWALL_TEXT], destination_port[FIREWALL_TEXT];
    bool more; /* it looks at what there are no words for: an interface, a state, a set … */
};

/* `expressions` is the content of NFTA_RULE_EXPRESSIONS. */
void firewall_rule_read(const unsigned char *expressions, size_t count, struct firewall_rule *out);

#endif
