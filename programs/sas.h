#ifndef PICKET_PROGRAMS_SAS_H
#define PICKET_PROGRAMS_SAS_H

#include "runtime/status.h"
#include "runtime/text.h"

#define SAS_TOKEN_SIZE 1200

/* Makes a shared access signature from "HostName=…;DeviceId=…[;ModuleId=…];SharedAccessKey=…", valid until `expires_us`.
 * STATUS_REJECT: the connection string is not one. */
MUST_CHECK enum status sas_make(const char *connection_string, int64_t expires_us, char out[SAS_TOKEN_SIZE],
                                struct problem *why);
/* The same, signed with another key: a token that is whole, and that no key of the identity signed. */
MUST_CHECK enum status sas_forge(const char *connection_string, int64_t expires_us, char out[SAS_TOKEN_SIZE], struct problem *why);

#endif
