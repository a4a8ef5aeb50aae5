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

/* What runs or keeps its input, of the commands that it is piped through. */
static bool ends_in_program(const struct judging *judging, const struct command *command)
{
    if (command_is_run_as_words(judging->line, command))
        return true;
    for (const struct command *next = command; next; next = command_feeds(judging->line, next)) {
        if (next->output_count && !text_equal(next->outputs[0], TEXT("/dev/null")) && !text_equal(next->outputs[0], TEXT("1")) &&
            !text_equal(next->outputs[0], TEXT("2")))
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
    if (!ends_in_program(judging, command))
        return NULL;
    return escapes ? "bytes are written by their numbers, into a file or a program" : "what is decoded is run, or written to be run";
}

static const struct rule_sample samples[] = {
    {true, "$ /bin/busybox echo -ne '\\x7f\\x45\\x4c\\x46\\x01\\x01' >> /tmp/.d"},
    {true, "$ sh -c echo aWQK | base64 -d | sh"},
    {true, "$ printf '\\177\\105\\114\\106\\002' > /dev/shm/a"},
    {true, "$ sh -c eval $(echo aWQK | base64 -d)"},
    {false, "$ sh -c KEY=$(base64 -d /etc/app/key.b64); logger ${#KEY}"},
    {false, "$ base64 -d /etc/ssl/ca.b64"},
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
             "`uudecode` whose output is run, or written to a file. Bots load themselves so where there is neither wget nor curl.",
    .spares = "Decoding to the terminal; a byte or two by their numbers.",
    .needs = "Processes with their command lines.",
    .tuning = "An exception for the user or the command line of a job that unpacks so.",
    .remediation = rule_ask_user,
    .kinds = EVENT_BIT(EVENT_PROCESS),
    .words = words,
    .command = wrong_with,
    RULE_SAMPLES(samples),
};
