#ifndef PICKET_AGENT_SELF_CHECK_H
#define PICKET_AGENT_SELF_CHECK_H

#include "agent/agent_config.h"
#include "agent/collector.h"

/* What works on this host, what does not, and why: `picket-agent --check`. */
struct self_check {
    const char *subject; /* "processes", "server" … */
    enum self_check_result result;
    struct reason how; /* also when all is well */
};

/* Looks at one subject after the other, `at` from 0: the collectors of this build, then the spool, and last the server, with which it talks. False:
 * there are no more. `root` as collectors have it. */
bool self_check_next(size_t at, const struct agent_config *config, const char *root, struct self_check *out);

#endif
