#ifndef PICKET_AGENT_PROCESS_TABLE_H
#define PICKET_AGENT_PROCESS_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One process as /proc shows it. Other collectors use this to say whose a socket or a login is. */
#define PROCESS_PATH_SIZE 4096
#define PROCESS_COMMAND_SIZE 4096

struct process {
    int64_t pid, parent;
    uint64_t started;                   /* clock ticks since boot: with the pid, this one and no later one */
    uint32_t user;
    bool kernel;                        /* a thread of the kernel's own */
    bool ended;                         /* it only waits for its parent to take notice: path and arguments are gone */
    char name[64];                      /* as the kernel shortens it */
    char executable[PROCESS_PATH_SIZE]; /* its path; where that is hidden from us, what it says itself */
    char command_line[PROCESS_COMMAND_SIZE]; /* arguments joined with blanks, cut when longer */
};

/* Reads the text of /proc/PID/stat: pid, name, parent, started, kernel and ended. False when it is not one. */
bool process_stat_read(const char *text, size_t count, struct process *out);
/* Reads all of a process below `root`. False when it is gone. */
bool process_read(const char *root, int64_t pid, struct process *out);
/* A process id from a name in /proc, or 0. */
int64_t process_id_read(const char *name);

#endif
