#ifndef PICKET_PROGRAMS_COMMANDS_H
#define PICKET_PROGRAMS_COMMANDS_H

#include "programs/cli.h"

/* The verbs of each command_*.c; picket.c has the list of these lists. */
extern const struct cli_verb up_verbs[], down_verbs[], status_verbs[], migrate_verbs[], device_verbs[], token_verbs[],
    workspace_verbs[], twin_verbs[], command_verbs[], fleet_verbs[], authority_verbs[], moving_verbs[], event_verbs[], dead_letter_verbs[], alert_verbs[], doctor_verbs[], setup_verbs[], kql_verbs[], query_verbs[], function_verbs[], rule_verbs[], rule_admin_verbs[], feed_verbs[], feed_admin_verbs[], triage_verbs[], simulate_verbs[], canary_verbs[], custom_verbs[];
extern const size_t up_verb_count, down_verb_count, status_verb_count, migrate_verb_count, device_verb_count,
    token_verb_count, workspace_verb_count, twin_verb_count, command_verb_count, fleet_verb_count, authority_verb_count, moving_verb_count, event_verb_count, dead_letter_verb_count, alert_verb_count,
    doctor_verb_count, setup_verb_count, kql_verb_count, query_verb_count, function_verb_count, rule_verb_count, rule_admin_verb_count, feed_verb_count, feed_admin_verb_count, triage_verb_count, simulate_verb_count, canary_verb_count, custom_verb_count;

/* Where verbs that work straight in the database find it: --database, else PICKET_DATABASE, else libpq's own variables
 * when PGHOST or PGSERVICE is set, else the cluster of the data folder, as its superuser. */
#define DATABASE_CONNINFO_SIZE 1024
MUST_CHECK enum status database_of(const struct cli *cli, char out[DATABASE_CONNINFO_SIZE], struct problem *why);

#endif
