#include "agent/twin.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "agent/stamp.h"
#include "wire/json_reader.h"
#include "wire/json_writer.h"

#define DEPTH 16
#define MINUTES_MAX 525600
#define MESSAGE_BYTES_LEAST 8192
#define MESSAGE_BYTES_MOST 262144
#define CACHE_BYTES_LEAST 8192
#define CACHE_BYTES_MOST UINT32_C(1073741824)

/* What a key is about: a member of the settings, and what it may be. */
enum kind {
    KIND_NONE,      /* it means nothing here, whatever it is */
    KIND_FLAG,
    KIND_NUMBER,
    KIND_MINUTES,
    KIND_DURATION,
    KIND_ENTRIES,   /* of a cache */
    KIND_SHORT,
    KIND_LONG,
    KIND_PRIORITY,  /* Off, Low, Medium, High: a subject's */
    KIND_FREQUENCY, /* Low, Medium, High */
    KIND_INTERVALS, /* "30,120,1440" */
};

struct key {
    const char *name;
    enum kind kind;
    size_t offset;
    uint32_t least, most;
};

#define AT(member) offsetof(struct picket_settings, member)

static const struct key micro_keys[] = {
    {"CollectorsCore_PriorityIntervals", KIND_INTERVALS, AT(interval_s), 0, 0},
    {"Baseline_GroupsDisabled", KIND_LONG, AT(baseline_groups_disabled), 0, 0},
    {"Baseline_ChecksDisabled", KIND_LONG, AT(baseline_checks_disabled), 0, 0},
    {"SystemInformation_HardwareVendor", KIND_SHORT, AT(hardware_vendor), 0, 0},
    {"SystemInformation_HardwareModel", KIND_SHORT, AT(hardware_model), 0, 0},
    {"SystemInformation_HardwareSerialNumber", KIND_SHORT, AT(hardware_serial), 0, 0},
    {"SystemInformation_FirmwareVendor", KIND_SHORT, AT(firmware_vendor), 0, 0},
    {"SystemInformation_FirmwareVersion", KIND_SHORT, AT(firmware_version), 0, 0},
    {"Login_UsePAM", KIND_FLAG, AT(login_use_pam), 0, 0},
    {"IothubModule_MessageTimeout", KIND_MINUTES, AT(message_timeout_s), 1, MINUTES_MAX},
    {"NetworkActivity_Devices", KIND_SHORT, AT(network_devices), 0, 0},
    {"NetworkActivity_PacketBufferSize", KIND_NUMBER, AT(packet_buffer_bytes), 4096, 268435456},
    {"Process_PollingInterval", KIND_NUMBER, AT(process_polling_us), 1000, UINT32_MAX},
    {"Process_Mode", KIND_NUMBER, AT(process_mode), PICKET_PROCESS_AUTO, PICKET_PROCESS_POLLING},
    {"FileSystem_Recursive", KIND_FLAG, AT(files_recursive), 0, 0},
    {"FileSystem_Paths", KIND_LONG, AT(file_paths), 0, 0},
};

static const struct key classic_keys[] = {
    {"highPriorityMessageFrequency", KIND_DURATION, AT(interval_s[PICKET_HIGH]), 1, MINUTES_MAX * 60},
    {"lowPriorityMessageFrequency", KIND_DURATION, AT(interval_s[PICKET_LOW]), 1, MINUTES_MAX * 60},
    {"snapshotFrequency", KIND_DURATION, AT(snapshot_s), 1, MINUTES_MAX * 60},
    {"maxLocalCacheSizeInBytes", KIND_NUMBER, AT(cache_bytes), CACHE_BYTES_LEAST, CACHE_BYTES_MOST},
    {"maxMessageSizeInBytes", KIND_NUMBER, AT(message_bytes), MESSAGE_BYTES_LEAST, MESSAGE_BYTES_MOST},
    {"hubResourceId", KIND_NONE, 0, 0, 0},
    {"baselineCustomChecksEnabled", KIND_NONE, 0, 0, 0},
    {"baselineCustomChecksFilePath", KIND_NONE, 0, 0, 0},
    {"baselineCustomChecksFileHash", KIND_NONE, 0, 0, 0},
};

