#include "store/store.h"

#include "wire/limits.h"

#define MIB (1024 * 1024)

const struct setting store_settings_table[] = {
    SETTING_STRING(struct store_settings, database, "",
                   "PostgreSQL as a libpq connection string; each role adds its own user when none is named."),
    SETTING_INT(struct store_settings, store_workers, 2, 1, 64,
                "Batches that are written side by side; never more than the bus has partitions."),
    SETTING_INT(struct store_settings, batch_records_max, 5000, 1, 100000, "Messages in one transaction at most."),
    SETTING_INT(struct store_settings, batch_bytes_max, 16 * MIB, MIB, 256 * MIB,
                "Bytes of their bodies at most; memory for a batch is a few times that."),
    SETTING_INT(struct store_settings, batch_linger_ms, 5, 0, 150,
                "How long a batch waits for more once its first message is there; what came meanwhile is taken anyway."),
    SETTING_INT(struct store_settings, event_retention_days, 90, 1, 36500,
                "Days that raw events are kept; whole days are dropped."),
    SETTING_INT(struct store_settings, resend_window_days, 14, 1, 3650,
                "Days within which a message that is sent again is known and stored once."),
    SETTING_INT(struct store_settings, partitions_ahead_days, 7, 1, 60, "Days for which partitions are made ahead."),
    SETTING_INT(struct store_settings, json_depth_max, PICKET_JSON_DEPTH_MAX, 8, 256,
                "Deepest nesting of objects and arrays in a JSON body."),
    SETTING_BOOL(struct store_settings, detection, true, "Judge events as they are stored; without it no detection raises alerts."),
};

const size_t store_settings_count = sizeof store_settings_table / sizeof store_settings_table[0];
