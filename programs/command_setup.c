#include "programs/commands.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "programs/bootstrap.h"
#include "programs/data_folder.h"
#include "programs/migrate.h"
#include "programs/up.h"
#include "query/token.h"
#include "runtime/buf.h"
#include "runtime/clock.h"
#include "runtime/db.h"
#include "runtime/process.h"
#include "runtime/secret.h"

/* Where each role is a process of its own (docker-compose.yml, or several machines), somebody has to make what they
 * trust each other by. One folder per reader, so that each can be mounted, or copied, to where it is needed and nowhere
 * else:
 *
 *   authority/   CA with its key; server certificate     nobody but `setup secrets`
 *   postgres/    password                                 PostgreSQL, for its superuser; `setup database`
 *   ingest/      pgpass, master.key, server.pem and .key  picketd ingest
 *   store/       pgpass                                   picketd store: it meets strangers' bytes, and knows least
 *   query/       as ingest, with a line for picket_admin  picketd query
 *   forward/     pgpass                                   picketd forward
 *   operator/    ca.pem, operator.json                    `picket` as the operator, with --data
 *
 * What is there is kept: both verbs may run at every start. */

#define DEVICE_HOST "localhost:8443"
#define SERVER "https://localhost:8440"
#define PASSWORD_BYTES 24
#define PASSWORD_SIZE (2 * PASSWORD_BYTES + 1)
#define FILE_BYTES_MAX (64 * 1024)
#define STATEMENT_MS 30000

struct login {
    const char *folder, *user, *variable; /* the variable is the one that migrate_passwords() reads */
};

static enum cli_exit run_secrets(const struct cli *cli);
static enum cli_exit run_database(const struct cli *cli);
static enum status folder_read(const struct cli *cli, char out[DATA_PATH_SIZE], struct problem *why);
static enum status folders_make(const char *folder, struct problem *why);
static enum status certificates_make(const struct cli *cli, const char *folder, struct problem *why);
static enum status master_key_share(const char *folder, struct problem *why);
static enum status passwords_make(const char *folder, struct problem *why);
static enum status logins_write(const char *folder, const char *role, struct problem *why);
static void password_make(char out[PASSWORD_SIZE]);
static enum status copy(const char *folder, const char *from, const char *to, unsigned mode,
                        struct problem *why);
static enum status passwords_use(const char *folder, struct problem *why);
static enum status login_use(const char *folder, const struct login *login, struct problem *why);
static bool login_find(struct text pgpass, struct text user, struct text *password);
static void step_print(void *context, enum migrate_step step, int64_t number, const char *name);
static enum status operator_ensure(const struct cli *cli, const char *folder, const char *conninfo,
                                   struct problem *why);
static enum status token_known(const char *conninfo, const char *token, bool *known, struct problem *why);

static const struct cli_flag secrets_flags[] = {
    {"into", "DIR", "Folder that gets a folder for each reader; what it has already is kept."},
    {"host", "HOST[:PORT]",
     "How devices and people call this server, for its certificate (default " DEVICE_HOST ")."},
};

static const struct cli_flag database_flags[] = {
    {"secrets", "DIR", "The folder that `picket setup secrets` filled."},
    {"database", "CONNINFO",
     "PostgreSQL, as a role that may create roles (else PICKET_DATABASE or libpq's variables)."},
    {"server", "URL", "Where the operator's `picket` finds query (default " SERVER ")."},
};

const struct cli_verb setup_verbs[] = {
    {"setup secrets", "", "Make the keys, certificates and passwords of roles that run apart.",
     "Certificates about to end are renewed. The master key in ingest/ and query/ opens the devices' keys: back it up.",
     CLI_FLAGS(secrets_flags), 0, 0, 0, run_secrets},
    {"setup database", "", "Migrate, set the roles' passwords, and make the operator's token.", NULL,
     CLI_FLAGS(database_flags), 0, 0, 0, run_database},
};
const size_t setup_verb_count = sizeof setup_verbs / sizeof setup_verbs[0];

static const struct login logins[] = {
    {"ingest", "picket_ingest", "PICKET_INGEST_PASSWORD"},
    {"store", "picket_store", "PICKET_STORE_PASSWORD"},
    {"query", "picket_query", "PICKET_QUERY_PASSWORD"},
    {"query", "picket_admin", "PICKET_ADMIN_PASSWORD"},
    {"forward", "picket_forward", "PICKET_FORWARD_PASSWORD"},
};
#define LOGINS (sizeof logins / sizeof logins[0])

