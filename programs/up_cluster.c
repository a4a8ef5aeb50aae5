#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "programs/migrate.h"
#include "programs/up.h"
#include "runtime/buf.h"
#include "runtime/clock.h"
#include "runtime/db.h"
#include "runtime/process.h"

/* The cluster has one database, `picket`, and is reached through a socket that only its user and root can open. Who may
 * be which role is decided by the system user behind the socket (peer), so there are no passwords to keep. */

#define POSTGRES_OLDEST 15
#define POSTGRES_HOME "/usr/lib/postgresql"
#define FOLDER_OPEN_MAX 16
#define CONFIG_BYTES_MAX 8192
#define STATEMENT_MS 10000
#define ANSWER_MS 60000 /* recovery after a crash takes its time */
#define POLL_MS 100

static int64_t version_wanted(const struct up *up);
static bool programs_in(const char *folder);
static bool programs_in_path(char *out, size_t size);
static enum status make_in(struct up *up, const char *folder, struct problem *why);
static int remove_entry(const char *path, const struct stat *facts, int kind, struct FTW *walk);
static enum status config_write(struct up *up, struct problem *why);
static enum status config_file(const struct up *up, const char *name, const struct buf *content, struct problem *why);
static enum status socket_folder_make(struct up *up, struct problem *why);
static uint32_t hash_of(const char *text);
static enum status control(const struct up *up, const char *const *arguments, int *code, struct problem *why);
static enum status answer_wait(struct up *up, struct problem *why);
static enum status database_make(struct up *up, struct db *db, struct problem *why);
static void migrate_step_said(void *context, enum migrate_step step, int64_t number, const char *name);

enum status up_cluster_find(struct up *up, struct problem *why)
{
    int64_t wanted = version_wanted(up), best = 0;
    char folder[sizeof up->state.postgres_folder];
    struct dirent *entry;
    DIR *home = opendir(POSTGRES_HOME);

    while (home && (entry = readdir(home))) {
        int64_t version;
        if (!text_to_i64(text_of(entry->d_name), &version) || version < POSTGRES_OLDEST || version <= best)
            continue;
        snprintf(folder, sizeof folder, POSTGRES_HOME "/%lld/bin", (long long)version);
        if ((!wanted || version == wanted) && programs_in(folder)) {
            best = version;
            snprintf(up->state.postgres_folder, sizeof up->state.postgres_folder, "%s", folder);
        }
    }
    if (home)
        closedir(home);
    if (best || programs_in_path(up->state.postgres_folder, sizeof up->state.postgres_folder))
        return STATUS_OK;
    if (wanted)
        return problem_set(why, STATUS_REJECT,
                           "the data in %s was made by PostgreSQL %lld, whose programs are not here: apt-get install postgresql-%lld",
                           up->folder, (long long)wanted, (long long)wanted);
    return problem_set(why, STATUS_REJECT, "PostgreSQL %d or newer is not installed: apt-get install postgresql", POSTGRES_OLDEST);
}

enum status up_cluster_make(struct up *up, struct problem *why)
{
    char unfinished[DATA_PATH_SIZE], folder[DATA_PATH_SIZE];
    struct stat facts;
    enum status status = STATUS_OK;

    data_folder_path(up->folder, "postgres", folder);
    data_folder_path(up->folder, "postgres.unfinished", unfinished);
    if (stat(folder, &facts) != 0) {
        /* A start that was cut off leaves the other name, so what bears this name is whole. */
        up_remove_tree(unfinished);
        status = make_in(up, unfinished, why);
        if (!status && rename(unfinished, folder) != 0)
            status = problem_set(why, STATUS_REJECT, "%s cannot be renamed: %s", unfinished, strerror(errno));
        if (!status)
            up_say(up, "made a private PostgreSQL cluster in %s", folder);
    }
    if (!status)
        status = socket_folder_make(up, why);
    if (!status)
        status = config_write(up, why);
    return status;
}

