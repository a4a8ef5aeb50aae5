#include "agent/agent_config.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "agent/stamp.h"

#define FILE_BYTES_MAX 65536
#define YEAR_S (366 * 86400)

struct key {
    const char *name;
    size_t offset, size; /* size 0: a number */
    int64_t fallback, least, most;
    const char *fallback_text;
    const char *sentence;
};

#define TEXT_KEY(member, fallback, sentence) \
    {#member, offsetof(struct agent_config, member), sizeof(((struct agent_config *)0)->member), 0, 0, 0, fallback, sentence}
#define NUMBER_KEY(member, fallback, least, most, sentence) \
    {#member, offsetof(struct agent_config, member), 0, fallback, least, most, NULL, sentence}

static const struct key keys[] = {
    TEXT_KEY(connection_string, "", "Who this device is: HostName=H[:port];DeviceId=D;SharedAccessKey=K. Needed to send."),
    TEXT_KEY(enrolment_host, "", "Instead of connection_string: host[:port] where the device enrols, and learns where to connect."),
    TEXT_KEY(id_scope, "", "With it: the id scope of the workspace."),
    TEXT_KEY(registration_id, "", "With it: who this device is (default: the host's name)."),
    TEXT_KEY(group_key, "", "With it: the key of the enrolment group, of which the device's own is derived; with certificate_file none is needed."),
    TEXT_KEY(ca_file, "", "Certificates (PEM) that may sign the server's. Needed to send."),
    TEXT_KEY(certificate_file, "", "The device's own certificate (PEM, the leaf first), with x509=true in the connection string."),
    TEXT_KEY(key_file, "", "Its key (PEM)."),
    TEXT_KEY(transport, "https", "mqtt or https; the twin and direct methods come by mqtt alone."),
    NUMBER_KEY(mqtt_port, 8883, 1, 65535, "The server's port for mqtt; that for https is in connection_string."),
    TEXT_KEY(proxy, "", "HTTP proxy to go through: http://[user:password@]host:port."),
    TEXT_KEY(spool_folder, "/var/lib/picket-agent", "Where unsent messages and the numbering are kept."),
    NUMBER_KEY(spool_bytes, 10485760, 1048576, INT64_C(1) << 40, "The most that unsent messages may take; the oldest go first."),
    TEXT_KEY(collectors_off, "", "Collectors that are off, whatever the twin says, with commas between: files, hardware."),
    NUMBER_KEY(process_interval_s, 5, 1, YEAR_S, "How often to look for new processes."),
    NUMBER_KEY(socket_interval_s, 15, 1, YEAR_S, "How often to look for new connections."),
    NUMBER_KEY(login_interval_s, 15, 1, YEAR_S, "How often to look for logins."),
    NUMBER_KEY(snapshot_interval_s, 3600, 1, YEAR_S, "How often to list listening ports, users and the system."),
    NUMBER_KEY(send_interval_s, 30, 1, YEAR_S, "How long an event may wait for others before its message leaves."),
};
#define KEY_COUNT (sizeof keys / sizeof *keys)

static void set_fallbacks(struct agent_config *config);
static bool read_line(const char *line, size_t count, unsigned *seen, struct agent_config *out, struct reason *why);
static const struct key *find_key(const char *name, size_t count);
static bool set_value(const struct key *key, const char *value, size_t count, struct agent_config *out,
                      struct reason *why);
static size_t shown_length(const char *value);

static inline bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

bool agent_config_load(const char *path, struct agent_config *out, struct reason *why)
{
    char text[FILE_BYTES_MAX];
    long count = file_read(path, text, sizeof text);

    if (count < 0)
        return reason_set(why, "%s cannot be read: %s", path, strerror(errno));
    if (count == (long)sizeof text)
        return reason_set(why, "%s is longer than a configuration is", path);
    bool read = agent_config_read(text, (size_t)count, path, out, why);
    explicit_bzero(text, sizeof text);
    return read;
}

bool agent_config_read(const char *text, size_t count, const char *path, struct agent_config *out, struct reason *why)
{
    struct agent_config config;
    struct reason detail;
    unsigned line_number = 0, seen = 0;

    set_fallbacks(&config);
    for (size_t at = 0; at < count;) {
        const char *line = text + at, *end = memchr(line, '\n', count - at);
        size_t length = end ? (size_t)(end - line) : count - at;
        line_number++;
        if (!read_line(line, length, &seen, &config, &detail))
            return reason_set(why, "%s:%u: %s", path, line_number, detail.text);
        at += length + 1;
    }
    *out = config;
    return true;
}

bool agent_config_complete(const struct agent_config *config, const char *path, struct reason *why)
{
    char byte;

    bool enrols = config->enrolment_host[0] && !config->connection_string[0];
    if (!config->connection_string[0] && !enrols)
        return reason_set(why, "%s: connection_string is not set (nor enrolment_host); without it only --dry-run works", path);
    if (enrols && (!config->id_scope[0] || !config->group_key[0] == !config->certificate_file[0]))
        return reason_set(why, "%s: with enrolment_host go id_scope, and either group_key or certificate_file and key_file", path);
    if (!config->ca_file[0])
        return reason_set(why, "%s: ca_file is not set: give the certificate that signed the server's", path);
    if (file_read(config->ca_file, &byte, 1) < 0)
        return reason_set(why, "%s: ca_file %s cannot be read: %s", path, config->ca_file, strerror(errno));
    if ((!enrols && config->credential.by_certificate != (config->certificate_file[0] != '\0')) || !config->certificate_file[0] != !config->key_file[0])
        return reason_set(why, "%s: a certificate goes with its key: x509=true in connection_string, certificate_file and key_file", path);
    if (!config->spool_folder[0])
        return reason_set(why, "%s: spool_folder is empty", path);
    return true;
}

void agent_config_settings(const struct agent_config *config, struct picket_settings *out)
{
    picket_settings_default(out);
    for (int i = 0; i < PICKET_PRIORITIES; i++)
        out->interval_s[i] = (uint32_t)config->send_interval_s;
    out->snapshot_s = (uint32_t)config->snapshot_interval_s;
    out->cache_bytes = (uint32_t)(config->spool_bytes > UINT32_MAX ? UINT32_MAX : config->spool_bytes);
    out->connection_polling_s = (uint32_t)config->socket_interval_s;
    out->login_polling_s = (uint32_t)config->login_interval_s;
    out->process_polling_us = (uint32_t)(config->process_interval_s > 4000 ? 4000 : config->process_interval_s) * 1000000;
}

void agent_config_print(const struct agent_config *config, char out[AGENT_CONFIG_PRINT_SIZE])
{
    size_t used = 0;

    out[0] = '\0';
    for (size_t i = 0; i < KEY_COUNT && used < AGENT_CONFIG_PRINT_SIZE; i++) {
        const char *member = (const char *)config + keys[i].offset;
        char *to = out + used;
        size_t room = AGENT_CONFIG_PRINT_SIZE - used;
        int count;
        if (!keys[i].size) {
            int64_t number;
            memcpy(&number, member, sizeof number);
            count = snprintf(to, room, "# %s\n%s = %lld\n", keys[i].sentence, keys[i].name, (long long)number);
        } else if (!*member) { /* a comment, so that it reads back */
            count = snprintf(to, room, "# %s\n#%s = \n", keys[i].sentence, keys[i].name);
        } else if (keys[i].offset == offsetof(struct agent_config, group_key)) {
            count = snprintf(to, room, "# %s\n%s = (hidden)\n", keys[i].sentence, keys[i].name);
        } else if (keys[i].offset == offsetof(struct agent_config, connection_string) || keys[i].offset == offsetof(struct agent_config, proxy)) {
            size_t shown = shown_length(member);
            count = snprintf(to, room, "# %s\n%s = %.*s%s\n", keys[i].sentence, keys[i].name, (int)shown, member,
                             member[shown] ? "(hidden)" : "");
        } else {
            count = snprintf(to, room, "# %s\n%s = %s\n", keys[i].sentence, keys[i].name, member);
        }
        used += count > 0 ? (size_t)count : 0;
    }
}

static void set_fallbacks(struct agent_config *config)
{
    memset(config, 0, sizeof *config);
    for (size_t i = 0; i < KEY_COUNT; i++) {
        char *member = (char *)config + keys[i].offset;
        if (keys[i].size)
            memcpy(member, keys[i].fallback_text, strlen(keys[i].fallback_text) + 1);
        else
            memcpy(member, &keys[i].fallback, sizeof keys[i].fallback);
    }
}

static bool read_line(const char *line, size_t count, unsigned *seen, struct agent_config *out, struct reason *why)
{
    const char *end = line + count;

    while (end > line && blank(end[-1]))
        end--;
    while (line < end && blank(*line))
        line++;
    if (line == end || *line == '#')
        return true;
    const char *name = line;
    while (line < end && !blank(*line) && *line != '=')
        line++;
    size_t name_count = (size_t)(line - name);
    while (line < end && blank(*line))
        line++;
    if (line < end && *line == '=')
        line++;
    while (line < end && blank(*line))
        line++;
    const struct key *key = find_key(name, name_count);
    if (!key) {
        size_t shown = name_count > 40 ? 40 : name_count;
        return reason_set(why, "unknown key %.*s; --print-config lists those that are known", (int)shown, name);
    }
    unsigned bit = 1u << (key - keys);
    if (*seen & bit)
        return reason_set(why, "%s is set a second time", key->name);
    *seen |= bit;
    return set_value(key, line, (size_t)(end - line), out, why);
}

static const struct key *find_key(const char *name, size_t count)
{
    for (size_t i = 0; i < KEY_COUNT; i++) {
        if (strlen(keys[i].name) == count && memcmp(keys[i].name, name, count) == 0)
            return &keys[i];
    }
    return NULL;
}

static bool set_value(const struct key *key, const char *value, size_t count, struct agent_config *out,
                      struct reason *why)
{
    char *member = (char *)out + key->offset;
    uint64_t number;

    if (!key->size) {
        if (!picket_number_read(value, count, &number) || number > (uint64_t)key->most ||
            (int64_t)number < key->least)
            return reason_set(why, "%s is a number from %lld to %lld", key->name, (long long)key->least,
                              (long long)key->most);
        memcpy(member, &number, sizeof number);
        return true;
    }
    if (count == 0)
        return reason_set(why, "%s has no value", key->name);
    if (count >= key->size || memchr(value, '\0', count))
        return reason_set(why, "the value of %s is longer than %zu characters, or has a NUL", key->name, key->size - 1);
    memcpy(member, value, count);
    member[count] = '\0';
    if (member == out->transport && strcmp(member, "mqtt") != 0 && strcmp(member, "https") != 0)
        return reason_set(why, "transport is mqtt or https");
    if (member == out->connection_string)
        return credential_read(member, &out->credential, why);
    return true;
}

/* Up to the connection string's key or the proxy's login, which are secrets. */
static size_t shown_length(const char *value)
{
    const char *key = strstr(value, "SharedAccessKey="), *scheme = strstr(value, "://");

    if (key)
        return (size_t)(key - value) + sizeof "SharedAccessKey=" - 1;
    return scheme && strchr(scheme, '@') ? (size_t)(scheme - value) + 3 : strlen(value);
}
