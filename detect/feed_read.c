#include "detect/feed_read.h"

#include <jansson.h>
#include <string.h>

#include "runtime/clock.h"

#define FIELDS_MAX 64
#define SNIFF_LINES 200
#define PATTERN_BYTES_MAX 65536

struct reading {
    feed_take *take;
    void *context;
    struct feed_facts *facts;
    int64_t valid_until_us; /* of the object that is read */
    int confidence;
    enum feed_reach reach; /* of the list that is read */
};

static bool take(struct reading *reading, struct text value)
{
    const struct feed_entry entry = {value, reading->reach, reading->valid_until_us, reading->confidence};
    bool added = reading->take(reading->context, &entry);

    reading->facts->added += added;
    return added;
}

bool feed_take_into(void *feed_into, const struct feed_entry *entry)
{
    const struct feed_into *into = feed_into;
    return entry->reach <= FEED_AND_BELOW && indicators_add(into->set, into->feed, entry->value);
}

static void ignore(struct reading *reading, size_t line)
{
    if (!reading->facts->ignored++)
        reading->facts->first_ignored = line;
}

bool feed_format_of(struct text word, enum feed_format *out)
{
    static const char *const words[] = {[FEED_ANY] = "auto",       [FEED_LIST] = "list", [FEED_CSV] = "csv",  [FEED_HOSTS] = "hosts",
                                        [FEED_ADBLOCK] = "adblock", [FEED_MISP] = "misp", [FEED_STIX] = "stix",    [FEED_WARNING] = "warninglist"};

    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (text_equal_nocase(word, text_of(words[i]))) {
            *out = (enum feed_format)i;
            return true;
        }
    return false;
}

/* ---- lines ---- */

static struct text line_next(struct text *rest)
{
    struct text line;

    *rest = text_cut(*rest, '\n', &line);
    return text_trim(line);
}

static bool is_comment(struct text line)
{
    return !line.count || line.bytes[0] == '#' || line.bytes[0] == ';' || line.bytes[0] == '!' || text_starts(line, TEXT("//")) ||
           (line.bytes[0] == '[' && text_ends(line, TEXT("]")) && !memchr(line.bytes, ':', line.count));
}

static struct text word_of(struct text *rest)
{
    struct text line = text_trim(*rest);
    size_t count = 0;

    while (count < line.count && !memchr(" \t,;", line.bytes[count], 4))
        count++;
    *rest = (struct text){line.bytes + count, line.count - count};
    return (struct text){line.bytes, count};
}

/* A field of a line of CSV; quotes are taken off, two within stand for one and stay. False: there is none left. */
static bool field_next(struct text *rest, struct text *out)
{
    if (!rest->bytes)
        return false;
    struct text line = text_trim(*rest);
    if (line.count && line.bytes[0] == '"') {
        size_t end = 1;
        while (end < line.count && (line.bytes[end] != '"' || (end + 1 < line.count && line.bytes[end + 1] == '"')))
            end += line.bytes[end] == '"' ? 2 : 1;
        end = end < line.count ? end : line.count;
        *out = (struct text){line.bytes + 1, end - 1};
        struct text behind = {line.bytes + end, line.count - end}, ignored;
        *rest = text_cut(behind, ',', &ignored);
    } else {
        *rest = text_cut(line, ',', out);
        *out = text_trim(*out);
    }
    return true;
}

static size_t fields_of(struct text line, struct text fields[FIELDS_MAX])
{
    struct text rest = line;
    size_t count = 0;

    while (count < FIELDS_MAX && field_next(&rest, &fields[count]))
        count++;
    return count;
}

static bool is_kind_word(struct text field)
{
    static const char *const kinds[] = {"url", "domain", "ip", "hostname", "md5", "sha1", "sha256", "ip:port", "ipv4", "ipv6"};

    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (text_equal_nocase(field, text_of(kinds[i])))
            return true;
    return false;
}

/* Which column holds indicators: behind one that says their kind, or the one that a header calls so; else the first that is one. */
static bool csv_line(struct reading *reading, struct text line)
{
    struct text fields[FIELDS_MAX];
    size_t count = fields_of(line, fields);

    for (size_t i = 0; i + 1 < count; i++)
        if (is_kind_word(fields[i]) && take(reading, fields[i + 1]))
            return true;
    for (size_t i = 0; i < count; i++)
        if (take(reading, fields[i]))
            return true;
    return false;
}

