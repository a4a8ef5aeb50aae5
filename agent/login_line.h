#ifndef PICKET_AGENT_LOGIN_LINE_H
#define PICKET_AGENT_LOGIN_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A login as a line of the system's log tells it: dropbear's, OpenSSH's and BusyBox' login. For systems that keep no wtmp. */
struct login_line {
    int64_t pid;
    bool failed;
    char program[32], user[64], address[64], port[8]; /* address "" where it was here, or is not said */
};

/* "Nov 28 21:03:11 router dropbear[123]: Bad password attempt for 'root' from 192.0.2.7:50312". False: it tells of no login. */
bool login_line_read(const char *line, struct login_line *out);

#endif
