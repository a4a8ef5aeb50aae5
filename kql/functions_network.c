#include "kql/functions.h"

/* Of addresses. */
static const struct kql_signature rows[] = {
    {"ipv4_is_private", "s", "b", "@ipv4_is_private(%1)", NULL},
    {"ipv4_is_in_range", "ss", "b", "@ipv4_is_in_range(%1, %2)", NULL},
    {"ipv4_is_in_any_range", "sy", "b", "@ipv4_is_in_any_range(%1, %2)", NULL},
    {"ipv4_is_in_any_range", "ss*", "b", "@ipv4_is_in_any_range(%1, json_build_array(%*))", NULL},
    {"ipv4_is_match", "ssl?", "b", "@ipv4_is_match(%1, %2, %3)", NULL},
    {"ipv4_compare", "ssl?", "l", "@ipv4_compare(%1, %2, %3)", NULL},
    {"ipv6_compare", "ssl?", "l", "@ipv6_compare(%1, %2, %3)", NULL},
    {"ipv6_is_match", "ssl?", "b", "(@ipv6_compare(%1, %2, %3) = 0)", NULL},
    {"ipv6_is_in_range", "ss", "b", "@ipv6_is_in_range(%1, %2)", NULL},
    {"ipv6_is_in_any_range", "sy", "b", "@ipv6_is_in_any_range(%1, %2)", NULL},
    {"ipv6_is_in_any_range", "ss*", "b", "@ipv6_is_in_any_range(%1, json_build_array(%*))", NULL},
    {"ipv4_netmask_suffix", "s", "l", "@ipv4_netmask_suffix(%1)", NULL},
    {"parse_ipv4", "s", "l", "@parse_ipv4(%1)", NULL},
    {"parse_ipv4_mask", "sl", "l", "@parse_ipv4_mask(%1, %2)", NULL},
    {"format_ipv4", "Sl?", "s", "!@format_ipv4(%1, %2)", NULL},
    {"format_ipv4_mask", "Sl?", "s", "!@format_ipv4_mask(%1, %2)", NULL},
    {"has_ipv4", "ss", "b", "!@has_ipv4(%1, %2)", NULL},
    {"has_ipv4_prefix", "ss", "b", "!@has_ipv4_prefix(%1, %2)", NULL},
    {"has_any_ipv4", "sy", "b", "!@has_any_ipv4(%1, %2)", NULL},
    {"has_any_ipv4", "ss*", "b", "!@has_any_ipv4(%1, json_build_array(%*))", NULL},
    {"has_any_ipv4_prefix", "sy", "b", "!@has_any_ipv4_prefix(%1, %2)", NULL},
    {"has_any_ipv4_prefix", "ss*", "b", "!@has_any_ipv4_prefix(%1, json_build_array(%*))", NULL},
};

const struct kql_signatures network_signatures = {rows, sizeof rows / sizeof *rows, FUNCTION_SCALAR,
                                                  "network"};
