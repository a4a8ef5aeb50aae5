#ifndef PICKET_AGENT_FILE_H
#define PICKET_AGENT_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

#include "agent/reason.h"

/* Small files, read or replaced whole. */
#define FILE_PATH_SIZE 4096
#define FILE_UNFINISHED ".tmp" /* ending of what a power cut may leave behind */

/* Reads at most `size` bytes, whatever the file says its size is (those of /proc say 0). Returns how many, or -1 with
 * errno. */
long file_read(const char *path, char *out, size_t size);

/* Whether the file of that path below `root` can be read. */
bool file_readable(const char *root, const char *path);

/* Makes the folder, for its owner only, and those above it; one that is there is fine. False with errno. */
bool file_folder_make(const char *path);

/* Joins `parts` into `folder`/`name`, readable by the owner only, so that after a power cut the file is there whole or
 * as it was before: written beside, synced, renamed, and the folder synced. False with the reason, and errno. */
bool file_write(const char *folder, const char *name, const struct iovec *parts, int count, struct reason *why);

#endif
