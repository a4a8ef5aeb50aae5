#ifndef PICKET_INGEST_DECODE_H
#define PICKET_INGEST_DECODE_H

#include "runtime/status.h"
#include "runtime/text.h"

/* What a message says of its own form. Any may be TEXT_NONE. */
struct decode_claim {
    struct text content_type;      /* HTTP's Content-Type; MQTT 5's content type */
    struct text property_type;     /* iothub-contenttype, $.ct */
    struct text property_encoding; /* iothub-contentencoding, $.ce: where the C SDK puts "application/json" */
    struct text indicator;         /* mti, of the micro agent and of the RTOS module */
};

struct decoded {
    bool claims_json;      /* and was checked to be JSON */
    bool has_identity;     /* events with ids, or a Sequence: sent again, it is the same message */
    const char *refusal;   /* of what is wrong: "InvalidJson", "InvalidFlatBuffer" */
    unsigned line, column; /* of what is wrong, from 1; 0 when all is well */
};

/* Whether the body says that it is JSON: any of the three says application/json or …+json, whatever parameters
 * follow; or no type is given and the first byte after blanks is { or [.
 *
 * application/octet-stream in `content_type` counts as no type: the C SDK sends it with every message over HTTPS,
 * whatever the body is. As a property it was chosen by the sender, and counts. IoT Hub's batch type
 * (application/vnd.microsoft.iothub.json) is JSON text, and counts as such. */
bool decode_claims_json(const struct decode_claim *claim, struct text body);

/* Checks a body that claims JSON, or whose indicator says FlatBuffers of a schema that is known, and looks for its
 * identity, in one pass. Bodies that claim nothing always pass.
 * STATUS_REJECT: not JSON, not UTF-8, nested deeper than `depth_max`, or empty: `out` has line and column; or not whole
 * FlatBuffers. */
MUST_CHECK enum status decode(const struct decode_claim *claim, struct text body, unsigned depth_max,
                              struct decoded *out, struct problem *why);

#endif
