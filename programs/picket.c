/* The operator's command line. */
#include <curl/curl.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>

#include "programs/commands.h"
#include "programs/data_folder.h"
#include "runtime/secret.h"

int main(int argc, char **argv)
{
    const struct cli_family families[] = {
        {up_verbs, up_verb_count},
        {down_verbs, down_verb_count},
        {status_verbs, status_verb_count},
        {doctor_verbs, doctor_verb_count},
        {simulate_verbs, simulate_verb_count},
        {canary_verbs, canary_verb_count},
        {device_verbs, device_verb_count},
        {moving_verbs, moving_verb_count},
        {twin_verbs, twin_verb_count},
        {command_verbs, command_verb_count},
        {fleet_verbs, fleet_verb_count},
        {authority_verbs, authority_verb_count},
        {event_verbs, event_verb_count},
        {alert_verbs, alert_verb_count},
        {triage_verbs, triage_verb_count},
        {custom_verbs, custom_verb_count},
        {query_verbs, query_verb_count},
        {function_verbs, function_verb_count},
        {kql_verbs, kql_verb_count},
        {rule_verbs, rule_verb_count},
        {rule_admin_verbs, rule_admin_verb_count},
        {feed_verbs, feed_verb_count},
        {feed_admin_verbs, feed_admin_verb_count},
        {dead_letter_verbs, dead_letter_verb_count},
        {workspace_verbs, workspace_verb_count},
        {token_verbs, token_verb_count},
        {migrate_verbs, migrate_verb_count},
        {setup_verbs, setup_verb_count},
    };
    struct problem why;

    setlocale(LC_CTYPE, "C.UTF-8");
    if (secret_init(&why) || curl_global_init(CURL_GLOBAL_DEFAULT) != 0) {
        fprintf(stderr, "picket: a library cannot be initialised\n");
        return CLI_REFUSED;
    }
    int code = cli_main(families, sizeof families / sizeof families[0], argc, argv);
    curl_global_cleanup();
    return code;
}

enum status database_of(const struct cli *cli, char out[DATABASE_CONNINFO_SIZE], struct problem *why)
{
    const char *given = cli_value(cli, "database");
    struct data_state state;
    int count = 0;

    if (!given)
        given = getenv("PICKET_DATABASE");
    if (given && *given) {
        count = snprintf(out, DATABASE_CONNINFO_SIZE, "%s", given);
    } else if (getenv("PGHOST") || getenv("PGSERVICE")) {
        out[0] = '\0';
    } else {
        const char *folder = data_folder_default(cli_value(cli, "data"));
        if (data_state_load(folder, &state, why))
            return problem_set(why, STATUS_REJECT, "no database is named and none was started in %s: give --database",
                               folder);
        count = snprintf(out, DATABASE_CONNINFO_SIZE, "host=%s dbname=picket user=postgres", state.socket_folder);
    }
    if (count >= DATABASE_CONNINFO_SIZE)
        return problem_set(why, STATUS_REJECT, "the connection string is longer than %d bytes", DATABASE_CONNINFO_SIZE);
    return STATUS_OK;
}
