#include "detect/rule.h"

const char *const rule_ask_user[] = {"Ask the user who ran the command whether it was meant.", "If it was not, or nobody knows the user, hand over to the security team.", NULL};
const char *const rule_ask_urgent[] = {"Find out at once who ran the command, and whether it was meant.",
                                       "If it was not, take the device off the network before you look closer, and hand over to the security team.", NULL};
const char *const rule_confirm[] = {"Confirm with who keeps the device that this is expected there.", "If it is not, hand over to the security team.", NULL};
const char *const rule_block_address[] = {"See what on the device talks with the address, and whether it is meant to.", "If it is not, block the address at the firewall, and look for what started it.", NULL};

/* In the order of the catalogue's severities, then ours. */
#define EACH_RULE(X) \
    X(rule_binary_command_line) X(rule_disable_firewall) X(rule_port_forwarding) X(rule_disable_auditd) X(rule_reverse_shell) X(rule_local_login) X(rule_web_shell) X(rule_ransomware) \
    X(rule_crypto_miner) X(rule_usb_connection) X(rule_usb_disconnection) X(rule_ethernet_connection) X(rule_ethernet_disconnection) X(rule_file_created) X(rule_file_modified) \
    X(rule_file_deleted) X(rule_common_bots) X(rule_fairware) X(rule_crypto_miner_container) X(rule_suspicious_nohup) X(rule_suspicious_useradd) X(rule_exposed_docker) \
    X(rule_failed_local_login) X(rule_possible_malware) X(rule_htaccess) X(rule_attack_tools) X(rule_reconnaissance) X(rule_interpreter_mismatch) X(rule_backdoor) X(rule_egress) \
    X(rule_privileged_container) X(rule_log_removal) X(rule_trailing_space) X(rule_credential_tools) X(rule_compilation) X(rule_download_run) X(rule_ti_connection) X(rule_malicious_name) \
    X(rule_history_cleared) X(rule_bruteforce_succeeded) X(rule_bruteforce_failed) X(rule_common_files) X(rule_twin_unreadable) X(rule_user_added_to_group) X(rule_user_removed_from_group) \
    X(rule_user_deleted) X(rule_token_expired) X(rule_token_invalid) X(rule_certificate_mismatch) X(rule_certificate_expired) X(rule_identity_guessing) X(rule_message_flood) \
    X(rule_cloned_identity) X(rule_network_scan) X(rule_port_scan) X(rule_new_listener) X(rule_authorized_keys) X(rule_password_set) X(rule_startup_change)

#define DECLARE(name) extern const struct rule name;
EACH_RULE(DECLARE)
#define ROW(name) &name,
const struct rule *const builtin_rules[] = {EACH_RULE(ROW)};
const size_t builtin_rules_count = sizeof builtin_rules / sizeof *builtin_rules;

const struct rule *builtin_rule_find(struct text id)
{
    for (size_t i = 0; i < builtin_rules_count; i++)
        if (text_equal(text_of(builtin_rules[i]->id), id))
            return builtin_rules[i];
    return NULL;
}
