#ifndef PICKET_RUNTIME_PROCESS_H
#define PICKET_RUNTIME_PROCESS_H

#include "runtime/status.h"
#include "runtime/text.h"

#define PICKET_VERSION "0.1.0"

/* Stopping. process_catch_stop() makes SIGINT and SIGTERM set the stop flag (a second one ends at once) and ignores
 * SIGPIPE. process_wait_stop() sleeps until the flag is set or time is up, and says whether it is set. */
void process_catch_stop(void);
bool process_stopping(void);
void process_stop(void);    /* sets the flag from inside */
void process_give_up(void); /* the same, for a role that cannot go on: process_gave_up() then tells main() to exit with 1 */
bool process_gave_up(void);
bool process_wait_stop(uint32_t timeout_ms);

/* Where files that belong to the program lie (migrations, console): $PICKET_SHARE; else two folders above the
 * executable when it lies in a build tree; else <prefix>/share/picket beside <prefix>/bin. Static string. */
const char *process_share_path(void);
/* Folder of the running executable: where its sibling programs are. Static string. */
const char *process_program_path(void);

/* "part" is what depends on the outside: the database, the bus. Readiness is the conjunction; `note` is copied. */
#define PROCESS_PARTS_MAX 16
void process_set_ready(const char *part, bool ready, const char *note);
/* JSON: {"ready":false,"parts":{"ingest.database":{"ready":false,"note":"..."}}} */
struct buf;
bool process_print_ready(struct buf *out);

/* Whole small files. read: up to `bytes_max`, STATUS_REJECT beyond or when missing. write: temp file, fsync, rename. */
MUST_CHECK enum status process_read_file(const char *path, size_t bytes_max, struct buf *out, struct problem *why);
MUST_CHECK enum status process_write_file(const char *path, struct text content, unsigned mode, struct problem *why);

#endif
