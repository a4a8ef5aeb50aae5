#include "programs/device_file.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "runtime/buf.h"

#define ENTRY_BYTES_MAX (1024 * 1024)
#define COLUMNS_MAX 64
#define BYTE_ORDER_MARK "\xef\xbb\xbf"

/* The file, whose first line was read to see what it is. */
struct source {
    FILE *file;
    const char *ahead; /* what is given out before the file goes on */
    size_t ahead_count;
    size_t line; /* of the next character, from 1 */
};

struct reading {
    struct source source;
    const struct device_file_sink *sink;
    struct buf entry;
    size_t line; /* where the entry begins */
    bool over;
};

static enum status lines_read(struct reading *reading, struct problem *why);
static enum status documents_read(struct reading *reading, struct problem *why);
static enum status table_read(struct reading *reading, struct problem *why);
static void entry_take(struct reading *reading, json_t *entry);
static void device_take(struct reading *reading, const json_t *entry, const char *device);
static void enrolment_take(struct reading *reading, const json_t *entry, const char *id, bool is_group);

static int next(struct source *source)
{
    int character = source->ahead_count ? (unsigned char)*source->ahead : getc(source->file);

    if (source->ahead_count) {
        source->ahead++;
        source->ahead_count--;
    }
    source->line += character == '\n';
    return character;
}

enum status device_file_read(FILE *file, enum device_file_format format, const struct device_file_sink *sink,
                             struct problem *why)
{
    struct reading reading = {.source = {.file = file, .line = 1}, .sink = sink};
    char *first = NULL;
    size_t room = 0;
    enum status status;

    ssize_t got = getline(&first, &room, file);
    if (got <= 0) {
        free(first);
        return problem_set(why, STATUS_REJECT, "it is empty");
    }
    size_t mark = got >= 3 && memcmp(first, BYTE_ORDER_MARK, 3) == 0 ? 3 : 0;
    reading.source.ahead = first + mark;
    reading.source.ahead_count = (size_t)got - mark;
    struct text begin = text_trim((struct text){reading.source.ahead, reading.source.ahead_count});
    bool json = begin.count == 0 || *begin.bytes == '{' || *begin.bytes == '[';
    buf_init(&reading.entry, ENTRY_BYTES_MAX);
    if (format == DEVICE_FILE_CSV || (format == DEVICE_FILE_ANY && !json))
        status = table_read(&reading, why);
    else if (begin.count > 1 && *begin.bytes == '{')
        status = lines_read(&reading, why);
    else
        status = documents_read(&reading, why);
    buf_done(&reading.entry);
    if (!status && ferror(file))
        status = problem_set(why, STATUS_REJECT, "it cannot be read to its end");
    free(first);
    return status;
}

static void refuse(struct reading *reading, const char *id, const char *sentence)
{
    reading->sink->refused(reading->sink->context, reading->line, id, sentence);
}

static void left_out(struct reading *reading, const char *what)
{
    reading->sink->left_out(reading->sink->context, what);
}

static void hand_over(struct reading *reading, enum device_file_kind kind, json_t *take_entry)
{
    reading->over = !reading->sink->took(reading->sink->context, kind, reading->line, take_entry);
}

/* ---- JSON ---- */

static void entry_parse(struct reading *reading)
{
    struct text text = text_trim(buf_as_text(&reading->entry));
    json_error_t error;
    char sentence[JSON_ERROR_TEXT_LENGTH + 64];

    if (!text.count && !buf_failed(&reading->entry))
        return;
    if (buf_failed(&reading->entry)) {
        refuse(reading, "", "it is longer than a megabyte");
        return;
    }
    json_t *entry = json_loadb(text.bytes, text.count, JSON_REJECT_DUPLICATES, &error);
    if (!entry) {
        snprintf(sentence, sizeof sentence, "it is no JSON: %s (column %d)", error.text, error.column);
        refuse(reading, "", sentence);
        return;
    }
    entry_take(reading, entry);
    json_decref(entry);
}