static bool hosts_line(struct reading *reading, struct text line)
{
    struct text word = word_of(&line);
    bool any = false;

    (void)word; /* where the name is sent to */
    for (word = word_of(&line); word.count && word.bytes[0] != '#'; word = word_of(&line))
        any |= take(reading, word);
    return any;
}

static bool adblock_line(struct reading *reading, struct text line)
{
    if (!text_starts(line, TEXT("||")))
        return false;
    size_t end = 2;
    while (end < line.count && !memchr("^$*", line.bytes[end], 3))
        end++;
    struct text value = {line.bytes + 2, end - 2};
    if (value.count && value.bytes[value.count - 1] == '/')
        value.count--;
    return take(reading, value);
}

static bool list_line(struct reading *reading, struct text line)
{
    struct text rest = line, word = word_of(&rest);

    return take(reading, word);
}

static void lines_read(struct reading *reading, struct text content)
{
    size_t number = 0;

    for (struct text rest = content; rest.bytes;) {
        struct text line = line_next(&rest);
        number++;
        if (is_comment(line))
            continue;
        bool fine = reading->facts->format == FEED_CSV       ? csv_line(reading, line)
                    : reading->facts->format == FEED_HOSTS   ? hosts_line(reading, line)
                    : reading->facts->format == FEED_ADBLOCK ? adblock_line(reading, line)
                                                             : list_line(reading, line);
        if (!fine)
            ignore(reading, number);
    }
}

/* ---- MISP ---- */

/* What is looked for, as MISP names it. */
static bool is_misp_kind(const char *kind)
{
    static const char *const kinds[] = {"ip-src", "ip-dst", "ip-src|port", "ip-dst|port", "domain", "hostname", "domain|ip", "hostname|port", "url", "uri",
                                        "md5", "sha1", "sha256", "filename|md5", "filename|sha1", "filename|sha256"};

    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kind, kinds[i]) == 0)
            return true;
    return false;
}

static void misp_attributes(struct reading *reading, const json_t *holder)
{
    json_t *attribute, *object;
    size_t i;

    json_array_foreach (json_object_get(holder, "Attribute"), i, attribute) {
        const char *kind = json_string_value(json_object_get(attribute, "type")), *value = json_string_value(json_object_get(attribute, "value"));
        bool wanted = kind && value && is_misp_kind(kind), fine = false;
        if (json_is_true(json_object_get(attribute, "deleted")))
            continue;
        if (wanted && strstr(kind, "|port")) {
            char pair[300];
            int count = snprintf(pair, sizeof pair, "%s", value);
            char *bar = strchr(pair, '|');
            if (bar)
                *bar = strncmp(kind, "ip", 2) == 0 ? ':' : '\0'; /* a host's port is not told apart */
            fine = count < (int)sizeof pair && take(reading, text_of(pair));
        } else if (wanted) {
            struct text head, tail = text_cut(text_of(value), '|', &head);
            fine = take(reading, strncmp(kind, "filename", 8) == 0 && tail.bytes ? tail : head);
            fine |= strcmp(kind, "domain|ip") == 0 && tail.bytes && take(reading, tail);
        }
        if (!fine)
            ignore(reading, 0);
    }
    json_array_foreach (json_object_get(holder, "Object"), i, object)
        misp_attributes(reading, object);
}

static bool misp_read(struct reading *reading, const json_t *root)
{
    const json_t *event = json_object_get(root, "Event"), *list = json_is_array(root) ? root : json_object_get(root, "response");
    json_t *one;
    size_t i;
    bool any = event != NULL;

    if (event)
        misp_attributes(reading, event);
    json_array_foreach (list, i, one)
        any |= misp_read(reading, one);
    return any;
}

/* ---- STIX ---- */

static struct text quoted_next(struct text *rest)
{
    size_t at = text_find(*rest, '\''), end = at + 1;

    while (end < rest->count && rest->bytes[end] != '\'')
        end += rest->bytes[end] == '\\' ? 2 : 1;
    if (end >= rest->count) {
        *rest = TEXT_NONE;
        return TEXT_NONE;
    }
    struct text found = {rest->bytes + at + 1, end - at - 1};
    *rest = (struct text){rest->bytes + end + 1, rest->count - end - 1};
    return found;
}

