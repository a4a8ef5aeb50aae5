#ifndef PICKET_TESTS_SUPPORT_TAKER_H
#define PICKET_TESTS_SUPPORT_TAKER_H

#include "runtime/bus.h"

/* In place of store: a thread that takes records off a bus, keeps copies of them, and says that they are done, or not,
 * as the test wants it. */
struct taker;

enum taker_mode {
    TAKER_DONE,   /* each batch is durable at once */
    TAKER_FAILED, /* each batch fails with STATUS_RETRY */
    TAKER_FAILED_ONCE, /* one batch does; from then on TAKER_DONE */
    TAKER_HOLD,   /* batches wait until the mode changes */
};

/* Aborts when the reader cannot be opened. One taker per bus. */
struct taker *taker_open(struct bus *bus);
void taker_close(struct taker *take_taker); /* before the bus */
void taker_set(struct taker *taker, enum taker_mode mode);
/* Waits until `count` records came since the start; aborts after 20 s. */
void taker_wait(struct taker *taker, size_t count);
size_t taker_count(struct taker *taker);
/* Copies, valid until taker_close(); the header's value, TEXT_NONE when it is absent. */
struct text taker_value(struct taker *taker, size_t record);
struct text taker_key(struct taker *taker, size_t record);
struct text taker_header(struct taker *taker, size_t record, const char *name);

#endif
