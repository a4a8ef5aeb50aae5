#include "tests/support/migrate.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libpq-fe.h>

#define SCRIPT_BYTES_MAX (1024 * 1024)
#define PATH_SIZE 1024

static int script_wanted(const struct dirent *entry);
static enum status script_read(const char *path, char **out, struct problem *why);
static enum status script_run(PGconn *connection, const char *path, struct problem *why);
static enum status number_write(PGconn *connection, const char *path, struct problem *why);
static enum status helpers_load(PGconn *connection, const char *folder, struct problem *why);
static enum status statement_run(PGconn *connection, const char *sql, struct problem *why);

enum status migrate_all(const char *conninfo, struct problem *why)
{
    const char *share = getenv("PICKET_SHARE");
    struct dirent **entries = NULL;
    char folder[PATH_SIZE], path[2 * PATH_SIZE];
    enum status status = STATUS_OK;

    snprintf(folder, sizeof folder, "%s/migrations", share ? share : ".");
    int count = scandir(folder, &entries, script_wanted, alphasort);
    if (count <= 0)
        return problem_set(why, STATUS_FAULT, "no migrations in %s", folder);
    PGconn *connection = PQconnectdb(conninfo);
    if (PQstatus(connection) != CONNECTION_OK)
        status = problem_set(why, STATUS_FAULT, "%s", PQerrorMessage(connection));
    for (int i = 0; i < count; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
        if (!status)
            status = script_run(connection, path, why);
        free(entries[i]);
    }
    free(entries);
    if (!status)
        status = helpers_load(connection, folder, why);
    PQfinish(connection);
    return status;
}

static int script_wanted(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name);
    bool sql = length > 4 && strcmp(entry->d_name + length - 4, ".sql") == 0;
    return sql && !strstr(entry->d_name, ".down.");
}

static enum status script_read(const char *path, char **out, struct problem *why)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return problem_set(why, STATUS_FAULT, "cannot open %s", path);
    char *text = malloc(SCRIPT_BYTES_MAX + 1);
    if (!text)
        abort();
    size_t length = fread(text, 1, SCRIPT_BYTES_MAX, file);
    fclose(file);
    text[length] = '\0';
    *out = text;
    return STATUS_OK;
}

static enum status script_run(PGconn *connection, const char *path, struct problem *why)
{
    char *text = NULL;
    enum status status = script_read(path, &text, why);
    if (!status)
        status = statement_run(connection, "BEGIN", why);
    if (!status)
        status = statement_run(connection, text, why);
    if (!status)
        status = number_write(connection, path, why);
    if (!status)
        status = statement_run(connection, "COMMIT", why);
    if (status)
        problem_prefix(why, "%s", path);
    free(text);
    return status;
}

/* The functions that compiled KQL calls. */
static enum status helpers_load(PGconn *connection, const char *folder, struct problem *why)
{
    char path[2 * PATH_SIZE];
    char *text = NULL;

    snprintf(path, sizeof path, "%s/helpers/kql.sql", folder);
    enum status status = script_read(path, &text, why);
    if (!status)
        status = statement_run(connection, "SET ROLE picket_owner", why);
    if (!status)
        status = statement_run(connection, text, why);
    if (!status)
        status = statement_run(connection, "RESET ROLE", why);
    free(text);
    return status;
}

/* As `picket migrate` leaves it, but for the digest. */
static enum status number_write(PGconn *connection, const char *path, struct problem *why)
{
    char insert[256];

    snprintf(insert, sizeof insert, "INSERT INTO picket.migration (number, name, digest) VALUES (%ld, 'test', '')",
             strtol(strrchr(path, '/') + 1, NULL, 10));
    return statement_run(connection, insert, why);
}

/* The simple protocol, since a script is many statements. */
static enum status statement_run(PGconn *connection, const char *sql, struct problem *why)
{
    PGresult *result = PQexec(connection, sql);
    ExecStatusType outcome = PQresultStatus(result);
    enum status status = STATUS_OK;
    if (outcome != PGRES_COMMAND_OK && outcome != PGRES_TUPLES_OK)
        status = problem_set(why, STATUS_FAULT, "%s", PQerrorMessage(connection));
    PQclear(result);
    return status;
}