/* What a pattern says around its quoted values, so that no word within these counts; into `out` of as many bytes. */
static struct text unquoted(struct text pattern, char *out)
{
    size_t count = 0;
    bool within = false;

    for (size_t i = 0; i < pattern.count; i++) {
        bool quote = pattern.bytes[i] == '\'';
        if (within && pattern.bytes[i] == '\\')
            i++;
        else if (!within && !quote)
            out[count++] = pattern.bytes[i];
        within ^= quote;
    }
    return (struct text){out, count};
}

/* \' and \\ stand for what is behind the backslash. */
static struct text unescaped(struct text value, char *out)
{
    size_t count = 0;

    for (size_t i = 0; i < value.count; i++) {
        i += value.bytes[i] == '\\' && i + 1 < value.count;
        out[count++] = value.bytes[i];
    }
    return (struct text){out, count};
}

static bool has_word(struct text pattern, const char *word)
{
    return memmem(pattern.bytes, pattern.count, word, strlen(word)) != NULL;
}

/* Patterns of one comparison, or of several of which any will do: what demands several at once is no list of indicators. */
static bool pattern_take(struct reading *reading, struct text pattern)
{
    static const char *const objects[] = {"ipv4-addr:value", "ipv6-addr:value", "domain-name:value", "url:value", "file:hashes",
                                          "network-traffic:dst_ref.value", "network-traffic:src_ref.value"};
    bool any = false, known = false;
    char room[PATTERN_BYTES_MAX];

    if (pattern.count > sizeof room)
        return false;
    struct text words = unquoted(pattern, room);
    for (size_t i = 0; i < sizeof objects / sizeof *objects; i++)
        known |= has_word(words, objects[i]);
    if (!known || has_word(words, " AND ") || has_word(words, "FOLLOWEDBY") || has_word(words, " NOT ") || has_word(words, "!=") ||
        has_word(words, " LIKE ") || has_word(words, " MATCHES "))
        return false;
    for (struct text rest = pattern; rest.bytes;) {
        struct text value = quoted_next(&rest);
        if (value.bytes) /* the name of a hash in quotes is no indicator, and not taken for one */
            any |= take(reading, unescaped(value, room));
    }
    return any;
}

static void validity_read(struct reading *reading, const json_t *object)
{
    const json_t *until = json_object_get(object, "valid_until"), *confidence = json_object_get(object, "confidence");

    reading->valid_until_us = 0;
    if (json_is_string(until) && !clock_parse(text_of(json_string_value(until)), &reading->valid_until_us))
        reading->valid_until_us = 0;
    reading->confidence = json_is_integer(confidence) && json_integer_value(confidence) >= 0 && json_integer_value(confidence) <= 100
                              ? (int)json_integer_value(confidence)
                              : -1;
}

static bool stix_read(struct reading *reading, const json_t *root)
{
    const json_t *objects = json_is_array(root) ? root : json_object_get(root, "objects");
    json_t *object;
    size_t i;
    bool any = false;

    json_array_foreach (objects, i, object) {
        const char *kind = json_string_value(json_object_get(object, "type"));
        const json_t *pattern = json_object_get(object, "pattern");
        any |= kind != NULL;
        if (kind && strcmp(kind, "bundle") == 0)
            stix_read(reading, object);
        if (!kind || strcmp(kind, "indicator") != 0 || json_is_true(json_object_get(object, "revoked")))
            continue;
        validity_read(reading, object);
        if (!json_is_string(pattern) ||
            !pattern_take(reading, (struct text){json_string_value(pattern), json_string_length(pattern)}))
            ignore(reading, 0);
    }
    reading->valid_until_us = 0;
    reading->confidence = -1;
    return any || json_is_array(objects);
}

/* ---- warning lists ---- */

const char *const feed_reach_words[FEED_REACHES] = {[FEED_ITSELF] = "string", [FEED_AND_BELOW] = "hostname", [FEED_SUBSTRING] = "substring", [FEED_REGEX] = "regex"};

/* Whether a list is about anything that is looked for: patterns of telephone numbers could fit a name by chance. */
static bool warnings_are_ours(const json_t *root)
{
    const json_t *list = json_object_get(root, "matching_attributes");
    json_t *value;
    size_t i;

    json_array_foreach (list, i, value)
        if (json_is_string(value) && is_misp_kind(json_string_value(value)))
            return true;
    return !json_array_size(list);
}

