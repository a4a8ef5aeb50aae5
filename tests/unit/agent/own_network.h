#ifndef PICKET_TESTS_UNIT_AGENT_OWN_NETWORK_H
#define PICKET_TESTS_UNIT_AGENT_OWN_NETWORK_H

#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

/* Runs it by sh; its exit code. */
static inline int shell(const char *command)
{
    pid_t child = fork();

    if (child == 0) {
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    int status = -1;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* A network that this test has for itself from now on, made by `command`. False, and said: it cannot be had, and the test is skipped. */
static inline bool own_network(const char *command)
{
    bool had = geteuid() == 0 && unshare(CLONE_NEWNET) == 0 && shell(command) == 0;

    if (!had)
        fprintf(stderr, "skipped: no root, no network of our own, or not the program for: %s\n", command);
    return had;
}

#endif