static enum cli_exit run_secrets(const struct cli *cli)
{
    static const char *const copies[][2] = {
        {"authority/certificates/server.pem", "ingest/server.pem"},
        {"authority/certificates/server.key", "ingest/server.key"},
        {"authority/certificates/server.pem", "query/server.pem"},
        {"authority/certificates/server.key", "query/server.key"},
        {"authority/certificates/ca.pem", "operator/ca.pem"},
    };
    char folder[DATA_PATH_SIZE];
    struct problem why;

    enum status status = folder_read(cli, folder, &why);
    if (!status)
        status = folders_make(folder, &why);
    if (!status)
        status = certificates_make(cli, folder, &why);
    for (size_t i = 0; !status && i < sizeof copies / sizeof copies[0]; i++) {
        unsigned mode = text_ends(text_of(copies[i][1]), TEXT(".key")) ? 0600 : 0644;
        status = copy(folder, copies[i][0], copies[i][1], mode, &why);
    }
    if (!status)
        status = master_key_share(folder, &why);
    if (!status)
        status = passwords_make(folder, &why);
    if (!status)
        fprintf(stderr, "Secrets are in %s.\n", folder);
    return cli_end(status, &why);
}

static enum cli_exit run_database(const struct cli *cli)
{
    char conninfo[DATABASE_CONNINFO_SIZE], folder[DATA_PATH_SIZE];
    const struct migrate_wishes wishes = {conninfo, MIGRATE_NEWEST, MIGRATE_APPLY, step_print, NULL};
    struct problem why;
    size_t passwords = 0;

    enum status status = folder_read(cli, folder, &why);
    if (!status)
        status = passwords_use(folder, &why);
    if (!status)
        status = database_of(cli, conninfo, &why);
    if (!status)
        status = migrate(&wishes, &why);
    if (!status)
        status = migrate_passwords(conninfo, &passwords, &why);
    if (!status)
        status = operator_ensure(cli, folder, conninfo, &why);
    if (!status)
        fprintf(stderr, "The database is up to date; passwords of %zu roles were set.\n", passwords);
    return cli_end(status, &why);
}

static enum status folder_read(const struct cli *cli, char out[DATA_PATH_SIZE], struct problem *why)
{
    const char *into = cli_value(cli, "into"), *secrets = cli_value(cli, "secrets");
    const char *given = into ? into : secrets;

    if (!given || !*given)
        return problem_set(why, STATUS_REJECT,
                           "the folder of the secrets is missing: give --into, or --secrets");
    if (!data_folder_whole(given, out))
        return problem_set(why, STATUS_REJECT, "%.100s... is too long for a path", given);
    return STATUS_OK;
}

static enum status folders_make(const char *folder, struct problem *why)
{
    static const char *const names[] = {"", "authority", "postgres", "ingest", "store", "query", "forward", "operator"};
    char path[DATA_PATH_SIZE];

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        data_folder_path(folder, names[i], path);
        if (mkdir(path, 0711) != 0 && errno != EEXIST)
            return problem_set(why, STATUS_REJECT, "%s cannot be made: %s", path, strerror(errno));
    }
    return STATUS_OK;
}

static enum status certificates_make(const struct cli *cli, const char *folder, struct problem *why)
{
    struct up *up = calloc(1, sizeof *up);
    const char *host = cli_value(cli, "host");
    struct text bare;

    if (!up)
        abort();
    if (!host || !*host)
        host = DEVICE_HOST;
    up->cli = cli;
    up->began_ms = clock_monotonic_ms();
    data_folder_path(folder, "authority", up->folder);
    text_cut(text_of(host), ':', &bare);
    int count = snprintf(up->host_name, sizeof up->host_name, "%.*s", TEXT_ARGS(bare));
    snprintf(up->device_host, sizeof up->device_host, "%s", host);
    enum status status = count > 0 && count < (int)sizeof up->host_name
                             ? up_certificates_make(up, why)
                             : problem_set(why, STATUS_REJECT, "--host \"%.100s\" is no host name", host);
    free(up);
    return status;
}

/* Two readers, and no third place: whichever of them has it gives it to the other. A fresh key beside an old one would
 * shut every device's key away, so it is only made where there is none at all. */
static enum status master_key_share(const char *folder, struct problem *why)
{
    char ingest[DATA_PATH_SIZE], query[DATA_PATH_SIZE];
    struct secret_master one = {0}, other = {0};
    enum status status = STATUS_OK;