static bool warnings_read(struct reading *reading, const json_t *root)
{
    const json_t *list = json_object_get(root, "list");
    const char *type = json_string_value(json_object_get(root, "type"));
    bool ours = warnings_are_ours(root);
    json_t *value;
    size_t i;

    for (i = 0; type && i < FEED_REACHES; i++)
        if (strcmp(type, feed_reach_words[i]) == 0)
            reading->reach = (enum feed_reach)i; /* else it is of networks */
    json_array_foreach (list, i, value)
        if ((reading->reach > FEED_AND_BELOW && !ours) || !json_is_string(value) || !take(reading, text_of(json_string_value(value))))
            ignore(reading, 0);
    return json_is_array(list);
}

/* ---- which ---- */

static bool is_adblock(struct text line) { return text_starts(line, TEXT("||")); }

static bool is_hosts(struct text line)
{
    struct text word = word_of(&line);

    return text_equal(word, TEXT("0.0.0.0")) || text_equal(word, TEXT("127.0.0.1")) || text_equal(word, TEXT("::"));
}

static bool has_comma(struct text line)
{
    return memchr(line.bytes, ',', line.count) != NULL;
}

/* What most of its first lines look like. */
static enum feed_format lines_format(struct text content)
{
    size_t lines = 0, hosts = 0, adblock = 0, commas = 0;

    for (struct text rest = content; rest.bytes && lines < SNIFF_LINES;) {
        struct text line = line_next(&rest);
        if (is_comment(line))
            continue;
        lines++;
        hosts += is_hosts(line);
        adblock += is_adblock(line);
        commas += has_comma(line);
    }
    return 2 * adblock > lines ? FEED_ADBLOCK : 2 * hosts > lines ? FEED_HOSTS : 2 * commas > lines ? FEED_CSV : FEED_LIST;
}

static enum status json_read(struct reading *reading, struct text content, struct problem *why)
{
    json_error_t error;
    json_t *root = json_loadb(content.bytes, content.count, 0, &error);
    enum status status = STATUS_OK;

    if (!root)
        return problem_set(why, STATUS_REJECT, "no JSON: %s (line %d, column %d)", error.text, error.line, error.column);
    const json_t *first = json_is_array(root) ? json_array_get(root, 0) : root;
    bool misp = json_object_get(first, "Event") || json_object_get(first, "response");
    if (reading->facts->format == FEED_ANY)
        reading->facts->format = misp ? FEED_MISP : json_is_array(json_object_get(first, "list")) ? FEED_WARNING : FEED_STIX;
    bool read = reading->facts->format == FEED_MISP      ? misp_read(reading, root)
                : reading->facts->format == FEED_WARNING ? warnings_read(reading, root)
                                                         : stix_read(reading, root);
    if (!read)
        status = problem_set(why, STATUS_REJECT, "this JSON is neither a MISP event nor a STIX bundle nor a warning list");
    json_decref(root);
    return status;
}

bool feed_is_warning_list(struct text content)
{
    struct text trimmed = text_trim(content);
    if (!trimmed.count || trimmed.bytes[0] != '{' || !memmem(content.bytes, content.count, "\"list\"", 6))
        return false;
    json_t *root = json_loadb(trimmed.bytes, trimmed.count, 0, NULL);
    bool is = json_is_array(json_object_get(root, "list"));
    json_decref(root);
    return is;
}

enum status feed_read(struct text content, enum feed_format format, feed_take *take_entry, void *context, struct feed_facts *facts, struct problem *why)
{
    struct reading reading = {.take = take_entry, .context = context, .facts = facts, .confidence = -1};

    if (text_starts(content, TEXT("\xef\xbb\xbf"))) /* a byte order mark, as editors on Windows write it */
        content = (struct text){content.bytes + 3, content.count - 3};
    struct text trimmed = text_trim(content);
    *facts = (struct feed_facts){.format = format};
    bool json = trimmed.count && (trimmed.bytes[0] == '{' || (trimmed.bytes[0] == '[' && trimmed.bytes[trimmed.count - 1] == ']'));
    if (format == FEED_MISP || format == FEED_STIX || format == FEED_WARNING || (format == FEED_ANY && json))
        return json_read(&reading, content, why);
    if (format == FEED_ANY)
        facts->format = lines_format(content);
    lines_read(&reading, content);
    return STATUS_OK;
}
