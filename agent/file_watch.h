#ifndef PICKET_AGENT_FILE_WATCH_H
#define PICKET_AGENT_FILE_WATCH_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/reason.h"

/* What happens in folders, as the kernel tells it: by fanotify(7), which knows the process too and needs CAP_SYS_ADMIN, or by inotify(7). */
struct file_watch;

enum file_mask {
    FILE_CREATED = 1,
    FILE_MOVED_IN = 2,
    FILE_MODIFIED = 4,
    FILE_METADATA = 8,
    FILE_MOVED_OUT = 16,
    FILE_DELETED = 32,
    FILE_WATCH_GONE = 64, /* the folder is not watched any more */
    FILE_OVERFLOW = 128,  /* some events are missing */
};

struct file_event {
    uint64_t folder;         /* as file_watch_add had it */
    unsigned mask;           /* of enum file_mask: one bit or more, of one name */
    bool is_folder;          /* what has the name */
    int64_t pid;             /* 0: not known */
    char name[NAME_MAX + 1]; /* in the folder */
};

/* NULL with the reason. `processes`: only where it can tell these. */
struct file_watch *file_watch_open(bool processes, struct reason *why);
void file_watch_close(struct file_watch *take_watch); /* NULL is fine */
/* What happens right in this folder from now on; a folder has the same number each time. False: it is none, or lies where this watch cannot
 * look (`unable`, when that is not NULL). */
bool file_watch_add(struct file_watch *watch, const char *path, uint64_t *folder, bool *unable);
/* The next thing that happened, without waiting. False: there is none. */
bool file_watch_next(struct file_watch *watch, struct file_event *out);
int file_watch_socket(const struct file_watch *watch);

#endif
