#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "programs/up.h"
#include "runtime/clock.h"

static enum status folder_open(struct up *up, struct problem *why)
{
    snprintf(up->folder, sizeof up->folder, "/tmp/picket-run-XXXXXX");
    if (!mkdtemp(up->folder) || chmod(up->folder, 0711) != 0 || mkdir(up_path(up, "log"), 0755) != 0)
        return problem_set(why, STATUS_REJECT, "no folder can be made in /tmp: %s", strerror(errno));
    return STATUS_OK;
}

enum status up_private_start(const struct cli *cli, struct up **out, struct problem *why)
{
    struct up *up = calloc(1, sizeof *up);

    if (!up)
        abort();
    umask(022);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    up->cli = cli;
    up->quiet = true;
    up->began_ms = clock_monotonic_ms();
    enum status status = up_users_find(up, why);
    if (!status)
        status = folder_open(up, why);
    if (!status)
        status = up_users_check(up, why);
    if (!status)
        status = up_cluster_find(up, why);
    if (!status)
        status = up_cluster_make(up, why);
    if (!status)
        status = up_cluster_start(up, why);
    *out = up;
    if (!status)
        return STATUS_OK;
    up_private_end(up);
    *out = NULL;
    return status;
}

void up_private_end(struct up *take_up)
{
    if (!take_up)
        return;
    if (take_up->conninfo[0])
        up_cluster_stop(take_up);
    if (take_up->folder[0])
        up_remove_tree(take_up->folder);
    free(take_up);
}