/* Each line is an entry, so that a broken one costs no other. */
static enum status lines_read(struct reading *reading, struct problem *why)
{
    int character = 0;

    (void)why;
    while (character != EOF && !reading->over) {
        buf_clear(&reading->entry);
        reading->line = reading->source.line;
        while ((character = next(&reading->source)) != EOF && character != '\n')
            buf_byte(&reading->entry, (char)character);
        entry_parse(reading);
    }
    return STATUS_OK;
}

/* Entries over several lines, with or without a list around them. */
static enum status documents_read(struct reading *reading, struct problem *why)
{
    bool in_list = false;

    for (int character; !reading->over && (character = next(&reading->source)) != EOF;) {
        if (strchr(" \t\r\n,]", character) || (character == '[' && !in_list)) {
            in_list = in_list || character == '[';
            continue;
        }
        unsigned depth = 0;
        bool quoted = false, escaped = false;
        buf_clear(&reading->entry);
        reading->line = reading->source.line;
        for (; character != EOF; character = next(&reading->source)) {
            buf_byte(&reading->entry, (char)character);
            if (quoted) {
                quoted = character != '"' || escaped;
                escaped = character == '\\' && !escaped;
            } else if (character == '"') {
                quoted = true;
            } else if (character == '{' || character == '[') {
                depth++;
            } else if (character == '}' || character == ']') {
                depth -= depth > 0;
            }
            if (!depth && !quoted)
                break;
        }
        if (character == EOF)
            return problem_set(why, STATUS_REJECT, "it ends in the middle of the entry that begins in line %zu", reading->line);
        if (*reading->entry.bytes != '{')
            return problem_set(why, STATUS_REJECT, "line %zu is neither JSON with an object for each device nor CSV with a header",
                               reading->line);
        entry_parse(reading);
    }
    return STATUS_OK;
}

static const char *string_at(const json_t *object, const char *name)
{
    const char *value = json_string_value(json_object_get(object, name));
    return value && *value ? value : NULL;
}

static void entry_take(struct reading *reading, json_t *entry)
{
    const char *group = string_at(entry, "enrollmentGroupId"), *registration = string_at(entry, "registrationId");
    const char *device = string_at(entry, "id");

    if (!device)
        device = string_at(entry, "deviceId");
    if (group)
        enrolment_take(reading, entry, group, true);
    else if (registration)
        enrolment_take(reading, entry, registration, false);
    else if (device)
        device_take(reading, entry, device);
    else
        refuse(reading, "", "it is neither a device nor an enrolment: none of id, deviceId, registrationId and enrollmentGroupId "
                            "is there");
}

static void string_put(json_t *entry, const char *name, const char *value)
{
    if (value)
        json_object_set_new(entry, name, json_string(value));
}

/* What the service keeps about properties begins with a dollar. NULL: there are none. */
static json_t *properties_of(const json_t *object)
{
    json_t *kept = json_object(), *value;
    const char *name;

    json_object_foreach((json_t *)(uintptr_t)object, name, value)
        if (*name != '$')
            json_object_set(kept, name, value);
    if (json_object_size(kept))
        return kept;
    json_decref(kept);
    return NULL;
}

/* Tags and desired properties, of a registry's line or of an enrolment's first twin. */
static void twin_put(struct reading *reading, json_t *entry, const json_t *twin, bool is_module)
{
    const json_t *properties = json_object_get(twin, "properties");
    json_t *tags = properties_of(json_object_get(twin, "tags")), *desired = properties_of(json_object_get(properties, "desired"));
    json_t *reported = properties_of(json_object_get(properties, "reported"));

    if (tags && is_module) {
        left_out(reading, "tags of modules");
        json_decref(tags);
    } else if (tags) {
        json_object_set_new(entry, "tags", tags);
    }
    if (desired)
        json_object_set_new(entry, "desired", desired);
    if (reported)
        left_out(reading, "reported properties, which devices report again");
    json_decref(reported);
    if (json_is_true(json_object_get(json_object_get(twin, "capabilities"), "iotEdge")))
        left_out(reading, "the IoT Edge capability");
}

