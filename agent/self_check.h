#ifndef PICKET_AGENT_SELF_CHECK_H
#define PICKET_AGENT_SELF_CHECK_H

#include "agent/agent_config.h"

/* What works on this host, what does not, and why: `picket-agent --check`. */
enum self_check_result { SELF_CHECK_OK, SELF_CHECK_LIMITED, SELF_CHECK_FAILED };

struct self_check {
    const char *subject; /* "processes", "server" … */
    enum self_check_result (*look)(const struct agent_config *config, const char *root, struct reason *out);
};

/* One after the other; each says in `out` how it is, also when all is well. `root` as collectors have it. The last one talks to the server. */
extern const struct self_check self_checks[];
extern const size_t self_check_count;

#endif
