#ifndef PICKET_AGENT_COLLECT_BASELINE_H
#define PICKET_AGENT_COLLECT_BASELINE_H

#include <stdbool.h>
#include <stddef.h>

/* How a host is set up, against a table of checks in the manner of CIS' benchmarks, and of what devices are found with. */
enum baseline_result { BASELINE_PASS, BASELINE_FAIL, BASELINE_SKIP, BASELINE_ERROR };

enum baseline_kind {
    BASELINE_SYSCTL,     /* subject: a file below /proc/sys; wanted: a number at least, with '=' before it exactly */
    BASELINE_MOUNT,      /* subject: a folder that is a mount of its own; wanted: an option of it, "" for none */
    BASELINE_PERMISSION, /* subject: a file of root's; wanted: the most that its mode may be, octal */
    BASELINE_SSHD,       /* subject: a keyword of sshd_config; wanted: what it has to be, "<=N" a number at most; '?' before it: the default does */
    BASELINE_LISTENS,    /* subject: a TCP port that nobody may listen on */
    BASELINE_ABSENT,     /* subject: a file that has no line with `wanted` in it, but for comments */
    BASELINE_USERS,      /* subject: a file of users; wanted: "empty" no password, "root" another one with number 0 */
};

struct baseline_check {
    const char *id, *section, *description, *severity; /* Critical, Important, Warning or Informational */
    enum baseline_kind kind;
    const char *subject, *wanted;
    const char *remediation;
};

extern const struct baseline_check baseline_checks[];
extern const size_t baseline_check_count;

#define BASELINE_EVIDENCE_MAX 256
/* What was found, and where, goes to `evidence`. `root` is in front of all paths. */
enum baseline_result baseline_look(const struct baseline_check *check, const char *root, char evidence[BASELINE_EVIDENCE_MAX]);

#endif