/* How the generations call a subject: the micro agent in front of "_Disabled", the classic ones behind "eventPriority". */
static const struct {
    const char *micro, *classic;
    enum picket_subject subject;
} subjects[] = {
    {"Process", "ProcessCreate", PICKET_PROCESSES},
    {"NetworkActivity", "ConnectionCreate", PICKET_CONNECTIONS},
    {"ListeningPorts", "ListeningPorts", PICKET_LISTENING_PORTS},
    {"Login", "Login", PICKET_LOGINS},
    {"LocalUsers", "LocalUsers", PICKET_USERS},
    {"Firewall", "FirewallConfiguration", PICKET_FIREWALL},
    {"Peripheral", "ConnectedHardware", PICKET_PERIPHERALS},
    {"FileSystem", NULL, PICKET_FILES},
    {"SystemInformation", "SystemInformation", PICKET_SYSTEM},
    {"SBoM", NULL, PICKET_PACKAGES},
    {"Baseline", "OSBaseline", PICKET_BASELINE},
    {"Statistics", "MessageStatistics", PICKET_STATISTICS},
    {"Heartbeat", NULL, PICKET_HEARTBEAT},
    {"LogCollector", "Diagnostic", PICKET_LOGS},
};
#define SUBJECTS (sizeof subjects / sizeof *subjects)

/* Events of the classic agents that are none of ours. */
static const char *const other_events[] = {"ProcessTerminate", "ConfigurationError", "DroppedEventsStatistics", "Operational"};

/* ---- durations ---- */

bool picket_duration_read(const char *text, size_t count, uint32_t *out)
{
    static const char units[] = "DHMS";
    static const uint32_t seconds[] = {86400, 3600, 60, 1};
    uint64_t sum = 0;
    size_t at = 1, next = 0;
    bool time = false, any = false;

    if (count < 3 || text[0] != 'P')
        return false;
    while (at < count) {
        uint64_t number = 0;
        size_t from = at;
        if (text[at] == 'T' && !time) {
            time = true;
            next = next < 1 ? 1 : next;
            at++;
            any = false;
            continue;
        }
        while (at < count && text[at] >= '0' && text[at] <= '9' && number <= UINT32_MAX)
            number = number * 10 + (uint64_t)(text[at++] - '0');
        const char *unit = at < count && at > from ? strchr(units + next, text[at]) : NULL;
        if (!unit || !*unit || (unit == units) == time)
            return false;
        next = (size_t)(unit - units) + 1;
        sum += number * seconds[unit - units];
        if (sum > UINT32_MAX)
            return false;
        at++;
        any = true;
    }
    if (!any)
        return false;
    *out = (uint32_t)sum;
    return true;
}

size_t picket_duration_print(uint32_t seconds, char out[PICKET_DURATION_SIZE])
{
    const uint32_t parts[] = {seconds / 3600, seconds / 60 % 60, seconds % 60};
    size_t count = 2;

    memcpy(out, "PT", 2);
    for (int i = 0; i < 3; i++) {
        if (!parts[i] && (seconds || i < 2))
            continue;
        count += picket_number_print(parts[i], out + count);
        out[count++] = "HMS"[i];
    }
    out[count] = '\0';
    return count;
}

/* ---- values ---- */

struct value {
    enum picket_json_kind kind;
    char text[PICKET_SETTING_LONG]; /* of strings and numbers */
    size_t count;
    bool fits;
};

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool value_is(const struct value *value, const char *word)
{
    size_t i = 0;

    while (i < value->count && word[i] && lower(value->text[i]) == lower(word[i]))
        i++;
    return i == value->count && !word[i];
}

/* The value that comes next, whatever it is. False at the end of the JSON's patience. */
static bool value_read(struct picket_json_reader *reader, struct value *out)
{
    struct picket_json_token token;

    memset(out, 0, sizeof *out);
    out->kind = picket_json_next(reader, &token);
    if (out->kind == PICKET_JSON_OBJECT_OPEN || out->kind == PICKET_JSON_ARRAY_OPEN)
        return picket_json_skip(reader, &token, NULL, NULL);
    out->fits = token.count < sizeof out->text && !(token.flags & (PICKET_JSON_NUL | PICKET_JSON_LONE_SURROGATE));
    if (out->kind == PICKET_JSON_STRING && out->fits)
        out->count = picket_json_unescape(&token, out->text);
    else if (out->kind == PICKET_JSON_NUMBER && out->fits)
        memcpy(out->text, token.text, out->count = token.count);
    return out->kind != PICKET_JSON_ERROR && out->kind != PICKET_JSON_END;
}

