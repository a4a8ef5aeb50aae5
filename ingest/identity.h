#ifndef PICKET_INGEST_IDENTITY_H
#define PICKET_INGEST_IDENTITY_H

#include "runtime/text.h"
#include "wire/limits.h"

/* Who speaks: a device of a workspace, or with `module` one of its modules. The texts are borrowed. */
struct identity {
    uint32_t workspace;
    struct text device;
    struct text module; /* empty for the device itself */
};

/* IoT Hub's rule for device and module ids: 1 to 128 letters, digits and -:.+%_#*?!(),=@;$' (case counts). */
bool identity_id_valid(struct text id);

bool identity_equal(const struct identity *a, const struct identity *b);

/* Spreads identities over tables; not keyed, since only operators choose which identities exist. */
uint64_t identity_hash(const struct identity *identity);

#endif
