#include "detect/command_facts.h"
#include "detect/rule.h"

static const char *const words[] = {"openssl", "gpg", "zip", "ransom", "decrypt", "encrypt", "locked", "crypt", "7z", "esxcli", NULL};
static const char *const notes[] = {"readme_for_decrypt", "how_to_decrypt", "how_to_restore", "decrypt_instruction", "restore_files", "ransom_note",
                                    "how to restore your files", "recover_your_files", "your_files_are_encrypted", NULL};
static const char *const known[] = {"erebus", "ransomexx", "hellokitty", "lockbit", "blackbasta", "revix", "avoslinux", "royal_linux", "qnapcrypt", "deadbolt", NULL};
static const char *const endings[] = {".encrypted", ".locked", ".crypted", ".crypt", ".enc", ".deadbolt", ".encrypt", NULL};

static bool encrypts(const struct command *command)
{
    if (text_equal(command->name, TEXT("openssl")))
        return (command_word(command, "enc").bytes || command_word_starting(command, "aes").bytes) && !command_word(command, "-d").bytes;
    if (text_equal(command->name, TEXT("gpg")) || text_equal(command->name, TEXT("gpg2")))
        return command_has_letter(command, 'c') || command_has_letter(command, 'e') || command_word(command, "--symmetric").bytes ||
               command_word(command, "--encrypt").bytes;
    if (text_equal(command->name, TEXT("zip")) || text_equal(command->name, TEXT("7z")) || text_equal(command->name, TEXT("7za")))
        return command_word_starting(command, "-P").bytes || command_word(command, "-e").bytes || command_word_starting(command, "-p").bytes;
    return false;
}

/* find … -exec openssl enc …: it encrypts what it finds. */
static bool finds_to_encrypt(const struct command *command)
{
    bool exec = false;

    if (!text_equal(command->name, TEXT("find")))
        return false;
    for (size_t i = 1; i < command->word_count; i++) {
        struct text word = command->words[i];
        exec = exec || text_starts(word, TEXT("-exec")) || text_equal(word, TEXT("-ok"));
        if (!exec)
            continue;
        struct text name = event_base_name(word);
        if (text_equal(name, TEXT("openssl")) || text_equal(name, TEXT("gpg")) || text_equal(name, TEXT("zip")) || text_equal(name, TEXT("7z")))
            return true;
        for (size_t k = 0; endings[k]; k++)
            if (text_ends(word, text_of(endings[k])))
                return true;
    }
    return false;
}

/* The plain file goes once its cipher is there. */
static bool removes_plain(const struct command_line *line, const struct command *after)
{
    static const char *const removers[] = {"rm", "shred", "unlink", "wipe", NULL};
    return command_find_any(line, removers, after) != NULL;
}

/* An archiver with a password that takes the plain files away by itself: "7z a -px -sdel", "zip -P x -rm". */
static bool moves_into_cipher(const struct command *command)
{
    bool zip = text_equal(command->name, TEXT("zip"));

    return encrypts(command) && (command_word(command, "-sdel").bytes || (zip && (command_has_letter(command, 'm') || command_word(command, "--move").bytes)));
}

/* mv report.doc report.doc.locked */
static bool renames_as_cipher(const struct command *command)
{
    if (!text_equal(command->name, TEXT("mv")) || command->word_count < 3)
        return false;
    struct text from = command->words[command->word_count - 2], to = command->words[command->word_count - 1];
    for (size_t i = 0; endings[i]; i++)
        if (text_starts(to, from) && to.count == from.count + strlen(endings[i]) && text_ends(to, text_of(endings[i])))
            return true;
    return false;
}

static const char *wrong_with(const struct judging *judging, const struct command *command)
{
    for (size_t i = 0; known[i] && !command_only_mentions(command); i++)
        if (text_contains_nocase(command->name, known[i]))
            return "it bears the name of known ransomware";
    for (size_t i = 0; i < command->output_count; i++)
        for (size_t k = 0; notes[k]; k++)
            if (text_contains_nocase(command->outputs[i], notes[k]))
                return "a ransom note is written";
    if (finds_to_encrypt(command))
        return "every file that is found is encrypted";
    if (moves_into_cipher(command))
        return "files are moved into an archive with a password";
    if (renames_as_cipher(command))
        return "a file is renamed as ransomware calls what it encrypted";
    bool loop = command_find(judging->line, "for", NULL) || command_find(judging->line, "find", NULL) || command_find(judging->line, "read", NULL) ||
                command_find(judging->line, "xargs", NULL);
    if (encrypts(command) && loop && removes_plain(judging->line, command))
        return "files are encrypted one after the other and the plain ones removed";
    return NULL;
}

static const struct rule_sample samples[] = {
    {true, "$ find /share -type f -exec openssl enc -aes-256-cbc -k x -in {} -out {}.locked ;"},
    {true, "$ sh -c 'for f in /data/*; do openssl enc -aes-256-cbc -k s3 -in $f -out $f.enc; rm -f $f; done'"},
    {true, "$ sh -c 'echo pay >> /home/pi/HOW_TO_DECRYPT.txt'"},
    {true, "$ 7z a -ps3cret -sdel /data/h.7z /data/home"},
    {true, "$ mv /data/a.doc /data/a.doc.locked"},
    {false, "$ 7z a -ps3cret /mnt/backup.7z /data"},
    {false, "$ mv /tmp/dl.part /srv/archive.enc"},
    {false, "$ openssl enc -aes-256-cbc -in /etc/backup.tar -out /mnt/backup.enc -pass file:/etc/key"},
    {false, "$ find /var/log -name '*.log' -exec gzip {} ;"},
    {false, "$ gpg --symmetric /home/pi/report.pdf"},
};

const struct rule rule_ransomware = {
    .id = "IoT_Ransomware",
    .title = "Files are encrypted as ransomware does",
    .severity = "High",
    .tactics = "Impact",
    .techniques = "T1486, T0826",
    .fires = "`find` that encrypts all it finds; a loop that encrypts files and removes the plain ones; files moved into an archive with a password; a file "
             "renamed with an ending such as `.locked`; a ransom note; the name of known ransomware.",
    .spares = "One file encrypted, as backups do; loops that compress.",
    .needs = "Processes with their command lines.",
    .tuning = "An exception for the backup's user or command line.",
    .remediation = rule_ask_urgent,
    .kinds = EVENT_BIT(EVENT_PROCESS),
    .words = words,
    .command = wrong_with,
    RULE_SAMPLES(samples),
};
