#ifndef PICKET_AGENT_COLLECT_LOGINS_H
#define PICKET_AGENT_COLLECT_LOGINS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <utmp.h>

/* One record of wtmp, btmp or utmp. */
struct login {
    int64_t utc_ms;
    int64_t pid;
    char user[UT_NAMESIZE + 1];
    char line[UT_LINESIZE + 1];  /* "pts/0", "tty1", "ssh:notty" */
    char address[46];            /* where it came from; empty when it was here, or is not known as an address */
};

/* True when the record is of a person: who logged in (wtmp, utmp), or failed to (btmp). */
bool login_read(const struct utmp *record, bool failed, struct login *out);

#endif
