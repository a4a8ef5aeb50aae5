#include "tests/support/classic_message.h"

#include <inttypes.h>

void classic_message_append(struct buf *out, unsigned events, uint64_t number)
{
    buf_string(out, "{\"AgentVersion\":\"0.0.6\",\"AgentId\":\"5aebd46d-3a56-4d4f-9f6b-9d5e2a4b6c70\","
                    "\"MessageSchemaVersion\":\"1.0\",\"Events\":[");
    for (unsigned i = 0; i < events; i++)
        buf_format(out,
                   "%s{\"Category\":\"Triggered\",\"EventType\":\"Security\",\"Name\":\"ProcessCreate\","
                   "\"PayloadSchemaVersion\":\"1.0\",\"Id\":\"%08x-0000-4000-8000-%012" PRIx64 "\","
                   "\"TimestampLocal\":\"2026-01-02T11:%02u:00Z\",\"TimestampUTC\":\"2026-01-02T10:%02u:00Z\","
                   "\"IsEmpty\":false,\"Payload\":[{\"Executable\":\"\\/usr\\/bin\\/sleep\","
                   "\"CommandLine\":\"sleep %u\",\"UserId\":\"%u\",\"ProcessId\":%u,\"ParentProcessId\":1,"
                   "\"ExtraDetails\":{\"HitCount\":1}}]}",
                   i ? "," : "", i, number & 0xffffffffffffU, i % 60, i % 60, 10 + i, 1000 + i, 4000 + i);
    buf_string(out, "]}");
}
