#ifndef PICKET_TESTS_SUPPORT_WHOLE_H
#define PICKET_TESTS_SUPPORT_WHOLE_H

#include <jansson.h>

#include "tests/support/pipeline.h"

/* One picketd with all roles, as one machine runs it: TLS on the device port and on the query port, a real PostgreSQL,
 * and an operator with a token. Started in main() and used by all tests of the program.
 *
 *   main():  whole_start(devices, settings); failed = check_main(…); return whole_stop() || failed; */
#define WHOLE_ANSWER_MAX (32 << 20)

/* Devices as pipeline_prepare() has them. `settings` as pipeline_start(). */
void whole_start(unsigned devices, const char *const *settings);
/* Ends it by SIGTERM. True when it did not end well, or a sanitizer complained meanwhile; says so on stderr. */
bool whole_stop(void);
struct program *whole_program(void);
bool whole_sanitized(void); /* this build has a sanitizer */

const char *whole_device_url(void); /* https://localhost:… */
const char *whole_query_url(void);
const char *whole_ca_file(void);
const char *whole_token(void); /* admin of every workspace */

/* "SharedAccessSignature …" for `resource` as it is given, signed with PIPELINE_KEY. Valid until four further calls. */
const char *whole_sas(const char *resource, int64_t expires_in_s);
/* POST over TLS to a path of the device port; `headers` in addition, may be NULL. */
void whole_post(const char *path, const char *authorization, const char *const *headers, struct text body,
                struct program_reply *out);
/* A message of "device-N" that has to be taken; its receipt goes to `receipt`. */
void whole_send(unsigned device, const char *const *headers, struct text body, char receipt[BUS_RECEIPT_SIZE]);

/* The query API with the operator's token, or another one. The answer, which has to have `code`, is the caller's. */
json_t *whole_ask(const char *token, const char *method, const char *path, const char *body, long code);
json_t *whole_get(const char *path);
/* All events of a device, newest first, `limit` a page. */
json_t *whole_events(const char *device, unsigned limit);

/* `picket …` with the operator's server, token and CA in the environment. Exit code; `out` and `said` become what it
 * wrote to stdout and to stderr. */
int whole_picket(const char *const *arguments, struct buf *out, struct buf *said);

#endif
