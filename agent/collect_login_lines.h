#ifndef PICKET_AGENT_COLLECT_LOGIN_LINES_H
#define PICKET_AGENT_COLLECT_LOGIN_LINES_H

#include <stdbool.h>

#include "agent/file.h"

/* The log in which logins are looked for below `root`; false when there is a wtmp, which tells them, or no log either. */
bool login_log_find(const char *root, char path[FILE_PATH_SIZE]);
/* The same of systemd's journal, where there is neither, and journalctl to read it. */
bool login_journal_find(const char *root, char path[FILE_PATH_SIZE]);

#endif
