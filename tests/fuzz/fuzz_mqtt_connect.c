#include "tests/fuzz/mqtt_session.h"

/* CONNECT, with a connection for each. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!session_front)
        session_front_open();
    if (!size || size > 65536)
        return 0;
    int fd = session_dial();
    (void)session_packet(fd, (uint8_t)(PICKET_MQTT_CONNECT << 4 | data[0] >> 4), data + 1, size - 1);
    close(fd);
    return 0;
}