    data_folder_path(folder, "ingest/master.key", ingest);
    data_folder_path(folder, "query/master.key", query);
    bool in_ingest = access(ingest, F_OK) == 0, in_query = access(query, F_OK) == 0;
    if (!in_ingest && !in_query)
        status = secret_master_create(ingest, &one, why);
    if (!status && !in_query)
        status = copy(folder, "ingest/master.key", "query/master.key", 0600, why);
    else if (!status && !in_ingest)
        status = copy(folder, "query/master.key", "ingest/master.key", 0600, why);
    if (!status)
        status = secret_master_load(ingest, &one, why);
    if (!status)
        status = secret_master_load(query, &other, why);
    if (!status && !secret_equal(&one, &other, sizeof one))
        status =
            problem_set(why, STATUS_REJECT,
                        "%s and %s are two keys: remove the one that the devices' keys were not sealed with",
                        ingest, query);
    secret_wipe(&one, sizeof one);
    secret_wipe(&other, sizeof other);
    return status;
}

static enum status passwords_make(const char *folder, struct problem *why)
{
    char path[DATA_PATH_SIZE], password[PASSWORD_SIZE];
    enum status status = STATUS_OK;

    data_folder_path(folder, "postgres/password", path);
    if (access(path, F_OK) != 0) {
        password_make(password);
        /* For a user of another image, so its folder is what guards it. */
        status = process_write_file(path, text_of(password), 0644, why);
        secret_wipe(password, sizeof password);
    }
    for (size_t i = 0; !status && i < LOGINS; i++)
        status = logins_write(folder, logins[i].folder, why);
    return status;
}

/* As libpq's passfile, with a line for each login that the role has. */
static enum status logins_write(const char *folder, const char *role, struct problem *why)
{
    char name[64], path[DATA_PATH_SIZE], password[PASSWORD_SIZE];
    struct buf lines;

    snprintf(name, sizeof name, "%s/pgpass", role);
    data_folder_path(folder, name, path);
    if (access(path, F_OK) == 0)
        return STATUS_OK;
    buf_init(&lines, FILE_BYTES_MAX);
    for (size_t i = 0; i < LOGINS; i++) {
        if (strcmp(logins[i].folder, role) != 0)
            continue;
        password_make(password);
        buf_format(&lines, "*:*:*:%s:%s\n", logins[i].user, password);
    }
    enum status status = process_write_file(path, buf_as_text(&lines), 0600, why);
    secret_wipe(lines.bytes, lines.count);
    secret_wipe(password, sizeof password);
    buf_done(&lines);
    return status;
}

/* Hex, so that nothing needs escaping anywhere. */
static void password_make(char out[PASSWORD_SIZE])
{
    uint8_t bytes[PASSWORD_BYTES];

    secret_random(bytes, sizeof bytes);
    text_hex_encode(bytes, sizeof bytes, out);
    secret_wipe(bytes, sizeof bytes);
}

/* Leaves a copy alone that is as it should be, so that a second run writes nothing. */
static enum status copy(const char *folder, const char *from, const char *to, unsigned mode,
                        struct problem *why)
{
    char source[DATA_PATH_SIZE], target[DATA_PATH_SIZE];
    struct buf wanted, present;
    struct problem ignored;

    data_folder_path(folder, from, source);
    data_folder_path(folder, to, target);
    buf_init(&wanted, FILE_BYTES_MAX);
    buf_init(&present, FILE_BYTES_MAX);
    enum status status = process_read_file(source, FILE_BYTES_MAX, &wanted, why);
    if (!status && (process_read_file(target, FILE_BYTES_MAX, &present, &ignored) != STATUS_OK ||
                    !text_equal(buf_as_text(&wanted), buf_as_text(&present))))
        status = process_write_file(target, buf_as_text(&wanted), mode, why);
    secret_wipe(wanted.bytes, wanted.count);
    secret_wipe(present.bytes, present.count);
    buf_done(&wanted);
    buf_done(&present);
    return status;
}

/* The superuser's goes to libpq, those of the roles to migrate_passwords(): both look into the environment. */
static enum status passwords_use(const char *folder, struct problem *why)
{
    char path[DATA_PATH_SIZE];
    struct buf password;
    enum status status = STATUS_OK;

    data_folder_path(folder, "postgres/password", path);
    if (!getenv("PGPASSWORD") && access(path, F_OK) == 0) {
        buf_init(&password, FILE_BYTES_MAX);
        status = process_read_file(path, FILE_BYTES_MAX, &password, why);
        if (!status && setenv("PGPASSWORD", password.bytes ? password.bytes : "", 1) != 0)
            abort();
        secret_wipe(password.bytes, password.count);
        buf_done(&password);
    }
    for (size_t i = 0; !status && i < LOGINS; i++)
        status = login_use(folder, &logins[i], why);
    return status;
}

