#ifndef PICKET_AGENT_ENROL_H
#define PICKET_AGENT_ENROL_H

#include <signal.h>

#include "agent/agent_config.h"
#include "agent/uplink.h"

/* Enrolment in the way of the Device Provisioning Service, over HTTPS: who has the group's key or a certificate learns where to connect
 * and as whom. So one image, with one configuration, serves a fleet. What was learnt is kept in the spool folder. */
enum enrol_status { ENROL_DONE, ENROL_LATER, ENROL_REFUSED };

/* Fills the credential of `config`, which has a connection string already (then nothing is done), was enrolled before, or is enrolled now.
 * LATER: the server was not reached, or is still assigning; REFUSED: it does not want this device. The reason says why. */
enum enrol_status enrol(struct agent_config *config, int64_t now_s, const volatile sig_atomic_t *stopping, struct reason *why);

/* The same, whatever was learnt before: where that does not hold any more. What is learnt now takes its place; when nothing is, all stays as it was. */
enum enrol_status enrol_again(struct agent_config *config, int64_t now_s, const volatile sig_atomic_t *stopping, struct reason *why);

/* Where the service is; the host lies in `host`. False: enrolment_host is none. */
bool enrol_target(const struct agent_config *config, char host[PICKET_HOST_MAX + 1], struct uplink_target *out, struct reason *why);

/* The answer of the service: {"status": "assigned", "registrationState": {"assignedHub", "deviceId"}}, or one with an operation that is still
 * under way. False: it is none. */
struct enrolment {
    bool assigned, assigning;
    char hub[PICKET_HOST_MAX + 8], device[PICKET_ID_MAX + 1], operation[256], message[256];
};
bool enrolment_read(const char *json, size_t count, struct enrolment *out);

#endif
