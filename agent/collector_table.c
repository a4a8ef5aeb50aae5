#include "agent/collector.h"

/* `make WITHOUT="firewall packages"` leaves these out, with all that is there for them alone. */
const struct collector *const collector_table[] = {
#ifndef WITHOUT_SYSTEM
    &collector_system,
#endif
#ifndef WITHOUT_USERS
    &collector_users,
#endif
#ifndef WITHOUT_LOGINS
    &collector_logins,
#endif
#ifndef WITHOUT_LOGIN_LINES
    &collector_login_lines,
#endif
#ifndef WITHOUT_PROCESSES
    &collector_processes,
#endif
#ifndef WITHOUT_LISTENING_PORTS
    &collector_listening_ports,
#endif
#ifndef WITHOUT_CONNECTIONS
    &collector_connections,
#endif
#ifndef WITHOUT_DNS
    &collector_dns,
#endif
#ifndef WITHOUT_PERIPHERALS
    &collector_peripherals,
#endif
#ifndef WITHOUT_HARDWARE
    &collector_hardware,
#endif
#ifndef WITHOUT_FILES
    &collector_files,
#endif
#ifndef WITHOUT_PACKAGES
    &collector_packages,
#endif
#ifndef WITHOUT_FIREWALL
    &collector_firewall,
#endif
#ifndef WITHOUT_BASELINE
    &collector_baseline,
#endif
#ifndef WITHOUT_HEARTBEAT
    &collector_heartbeat,
#endif
#ifndef WITHOUT_STATISTICS
    &collector_statistics,
#endif
    NULL,
};
const size_t collector_count = sizeof collector_table / sizeof *collector_table - 1;
