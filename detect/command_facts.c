#include "detect/command_facts.h"

#include "detect/event.h"

bool text_contains_nocase(struct text whole, const char *part)
{
    size_t count = strlen(part);

    for (size_t i = 0; i + count <= whole.count; i++)
        if (text_equal_nocase((struct text){whole.bytes + i, count}, (struct text){part, count}))
            return true;
    return false;
}

bool command_contains_any(const struct command *command, const char *const *parts)
{
    for (size_t i = 1; i < command->word_count; i++)
        for (size_t k = 0; parts[k]; k++)
            if (text_contains_nocase(command->words[i], parts[k]))
                return true;
    return false;
}

bool ssh_option_has_value(char letter)
{
    return letter && strchr("BbcDEeFIiJLlmOoPpQRSWw", letter);
}

/* The value of an option: "-O x", "-Ox", "--output=x", "--output x". */
static struct text option_value(const struct command *command, char letter, const char *long_name)
{
    for (size_t i = 1; i < command->word_count; i++) {
        struct text word = command->words[i];
        bool last = i + 1 == command->word_count;
        if (word.count > 1 && word.bytes[0] == '-' && word.bytes[1] != '-') {
            const char *at = memchr(word.bytes, letter, word.count);
            if (!at)
                continue;
            size_t rest = (size_t)(word.bytes + word.count - at) - 1;
            return rest ? (struct text){at + 1, rest} : last ? TEXT_NONE : command->words[i + 1];
        }
        struct text head, value = text_cut(word, '=', &head);
        if (long_name && text_equal(head, text_of(long_name)))
            return value.bytes ? value : last ? TEXT_NONE : command->words[i + 1];
    }
    return TEXT_NONE;
}

/* Its last word that is no option. */
static struct text last_argument(const struct command *command)
{
    for (size_t i = command->word_count; i-- > 1;)
        if (command->words[i].count && command->words[i].bytes[0] != '-')
            return command->words[i];
    return TEXT_NONE;
}

static bool looks_like_url(struct text word)
{
    return text_starts(word, TEXT("http://")) || text_starts(word, TEXT("https://")) || text_starts(word, TEXT("ftp://")) ||
           text_starts(word, TEXT("tftp://")) || text_starts(word, TEXT("hxxp"));
}

static struct text url_word(const struct command *command)
{
    for (size_t i = 1; i < command->word_count; i++)
        if (looks_like_url(command->words[i]))
            return command->words[i];
    return TEXT_NONE;
}

/* The name that a URL's file is saved by. */
static struct text url_file(struct text url)
{
    size_t end = 0;

    while (end < url.count && url.bytes[end] != '?' && url.bytes[end] != '#')
        end++;
    struct text name = event_base_name((struct text){url.bytes, end});
    return name.count && !text_equal(name, url_host(url)) ? name : TEXT("index.html");
}

static bool prints(struct text target)
{
    return text_equal(target, TEXT("-")) || text_equal(target, TEXT("/dev/stdout"));
}

bool command_downloads(const struct command *command, struct text *source, struct text *target)
{
    static const char *const web[] = {"wget", "curl", "fetch", "aria2c", "lwp-download", "wget2", "axel", "http", "uclient-fetch", NULL};
    static const char *const files[] = {"tftp", "ftpget", "atftp", NULL};

    *target = TEXT_NONE;
    if (command->word_count < 2)
        return false;
    if (text_among(command->name, web)) {
        bool curl = text_equal(command->name, TEXT("curl"));
        *source = url_word(command);
        if (!source->bytes)
            *source = last_argument(command);
        if (!source->bytes || command_has_letter(command, 'T') || command_word_starting(command, "--upload-file").bytes)
            return false;
        *target = option_value(command, curl ? 'o' : 'O', curl ? "--output" : "--output-document");
        if (curl && !target->bytes && (command_has_letter(command, 'O') || command_word(command, "--remote-name").bytes))
            *target = url_file(*source);
        else if (!curl && !target->bytes)
            *target = url_file(*source);
        if (prints(*target))
            *target = TEXT_NONE;
        if (command->output_count)
            *target = command->outputs[command->output_count - 1];
        return true;
    }
    if (!text_among(command->name, files))
        return false;
    if (text_equal(command->name, TEXT("ftpget"))) { /* ftpget HOST LOCAL REMOTE */
        struct text rest[3] = {TEXT_NONE, TEXT_NONE, TEXT_NONE};
        size_t count = 0;
        for (size_t i = 1; i < command->word_count && count < 3; i++) {
            struct text word = command->words[i];
            if (word.count > 1 && word.bytes[0] == '-')
                i += word.count == 2 && strchr("upP", word.bytes[1]);
            else
                rest[count++] = word;
        }
        *source = rest[0];
        *target = count > 1 ? event_base_name(rest[1]) : TEXT_NONE;
        return count > 0;
    }
    *source = last_argument(command);
    for (size_t i = 1; i + 1 < command->word_count; i++) /* tftp HOST -c get FILE */
        if (text_equal(command->words[i], TEXT("get"))) {
            *target = event_base_name(command->words[i + 1]);
            return true;
        }
    *target = option_value(command, 'l', "--local-file");
    struct text remote = option_value(command, 'r', "--remote-file");
    if (!target->bytes && remote.bytes)
        *target = event_base_name(remote);
    return command_has_letter(command, 'g') || command_word(command, "--get").bytes;
}

