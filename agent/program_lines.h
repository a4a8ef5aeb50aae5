#ifndef PICKET_AGENT_PROGRAM_LINES_H
#define PICKET_AGENT_PROGRAM_LINES_H

#include "agent/reason.h"

/* The lines that another program of this host prints, for what only that program can read. */
typedef void program_line(void *context, const char *line);

/* Runs it, with nothing to read, no word on stderr, LC_ALL=C and no other environment than a PATH; gives each line without its end, and cuts those
 * over 4 KiB. Waits until it ends, and ends it after 30 s. Returns its exit code, or -1 with the reason: it cannot be run, or was ended; lines may
 * have been given before. `arguments` begin with the path of the program and end with NULL. */
int program_lines(const char *const *arguments, program_line *take, void *context, struct reason *why);

#endif
