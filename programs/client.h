#ifndef PICKET_PROGRAMS_CLIENT_H
#define PICKET_PROGRAMS_CLIENT_H

#include <jansson.h>

#include "programs/cli.h"
#include "runtime/status.h"

/* The query API as the verbs use it: one server, one token, JSON both ways. */
struct client;

/* Which server: the flags --server, --token and --ca, else PICKET_SERVER, PICKET_TOKEN and PICKET_CA, else operator.json
 * in the data folder. STATUS_REJECT: none of them says. Nothing is connected yet. */
MUST_CHECK enum status client_open(const struct cli *cli, struct client **out, struct problem *why);
/* For callers that know: `token` and `ca_file` may be NULL. */
struct client *client_new(const char *server, const char *token, const char *ca_file);
const char *client_server(const struct client *client);
void client_close(struct client *take_client);

/* `path` begins with '/', its query already escaped; `body` may be NULL. STATUS_OK: the answer, which the caller frees
 * with json_decref(), NULL when it was empty. STATUS_RETRY: no connection, or 503. STATUS_REJECT: any other refusal, in
 * the server's words. */
MUST_CHECK enum status client_call(struct client *client, const char *method, const char *path, const json_t *body,
                                   json_t **out, struct problem *why);
/* Calls from now on may take that long, and tell the server so. */
void client_be_patient(struct client *client, uint32_t seconds);
/* HTTP code of the last call; 0 when there was none. */
long client_code(const struct client *client);
/* What the last call answered when it was refused: /readyz says there why. NULL when it was not JSON; borrowed. */
const json_t *client_refusal(const struct client *client);

/* Percent-escapes one path segment or query value into `out`. */
struct buf;
void client_escape(struct buf *out, const char *value);

/* Walks a list, page by page: calls `each` for every element of `noun` until `limit` (0: all) were seen. */
MUST_CHECK enum status client_each(struct client *client, const char *path, const char *noun, int64_t limit,
                                   void (*each)(void *context, const json_t *element), void *context,
                                   struct problem *why);

#endif
