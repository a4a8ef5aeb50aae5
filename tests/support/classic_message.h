#ifndef PICKET_TESTS_SUPPORT_CLASSIC_MESSAGE_H
#define PICKET_TESTS_SUPPORT_CLASSIC_MESSAGE_H

#include "runtime/buf.h"

/* Appends a message as the classic agents send it: the envelope and `events` ProcessCreate events of about 400 bytes
 * each. Event ids are made of `number`, so each number is another message with ids of its own. */
void classic_message_append(struct buf *out, unsigned events, uint64_t number);

#endif
