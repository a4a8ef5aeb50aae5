#ifndef PICKET_STORE_CLASSIC_H
#define PICKET_STORE_CLASSIC_H

#include "store/device_message.h"

struct classic_decoder {
    struct details_writer writer;
    unsigned depth_max;
};
void classic_decoder_init(struct classic_decoder *decoder, unsigned depth_max);
void classic_decoder_done(struct classic_decoder *decoder);

/* Fills everything after `key` from `record` and `body`; at least one row results, so that every message is found again:
 *  - an object with an array "Events" is the classic envelope: a row per payload element;
 *  - FlatBuffers that the property `mti` announces are rows as micro.h says;
 *  - any other JSON is one row of type Custom whose details are the document;
 *  - bytes that do not claim to be JSON are a Custom row with the body as base64.
 * STATUS_REJECT: the body is not the JSON, or not the FlatBuffers, that it claims to be; `why` says where. */
MUST_CHECK enum status classic_decode(struct classic_decoder *decoder, struct device_message *message,
                                      struct arena *arena, struct problem *why);

/* A record of kind `door`: what the front door saw of one identity. Fills the same fields with rows of type Picket:
 * FrontDoor, whose details are the value, where it tells of refusals or of nothing else; ClonedIdentity, whose details are
 * its member Clones, where it has one. `*refused` becomes the object of counted refusals, NULL when there is none.
 * STATUS_REJECT: the value is not the JSON that docs/bus.md describes. */
MUST_CHECK enum status classic_decode_door(struct classic_decoder *decoder, struct device_message *message,
                                           struct arena *arena, const struct json_node **refused, struct problem *why);

#endif
