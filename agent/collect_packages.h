#ifndef PICKET_AGENT_COLLECT_PACKAGES_H
#define PICKET_AGENT_COLLECT_PACKAGES_H

#include <stdbool.h>

#include "agent/file.h"

/* The folder of rpm's database below `root`. False: there is none, or no rpm to read it. */
bool rpm_database_find(const char *root, char path[FILE_PATH_SIZE]);

#endif
