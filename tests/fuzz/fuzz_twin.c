/* The module twin as the server sends it. What was applied is reported, and applied again changes nothing. */
#include <stdlib.h>
#include <string.h>

#include "agent/twin.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char report[PICKET_TWIN_REPORT_MAX];
    struct picket_settings base, settings, once;
    struct picket_twin_result result;

    picket_settings_default(&base);
    settings = base;
    if (!picket_twin_apply(&settings, &base, (const char *)data, size, &result)) {
        if (memcmp(&settings, &base, sizeof base) != 0)
            abort();
        return 0;
    }
    if (!picket_twin_report(&settings, &result, report, sizeof report))
        abort();
    once = settings;
    if (!picket_twin_apply(&settings, &base, (const char *)data, size, &result) || memcmp(&settings, &once, sizeof once) != 0)
        abort();
    return 0;
}