/* The two keys and thumbprints as they stand there; which of them counts, `type` says where it is given. */
static void credential_put(json_t *entry, const json_t *authentication, const char *type)
{
    const json_t *keys = json_object_get(authentication, "symmetricKey"), *prints = json_object_get(authentication, "x509Thumbprint");
    bool has_print = string_at(prints, "primaryThumbprint") || string_at(prints, "secondaryThumbprint");

    if (type && strcasecmp(type, "certificateAuthority") == 0) {
        string_put(entry, "authentication", "authority");
    } else if (type ? strcasecmp(type, "selfSigned") == 0 : has_print && !string_at(keys, "primaryKey")) {
        const char *primary = string_at(prints, "primaryThumbprint"), *secondary = string_at(prints, "secondaryThumbprint");
        string_put(entry, "authentication", "thumbprint");
        string_put(entry, "primary_thumbprint", primary ? primary : secondary);
        if (primary && secondary && strcasecmp(primary, secondary) != 0)
            string_put(entry, "secondary_thumbprint", secondary);
    } else {
        string_put(entry, "primary_key", string_at(keys, "primaryKey"));
        string_put(entry, "secondary_key", string_at(keys, "secondaryKey"));
    }
}

static void device_take(struct reading *reading, const json_t *entry, const char *device)
{
    const json_t *authentication = json_object_get(entry, "authentication");
    const char *module = string_at(entry, "moduleId"), *mode = string_at(entry, "importMode");
    const char *type = string_at(authentication, "type");
    char id[2 * 512 + 2];

    if (mode && strncasecmp(mode, "delete", 6) == 0) {
        refuse(reading, device, "its importMode asks to delete the device: only what is to be made is taken");
        return;
    }
    if ((size_t)snprintf(id, sizeof id, "%s%s%s", device, module ? "/" : "", module ? module : "") >= sizeof id ||
        strchr(device, '/') || (module && strchr(module, '/'))) {
        refuse(reading, "", "its id has other characters than an id may have, or is too long");
        return;
    }
    json_t *made = json_pack("{s:s}", "id", id);
    string_put(made, "status", string_at(entry, "status"));
    credential_put(made, authentication, type ? type : string_at(entry, "authenticationType"));
    twin_put(reading, made, entry, module != NULL);
    hand_over(reading, DEVICE_FILE_DEVICE, made);
}

static const char *thumbprint_of(const json_t *certificates, const char *which)
{
    const json_t *info = json_object_get(json_object_get(certificates, which), "info");
    const char *sha256 = string_at(info, "sha256Thumbprint");

    return sha256 ? sha256 : string_at(info, "sha1Thumbprint");
}

/* False: refused. */
static bool attestation_put(struct reading *reading, const json_t *attestation, const char *id, bool is_group, json_t *entry)
{
    const char *type = string_at(attestation, "type");
    const json_t *keys = json_object_get(attestation, "symmetricKey"), *x509 = json_object_get(attestation, "x509");
    const char *authority = string_at(json_object_get(x509, "caReferences"), "primary");
    const char *print = thumbprint_of(json_object_get(x509, "clientCertificates"), "primary");

    if (type && strcasecmp(type, "tpm") == 0) {
        refuse(reading, id, "it attests by a TPM, which is not offered: give it a key or a certificate");
        return false;
    }
    if (type && strcasecmp(type, "x509") == 0) {
        if (is_group && authority) {
            string_put(entry, "authentication", "authority");
            string_put(entry, "authority", authority);
            return true;
        }
        if (!is_group && print) {
            string_put(entry, "authentication", "thumbprint");
            string_put(entry, "primary_thumbprint", print);
            string_put(entry, "secondary_thumbprint", thumbprint_of(json_object_get(x509, "clientCertificates"), "secondary"));
            return true;
        }
        refuse(reading, id, is_group ? "its signing certificate is not named by a reference: add it with picket ca add, and make the "
                                       "group with picket group create --authority"
                                     : "it has no thumbprint of a client certificate");
        return false;
    }
    if (!string_at(keys, "primaryKey")) {
        refuse(reading, id, "it has no key: export it with its keys (--show-keys)");
        return false;
    }
    string_put(entry, "primary_key", string_at(keys, "primaryKey"));
    string_put(entry, "secondary_key", string_at(keys, "secondaryKey"));
    return true;
}

