#ifndef PICKET_AGENT_TWIN_H
#define PICKET_AGENT_TWIN_H

#include "agent/settings.h"

/* The module twin as configuration. Understood are, side by side, the flat keys of the micro agent ("Process_Disabled",
 * "CollectorsCore_PriorityIntervals" …) and the object of the classic agents (PICKET_TWIN_CLASSIC, members {"value": v}). A key
 * that cannot be used is refused alone and told; the others hold. Keys that are not ours are left alone.
 *
 * Facts: device contract, "Twin configuration". C99, no heap. */
#define PICKET_TWIN_CLASSIC "ms_iotn:urn_azureiot_Security_SecurityAgentConfiguration"

#define PICKET_TWIN_WRONG_MAX 16
#define PICKET_TWIN_NAME_MAX 64
enum picket_twin_error { PICKET_TWIN_TYPE_MISMATCH, PICKET_TWIN_NOT_OPTIMAL, PICKET_TWIN_CONFLICT };
struct picket_twin_wrong {
    char name[PICKET_TWIN_NAME_MAX];
    enum picket_twin_error error; /* NOT_OPTIMAL: it is used all the same */
};

struct picket_twin_result {
    struct picket_twin_wrong wrong[PICKET_TWIN_WRONG_MAX];
    unsigned wrong_count; /* beyond the list they are refused just the same */
    int64_t version;      /* the desired properties' $version; -1: it was not said */
    bool classic, micro;  /* which generation's keys there were */
    bool changed;         /* the settings are others than before */
};

/* Applies desired properties: a whole twin ({"desired": …}), for which all else is as in `base`, or a patch to what holds. What is
 * null or taken away is as in `base`. False, with all as it was: this is no JSON object. */
bool picket_twin_apply(struct picket_settings *settings, const struct picket_settings *base, const char *json, size_t count, struct picket_twin_result *result);

/* The reported properties that answer: latest_state and latest_invalid_fields, and where the classic object was used the whole
 * configuration under its names. Returns its length, 0 when `size` is too small: PICKET_TWIN_REPORT_MAX is enough. */
#define PICKET_TWIN_REPORT_MAX 6144
size_t picket_twin_report(const struct picket_settings *settings, const struct picket_twin_result *result, char *out, size_t size);

/* "PT7M", "P1DT12H": seconds. False when it is none, or none that fits. */
bool picket_duration_read(const char *text, size_t count, uint32_t *out);
#define PICKET_DURATION_SIZE 32
size_t picket_duration_print(uint32_t seconds, char out[PICKET_DURATION_SIZE]);

#endif
