#include "tests/fuzz/mqtt_session.h"

/* Any bytes on a session that was let in: packets of every type, cut anywhere, and what is none. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t bytes[65536];

    if (!session_front)
        session_front_open();
    if (!size || size > sizeof bytes)
        return 0;
    int fd = session_of(data[0] & 1 ? PICKET_MQTT_5 : PICKET_MQTT_3_1_1, true);
    (void)send(fd, data + 1, size - 1, MSG_NOSIGNAL);
    shutdown(fd, SHUT_WR);
    while (recv(fd, bytes, sizeof bytes, 0) > 0)
        ;
    return 0;
}
