#ifndef PICKET_AGENT_CREDENTIAL_H
#define PICKET_AGENT_CREDENTIAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/reason.h"
#include "wire/limits.h"

/* Who the device says it is: a connection string, and the tokens made of it. */
#define CREDENTIAL_TOKEN_SIZE (PICKET_TOKEN_MAX + 1)
#define CREDENTIAL_PATH_SIZE (6 * PICKET_ID_MAX + 64)
#define CREDENTIAL_PORT 443 /* when HostName names none */
#define CREDENTIAL_HMAC_BYTES 32

struct credential {
    char host[PICKET_HOST_MAX + 1];
    uint16_t port;
    char device[PICKET_ID_MAX + 1];
    char module[PICKET_ID_MAX + 1]; /* empty for the device itself */
    uint8_t key[PICKET_KEY_MAX];
    size_t key_count;
    bool by_certificate; /* the TLS connection says who it is, and there is no key */
};

/* "HostName=H[:port];DeviceId=D[;ModuleId=M];SharedAccessKey=K", or with x509=true for the key. The reason never shows the key. */
bool credential_read(const char *connection_string, struct credential *out, struct reason *why);

/* "SharedAccessSignature sr=…&sig=…&se=…" for the identity, valid until `expires_s`. `hmac` is HMAC-SHA256 from
 * whatever library the platform has. False when that fails or the token gets too long. */
bool credential_token(const struct credential *credential, int64_t expires_s,
                      bool (*hmac)(const uint8_t *key, size_t key_count, const char *text, size_t count,
                                   uint8_t out[CREDENTIAL_HMAC_BYTES]),
                      char out[CREDENTIAL_TOKEN_SIZE]);

/* "/devices/D/messages/events?api-version=…" or the module's. */
bool credential_events_path(const struct credential *credential, char out[CREDENTIAL_PATH_SIZE]);

#endif
