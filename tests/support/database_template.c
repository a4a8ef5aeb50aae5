#include "tests/support/database_template.h"

#include <stdio.h>
#include <stdlib.h>

#include "runtime/db.h"
#include "tests/support/database.h"
#include "tests/support/migrate.h"

#define SQL_MS 30000

static struct problem why;

static void must(enum status status)
{
    if (!status)
        return;
    fprintf(stderr, "%s\n", why.text);
    abort();
}

void database_template_make(const char *const *fill, size_t count)
{
    struct db *db = NULL;

    database_start(DATABASE_FAST);
    must(db_open(database_conninfo(), NULL, "test", &db, &why));
    must(db_script(db, "CREATE DATABASE picket_template", SQL_MS, &why));
    db_close(db);
    const char *conninfo = database_conninfo_for("postgres", "picket_template");
    must(migrate_all(conninfo, &why));
    must(db_open(conninfo, NULL, "test", &db, &why));
    for (size_t i = 0; i < count; i++)
        must(db_script(db, fill[i], SQL_MS, &why));
    db_close(db); /* nobody may be connected to a template */
}
