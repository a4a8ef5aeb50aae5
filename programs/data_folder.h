#ifndef PICKET_PROGRAMS_DATA_FOLDER_H
#define PICKET_PROGRAMS_DATA_FOLDER_H

#include <jansson.h>
#include <sys/types.h>

#include "runtime/status.h"
#include "runtime/text.h"

/* What `picket up` keeps on disk, and where:
 *
 *   lock            held by the running `picket up`
 *   state.json      pids, ports and addresses of what it started
 *   operator.json   server, token and certificate for the other verbs (0600)
 *   picketd.yaml    settings of picketd          master.key   the key that device keys are sealed with
 *   certificates/   CA and server certificate    agent.conf   connection string of this host's agent
 *   postgres/       the private cluster          spool/       the agent's unsent messages
 *   log/            picketd, agent, postgres, up */

#define DATA_PATH_SIZE 1024
#define SIMULATION_REMOVED "simulation.removed" /* a file that says so: `picket up` starts none */

/* `given`, else ./var, else /var/lib/picket when root. */
const char *data_folder_default(const char *given);
/* Its absolute path, without links; the folder as given when it is not there. False when that is too long. */
bool data_folder_whole(const char *folder, char out[DATA_PATH_SIZE]);
/* <folder>/<name>; a folder whose path is too long was refused by data_folder_make(). */
void data_folder_path(const char *folder, const char *name, char out[DATA_PATH_SIZE]);

/* A process that may be someone else's by now: pids are given out again, so each goes with its start time. */
struct data_process {
    pid_t pid;         /* 0: none */
    int64_t started;   /* clock ticks since boot, from /proc */
};
struct data_process data_process_of(pid_t pid);
bool data_process_alive(struct data_process process);
/* PostgreSQL's first process, from the file that it holds while it runs. */
struct data_process data_postgres_process(const char *folder);

#define DATA_PORTS 5
struct data_state {
    struct data_process supervisor, picketd, agent, simulation;
    int64_t port_https, port_mqtts, port_query, port_http, port_mqtt; /* 0: closed */
    char socket_folder[128];  /* of PostgreSQL */
    char postgres_folder[256]; /* where its programs are */
    char postgres_version[32];
    char host_device[160];    /* this host's device id */
    char version[16];         /* of picket */
    int64_t started_at_us;
};

/* STATUS_REJECT: no state there, so nothing was ever started in this folder. */
MUST_CHECK enum status data_state_load(const char *folder, struct data_state *out, struct problem *why);
MUST_CHECK enum status data_state_save(const char *folder, const struct data_state *state, struct problem *why);

/* Takes the folder's lock. STATUS_RETRY: another `picket up` has it. `*out` stays open as long as it is held. */
MUST_CHECK enum status data_lock_take(const char *folder, int *out, struct problem *why);
/* True when some `picket up` holds it; false also when the folder is not there. */
bool data_lock_held(const char *folder);

/* Reads a JSON file of at most a MiB; the caller's to json_decref(). */
MUST_CHECK enum status data_json_read(const char *path, json_t **out, struct problem *why);
MUST_CHECK enum status data_json_write(const char *path, const json_t *value, unsigned mode, struct problem *why);

#endif
