#include "forward/forward.h"

const struct setting forward_settings_table[] = {
    SETTING_STRING(struct forward_settings, database, "", "PostgreSQL as a libpq connection string; each role adds its own user when none is named."),
    SETTING_STRING(struct forward_settings, alerts_topic, "picket.alerts", "Topic of Kafka for every change of an alert; empty: none."),
};

const size_t forward_settings_count = sizeof forward_settings_table / sizeof forward_settings_table[0];
