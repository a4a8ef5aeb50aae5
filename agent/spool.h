#ifndef PICKET_AGENT_SPOOL_H
#define PICKET_AGENT_SPOOL_H

#include "agent/file.h"
#include "agent/port.h"

/* Messages on disk that wait for the server: one file each, oldest first, bounded in bytes and in number.
 *
 * A file's name bears its order, the message's id and the count of its events, so that even of a damaged message it is
 * known which events it held. One process has a folder at a time. */
#define SPOOL_COUNT_MAX 16384 /* about 80 bytes of memory each */

struct spool;

/* Makes the folder when it is missing, takes up what lies in it, and removes what a power cut left half written. NULL
 * when the folder cannot be used, or another process has it. */
struct spool *spool_open(const char *folder, uint64_t bytes_max, struct reason *why);
void spool_close(struct spool *take_spool); /* NULL is fine */
/* Another limit from now on: it is FULL until as many have gone. */
void spool_limit(struct spool *spool, uint64_t bytes_max);

/* FULL: it fits only when older messages go, into the spool or onto the disk. FAILED: it never fits, or the disk fails. On disk when it says DONE. */
enum picket_keep_status spool_keep(struct spool *spool, const struct picket_message *message, struct reason *why);
/* As the port's `oldest`, `newest` and `forget`. A file that cannot be read, or is not as it was written, is DAMAGED. */
enum picket_kept_status spool_oldest(struct spool *spool, char *buffer, size_t size, struct picket_message *out);
enum picket_kept_status spool_newest(const struct spool *spool, struct picket_message *out);
void spool_forget(struct spool *spool);

/* When the oldest was kept, in seconds of the monotonic clock; one that lay there before, when the folder was opened. 0: there is none. */
int64_t spool_oldest_since_s(const struct spool *spool);

size_t spool_count(const struct spool *spool);
uint64_t spool_bytes(const struct spool *spool);

#endif
