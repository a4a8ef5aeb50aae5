#ifndef PICKET_PROGRAMS_UP_H
#define PICKET_PROGRAMS_UP_H

#include <sys/types.h>

#include "programs/cli.h"
#include "programs/client.h"
#include "programs/data_folder.h"
#include "runtime/status.h"

/* `picket up` in its parts: command_up.c goes through them in order, and back. */

#define UP_CHILD_STOP_MS 40000 /* above the time picketd gives itself to flush */
#define UP_NAMES_MAX 4

struct up_user {
    uid_t uid;
    gid_t gid;
    char name[64];
};

struct up {
    const struct cli *cli;
    bool quiet;
    char folder[DATA_PATH_SIZE]; /* absolute */
    struct up_user self;         /* who started us */
    struct up_user servant;      /* who runs PostgreSQL: `self`, or when that is root the user `picket` */
    struct up_user server_user;  /* who runs picketd: `servant`, where it can reach the program */
    struct data_state state;
    struct data_process cluster; /* PostgreSQL's first process */
    char host_name[128]; /* for devices elsewhere: in the certificate */
    char device_host[160]; /* "localhost:8443": in connection strings */
    char conninfo[384];  /* of the database, as superuser, without dbname */
    int64_t began_ms;
    struct client *client;
    bool simulates, simulation_ran; /* there is to be a simulation; its attacks were shown before */
    char first_connection[1024]; /* connection string of the device that the curl line speaks for */
};

/* A line of progress with the time since the start; nothing with --quiet. */
void up_say(const struct up *up, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* <folder>/<name>; static string, valid until eight further calls. */
const char *up_path(const struct up *up, const char *name);

/* up_user.c: who runs what. Makes the user `picket` when root starts us and there is none. */
MUST_CHECK enum status up_users_find(struct up *up, struct problem *why);
/* STATUS_REJECT: the servant cannot reach the data folder, and which part of its path is closed. */
MUST_CHECK enum status up_users_check(struct up *up, struct problem *why);
bool up_user_can(const struct up_user *user, const char *path, int mode); /* access() as that user */

/* up_process.c */
enum up_environment {
    UP_ENVIRONMENT_BARE,   /* PATH and a plain locale: PostgreSQL's programs */
    UP_ENVIRONMENT_SERVER, /* ours without what picketd.yaml sets and what only `picket` reads */
    UP_ENVIRONMENT_AGENT,  /* ours without any PICKET_ variable */
};
struct up_command {
    const char *const *argv; /* argv[0] with its path */
    const struct up_user *user;
    const char *log_file; /* stdout and stderr are appended */
    enum up_environment environment;
};
MUST_CHECK enum status up_start(const struct up_command *command, struct data_process *out, struct problem *why);
/* Starts it and waits for its end. STATUS_REJECT: it failed, and its last line; `*code` (may be NULL) its exit code. */
MUST_CHECK enum status up_run(const struct up_command *command, int *code, struct problem *why);
/* Whether our child has ended; `*code` is then its exit code, or minus the signal. */
bool up_ended(struct data_process process, int *code);
/* PostgreSQL's first process detaches itself from the program that started it, and so becomes ours (we are its
 * subreaper): waits for what has ended but is neither picketd nor the agent. */
void up_reap(const struct up *up);
/* SIGTERM, then SIGKILL after `timeout_ms`; also for processes that are not our children. */
void up_stop(struct data_process process, uint32_t timeout_ms);
/* The line at the end of a log that says why a program ended, else its last one; "" when it is empty. Static string. */
const char *up_reason_line(const char *log_file);
/* Renames a log that has grown past its limit to <name>.old, and makes sure that `user` can append to it. */
void up_log_rotate(const char *log_file, const struct up_user *user);

/* up_cluster.c: the private PostgreSQL. */
MUST_CHECK enum status up_cluster_find(struct up *up, struct problem *why); /* its programs */
MUST_CHECK enum status up_cluster_make(struct up *up, struct problem *why); /* initdb, once */
MUST_CHECK enum status up_cluster_start(struct up *up, struct problem *why); /* or takes over the one that runs */
MUST_CHECK enum status up_cluster_migrate(struct up *up, struct problem *why);
bool up_cluster_running(const struct up *up);
void up_cluster_stop(const struct up *up);
void up_remove_tree(const char *path); /* a folder and all in it; as much as can be removed */

/* up_private.c: a PostgreSQL for one run of a verb, in a folder that goes with it. Its superuser is reached by
 * `conninfo`. */
MUST_CHECK enum status up_private_start(const struct cli *cli, struct up **out, struct problem *why);
void up_private_end(struct up *take_up);

/* up_certificates.c: a CA, and a server certificate that is renewed when it is about to end or lacks a name. */
MUST_CHECK enum status up_certificates_make(struct up *up, struct problem *why);

/* up_server.c: picketd and the agent. */
MUST_CHECK enum status up_programs_check(struct up *up, struct problem *why);
MUST_CHECK enum status up_ports_check(struct up *up, struct problem *why);
MUST_CHECK enum status up_server_write_settings(struct up *up, struct problem *why);
MUST_CHECK enum status up_server_start(struct up *up, struct problem *why);
/* Until /readyz holds. STATUS_FAULT: picketd ended; STATUS_RETRY: time is up, or we are to stop. */
MUST_CHECK enum status up_server_wait_ready(struct up *up, uint32_t timeout_ms, struct problem *why);
MUST_CHECK enum status up_agent_start(struct up *up, struct problem *why);
/* `picket simulate run`: with its attacks the first time in this folder. */
MUST_CHECK enum status up_simulation_start(struct up *up, struct problem *why);

/* up_enrol.c: the operator's token, this host's device, the first device. */
MUST_CHECK enum status up_enrol(struct up *up, struct problem *why);
/* What up_enrol() knew, from an `up` that runs already; leaves it out when that cannot be asked. */
void up_enrol_recall(struct up *up);
/* How to send a first message, as a line that works when pasted. */
MUST_CHECK enum status up_enrol_print_curl(const struct up *up, struct problem *why);

/* up_watch.c: keeps what was started running and prints the live line, until we are to stop. */
void up_watch(struct up *up);

#endif
