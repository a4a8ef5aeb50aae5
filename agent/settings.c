#include "agent/settings.h"

#include <string.h>

#define AGGREGATION_S 60
#define CACHE_ENTRIES 256
#define FILE_PATHS "/etc,/bin,/sbin,/usr/bin,/usr/sbin" /* where what runs, and how, is decided */

void picket_settings_default(struct picket_settings *out)
{
    static const uint8_t priorities[PICKET_SUBJECTS] = {
        [PICKET_PROCESSES] = PICKET_HIGH,  [PICKET_CONNECTIONS] = PICKET_HIGH, [PICKET_LISTENING_PORTS] = PICKET_HIGH, [PICKET_LOGINS] = PICKET_HIGH,
        [PICKET_USERS] = PICKET_HIGH,      [PICKET_FIREWALL] = PICKET_MEDIUM,  [PICKET_PERIPHERALS] = PICKET_HIGH,     [PICKET_FILES] = PICKET_HIGH,
        [PICKET_SYSTEM] = PICKET_LOW,      [PICKET_PACKAGES] = PICKET_LOW,     [PICKET_BASELINE] = PICKET_LOW,         [PICKET_STATISTICS] = PICKET_LOW,
        [PICKET_HEARTBEAT] = PICKET_MEDIUM, [PICKET_LOGS] = PICKET_LOW,
    };

    memset(out, 0, sizeof *out);
    for (int i = 0; i < PICKET_SUBJECTS; i++) {
        struct picket_subject_settings *subject = &out->subjects[i];
        subject->priority = priorities[i];
        subject->aggregated = i == PICKET_PROCESSES || i == PICKET_CONNECTIONS || i == PICKET_FILES || i == PICKET_PERIPHERALS;
        subject->cache_entries = CACHE_ENTRIES;
        subject->aggregation_s = AGGREGATION_S;
    }
    out->interval_s[PICKET_HIGH] = 30;
    out->interval_s[PICKET_MEDIUM] = 120;
    out->interval_s[PICKET_LOW] = 600;
    out->snapshot_s = 3600;
    out->cache_bytes = 10485760;
    out->message_bytes = 131072;
    out->message_timeout_s = 0;
    out->process_mode = PICKET_PROCESS_AUTO;
    out->process_polling_us = 5000000;
    out->connection_polling_s = 15;
    out->login_polling_s = 15;
    out->packet_buffer_bytes = 2097152;
    out->files_recursive = true;
    memcpy(out->file_paths, FILE_PATHS, sizeof FILE_PATHS);
}