static bool flag_of(const struct value *value, bool *out)
{
    bool yes = value->kind == PICKET_JSON_TRUE || (value->kind == PICKET_JSON_STRING && value_is(value, "true"));
    bool no = value->kind == PICKET_JSON_FALSE || (value->kind == PICKET_JSON_STRING && value_is(value, "false"));

    if (yes || no)
        *out = yes;
    return yes || no;
}

static bool number_of(const char *text, size_t count, uint32_t least, uint32_t most, uint32_t *out)
{
    uint64_t number;

    if (!picket_number_read(text, count, &number) || number < least || number > most)
        return false;
    *out = (uint32_t)number;
    return true;
}

static bool priority_of(const struct value *value, uint8_t *out)
{
    static const char *const names[] = {"high", "medium", "low"};

    for (uint8_t i = 0; value->kind == PICKET_JSON_STRING && i < PICKET_PRIORITIES; i++) {
        if (value_is(value, names[i])) {
            *out = i;
            return true;
        }
    }
    return false;
}

/* "30,120,1440": minutes, none longer than the next. */
static bool intervals_of(const struct value *value, uint32_t *out)
{
    uint32_t minutes[PICKET_PRIORITIES];
    size_t at = 0;

    for (int i = 0; i < PICKET_PRIORITIES; i++) {
        while (at < value->count && value->text[at] == ' ')
            at++;
        size_t from = at;
        while (at < value->count && value->text[at] >= '0' && value->text[at] <= '9')
            at++;
        if (!number_of(value->text + from, at - from, 1, MINUTES_MAX, &minutes[i]) || (i && minutes[i] < minutes[i - 1]))
            return false;
        while (at < value->count && value->text[at] == ' ')
            at++;
        if (i + 1 < PICKET_PRIORITIES && (at == value->count || value->text[at++] != ','))
            return false;
    }
    if (value->kind != PICKET_JSON_STRING || at != value->count)
        return false;
    for (int i = 0; i < PICKET_PRIORITIES; i++)
        out[i] = minutes[i] * 60;
    return true;
}

static bool text_of(const struct value *value, char *out, size_t size)
{
    if (value->kind != PICKET_JSON_STRING || value->count >= size)
        return false;
    memset(out, 0, size);
    memcpy(out, value->text, value->count);
    return true;
}

/* ---- keys ---- */

/* False, and nothing is changed, when it is none that the key may have. */
static bool set(struct picket_settings *settings, const struct key *key, const struct value *value)
{
    char *member = (char *)settings + key->offset;
    struct picket_subject_settings *subject = (struct picket_subject_settings *)(void *)member;
    bool off = value->kind == PICKET_JSON_STRING && value_is(value, "off"), numeral = value->kind == PICKET_JSON_NUMBER || value->kind == PICKET_JSON_STRING;
    uint32_t number = 0;

    switch (key->kind) {
    case KIND_NONE:
        return true;
    case KIND_FLAG:
        return value->fits && flag_of(value, (bool *)(void *)member);
    case KIND_NUMBER:
    case KIND_MINUTES:
        if (!numeral || !value->fits || !number_of(value->text, value->count, key->least, key->most, &number))
            return false;
        *(uint32_t *)(void *)member = key->kind == KIND_MINUTES ? number * 60 : number;
        return true;
    case KIND_ENTRIES:
        if (!numeral || !value->fits || !number_of(value->text, value->count, key->least, key->most, &number))
            return false;
        *(uint16_t *)(void *)member = (uint16_t)number;
        return true;
    case KIND_DURATION:
        if (value->kind != PICKET_JSON_STRING || !picket_duration_read(value->text, value->count, &number) || number < key->least || number > key->most)
            return false;
        *(uint32_t *)(void *)member = number;
        return true;
    case KIND_SHORT:
        return value->fits && text_of(value, member, PICKET_SETTING_SHORT);
    case KIND_LONG:
        return value->fits && text_of(value, member, PICKET_SETTING_LONG);
    case KIND_FREQUENCY:
        return priority_of(value, &subject->priority);
    case KIND_PRIORITY:
        if (!off && !priority_of(value, &subject->priority))
            return false;
        subject->disabled = off;
        return true;
    case KIND_INTERVALS:
        return intervals_of(value, (uint32_t *)(void *)member);
    }
    return false;
}

