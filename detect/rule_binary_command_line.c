#include "detect/command_facts.h"
#include "detect/rule.h"

#define ESCAPES_MIN 4 /* "\x7f\x45\x4c\x46" is the shortest that begins a program */

static const char *const printers[] = {"echo", "printf", NULL};
static const char *const words[] = {"\\x", "\\0", "\\1", "base64", "xxd", "openssl", "uudecode", NULL};

/* "\x41", "\101" or "\0101": bytes that nobody types. */
static size_t escapes_in(struct text word)
{
    size_t count = 0;

    for (size_t i = 0; i + 3 < word.count; i++) {
        if (word.bytes[i] != '\\')
            continue;
        char first = word.bytes[i + 1];
        count += first == 'x' || (first >= '0' && first <= '7' && word.bytes[i + 2] >= '0' && word.bytes[i + 2] <= '7');
    }
    return count;
}

static bool decodes(const struct command *command)
{
    if (text_equal(command->name, TEXT("base64")) || text_equal(command->name, TEXT("base32")))
        return command_has_letter(command, 'd') || command_has_letter(command, 'D') || command_word(command, "--decode").bytes;
    if (text_equal(command->name, TEXT("xxd")))
        return command_has_letter(command, 'r');
    if (text_equal(command->name, TEXT("openssl")))
        return command_has_letter(command, 'd') && (command_word(command, "enc").bytes || command_word(command, "base64").bytes);
    return text_equal(command->name, TEXT("uudecode"));
}

/* Where programs are put that nobody installs, or one that the line runs or makes runnable: keys and pictures are decoded elsewhere. */
static bool is_for_running(const struct command_line *line, const struct command *after, struct text path)
{
    struct text name = event_base_name(path);

    if (path_is_temporary(path) || text_starts(name, TEXT(".")) || command_is_file_run(line, after, path))
        return true;
    for (const struct command *chmod = after; (chmod = command_find(line, "chmod", chmod));)
        for (size_t i = 1; i < chmod->word_count; i++)
            if (text_equal(event_base_name(chmod->words[i]), name))
                return true;
    return false;
}

/* What runs or keeps its input, of the commands that it is piped through. `any_file`: wherever it is kept. */
static bool ends_in_program(const struct command_line *line, const struct command *command, bool any_file)
{
    if (command_is_run_as_words(line, command))
        return true;
    for (const struct command *next = command; next; next = command_feeds(line, next)) {
        struct text file = next->output_count ? next->outputs[0] : TEXT("/dev/null");
        bool device = (text_starts(file, TEXT("/dev/")) && !path_is_temporary(file)) || text_starts(file, TEXT("/sys/")) || text_starts(file, TEXT("/proc/"));
        bool kept = !device && !text_equal(file, TEXT("1")) && !text_equal(file, TEXT("2"));
        if (kept && (any_file || is_for_running(line, next, file)))
            return true;
        if (next != command && command_is_interpreter(next))
            return true;
    }
    return false;
}

static const char *wrong_with(const struct judging *judging, const struct command *command)
{
    size_t escapes = 0;

    if (text_among(command->name, printers))
        for (size_t i = 1; i < command->word_count; i++)
            escapes += escapes_in(command->words[i]);
    if (escapes < ESCAPES_MIN && !decodes(command))
        return NULL;
    if (!ends_in_program(judging->line, command, escapes >= ESCAPES_MIN))
        return NULL;
    return escapes >= ESCAPES_MIN ? "bytes are written by their numbers, into a file or a program" : "what is decoded is run, or written to be run";
}

static const struct rule_sample samples[] = {
    {true, "$ /bin/busybox echo -ne '\\x7f\\x45\\x4c\\x46\\x01\\x01' >> /tmp/.d"},
    {true, "$ sh -c echo aWQK | base64 -d | sh"},
    {true, "$ printf '\\177\\105\\114\\106\\002' > /dev/shm/a"},
    {true, "$ sh -c eval $(echo aWQK | base64 -d)"},
    {false, "$ sh -c KEY=$(base64 -d /etc/app/key.b64); logger ${#KEY}"},
    {true, "$ sh -c base64 -d /opt/a.b64 > /opt/agent; chmod +x /opt/agent; /opt/agent"},
    {false, "$ sh -c echo aWQK | base64 -d > /etc/ssl/certs/ca.pem"},
    {false, "$ sh -c base64 -d /etc/ssl/ca.b64 > /etc/ssl/ca.pem; chmod 644 /etc/ssl/certs/other.pem"},
    {false, "$ base64 -d /etc/ssl/ca.b64"},
    {true, "$ sh -c echo -ne \"\\x7f\\x45\\x4c\\x46\" > /tmp/.d"},
    {false, "$ sh -c echo -en '\\x01\\x03\\x00\\x00\\x00\\x02' > /dev/ttyUSB0"},
    {false, "$ echo -e '\\tready\\n'"},
    {false, "$ echo '\\x41' > /var/lib/app/seed"},
};

const struct rule rule_binary_command_line = {
    .id = "IoT_BinaryCommandLine",
    .title = "A program written through the command line",
    .severity = "High",
    .tactics = "Execution, DefenseEvasion",
    .techniques = "T1027, T1140, T1059.004",
    .fires = "`echo` or `printf` of four or more bytes by their numbers into a file or a program; `base64 -d`, `xxd -r`, `openssl enc -d` or "
             "`uudecode` whose output is run, or written to a temporary folder, to a hidden file or to one that the line makes runnable. "
             "Bots load themselves so where there is neither wget nor curl.",
    .spares = "Decoding to the terminal, or into files such as keys and pictures elsewhere; a byte or two by their numbers.",
    .needs = "Processes with their command lines.",
    .tuning = "An exception for the user or the command line of a job that unpacks so.",
    .remediation = rule_ask_user,
    .kinds = EVENT_BIT(EVENT_PROCESS),
    .words = words,
    .command = wrong_with,
    RULE_SAMPLES(samples),
};