static void enrolment_take(struct reading *reading, const json_t *entry, const char *id, bool is_group)
{
    const char *status = string_at(entry, "provisioningStatus"), *policy = string_at(entry, "allocationPolicy");
    json_t *made = json_pack("{s:s}", is_group ? "name" : "registration_id", id);

    if (!attestation_put(reading, json_object_get(entry, "attestation"), id, is_group, made)) {
        json_decref(made);
        return;
    }
    if (!is_group)
        string_put(made, "device", string_at(entry, "deviceId"));
    if (status && strcasecmp(status, "disabled") == 0)
        string_put(made, "status", "disabled");
    if (policy && strcasecmp(policy, "custom") == 0)
        left_out(reading, "custom allocation of enrolments");
    twin_put(reading, made, json_object_get(entry, "initialTwin"), false);
    hand_over(reading, is_group ? DEVICE_FILE_GROUP : DEVICE_FILE_ENROLLMENT, made);
}

/* ---- CSV (RFC 4180) ---- */

struct row {
    struct buf text; /* of all fields, each terminated */
    size_t at[COLUMNS_MAX];
    size_t count;
    bool too_many, open; /* more than COLUMNS_MAX; a quote is not closed */
};

static const char *field(const struct row *row, size_t index)
{
    return index < row->count ? row->text.bytes + row->at[index] : "";
}

/* False: there is no further row. */
static bool row_read(struct source *source, struct row *row)
{
    bool quoted = false, any = false, was_quote = false;
    int character;

    buf_clear(&row->text);
    row->count = 0;
    row->too_many = row->open = false;
    row->at[row->count++] = 0;
    while ((character = next(source)) != EOF) {
        any = true;
        if (quoted && character == '"') {
            quoted = false;
            was_quote = true;
        } else if (!quoted && character == '"') {
            if (was_quote) /* two of them are one */
                buf_byte(&row->text, '"');
            quoted = true;
            was_quote = false;
        } else if (!quoted && character == '\n') {
            break;
        } else if (!quoted && character == ',') {
            buf_byte(&row->text, '\0');
            was_quote = false;
            row->too_many = row->too_many || row->count == COLUMNS_MAX;
            if (row->count < COLUMNS_MAX)
                row->at[row->count++] = row->text.count;
        } else if (quoted || character != '\r') {
            buf_byte(&row->text, (char)character);
            was_quote = false;
        }
    }
    row->open = quoted;
    buf_byte(&row->text, '\0');
    return any;
}

static const struct {
    const char *heading; /* in lower case, without blanks and underscores */
    const char *member;
} columns[] = {
    {"id", "id"},
    {"deviceid", "id"},
    {"device", "id"},
    {"module", "module"},
    {"moduleid", "module"},
    {"status", "status"},
    {"authentication", "authentication"},
    {"primarykey", "primary_key"},
    {"secondarykey", "secondary_key"},
    {"thumbprint", "primary_thumbprint"},
    {"primarythumbprint", "primary_thumbprint"},
    {"secondarythumbprint", "secondary_thumbprint"},
    {"tags", "tags"},
    {"desired", "desired"},
};