static size_t kind_size(enum kind kind)
{
    switch (kind) {
    case KIND_FLAG: return sizeof(bool);
    case KIND_NUMBER:
    case KIND_MINUTES:
    case KIND_DURATION: return sizeof(uint32_t);
    case KIND_ENTRIES: return sizeof(uint16_t);
    case KIND_SHORT: return PICKET_SETTING_SHORT;
    case KIND_LONG: return PICKET_SETTING_LONG;
    case KIND_INTERVALS: return PICKET_PRIORITIES * sizeof(uint32_t);
    case KIND_PRIORITY:
    case KIND_FREQUENCY:
    case KIND_NONE: break;
    }
    return 0;
}

static void reset(struct picket_settings *settings, const struct picket_settings *base, const struct key *key)
{
    if (key->kind == KIND_PRIORITY || key->kind == KIND_FREQUENCY) {
        struct picket_subject_settings *to = (struct picket_subject_settings *)(void *)((char *)settings + key->offset);
        const struct picket_subject_settings *from = (const struct picket_subject_settings *)(const void *)((const char *)base + key->offset);
        to->priority = from->priority;
        to->disabled = key->kind == KIND_PRIORITY ? from->disabled : to->disabled;
        return;
    }
    memcpy((char *)settings + key->offset, (const char *)base + key->offset, kind_size(key->kind));
}

static bool key_find(const struct key *keys, size_t count, const char *name, struct key *out)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(keys[i].name, name) == 0) {
            *out = keys[i];
            return true;
        }
    }
    return false;
}

/* `rest` behind the subject's name, which the key begins with. */
static bool micro_key(const char *name, struct key *out)
{
    if (key_find(micro_keys, sizeof micro_keys / sizeof *micro_keys, name, out))
        return true;
    for (size_t i = 0; i < SUBJECTS; i++) {
        size_t length = subjects[i].micro ? strlen(subjects[i].micro) : 0, offset = AT(subjects[0]) + subjects[i].subject * sizeof(struct picket_subject_settings);
        if (!length || memcmp(name, subjects[i].micro, length) != 0 || name[length] != '_')
            continue;
        const char *rest = name + length + 1;
        if (strcmp(rest, "Disabled") == 0)
            *out = (struct key){name, KIND_FLAG, offset + offsetof(struct picket_subject_settings, disabled), 0, 0};
        else if (strcmp(rest, "MessageFrequency") == 0)
            *out = (struct key){name, KIND_FREQUENCY, offset, 0, 0};
        else if (strcmp(rest, "CacheSize") == 0)
            *out = (struct key){name, KIND_ENTRIES, offset + offsetof(struct picket_subject_settings, cache_entries), 1, UINT16_MAX};
        else
            return false;
        return true;
    }
    return false;
}

static bool begins(const char *name, const char *with, const char **rest)
{
    size_t length = strlen(with);

    *rest = name + length;
    return memcmp(name, with, length) == 0;
}

static bool classic_key(const char *name, struct key *out)
{
    const char *rest;
    enum { ANY_PRIORITY, ANY_FLAG, ANY_WINDOW } any;

    if (key_find(classic_keys, sizeof classic_keys / sizeof *classic_keys, name, out))
        return true;
    if (begins(name, "eventPriority", &rest))
        any = ANY_PRIORITY;
    else if (begins(name, "aggregationEnabled", &rest))
        any = ANY_FLAG;
    else if (begins(name, "aggregationInterval", &rest))
        any = ANY_WINDOW;
    else
        return false;
    for (size_t i = 0; i < sizeof other_events / sizeof *other_events; i++) {
        if (strcmp(rest, other_events[i]) == 0) {
            *out = (struct key){name, KIND_NONE, 0, 0, 0};
            return true;
        }
    }
    for (size_t i = 0; i < SUBJECTS; i++) {
        size_t offset = AT(subjects[0]) + subjects[i].subject * sizeof(struct picket_subject_settings);
        if (!subjects[i].classic || strcmp(rest, subjects[i].classic) != 0)
            continue;
        if (any == ANY_PRIORITY)
            *out = (struct key){name, KIND_PRIORITY, offset, 0, 0};
        else if (any == ANY_FLAG)
            *out = (struct key){name, KIND_FLAG, offset + offsetof(struct picket_subject_settings, aggregated), 0, 0};
        else
            *out = (struct key){name, KIND_DURATION, offset + offsetof(struct picket_subject_settings, aggregation_s), 1, 86400};
        return true;
    }
    return false;
}

/* ---- applying ---- */

