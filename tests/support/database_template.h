#ifndef PICKET_TESTS_SUPPORT_DATABASE_TEMPLATE_H
#define PICKET_TESTS_SUPPORT_DATABASE_TEMPLATE_H

#include <stddef.h>

/* Starts a PostgreSQL without fsync and makes the database "picket_template" in it: migrated, then filled by the
 * statements. Tests copy it by CREATE DATABASE … TEMPLATE, which costs far less than migrating. For main(); aborts with
 * a sentence. */
void database_template_make(const char *const *fill, size_t count);

#endif
