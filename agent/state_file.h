#ifndef PICKET_AGENT_STATE_FILE_H
#define PICKET_AGENT_STATE_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "agent/reason.h"

/* A short text that has to be kept also when the disk is full: a file of two places that are there from the beginning, of which the older one is
 * written over. A power cut in the middle of it leaves the other. */
#define STATE_TEXT_MAX 4000

/* On disk when it returns true. The first time the file is made, which takes 8 KiB. */
bool state_file_write(const char *folder, const char *name, const char *text, size_t count, struct reason *why);
/* The text that was written last and whole. Returns its length; 0: there is none, or it is longer than `size`. */
size_t state_file_read(const char *folder, const char *name, char *out, size_t size);

#endif
