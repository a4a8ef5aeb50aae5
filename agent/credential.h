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
    uint8_t other_key[PICKET_KEY_MAX]; /* the one before a rotation, until the new one has held */
    size_t other_key_count;            /* 0: there is none */
    bool by_certificate; /* the TLS connection says who it is, and there is no key */
    unsigned refused;    /* how often in a row the server did not know it */
};

/* "HostName=H[:port];DeviceId=D[;ModuleId=M];SharedAccessKey=K", or with x509=true for the key. The reason never shows the key. */
bool credential_read(const char *connection_string, struct credential *out, struct reason *why);

/* "name[:port]", an IPv6 address in brackets; the port stays as it is when none is named. `what` begins the reason: "HostName". */
bool credential_host_read(const char *what, const char *value, size_t count, char host[PICKET_HOST_MAX + 1], uint16_t *port_out, struct reason *why);

/* The same for any resource ("scope/registrations/id"), with a key of the caller's. */
typedef bool credential_hmac(const uint8_t *key, size_t key_count, const char *text, size_t count, uint8_t out[CREDENTIAL_HMAC_BYTES]);
bool credential_token_for(const char *resource, const uint8_t *key, size_t key_count, int64_t expires_s, credential_hmac *hmac, char out[CREDENTIAL_TOKEN_SIZE]);
/* The key of one device of a group: HMAC-SHA256 of its registration id by the group's key, both in Base64. */
#define CREDENTIAL_DERIVED_SIZE ((CREDENTIAL_HMAC_BYTES + 2) / 3 * 4 + 1)
bool credential_derive(const char *group_key, const char *registration_id, credential_hmac *hmac, char out[CREDENTIAL_DERIVED_SIZE]);

/* Another key from now on; the one that held until now is the other one. False: it is not Base64 of a key. */
bool credential_rotate(struct credential *credential, const char *base64, size_t count);
/* The server did not know it: that is counted, and the other key is tried next where there is one. */
void credential_refused(struct credential *credential);
/* Both as text, a line each, and back; for whoever keeps them across a restart. */
#define CREDENTIAL_KEYS_SIZE (2 * ((PICKET_KEY_MAX + 2) / 3 * 4 + 2))
size_t credential_keys_write(const struct credential *credential, char out[CREDENTIAL_KEYS_SIZE]);
bool credential_keys_read(struct credential *credential, const char *text, size_t count);

/* "SharedAccessSignature sr=…&sig=…&se=…" for the identity, valid until `expires_s`. `hmac` is HMAC-SHA256 from
 * whatever library the platform has. False when that fails or the token gets too long. */
bool credential_token(const struct credential *credential, int64_t expires_s,
                      bool (*hmac)(const uint8_t *key, size_t key_count, const char *text, size_t count,
                                   uint8_t out[CREDENTIAL_HMAC_BYTES]),
                      char out[CREDENTIAL_TOKEN_SIZE]);

/* "/devices/D/messages/events?api-version=…" or the module's. */
bool credential_events_path(const struct credential *credential, char out[CREDENTIAL_PATH_SIZE]);

#endif
