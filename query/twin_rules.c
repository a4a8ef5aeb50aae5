#include "query/twin_rules.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/text.h"

#define DEPTH_MAX 10
#define NAME_MAX_BYTES 1024
#define STRING_MAX_BYTES 4096
#define CLASSIC_OBJECT "ms_iotn:urn_azureiot_Security_SecurityAgentConfiguration"

/* Names that the micro agent reads: what stands in front of '_', and what behind. */
static const char *const micro_collectors[] = {"Baseline",        "SystemInformation", "SBoM",    "Heartbeat",    "Login",
                                               "NetworkActivity", "Process",           "LogCollector", "FileSystem",
                                               "Peripheral",      "Statistics"};
static const char *const micro_common[] = {"Disabled", "MessageFrequency", "CacheSize"};
static const char *const micro_others[] = {
    "CollectorsCore_PriorityIntervals", "Baseline_GroupsDisabled", "Baseline_ChecksDisabled",
    "SystemInformation_HardwareVendor", "SystemInformation_HardwareModel", "SystemInformation_HardwareSerialNumber",
    "SystemInformation_FirmwareVendor", "SystemInformation_FirmwareVersion", "Login_UsePAM", "IothubModule_MessageTimeout",
    "NetworkActivity_Devices", "NetworkActivity_PacketBufferSize", "Process_PollingInterval", "Process_Mode",
    "FileSystem_Recursive", "FileSystem_Paths",
};

static enum status value_check(const char *section, const json_t *value, unsigned depth, struct problem *why);
static bool name_valid(const char *name);
static bool micro_known(struct text name);

enum status twin_rules_check(struct arena *arena, const char *section, const json_t *object, size_t bytes_max,
                             const char **out, struct problem *why)
{
    if (!json_is_object(object))
        return problem_set(why, STATUS_REJECT, "\"%s\" has to be an object", section);
    enum status status = value_check(section, object, 1, why);
    if (status)
        return status;
    char *printed = json_dumps(object, JSON_COMPACT);
    if (!printed)
        return problem_set(why, STATUS_REJECT, "\"%s\" cannot be printed as JSON", section);
    if (strlen(printed) > bytes_max)
        status = problem_set(why, STATUS_REJECT, "\"%s\" is longer than %zu bytes", section, bytes_max);
    else
        *out = arena_string(arena, text_of(printed));
    free(printed);
    return status;
}

const char *twin_rules_wrong(const char *module, const char *name, const json_t *value)
{
    static _Thread_local char sentence[256];

    if (json_is_null(value))
        return NULL;
    if (strcmp(module, "azureiotsecurity") == 0 && strcmp(name, CLASSIC_OBJECT) != 0) {
        snprintf(sentence, sizeof sentence, "the classic agent reads %s, not %.100s", CLASSIC_OBJECT, name);
        return sentence;
    }
    if (strcmp(module, "DefenderIotMicroAgent") != 0)
        return NULL;
    if (!micro_known(text_of(name))) {
        snprintf(sentence, sizeof sentence, "the micro agent does not know %.100s", name);
        return sentence;
    }
    if (text_ends(text_of(name), TEXT("_Disabled")) && !json_is_boolean(value)) {
        snprintf(sentence, sizeof sentence, "%.100s has to be true or false", name);
        return sentence;
    }
    return NULL;
}

static enum status value_check(const char *section, const json_t *value, unsigned depth, struct problem *why)
{
    enum status status = STATUS_OK;
    const char *name;
    json_t *inner;

    if (depth > DEPTH_MAX + 1)
        return problem_set(why, STATUS_REJECT, "\"%s\" is nested deeper than %d levels", section, DEPTH_MAX);
    if (json_is_string(value) && json_string_length(value) > STRING_MAX_BYTES)
        return problem_set(why, STATUS_REJECT, "\"%s\" has a value longer than %d bytes", section, STRING_MAX_BYTES);
    for (size_t i = 0; !status && json_is_array(value) && i < json_array_size(value); i++)
        status = value_check(section, json_array_get(value, i), depth + 1, why);
    if (status || !json_is_object(value))
        return status;
    json_object_foreach((json_t *)(uintptr_t)value, name, inner)
    {
        if (!name_valid(name))
            return problem_set(why, STATUS_REJECT,
                               "\"%s\" has a name \"%.64s\": names have no blanks, '.', '$' or control characters", section,
                               name);
        status = value_check(section, inner, depth + 1, why);
        if (status)
            return status;
    }
    return STATUS_OK;
}

static bool name_valid(const char *name)
{
    size_t count = strlen(name);

    for (size_t i = 0; i < count; i++)
        if ((unsigned char)name[i] <= ' ' || name[i] == '.' || name[i] == '$' || name[i] == 0x7f)
            return false;
    return count > 0 && count <= NAME_MAX_BYTES;
}

static bool micro_known(struct text name)
{
    struct text collector, setting = text_cut(name, '_', &collector);

    for (size_t i = 0; i < sizeof micro_others / sizeof micro_others[0]; i++)
        if (text_equal(name, text_of(micro_others[i])))
            return true;
    for (size_t c = 0; c < sizeof micro_collectors / sizeof micro_collectors[0]; c++)
        for (size_t s = 0; s < sizeof micro_common / sizeof micro_common[0]; s++)
            if (text_equal(collector, text_of(micro_collectors[c])) && text_equal(setting, text_of(micro_common[s])))
                return true;
    return false;
}
