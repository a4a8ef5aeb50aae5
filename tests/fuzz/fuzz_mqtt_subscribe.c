#include "tests/fuzz/mqtt_session.h"

/* SUBSCRIBE on a session that was let in. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return session_fuzz(data, size, PICKET_MQTT_SUBSCRIBE);
}