enum status up_cluster_start(struct up *up, struct problem *why)
{
    const char *const start[] = {"start", "-w", "-t", "60", "-s", "-l", up_path(up, "log/postgres.log"), NULL};
    bool running = up_cluster_running(up);
    enum status status = STATUS_OK;

    up_log_rotate(up_path(up, "log/postgres.log"), &up->servant);
    if (!running)
        status = control(up, start, NULL, why);
    if (status) {
        problem_set(why, STATUS_REJECT, "PostgreSQL did not start: %.300s; see %s", up_reason_line(up_path(up, "log/postgres.log")),
                    up_path(up, "log/postgres.log"));
        return STATUS_REJECT;
    }
    status = answer_wait(up, why);
    up->cluster = data_postgres_process(up->folder);
    if (!status)
        up_say(up, "%s PostgreSQL %s, socket in %s", running ? "took over the running" : "started", up->state.postgres_version,
               up->state.socket_folder);
    return status;
}

enum status up_cluster_migrate(struct up *up, struct problem *why)
{
    char conninfo[sizeof up->conninfo + 32];
    struct migrate_wishes wishes = {
        .conninfo = conninfo, .to = MIGRATE_NEWEST, .mode = MIGRATE_APPLY, .step = migrate_step_said, .context = up};
    struct db *db = NULL;

    snprintf(conninfo, sizeof conninfo, "%s dbname=postgres", up->conninfo);
    enum status status = db_open(conninfo, NULL, "picket up", &db, why);
    if (!status)
        status = database_make(up, db, why);
    db_close(db);
    snprintf(conninfo, sizeof conninfo, "%s dbname=picket", up->conninfo);
    if (!status)
        status = migrate(&wishes, why);
    if (!status)
        up_say(up, "the database is up to date");
    return status;
}

bool up_cluster_running(const struct up *up)
{
    const char *const arguments[] = {"status", NULL};
    struct problem why;
    int code = 1;

    if (access(up_path(up, "postgres/postmaster.pid"), F_OK) != 0 || control(up, arguments, &code, &why))
        return false;
    return code == 0;
}

void up_cluster_stop(const struct up *up)
{
    static const char *const fast[] = {"stop", "-m", "fast", "-w", "-t", "60", "-s", NULL};
    static const char *const immediate[] = {"stop", "-m", "immediate", "-w", "-t", "20", "-s", NULL};
    struct problem why;

    /* Cut off, it recovers at its next start; not stopping is worse, since `down` promises that nothing runs. */
    if (up_cluster_running(up) && control(up, fast, NULL, &why) && control(up, immediate, NULL, &why))
        fprintf(stderr, "picket: PostgreSQL in %s does not stop: %s\n", up->folder, why.text);
    up_reap(up);
    rmdir(up->state.socket_folder);
}

void up_remove_tree(const char *path)
{
    nftw(path, remove_entry, FOLDER_OPEN_MAX, FTW_DEPTH | FTW_PHYS);
}

/* The version that made the data; 0 when there is none yet. */
static int64_t version_wanted(const struct up *up)
{
    struct problem why;
    struct buf content;
    int64_t version = 0;

    buf_init(&content, 64);
    if (process_read_file(up_path(up, "postgres/PG_VERSION"), 64, &content, &why) != STATUS_OK ||
        !text_to_i64(text_trim(buf_as_text(&content)), &version))
        version = 0;
    buf_done(&content);
    return version;
}

static bool programs_in(const char *folder)
{
    static const char *const names[] = {"initdb", "pg_ctl", "postgres"};
    char path[DATA_PATH_SIZE];

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        data_folder_path(folder, names[i], path);
        if (access(path, X_OK) != 0)
            return false;
    }
    return true;
}

static bool programs_in_path(char *out, size_t size)
{
    struct text rest = text_of(getenv("PATH")), folder;

    while (rest.bytes) {
        rest = text_cut(rest, ':', &folder);
        int count = snprintf(out, size, "%.*s", TEXT_ARGS(folder));
        if (folder.count && count < (int)size && programs_in(out))
            return true;
    }
    return false;
}