struct applying {
    struct picket_json_reader reader;
    struct picket_settings *settings;
    const struct picket_settings *base;
    struct picket_twin_result *result;
};

static void wrong(struct picket_twin_result *result, const char *name, enum picket_twin_error error)
{
    if (result->wrong_count < PICKET_TWIN_WRONG_MAX) {
        struct picket_twin_wrong *out = &result->wrong[result->wrong_count++];
        memset(out, 0, sizeof *out);
        assert(strlen(name) < PICKET_TWIN_NAME_MAX);
        memcpy(out->name, name, strlen(name));
        out->error = error;
    }
}

/* A key's name, terminated; false: it is longer than any of ours. */
static bool name_of(const struct picket_json_token *token, char out[PICKET_TWIN_NAME_MAX])
{
    if (token->count >= PICKET_TWIN_NAME_MAX)
        return false;
    memset(out, 0, PICKET_TWIN_NAME_MAX);
    picket_json_unescape(token, out);
    return true;
}

static void key_apply(struct applying *applying, const struct key *key, const struct value *value)
{
    if (value->kind == PICKET_JSON_NULL)
        reset(applying->settings, applying->base, key);
    else if (!set(applying->settings, key, value))
        wrong(applying->result, key->name, PICKET_TWIN_TYPE_MISMATCH);
}

/* {"value": v}; anything else that is no null is a mismatch. */
static bool wrapped_read(struct applying *applying, struct value *out)
{
    struct picket_json_token token;
    enum picket_json_kind kind = picket_json_next(&applying->reader, &token);

    memset(out, 0, sizeof *out);
    out->kind = kind == PICKET_JSON_NULL ? PICKET_JSON_NULL : PICKET_JSON_OBJECT_OPEN;
    if (kind == PICKET_JSON_ARRAY_OPEN)
        return picket_json_skip(&applying->reader, &token, NULL, NULL);
    if (kind != PICKET_JSON_OBJECT_OPEN)
        return kind != PICKET_JSON_ERROR && kind != PICKET_JSON_END;
    while (picket_json_next(&applying->reader, &token) == PICKET_JSON_NAME) {
        if (PICKET_JSON_IS(&token, "value") ? !value_read(&applying->reader, out) : !picket_json_skip(&applying->reader, &token, NULL, NULL))
            return false;
    }
    return token.kind == PICKET_JSON_OBJECT_CLOSE;
}

static void classic_reset(struct applying *applying)
{
    struct key key;
    char name[PICKET_TWIN_NAME_MAX];
    static const char *const fronts[] = {"eventPriority", "aggregationEnabled", "aggregationInterval"};

    for (size_t i = 0; i < sizeof classic_keys / sizeof *classic_keys; i++)
        reset(applying->settings, applying->base, &classic_keys[i]);
    for (size_t i = 0; i < SUBJECTS; i++) {
        for (size_t k = 0; subjects[i].classic && k < sizeof fronts / sizeof *fronts; k++) {
            size_t length = strlen(fronts[k]);
            memcpy(name, fronts[k], length);
            memcpy(name + length, subjects[i].classic, strlen(subjects[i].classic) + 1);
            if (classic_key(name, &key))
                reset(applying->settings, applying->base, &key);
        }
    }
}

static bool classic_read(struct applying *applying)
{
    struct picket_json_token token;
    char name[PICKET_TWIN_NAME_MAX];
    struct value value;
    struct key key;
    enum picket_json_kind kind = picket_json_next(&applying->reader, &token);

    if (kind == PICKET_JSON_NULL) {
        classic_reset(applying);
        return true;
    }
    applying->result->classic = true;
    if (kind != PICKET_JSON_OBJECT_OPEN) {
        wrong(applying->result, PICKET_TWIN_CLASSIC, PICKET_TWIN_TYPE_MISMATCH);
        return kind == PICKET_JSON_ARRAY_OPEN ? picket_json_skip(&applying->reader, &token, NULL, NULL) : kind != PICKET_JSON_ERROR && kind != PICKET_JSON_END;
    }
    while (picket_json_next(&applying->reader, &token) == PICKET_JSON_NAME) {
        bool ours = name_of(&token, name) && classic_key(name, &key);
        if (ours ? !wrapped_read(applying, &value) : !picket_json_skip(&applying->reader, &token, NULL, NULL))
            return false;
        if (ours)
            key_apply(applying, &key, &value);
    }
    return token.kind == PICKET_JSON_OBJECT_CLOSE;
}

