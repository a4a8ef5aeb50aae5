#ifndef PICKET_TESTS_UNIT_AGENT_SOCKETS_H
#define PICKET_TESTS_UNIT_AGENT_SOCKETS_H

#include "tests/unit/agent/watch.h"

/* Rows of the tables of /proc/net, and processes that have sockets open, below the root folder. */
#define HEADING "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
#define ROW(local, remote, state, uid, inode) \
    "   0: " local " " remote " " state " 00000000:00000000 00:00000000 00000000 " uid " 0 " inode " 1 0000000000000000\n"
#define ANY4 "00000000:0000"
#define ANY6 "00000000000000000000000000000000:0000"
#define LOCAL4 "0100007F"                          /* 127.0.0.1 */
#define MAPPED "0000000000000000FFFF00000A0200C0"  /* ::ffff:192.0.2.10 */
#define GLOBAL6 "B80D0120000000000000000001000000" /* 2001:db8::1 */

/* A process that has the socket open, and one more file that is none. */
static inline void own(int pid, const char *name, unsigned long inode)
{
    char path[64], text[128];

    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    snprintf(text, sizeof text, "%d (%s) S 1 1 1 0 -1 0 1 2 3 4 5 6 7 8 20 0 1 0 9 4096 100 184467\n", pid, name);
    root_write(path, text);
    snprintf(path, sizeof path, "/proc/%d/cmdline", pid);
    snprintf(text, sizeof text, "%s -D", name);
    root_write(path, text);
    snprintf(path, sizeof path, "/proc/%d/exe", pid);
    snprintf(text, sizeof text, "/usr/bin/%s", name);
    root_link(path, text);
    snprintf(path, sizeof path, "/proc/%d/fd/0", pid);
    root_link(path, "/dev/null");
    snprintf(path, sizeof path, "/proc/%d/fd/3", pid);
    snprintf(text, sizeof text, "socket:[%lu]", inode);
    root_link(path, text);
}

#endif
