#ifndef PICKET_INGEST_QUOTA_H
#define PICKET_INGEST_QUOTA_H

#include "ingest/identity.h"

/* Message and byte budgets of devices and workspaces.
 *
 * A budget is one number: when the bucket would be full again if nothing came any more. What is past is full, so an
 * identity that rests needs no memory, and the table is bounded: where too many are busy at once, the one that is
 * nearest to full is forgotten, which is to its advantage. */
struct quota;

#define QUOTA_BURST_S 5 /* seconds' worth of its rate that a rested sender may send at once */

struct quota_limits {
    int64_t messages_per_second, bytes_per_second; /* 0: no limit */
};

struct quota *quota_new(void);
void quota_free(struct quota *take_quota);

/* Takes one message of `bytes` from the budgets of the device (a module has its own) and of its workspace; from both or
 * from none. Returns 0, else the seconds after which it would fit, and in `*is_workspace` whether that waits for the
 * workspace's longer than for the device's. A message larger than a whole burst passes when the bucket is full, and is
 * paid for afterwards. `now_us` is of a clock that never goes back. Any thread. */
unsigned quota_take(struct quota *quota, const struct identity *identity, const struct quota_limits *device,
                    const struct quota_limits *workspace, size_t bytes, int64_t now_us, bool *is_workspace);

/* Takes `bytes` more for a message that passed: a body turned out longer than it came. */
void quota_charge(struct quota *quota, const struct identity *identity, const struct quota_limits *device,
                  const struct quota_limits *workspace, size_t bytes, int64_t now_us);

#endif