/* The member that a heading stands for; "tag.NAME" stays as it is. NULL: none. */
static const char *member_of(const char *heading)
{
    char plain[64];
    size_t count = 0;

    if (strncasecmp(heading, "tag.", 4) == 0 && heading[4])
        return heading;
    for (; *heading && count < sizeof plain - 1; heading++)
        if (*heading != '_' && *heading != ' ' && *heading != '\r')
            plain[count++] = *heading;
    plain[count] = '\0';
    for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++)
        if (strcasecmp(plain, columns[i].heading) == 0)
            return columns[i].member;
    return NULL;
}

/* False: refused. */
static bool cell_put(struct reading *reading, const char *member, const char *value, json_t *entry)
{
    bool json = strcmp(member, "tags") == 0 || strcmp(member, "desired") == 0;

    if (!*value)
        return true;
    if (strncasecmp(member, "tag.", 4) == 0) {
        json_t *tags = json_object_get(entry, "tags");
        if (!tags) {
            tags = json_object();
            json_object_set_new(entry, "tags", tags);
        }
        json_object_set_new(tags, member + 4, json_string(value));
    } else if (json) {
        json_t *object = json_loads(value, JSON_REJECT_DUPLICATES, NULL);
        if (!json_is_object(object)) {
            json_decref(object);
            refuse(reading, "", strcmp(member, "tags") == 0 ? "its tags are no JSON object" : "its desired properties are no JSON object");
            return false;
        }
        json_object_set_new(entry, member, object);
    } else {
        json_object_set_new(entry, member, json_string(value)); /* NULL where it is no UTF-8: the member is then absent */
        if (!json_object_get(entry, member)) {
            refuse(reading, "", "it is not in UTF-8");
            return false;
        }
    }
    return true;
}

static void table_row_take(struct reading *reading, const struct row *row, const char *const *members, size_t member_count)
{
    json_t *entry = json_object();
    bool fits = true;

    for (size_t i = 0; fits && i < member_count; i++)
        fits = cell_put(reading, members[i], field(row, i), entry);
    const char *id = string_at(entry, "id"), *module = string_at(entry, "module");
    if (fits && !id) {
        refuse(reading, "", "it has no id");
        fits = false;
    }
    if (fits && module) {
        char whole[2 * 512 + 2];
        snprintf(whole, sizeof whole, "%.512s/%.512s", id, module);
        json_object_set_new(entry, "id", json_string(whole));
        json_object_del(entry, "module");
    }
    if (fits && string_at(entry, "primary_thumbprint") && !string_at(entry, "authentication"))
        string_put(entry, "authentication", "thumbprint");
    if (fits)
        hand_over(reading, DEVICE_FILE_DEVICE, entry);
    else
        json_decref(entry);
}

static enum status table_read(struct reading *reading, struct problem *why)
{
    const char *members[COLUMNS_MAX];
    struct row headings = {.count = 0}, row = {.count = 0};
    enum status status = STATUS_OK;
    bool has_id = false;

    buf_init(&headings.text, ENTRY_BYTES_MAX);
    buf_init(&row.text, ENTRY_BYTES_MAX);
    (void)row_read(&reading->source, &headings);
    if (headings.too_many)
        status = problem_set(why, STATUS_REJECT, "its header has more than %d columns", COLUMNS_MAX);
    for (size_t i = 0; !status && i < headings.count; i++) {
        members[i] = member_of(field(&headings, i));
        if (!members[i])
            status = problem_set(why, STATUS_REJECT, "its header has the column \"%.80s\": there are " DEVICE_FILE_CSV_HEADER
                                                     " and tag.NAME", field(&headings, i));
        has_id = has_id || (members[i] && strcmp(members[i], "id") == 0);
    }
    if (!status && !has_id)
        status = problem_set(why, STATUS_REJECT, "its header has no column id");
    while (!status && !reading->over) {
        reading->line = reading->source.line;
        if (!row_read(&reading->source, &row))
            break;
        if (row.count == 1 && !*field(&row, 0))
            continue; /* an empty line */
        if (buf_failed(&row.text) || row.open)
            refuse(reading, "", row.open ? "a quote is not closed" : "it is longer than a megabyte");
        else if (row.count != headings.count || row.too_many)
            refuse(reading, field(&row, 0), "it has another number of fields than the header");
        else
            table_row_take(reading, &row, members, headings.count);
    }
    buf_done(&headings.text);
    buf_done(&row.text);
    return status;
}

