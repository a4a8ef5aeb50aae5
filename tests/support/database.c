#include "tests/support/database.h"

#include <glob.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libpq-fe.h>

#include "runtime/clock.h"
#include "tests/support/keeper.h"

#define PATH_SIZE 256
#define CONNINFOS 8

static struct {
    struct keeper *keeper;
    char folder[64], data[96], log_file[96], server[PATH_SIZE], initdb[PATH_SIZE];
    const char *argv[40];
} database;

static void programs_find(void);
static void cluster_make(void);
static void wait_until_it_answers(void);

void database_start(enum database_durability durability)
{
    /* Small, since several test programs run side by side. */
    static const char *const durable[] = {"-c", "listen_addresses=",    "-c", "shared_buffers=64MB",
                                          "-c", "max_connections=100",  "-c", "log_line_prefix=%m %u ",
                                          "-c", "max_wal_size=512MB",   "-c", "timezone=UTC"};
    static const char *const fast[] = {"-c", "fsync=off", "-c", "full_page_writes=off"};
    size_t count = 0;

    if (database.keeper)
        return;
    programs_find();
    snprintf(database.folder, sizeof database.folder, "%s", keeper_folder("postgres"));
    snprintf(database.data, sizeof database.data, "%s/data", database.folder);
    snprintf(database.log_file, sizeof database.log_file, "%s/log", database.folder);
    const char *const start[] = {database.server, "-D", database.data, "-k", database.folder};
    for (size_t i = 0; i < sizeof start / sizeof *start; i++)
        database.argv[count++] = start[i];
    for (size_t i = 0; i < sizeof durable / sizeof *durable; i++)
        database.argv[count++] = durable[i];
    for (size_t i = 0; durability == DATABASE_FAST && i < sizeof fast / sizeof *fast; i++)
        database.argv[count++] = fast[i];
    database.keeper = keeper_open(&(struct keeper_server){.folder = database.folder,
                                                          .log_file = database.log_file,
                                                          .argv = database.argv,
                                                          .user = "postgres",
                                                          .stop_signal = SIGINT});
    atexit(database_end);
    cluster_make();
    database_restart();
}

void database_stop(void) { keeper_stop(database.keeper); }
void database_kill9(void) { keeper_kill9(database.keeper); }
void database_freeze(void) { keeper_freeze(database.keeper); }
void database_thaw(void) { keeper_thaw(database.keeper); }

void database_restart(void)
{
    keeper_start(database.keeper);
    wait_until_it_answers();
}

void database_end(void)
{
    keeper_close(database.keeper);
    database.keeper = NULL;
}

const char *database_conninfo(void)
{
    return database_conninfo_for("postgres", NULL);
}

const char *database_conninfo_for(const char *user, const char *name)
{
    static char conninfos[CONNINFOS][PATH_SIZE];
    static unsigned next;
    char *conninfo = conninfos[next++ % CONNINFOS];

    snprintf(conninfo, PATH_SIZE, "host=%s dbname=%s%s%s", database.folder, name ? name : "postgres",
             user ? " user=" : "", user ? user : "");
    return conninfo;
}

/* Debian keeps the server's programs out of PATH; the newest is taken. */
static void programs_find(void)
{
    glob_t found;

    if (glob("/usr/lib/postgresql/*/bin/initdb", 0, NULL, &found) || found.gl_pathc == 0)
        keeper_abort(NULL, "no /usr/lib/postgresql/*/bin/initdb: run make deps");
    const char *newest = found.gl_pathv[0];
    for (size_t i = 1; i < found.gl_pathc; i++)
        if (strverscmp(found.gl_pathv[i], newest) > 0)
            newest = found.gl_pathv[i];
    snprintf(database.initdb, sizeof database.initdb, "%s", newest);
    snprintf(database.server, sizeof database.server, "%.*s/postgres", (int)(strrchr(newest, '/') - newest), newest);
    globfree(&found);
}

static void cluster_make(void)
{
    const char *const argv[] = {database.initdb, "-D",   database.data, "-U",       "postgres",
                                "-A",            "trust", "-E",          "UTF8",     "--locale=C.UTF-8",
                                "--no-sync",     NULL};

    keeper_run(argv, "postgres", database.log_file);
}

static void wait_until_it_answers(void)
{
    int64_t deadline_ms = clock_monotonic_ms() + KEEPER_WAIT_MS;

    while (PQping(database_conninfo()) != PQPING_OK) {
        if (!keeper_running(database.keeper))
            keeper_abort(database.log_file, "PostgreSQL ended while starting");
        if (clock_monotonic_ms() > deadline_ms)
            keeper_abort(database.log_file, "PostgreSQL did not answer in time");
        poll(NULL, 0, 10);
    }
}