/* Its words that are no options, one after the other. */
static struct text argument_at(const struct command *command, size_t index)
{
    for (size_t i = 1; i < command->word_count; i++)
        if ((!command->words[i].count || command->words[i].bytes[0] != '-') && index-- == 0)
            return command->words[i];
    return TEXT_NONE;
}

struct text command_writes(const struct command *command, size_t index)
{
    static const char *const writers[] = {"cp", "mv", "install", "ln", NULL};
    struct text source, target;

    if (index < command->output_count)
        return command->outputs[index];
    index -= command->output_count;
    if (text_equal(command->name, TEXT("tee")))
        return argument_at(command, index);
    if (index)
        return TEXT_NONE;
    if (command_downloads(command, &source, &target))
        return target;
    if (text_equal(command->name, TEXT("dd"))) {
        struct text word = command_word_starting(command, "of=");
        return word.bytes ? (struct text){word.bytes + 3, word.count - 3} : TEXT_NONE;
    }
    bool in_place = text_equal(command->name, TEXT("sed")) && command_has_letter(command, 'i');
    return in_place || text_among(command->name, writers) ? last_argument(command) : TEXT_NONE;
}

bool command_is_interpreter(const struct command *command)
{
    static const char *const exact[] = {"perl", "php", "ruby", "node", "nodejs", "lua", "tclsh", "pypy", NULL};

    return command_is_shell(command) || text_starts(command->name, TEXT("python")) || text_among(command->name, exact);
}

struct text command_script(const struct command *command)
{
    bool shell = command_is_shell(command), php = text_equal(command->name, TEXT("php"));

    for (size_t i = 1; command_is_interpreter(command) && i < command->word_count; i++) {
        struct text word = command->words[i];
        if (word.count < 2 || word.bytes[0] != '-')
            return word;
        char last = word.bytes[word.count - 1];
        if (word.bytes[1] != '-' && (shell ? memchr(word.bytes, 'c', word.count) != NULL : php ? last == 'r' : last == 'c' || last == 'e' || last == 'E'))
            return TEXT_NONE;
    }
    return TEXT_NONE;
}

bool command_is_run_as_words(const struct command_line *line, const struct command *command)
{
    static const char *const runners[] = {"eval", "source", ".", NULL};

    while (command->is_within && command->around < line->count) {
        command = &line->commands[command->around];
        bool is_name = command->path.count && (command->path.bytes[0] == '`' || text_starts(command->path, TEXT("$(")));
        if (is_name || command_is_interpreter(command) || text_among(command->name, runners))
            return true;
        if (!text_equal(command->name, TEXT("echo")) && !text_equal(command->name, TEXT("printf")))
            return false;
    }
    return false;
}

bool command_is_file_run(const struct command_line *line, const struct command *after, struct text path)
{
    struct text name = event_base_name(path);

    for (const struct command *command = after + 1; command < line->commands + line->count; command++) {
        if (text_equal(command->name, name) && (command->path.count > name.count || command->word_count == 1))
            return true;
        if (!command_is_interpreter(command) && !text_equal(command->name, TEXT(".")) && !text_equal(command->name, TEXT("source")))
            continue;
        for (size_t i = 1; i < command->word_count; i++)
            if (text_equal(event_base_name(command->words[i]), name))
                return true;
    }
    return false;
}

bool path_is_temporary(struct text path)
{
    static const char *const folders[] = {"/tmp/", "/var/tmp/", "/dev/shm/", "/run/", "/var/run/", "/var/volatile/", "/mnt/tmp/", "/data/local/tmp/", NULL};

    for (size_t i = 0; folders[i]; i++)
        if (text_starts(path, text_of(folders[i])))
            return true;
    return false;
}

bool command_only_mentions(const struct command *command)
{
    static const char *const names[] = {"echo", "printf", "grep", "egrep", "fgrep", "zgrep", "rg",   "man",  "info", "apropos", "whatis",
                                        "which", "whereis", "type", "locate", "find", "ls",   "cat",  "less", "more", "head", "tail",
                                        "apt",  "apt-get", "aptitude", "dpkg", "opkg", "apk",  "yum",  "dnf",  "rpm",  "pip",  "pip3",
                                        "snap", "pkill", "kill", "killall", "pgrep", "pidof", "ps",  "rm",   "file", "stat", "vi",
                                        "vim",  "nano", "cd",   "mkdir", "touch", "git",  "md5sum", "sha256sum", "test", "[", NULL};

    return text_among(command->name, names);
}

struct text url_host(struct text url)
{
    size_t from = 0;

    if (!url.bytes)
        return TEXT_NONE;
    for (size_t i = 0; i + 2 < url.count; i++)
        if (memcmp(url.bytes + i, "://", 3) == 0) {
            from = i + 3;
            break;
        }
    struct text rest = {url.bytes + from, url.count - from}, head;
    text_cut(rest, '/', &rest);
    size_t at = text_find(rest, '@');
    if (at < rest.count)
        rest = (struct text){rest.bytes + at + 1, rest.count - at - 1};
    if (rest.count && rest.bytes[0] == '[') {
        text_cut((struct text){rest.bytes + 1, rest.count - 1}, ']', &head);
        return head;
    }
    text_cut(rest, ':', &head);
    return head.count ? head : TEXT_NONE;
}
