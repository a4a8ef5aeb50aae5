#ifndef PICKET_AGENT_SETTINGS_H
#define PICKET_AGENT_SETTINGS_H

#include "agent/agent.h"

/* What the agent does, as one set: the names of both generations of Microsoft's agents mean members of it (agent/twin.h), and
 * the reference program's configuration file sets what they start from. */
enum picket_subject {
    PICKET_PROCESSES,
    PICKET_CONNECTIONS,
    PICKET_LISTENING_PORTS,
    PICKET_LOGINS,
    PICKET_USERS,
    PICKET_FIREWALL,
    PICKET_PERIPHERALS,
    PICKET_FILES,
    PICKET_SYSTEM,
    PICKET_PACKAGES,
    PICKET_BASELINE,
    PICKET_STATISTICS,
    PICKET_HEARTBEAT,
    PICKET_LOGS, /* the agent's own */
    PICKET_SUBJECTS
};

struct picket_subject_settings {
    bool disabled;
    uint8_t priority;        /* enum picket_priority */
    bool aggregated;
    uint16_t cache_entries;  /* that are counted apart */
    uint32_t aggregation_s;  /* window */
};

enum picket_process_mode { PICKET_PROCESS_AUTO = 1, PICKET_PROCESS_NETLINK, PICKET_PROCESS_POLLING };

#define PICKET_SETTING_SHORT 64
#define PICKET_SETTING_LONG 512
struct picket_settings {
    struct picket_subject_settings subjects[PICKET_SUBJECTS];
    uint32_t interval_s[PICKET_PRIORITIES];
    uint32_t snapshot_s;        /* between two lists of what there is */
    uint32_t cache_bytes;       /* for unsent messages */
    uint32_t message_bytes;     /* of one message */
    uint32_t message_timeout_s; /* an unsent message older than that is dropped; 0: none is */
    uint32_t process_mode;
    uint32_t process_polling_us;
    uint32_t connection_polling_s, login_polling_s;
    uint32_t packet_buffer_bytes;
    bool login_use_pam, files_recursive;
    char network_devices[PICKET_SETTING_SHORT]; /* lists with commas between */
    char file_paths[PICKET_SETTING_LONG];
    char baseline_groups_disabled[PICKET_SETTING_LONG], baseline_checks_disabled[PICKET_SETTING_LONG];
    char hardware_vendor[PICKET_SETTING_SHORT], hardware_model[PICKET_SETTING_SHORT], hardware_serial[PICKET_SETTING_SHORT];
    char firmware_vendor[PICKET_SETTING_SHORT], firmware_version[PICKET_SETTING_SHORT];
};

/* All on; what happens is urgent, lists are not; a minute's repeats are counted. */
void picket_settings_default(struct picket_settings *out);

#endif
