#ifndef PICKET_QUERY_DEVICE_KEY_H
#define PICKET_QUERY_DEVICE_KEY_H

#include "query/request.h"
#include "wire/limits.h"

/* Symmetric keys of devices and groups, which exist in the clear only between the sealed column and the answer: who has
 * one here wipes it. */
#define DEVICE_KEY_TEXT_SIZE TEXT_BASE64_SIZE(PICKET_KEY_MAX)

struct device_key {
    uint8_t bytes[PICKET_KEY_MAX];
    size_t count;
    char text[DEVICE_KEY_TEXT_SIZE]; /* base64, as devices are configured with */
};

struct device_keys {
    struct device_key primary, secondary;
};

/* The key of the body's member, a new one where it is absent. STATUS_REJECT: it is no base64 of a key's length. */
MUST_CHECK enum status device_key_wanted(const struct request *request, const char *member, struct device_key *out,
                                         struct problem *why);
void device_key_random(struct device_key *key);
/* bytea text of the sealed key, in the request's arena. */
const char *device_key_seal(const struct query *query, const struct request *request, const struct device_key *key);
/* STATUS_FAULT: it was sealed with another master key. */
MUST_CHECK enum status device_key_open(const struct query *query, struct text sealed, struct device_key *out,
                                       struct problem *why);

#endif