static bool version_read(struct applying *applying)
{
    struct value value;
    uint64_t number;

    if (!value_read(&applying->reader, &value))
        return false;
    if (value.kind == PICKET_JSON_NUMBER && picket_number_read(value.text, value.count, &number) && number <= INT64_MAX)
        applying->result->version = (int64_t)number;
    return true;
}

/* One member of the desired properties, whose name was read. */
static bool desired_member(struct applying *applying, const struct picket_json_token *token)
{
    char name[PICKET_TWIN_NAME_MAX];
    struct value value;
    struct key key;

    if (PICKET_JSON_IS(token, "$version"))
        return version_read(applying);
    if (PICKET_JSON_IS(token, PICKET_TWIN_CLASSIC))
        return classic_read(applying);
    if (!name_of(token, name) || !micro_key(name, &key))
        return picket_json_skip(&applying->reader, token, NULL, NULL);
    applying->result->micro = true;
    if (!value_read(&applying->reader, &value))
        return false;
    key_apply(applying, &key, &value);
    return true;
}

/* All of them: what they do not name is as in the base. */
static bool desired_read(struct applying *applying)
{
    struct picket_json_token token;

    if (picket_json_next(&applying->reader, &token) != PICKET_JSON_OBJECT_OPEN)
        return false;
    *applying->settings = *applying->base;
    while (picket_json_next(&applying->reader, &token) == PICKET_JSON_NAME) {
        if (!desired_member(applying, &token))
            return false;
    }
    return token.kind == PICKET_JSON_OBJECT_CLOSE;
}

/* A whole twin has a member "desired", which no patch of ours has. */
static bool twin_read(struct applying *applying)
{
    struct picket_json_token token;

    if (picket_json_next(&applying->reader, &token) != PICKET_JSON_OBJECT_OPEN)
        return false;
    while (picket_json_next(&applying->reader, &token) == PICKET_JSON_NAME) {
        bool fine;
        if (PICKET_JSON_IS(&token, "desired")) {
            fine = desired_read(applying);
        } else if (PICKET_JSON_IS(&token, "reported")) {
            fine = picket_json_skip(&applying->reader, &token, NULL, NULL);
        } else {
            fine = desired_member(applying, &token);
        }
        if (!fine)
            return false;
    }
    return token.kind == PICKET_JSON_OBJECT_CLOSE && picket_json_next(&applying->reader, &token) == PICKET_JSON_END;
}

/* Keys that are fine each by itself and not together: the one that asks for what cannot be is refused. */
static void conflicts_settle(struct applying *applying, uint32_t cache_bytes_before, uint32_t high_s_before)
{
    struct picket_settings *settings = applying->settings;
    uint32_t low_s = settings->interval_s[PICKET_LOW];

    if (settings->cache_bytes < settings->message_bytes) {
        wrong(applying->result, "maxLocalCacheSizeInBytes", PICKET_TWIN_CONFLICT);
        settings->cache_bytes = cache_bytes_before > settings->message_bytes ? cache_bytes_before : settings->message_bytes;
    }
    if (settings->message_bytes % 4096)
        wrong(applying->result, "maxMessageSizeInBytes", PICKET_TWIN_NOT_OPTIMAL);
    if (settings->interval_s[PICKET_HIGH] > low_s) {
        wrong(applying->result, "highPriorityMessageFrequency", PICKET_TWIN_CONFLICT);
        settings->interval_s[PICKET_HIGH] = high_s_before < low_s ? high_s_before : low_s;
    }
}

/* So that nothing is changed by half of a twin, nor a second set of settings needed. */
static bool is_object(const char *json, size_t count, struct picket_json_reader *reader)
{
    struct picket_json_token token;

    picket_json_init(reader, json, count, DEPTH);
    return picket_json_next(reader, &token) == PICKET_JSON_OBJECT_OPEN && picket_json_skip(reader, &token, NULL, NULL) &&
           picket_json_next(reader, &token) == PICKET_JSON_END;
}

/* FNV-1a, of the settings' bytes. */
static uint32_t hash_of(const struct picket_settings *settings)
{
    const unsigned char *bytes = (const unsigned char *)settings;
    uint32_t hash = UINT32_C(0x811C9DC5);

    for (size_t i = 0; i < sizeof *settings; i++)
        hash = (hash ^ bytes[i]) * UINT32_C(0x01000193);
    return hash;
}

