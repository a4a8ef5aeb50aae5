#ifndef PICKET_AGENT_COLLECT_SYSTEM_H
#define PICKET_AGENT_COLLECT_SYSTEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SYSTEM_TEXT_SIZE 256

/* The value of `name` in the text of /etc/os-release, without its quotes; false when it is not there. */
bool os_release_read(const char *text, size_t count, const char *name, char out[SYSTEM_TEXT_SIZE]);
/* The number beside `name` ("MemTotal") in the text of /proc/meminfo, in kB; 0 when it is not there. */
uint64_t memory_amount(const char *text, size_t count, const char *name);

#endif
