#include "programs/commands.h"

#include <stdio.h>
#include <stdlib.h>

#include "programs/data_folder.h"
#include "programs/migrate.h"
#include "programs/table.h"

static enum cli_exit run_migrate(const struct cli *cli);
static void step_print(void *context, enum migrate_step step, int64_t number, const char *name);

static const struct cli_flag migrate_flags[] = {
    {"database", "CONNINFO", "PostgreSQL, as a role that may create roles (else PICKET_DATABASE, libpq's variables, or "
                             "the data folder's own)."},
    {"to", "N", "Stop at migration N; lower than the present one undoes (0: all), with its data."},
    {"dry-run", NULL, "Only say what would be done."},
};

const struct cli_verb migrate_verbs[] = {
    {"migrate", "", "Bring a database to the shape this build expects.",
     "Sets the roles' passwords too, where PICKET_INGEST_PASSWORD, PICKET_STORE_PASSWORD, PICKET_QUERY_PASSWORD,\n"
     "PICKET_ADMIN_PASSWORD or PICKET_FORWARD_PASSWORD are in the environment.",
     CLI_FLAGS(migrate_flags), CLI_JSON | CLI_DATA, 0, 0, run_migrate},
};
const size_t migrate_verb_count = sizeof migrate_verbs / sizeof migrate_verbs[0];

struct steps {
    const struct cli *cli;
    enum migrate_mode mode;
    size_t count;
};

static enum cli_exit run_migrate(const struct cli *cli)
{
    struct steps steps = {.cli = cli, .mode = cli_given(cli, "dry-run") ? MIGRATE_DRY_RUN : MIGRATE_APPLY};
    struct migrate_wishes wishes = {.to = MIGRATE_NEWEST, .mode = steps.mode, .step = step_print, .context = &steps};
    char conninfo[DATABASE_CONNINFO_SIZE];
    struct problem why;
    size_t passwords = 0;

    enum status status = database_of(cli, conninfo, &why);
    wishes.conninfo = conninfo;
    if (!status)
        status = cli_number(cli, "to", 0, 9999, &wishes.to, &why);
    if (!status)
        status = migrate(&wishes, &why);
    if (!status && wishes.mode == MIGRATE_APPLY && wishes.to == MIGRATE_NEWEST)
        status = migrate_passwords(conninfo, &passwords, &why);
    if (!status && !cli_given(cli, "json")) {
        if (steps.count == 0)
            fprintf(stderr, "Nothing to do: the database is up to date.\n");
        if (passwords)
            fprintf(stderr, "Passwords of %zu roles were set.\n", passwords);
    }
    return cli_end(status, &why);
}

static void step_print(void *context, enum migrate_step step, int64_t number, const char *name)
{
    struct steps *steps = context;
    const char *what = step == MIGRATE_STEP_UP ? "applied" : "undone";

    steps->count++;
    if (cli_given(steps->cli, "json")) {
        json_t *line = json_pack("{s:I, s:s, s:s, s:b}", "number", (json_int_t)number, "name", name, "step", what,
                                 "dry_run", steps->mode == MIGRATE_DRY_RUN);
        table_json_line(line);
        json_decref(line);
    } else {
        printf("%s%s %s\n", steps->mode == MIGRATE_DRY_RUN ? "would be " : "", what, name);
        fflush(stdout);
    }
}