/* ---- out ---- */

static void ids_of(const json_t *device, char **out_device, const char **out_module)
{
    char *id = strdup(json_string_value(json_object_get(device, "id")));
    char *slash = id ? strchr(id, '/') : NULL;

    if (!id)
        abort();
    if (slash)
        *slash = '\0';
    *out_device = id;
    *out_module = slash ? slash + 1 : NULL;
}

char *device_file_json_line(const json_t *device)
{
    static const struct {
        const char *ours, *theirs;
    } types[] = {{"sas", "sas"}, {"thumbprint", "selfSigned"}, {"authority", "certificateAuthority"}};
    const char *ours = json_string_value(json_object_get(device, "authentication")), *type = "sas", *module;
    json_t *tags = json_object_get(device, "tags"), *desired = json_object_get(device, "desired");
    char *id;

    for (size_t i = 0; ours && i < sizeof types / sizeof types[0]; i++)
        if (strcmp(ours, types[i].ours) == 0)
            type = types[i].theirs;
    ids_of(device, &id, &module);
    json_t *line = json_pack(
        "{s:s, s:s*, s:O, s:{s:s, s:{s:O?, s:O?}, s:{s:O?, s:O?}}, s:O*, s:{s:O, s:{}}}", "id", id, "moduleId", module, "status",
        json_object_get(device, "status"), "authentication", "type", type, "symmetricKey", "primaryKey",
        json_object_get(device, "primary_key"), "secondaryKey", json_object_get(device, "secondary_key"), "x509Thumbprint",
        "primaryThumbprint", json_object_get(device, "primary_thumbprint"), "secondaryThumbprint",
        json_object_get(device, "secondary_thumbprint"), "tags", tags, "properties", "desired", desired, "reported");
    char *text = json_dumps(line, JSON_COMPACT);
    if (!text)
        abort();
    json_decref(line);
    free(id);
    return text;
}

static void csv_field(struct buf *out, const char *value, char after)
{
    bool quoted = value && strpbrk(value, ",\"\r\n");

    if (quoted)
        buf_byte(out, '"');
    for (; value && *value; value++) {
        if (*value == '"')
            buf_byte(out, '"');
        buf_byte(out, *value);
    }
    if (quoted)
        buf_byte(out, '"');
    if (after)
        buf_byte(out, after);
}

char *device_file_csv_line(const json_t *device)
{
    static const char *const members[] = {"status", "authentication", "primary_key", "secondary_key", "primary_thumbprint",
                                          "secondary_thumbprint"};
    const char *module;
    struct buf out;
    char *id;

    ids_of(device, &id, &module);
    buf_init(&out, ENTRY_BYTES_MAX);
    csv_field(&out, id, ',');
    csv_field(&out, module, ',');
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++)
        csv_field(&out, json_string_value(json_object_get(device, members[i])), ',');
    for (int i = 0; i < 2; i++) {
        const json_t *object = json_object_get(device, i ? "desired" : "tags");
        char *text = json_object_size(object) ? json_dumps(object, JSON_COMPACT) : NULL;
        csv_field(&out, text, i ? '\0' : ',');
        free(text);
    }
    char *line = strdup(buf_as_text(&out).count ? out.bytes : "");
    if (!line)
        abort();
    buf_done(&out);
    free(id);
    return line;
}