bool picket_twin_apply(struct picket_settings *settings, const struct picket_settings *base, const char *json, size_t count, struct picket_twin_result *result)
{
    struct applying applying;
    uint32_t before = hash_of(settings), cache_bytes = settings->cache_bytes, high_s = settings->interval_s[PICKET_HIGH];

    memset(result, 0, sizeof *result);
    result->version = -1;
    memset(&applying, 0, sizeof applying);
    applying.settings = settings;
    applying.base = base;
    applying.result = result;
    if (!is_object(json, count, &applying.reader))
        return false;
    picket_json_init(&applying.reader, json, count, DEPTH);
    if (!twin_read(&applying))
        return false;
    conflicts_settle(&applying, cache_bytes, high_s);
    result->changed = hash_of(settings) != before;
    return true;
}

/* ---- reporting ---- */

static void open_value(struct picket_json_writer *writer, const char *name)
{
    picket_json_write_name(writer, name);
    picket_json_open_object(writer);
    picket_json_write_name(writer, "value");
}

static void write_duration(struct picket_json_writer *writer, const char *name, uint32_t seconds)
{
    char text[PICKET_DURATION_SIZE];

    open_value(writer, name);
    picket_duration_print(seconds, text);
    picket_json_write_terminated(writer, text);
    picket_json_close_object(writer);
}

static void write_number(struct picket_json_writer *writer, const char *name, uint32_t number)
{
    open_value(writer, name);
    picket_json_write_int(writer, number);
    picket_json_close_object(writer);
}

static void write_subject(struct picket_json_writer *writer, const char *event, const struct picket_subject_settings *subject)
{
    static const char *const priorities[] = {"High", "Medium", "Low"};
    char name[PICKET_TWIN_NAME_MAX];
    size_t length = strlen(event) + 1;

    memcpy(name, "eventPriority", 13);
    memcpy(name + 13, event, length);
    open_value(writer, name);
    picket_json_write_terminated(writer, subject->disabled ? "Off" : priorities[subject->priority]);
    picket_json_close_object(writer);
    if (strcmp(event, "ProcessCreate") != 0 && strcmp(event, "ConnectionCreate") != 0)
        return;
    memcpy(name, "aggregationEnabled", 18);
    memcpy(name + 18, event, length);
    open_value(writer, name);
    picket_json_write_bool(writer, subject->aggregated);
    picket_json_close_object(writer);
    memcpy(name, "aggregationInterval", 19);
    memcpy(name + 19, event, length);
    write_duration(writer, name, subject->aggregation_s);
}

static void write_classic(struct picket_json_writer *writer, const struct picket_settings *settings)
{
    picket_json_write_name(writer, PICKET_TWIN_CLASSIC);
    picket_json_open_object(writer);
    write_duration(writer, "highPriorityMessageFrequency", settings->interval_s[PICKET_HIGH]);
    write_duration(writer, "lowPriorityMessageFrequency", settings->interval_s[PICKET_LOW]);
    write_duration(writer, "snapshotFrequency", settings->snapshot_s);
    write_number(writer, "maxLocalCacheSizeInBytes", settings->cache_bytes);
    write_number(writer, "maxMessageSizeInBytes", settings->message_bytes);
    for (size_t i = 0; i < SUBJECTS; i++) {
        if (subjects[i].classic)
            write_subject(writer, subjects[i].classic, &settings->subjects[subjects[i].subject]);
    }
    picket_json_close_object(writer);
}

size_t picket_twin_report(const struct picket_settings *settings, const struct picket_twin_result *result, char *out, size_t size)
{
    struct picket_json_writer writer;
    bool failed = false;

    picket_json_write_init(&writer, out, size);
    picket_json_open_object(&writer);
    picket_json_write_name(&writer, "latest_invalid_fields");
    picket_json_open_array(&writer);
    for (unsigned i = 0; i < result->wrong_count; i++) {
        if (result->wrong[i].error == PICKET_TWIN_NOT_OPTIMAL)
            continue;
        picket_json_write_terminated(&writer, result->wrong[i].name);
        failed = true;
    }
    picket_json_close_array(&writer);
    picket_json_write_name(&writer, "latest_state");
    picket_json_write_terminated(&writer, failed ? "failed" : "success");
    if (result->classic)
        write_classic(&writer, settings);
    picket_json_close_object(&writer);
    return picket_json_written(&writer);
}
