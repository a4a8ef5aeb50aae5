#ifndef PICKET_AGENT_AGENT_CONFIG_H
#define PICKET_AGENT_AGENT_CONFIG_H

#include <stdint.h>

#include "agent/credential.h"
#include "agent/file.h"
#include "agent/settings.h"

/* The reference program's configuration: `key value` or `key = value` lines, `#` begins a comment line. */
struct agent_config {
    char connection_string[1024]; /* a secret */
    /* Instead of a connection string: where to learn it. */
    char enrolment_host[PICKET_HOST_MAX + 8], id_scope[64], registration_id[PICKET_ID_MAX + 1], group_key[128]; /* the last is a secret */
    char ca_file[FILE_PATH_SIZE];
    char certificate_file[FILE_PATH_SIZE], key_file[FILE_PATH_SIZE]; /* ours; empty: none */
    char proxy[512]; /* a secret where it has a login */
    char transport[16]; /* "mqtt" or "https" */
    char spool_folder[FILE_PATH_SIZE];
    char collectors_off[512];
    int64_t mqtt_port;
    int64_t spool_bytes;
    int64_t process_interval_s, socket_interval_s, login_interval_s, snapshot_interval_s, send_interval_s;
    struct credential credential; /* what the connection string says; no host when it is not set */
};

/* Reads the file over the defaults. The reason names file, line and how to mend it. */
bool agent_config_load(const char *path, struct agent_config *out, struct reason *why);
/* The same from text; `path` is for the reason only. */
bool agent_config_read(const char *text, size_t count, const char *path, struct agent_config *out, struct reason *why);
/* What the twin starts from. */
void agent_config_settings(const struct agent_config *config, struct picket_settings *out);
/* True when all is set that sending needs. */
bool agent_config_complete(const struct agent_config *config, const char *path, struct reason *why);

#define AGENT_CONFIG_PRINT_SIZE (4 * FILE_PATH_SIZE + 6144)
/* The effective configuration, the shared key hidden, with a sentence on each key. */
void agent_config_print(const struct agent_config *config, char out[AGENT_CONFIG_PRINT_SIZE]);

#endif
