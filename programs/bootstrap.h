#ifndef PICKET_PROGRAMS_BOOTSTRAP_H
#define PICKET_PROGRAMS_BOOTSTRAP_H

#include <jansson.h>

#include "runtime/status.h"

/* An API token straight in the database, for the first one: nobody could ask the server for it. */
struct bootstrap_token {
    const char *conninfo; /* as superuser, or picket_admin; a name of the database is in it */
    const char *master_key_file;
    const char *role;      /* reader, analyst, admin */
    const char *workspace; /* NULL: all there are */
    const char *description;
};

/* `*out` is {"id","token","role","workspaces"}, the caller's to json_decref(). STATUS_REJECT: no such workspace or role, or
 * the key file is unusable. STATUS_RETRY: the database is away. */
MUST_CHECK enum status bootstrap_token(const struct bootstrap_token *wish, json_t **out, struct problem *why);

#endif