static enum status make_in(struct up *up, const char *folder, struct problem *why)
{
    char program[DATA_PATH_SIZE];
    const char *const argv[] = {program,         "-D",           folder,        "-U",           "postgres", "--encoding=UTF8",
                                "--locale=C",    "--auth=peer",  "--data-checksums", "--no-instructions", NULL};
    const struct up_command command = {argv, &up->servant, up_path(up, "log/setup.log"), UP_ENVIRONMENT_BARE};

    data_folder_path(up->state.postgres_folder, "initdb", program);
    if (mkdir(folder, 0700) != 0 || (geteuid() == 0 && chown(folder, up->servant.uid, up->servant.gid) != 0))
        return problem_set(why, STATUS_REJECT, "%s cannot be made: %s", folder, strerror(errno));
    return up_run(&command, NULL, why);
}

static int remove_entry(const char *path, const struct stat *facts, int kind, struct FTW *walk)
{
    (void)facts, (void)kind, (void)walk;
    return remove(path);
}

/* Written at each start, so that another machine, user or release of Picket finds what it needs. */
static enum status config_write(struct up *up, struct problem *why)
{
    static const char *const roles[] = {"postgres", "picket_ingest", "picket_store", "picket_query", "picket_admin", "picket_forward"};
    struct buf content;

    buf_init(&content, CONFIG_BYTES_MAX);
    buf_string(&content, "# Written by `picket up` at each start.\n");
    buf_format(&content, "listen_addresses = ''\nunix_socket_directories = '%s'\nunix_socket_permissions = 0700\n",
               up->state.socket_folder);
    buf_string(&content, "max_connections = 60\nshared_buffers = '64MB'\nwork_mem = '8MB'\nmaintenance_work_mem = '64MB'\n"
                         "effective_cache_size = '512MB'\nmax_wal_size = '1GB'\nwal_compression = on\njit = off\n"
                         "autovacuum_max_workers = 2\nmax_worker_processes = 4\nmax_parallel_workers_per_gather = 1\n"
                         "timezone = 'UTC'\nlog_timezone = 'UTC'\nlc_messages = 'C'\nlogging_collector = off\n"
                         "log_line_prefix = '%m [%p] %u '\n");
    enum status status = config_file(up, "postgres/picket.conf", &content, why);
    buf_clear(&content);
    buf_string(&content, "# Written by `picket up` at each start.\ninclude 'picket.conf'\n");
    if (!status)
        status = config_file(up, "postgres/postgresql.conf", &content, why);
    buf_clear(&content);
    buf_string(&content, "# Written by `picket up` at each start.\nlocal all all peer map=picket\n");
    if (!status)
        status = config_file(up, "postgres/pg_hba.conf", &content, why);
    buf_clear(&content);
    buf_string(&content, "# Written by `picket up` at each start: system user, database role.\n");
    for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++) {
        buf_format(&content, "picket \"%s\" %s\n", up->servant.name, roles[i]);
        if (up->self.uid != up->servant.uid)
            buf_format(&content, "picket \"%s\" %s\n", up->self.name, roles[i]);
    }
    if (!status)
        status = config_file(up, "postgres/pg_ident.conf", &content, why);
    buf_done(&content);
    return status;
}

static enum status config_file(const struct up *up, const char *name, const struct buf *content, struct problem *why)
{
    const char *path = up_path(up, name);

    if (buf_failed(content))
        return problem_set(why, STATUS_FAULT, "%s would be too long", path);
    enum status status = process_write_file(path, buf_as_text(content), 0600, why);
    if (!status && geteuid() == 0 && chown(path, up->servant.uid, up->servant.gid) != 0)
        status = problem_set(why, STATUS_REJECT, "%s cannot be given to %s: %s", path, up->servant.name, strerror(errno));
    return status;
}

/* Socket paths have at most 107 bytes, which a data folder may exceed, so the socket lies apart, under a name made from
 * the folder's. In /tmp that name might be someone else's: then we do not use it. */
static enum status socket_folder_make(struct up *up, struct problem *why)
{
    char *folder = up->state.socket_folder;
    size_t size = sizeof up->state.socket_folder;
    struct stat facts;

