#include "programs/commands.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "programs/up.h"
#include "runtime/clock.h"

#define STOP_MS 120000 /* picketd may flush for half a minute, PostgreSQL write its checkpoint */
#define POLL_MS 50

static enum cli_exit run_down(const struct cli *cli);
static enum status supervisor_stop(const struct up *up, struct problem *why);
static enum status rest_stop(struct up *up, struct problem *why);

const struct cli_verb down_verbs[] = {
    {"down", "", "Stop what `picket up` started; the data stays.", NULL, CLI_NO_FLAGS, CLI_DATA, 0, 0, run_down},
};
const size_t down_verb_count = sizeof down_verbs / sizeof down_verbs[0];

static enum cli_exit run_down(const struct cli *cli)
{
    struct up *up = calloc(1, sizeof *up);
    struct problem why;

    if (!up)
        abort();
    up->cli = cli;
    up->began_ms = clock_monotonic_ms();
    if (!data_folder_whole(data_folder_default(cli_value(cli, "data")), up->folder) ||
        data_state_load(up->folder, &up->state, &why) != STATUS_OK) {
        fprintf(stderr, "Nothing was ever started in %s.\n", up->folder);
        free(up);
        return CLI_DONE;
    }
    bool ran = data_process_alive(up->state.supervisor) || data_process_alive(up->state.picketd) ||
               data_process_alive(up->state.agent) || data_process_alive(up->state.simulation) || data_process_alive(data_postgres_process(up->folder));
    enum status status = supervisor_stop(up, &why);
    if (!status)
        status = rest_stop(up, &why);
    if (!status)
        fprintf(stderr, "%s; the data stays in %s.\n", ran ? "Stopped" : "Nothing was running", up->folder);
    free(up);
    return cli_end(status, &why);
}

/* It stops its children in order; that it let go of the lock is the sign that it is done. */
static enum status supervisor_stop(const struct up *up, struct problem *why)
{
    const struct timespec pause = {0, POLL_MS * 1000000L};
    int64_t deadline = clock_monotonic_ms() + STOP_MS;

    if (!data_process_alive(up->state.supervisor))
        return STATUS_OK;
    if (kill(up->state.supervisor.pid, SIGTERM) != 0 && errno != ESRCH)
        return problem_set(why, STATUS_REJECT, "process %ld cannot be stopped: %s; run this as the user who started it",
                           (long)up->state.supervisor.pid, strerror(errno));
    while (data_process_alive(up->state.supervisor)) {
        if (clock_monotonic_ms() > deadline)
            return problem_set(why, STATUS_REJECT, "process %ld does not end within %d s; see %s/log",
                               (long)up->state.supervisor.pid, STOP_MS / 1000, up->folder);
        nanosleep(&pause, NULL);
    }
    return STATUS_OK;
}

/* What a supervisor that was killed left behind. */
static enum status rest_stop(struct up *up, struct problem *why)
{
    int lock;

    enum status status = data_lock_take(up->folder, &lock, why);
    if (status)
        return status;
    up_stop(up->state.simulation, UP_CHILD_STOP_MS);
    up_stop(up->state.agent, UP_CHILD_STOP_MS);
    up_stop(up->state.picketd, UP_CHILD_STOP_MS);
    status = up_users_find(up, why);
    if (!status && up->state.postgres_folder[0])
        up_cluster_stop(up);
    up->state.simulation = up->state.agent = up->state.picketd = up->state.supervisor = (struct data_process){0};
    if (!status)
        status = data_state_save(up->folder, &up->state, why);
    return status;
}