static enum status login_use(const char *folder, const struct login *login, struct problem *why)
{
    char name[64], path[DATA_PATH_SIZE], password[PASSWORD_SIZE];
    struct text found = TEXT_NONE;
    struct buf pgpass;

    snprintf(name, sizeof name, "%s/pgpass", login->folder);
    data_folder_path(folder, name, path);
    buf_init(&pgpass, FILE_BYTES_MAX);
    enum status status = process_read_file(path, FILE_BYTES_MAX, &pgpass, why);
    if (!status && !login_find(buf_as_text(&pgpass), text_of(login->user), &found))
        status = problem_set(why, STATUS_REJECT,
                             "%s has no line for %s: remove it, and run `picket setup secrets`", path,
                             login->user);
    if (!status && found.count >= sizeof password)
        status = problem_set(why, STATUS_REJECT, "the password of %s in %s is longer than %zu bytes",
                             login->user, path, sizeof password - 1);
    if (!status) {
        snprintf(password, sizeof password, "%.*s", TEXT_ARGS(found));
        if (setenv(login->variable, password, 1) != 0)
            abort();
        secret_wipe(password, sizeof password);
    }
    secret_wipe(pgpass.bytes, pgpass.count);
    buf_done(&pgpass);
    return status;
}

/* Lines are host:port:database:user:password; ours need no escapes. */
static bool login_find(struct text pgpass, struct text user, struct text *password)
{
    struct text line, part;

    for (struct text rest = pgpass; rest.bytes && rest.count > 0;) {
        rest = text_cut(rest, '\n', &line);
        for (int skipped = 0; skipped < 3; skipped++)
            line = text_cut(line, ':', &part);
        line = text_cut(line, ':', &part);
        if (line.count > 0 && text_equal(part, user)) {
            *password = line;
            return true;
        }
    }
    return false;
}

static void step_print(void *context, enum migrate_step step, int64_t number, const char *name)
{
    (void)context;
    (void)step;
    (void)number;
    fprintf(stderr, "applied %s\n", name);
}

/* A token that this database does not know was made for another one, so the operator gets a fresh one. */
static enum status operator_ensure(const struct cli *cli, const char *folder, const char *conninfo,
                                   struct problem *why)
{
    char path[DATA_PATH_SIZE], key_file[DATA_PATH_SIZE], ca[DATA_PATH_SIZE];
    const char *server = cli_value(cli, "server");
    json_t *written = NULL, *made = NULL;
    struct problem ignored;
    bool known = false;
    enum status status = STATUS_OK;

    data_folder_path(folder, "operator/operator.json", path);
    data_folder_path(folder, "operator/ca.pem", ca);
    data_folder_path(folder, "query/master.key", key_file);
    if (data_json_read(path, &written, &ignored) == STATUS_OK)
        status = token_known(conninfo, json_string_value(json_object_get(written, "token")), &known, why);
    if (!status && !known) {
        const struct bootstrap_token wish = {conninfo, key_file, "admin", NULL, "picket setup"};
        status = bootstrap_token(&wish, &made, why);
    }
    if (!status && !known) {
        json_t *json = json_pack("{s:s, s:O, s:s}", "server", server ? server : SERVER, "token",
                                 json_object_get(made, "token"), "ca", ca);
        status = data_json_write(path, json, 0600, why);
        json_decref(json);
    }
    if (!status && !known)
        fprintf(stderr, "made an admin token for the operator: %s\n", path);
    json_decref(made);
    json_decref(written);
    return status;
}

static enum status token_known(const char *conninfo, const char *token, bool *known, struct problem *why)
{
    static const char select_token[] =
        "SELECT EXISTS (SELECT FROM picket.token WHERE prefix = $1 AND revoked_at IS NULL)";
    char prefix[TOKEN_PREFIX_COUNT + 1];
    const char *const parameters[] = {prefix};
    struct token_parts parts;
    struct db_rows *rows = NULL;
    struct db *db = NULL;

    if (!token || !token_parse(text_of(token), &parts))
        return STATUS_OK;
    snprintf(prefix, sizeof prefix, "%.*s", TEXT_ARGS(parts.prefix));
    enum status status = db_open(conninfo, NULL, "picket setup", &db, why);
    if (!status)
        status = db_query(db, select_token, parameters, 1, STATEMENT_MS, &rows, why);
    *known = !status && db_bool(rows, 0, 0);
    db_rows_free(rows);
    db_close(db);
    return status;
}