    if (up->self.uid == 0) {
        if (mkdir("/run/picket", 0755) != 0 && errno != EEXIST)
            return problem_set(why, STATUS_REJECT, "/run/picket cannot be made: %s", strerror(errno));
        snprintf(folder, size, "/run/picket/%08x", hash_of(up->folder));
    } else {
        snprintf(folder, size, "/tmp/picket-%ld-%08x", (long)up->self.uid, hash_of(up->folder));
    }
    snprintf(up->conninfo, sizeof up->conninfo, "host=%s user=postgres", folder);
    if (mkdir(folder, 0700) == 0 && up->self.uid == 0 && chown(folder, up->servant.uid, up->servant.gid) != 0)
        return problem_set(why, STATUS_REJECT, "%s cannot be given to %s: %s", folder, up->servant.name, strerror(errno));
    if (lstat(folder, &facts) != 0 || !S_ISDIR(facts.st_mode))
        return problem_set(why, STATUS_REJECT, "%s cannot be made, where PostgreSQL's socket belongs: %s", folder, strerror(errno));
    if (facts.st_uid != up->servant.uid || (facts.st_mode & 0077) != 0)
        return problem_set(why, STATUS_REJECT, "%s is not a private folder of %s: remove it", folder, up->servant.name);
    return STATUS_OK;
}

/* FNV-1a: tells data folders apart, no more. */
static uint32_t hash_of(const char *text)
{
    uint32_t hash = 2166136261u;
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * 16777619u;
    return hash;
}

static enum status control(const struct up *up, const char *const *arguments, int *code, struct problem *why)
{
    char program[DATA_PATH_SIZE];
    const char *argv[16] = {program, "-D", up_path(up, "postgres")};
    const struct up_command command = {argv, &up->servant, up_path(up, "log/setup.log"), UP_ENVIRONMENT_BARE};

    data_folder_path(up->state.postgres_folder, "pg_ctl", program);
    for (size_t i = 0; arguments[i]; i++)
        argv[3 + i] = arguments[i];
    return up_run(&command, code, why);
}

/* A server that is recovering refuses connections for a while. */
static enum status answer_wait(struct up *up, struct problem *why)
{
    char conninfo[sizeof up->conninfo + 32];
    int64_t deadline = clock_monotonic_ms() + ANSWER_MS;
    struct db_rows *rows = NULL;
    struct db *db = NULL;

    snprintf(conninfo, sizeof conninfo, "%s dbname=postgres", up->conninfo);
    enum status status = db_open(conninfo, NULL, "picket up", &db, why);
    while (!status) {
        status = db_query(db, "SHOW server_version", NULL, 0, STATEMENT_MS, &rows, why);
        if (status != STATUS_RETRY || clock_monotonic_ms() > deadline || process_wait_stop(POLL_MS))
            break;
        status = STATUS_OK;
    }
    if (!status) {
        struct text version;
        text_cut(db_text(rows, 0, 0), ' ', &version);
        snprintf(up->state.postgres_version, sizeof up->state.postgres_version, "%.*s", TEXT_ARGS(version));
    }
    db_rows_free(rows);
    db_close(db);
    return status;
}

static enum status database_make(struct up *up, struct db *db, struct problem *why)
{
    static const char exists[] = "SELECT count(*) FROM pg_database WHERE datname = 'picket'";
    struct db_rows *rows = NULL;

    enum status status = db_query(db, exists, NULL, 0, STATEMENT_MS, &rows, why);
    bool there = !status && db_i64(rows, 0, 0) > 0;
    db_rows_free(rows);
    if (!status && !there) {
        status = db_script(db, "CREATE DATABASE picket", STATEMENT_MS * 6, why);
        if (!status)
            up_say(up, "made the database picket");
    }
    return status;
}

static void migrate_step_said(void *context, enum migrate_step step, int64_t number, const char *name)
{
    (void)step, (void)number;
    up_say(context, "applied migration %s", name);
}
