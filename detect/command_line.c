#include "detect/command_line.h"

#include <string.h>

#include "runtime/buf.h"

#define NESTING_MAX 4  /* of sh -c within sh -c, and of $(…) */
#define FILES_MAX 32   /* behind > and < together */
#define WITHINS_MAX 16 /* of $(…) and the like in a line */

struct reading {
    struct arena *arena;
    struct command *commands;
    size_t count;
    size_t last; /* of them, the one whose output that of its list ends with: not of $(…) within it */
    struct text *words; /* of all commands, one after the other */
    size_t word_count;
    struct text *files;
    size_t file_count;
    unsigned nesting;
    char scratch[COMMAND_BYTES_MAX + 1]; /* the word that is being read */
};

/* What is being read of one line. */
struct cursor {
    const char *at, *end;
};

enum token_kind { TOKEN_WORD, TOKEN_PIPE, TOKEN_THEN, TOKEN_OUTPUT, TOKEN_INPUT, TOKEN_END };

#define NOT_WITHIN SIZE_MAX
static void line_read(struct reading *reading, struct text line, size_t around);

static const char *const closers[] = {"}", "fi", "done", "esac", NULL};
static const char *const shells[] = {"sh", "bash", "ash", "dash", "ksh", "zsh", "mksh", "tcsh", "csh", "fish", NULL};

/* ---- words ---- */

static struct text base_name(struct text path)
{
    size_t at = path.count;

    while (at > 0 && path.bytes[at - 1] != '/')
        at--;
    return (struct text){path.bytes + at, path.count - at};
}

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\0';
}

static bool ends_word(char byte)
{
    return is_blank(byte) || strchr("\n;&|<>()`", byte);
}

/* "$(" to its ")", or from one back quote to the next: what stands between. */
static struct text substitution(struct cursor *cursor)
{
    const char *from;
    int depth = 1;

    if (*cursor->at == '`') {
        from = ++cursor->at;
        while (cursor->at < cursor->end && *cursor->at != '`')
            cursor->at++;
        struct text within = {from, (size_t)(cursor->at - from)};
        cursor->at += cursor->at < cursor->end;
        return within;
    }
    cursor->at += 2;
    from = cursor->at;
    for (; cursor->at < cursor->end; cursor->at++) {
        depth += (*cursor->at == '(') - (*cursor->at == ')');
        if (!depth)
            break;
    }
    struct text within = {from, (size_t)(cursor->at - from)};
    cursor->at += cursor->at < cursor->end;
    return within;
}

static bool at_substitution(const struct cursor *cursor, bool quoted)
{
    char byte = *cursor->at;

    return byte == '`' || ((byte == '$' || (!quoted && (byte == '<' || byte == '>'))) && cursor->at + 1 < cursor->end && cursor->at[1] == '(');
}

/* What $(…) and the like hold of one line, to be read by itself. */
struct withins {
    struct {
        struct text text;
        size_t around; /* the command among whose words it stands */
    } list[WITHINS_MAX];
    size_t count;
};

/* A word without its quotes; what $(…) holds stays in it as written, and is noted as well. */
static struct text word_read(struct reading *reading, struct cursor *cursor, struct withins *withins)
{
    char *word = reading->scratch;
    size_t count = 0;
    char quote = 0;

    while (cursor->at < cursor->end) {
        char byte = *cursor->at;
        if (quote != '\'' && at_substitution(cursor, quote)) {
            const char *from = cursor->at;
            struct text inner = substitution(cursor);
            if (withins->count < WITHINS_MAX)
                withins->list[withins->count++].text = inner;
            memcpy(word + count, from, (size_t)(cursor->at - from));
            count += (size_t)(cursor->at - from);
            continue;
        }
        if (quote ? byte == quote : byte == '\'' || byte == '"') {
            quote = quote ? 0 : byte;
            cursor->at++;
            continue;
        }
        if (!quote && ends_word(byte))
            break;
        if (byte == '\\' && quote != '\'' && cursor->at + 1 < cursor->end) {
            char next = cursor->at[1];
            cursor->at += 2;
            if (next == '\n')
                continue;
            if (quote && !strchr("\"\\$`", next))
                word[count++] = '\\';
            word[count++] = next;
            continue;
        }
        word[count++] = byte;
        cursor->at++;
    }
    return arena_text(reading->arena, (struct text){word, count});
}

static void blanks_skip(struct cursor *cursor)
{
    while (cursor->at < cursor->end && is_blank(*cursor->at))
        cursor->at++;
}

/* "python", "python3.11", "nodejs" */
static bool is_language(struct text name, struct text language)
{
    if (!text_starts(name, language))
        return false;
    struct text version = {name.bytes + language.count, name.count - language.count};
    for (size_t i = 0; i < version.count; i++)
        if (version.bytes[i] != '.' && (version.bytes[i] < '0' || version.bytes[i] > '9'))
            return text_equal(version, TEXT("js"));
    return true;
}

/* Whether the last of the words asks a language for a program that stands behind it: "python3 -c", "sudo perl -ne". */
static bool program_follows(const struct text *words, size_t count)
{
    static const struct {
        const char *name;
        char letters[3];
    } languages[] = {{"python", "c"}, {"pypy", "c"}, {"perl", "eE"}, {"ruby", "e"}, {"php", "r"}, {"node", "ep"}, {"lua", "e"}};
    struct text option = count > 1 ? words[count - 1] : TEXT("");

    if (option.count < 2 || option.bytes[0] != '-' || option.bytes[1] == '-')
        return false;
    for (size_t i = 0; i + 1 < count; i++)
        for (size_t k = 0; k < sizeof languages / sizeof *languages; k++)
            if (is_language(base_name(words[i]), text_of(languages[k].name)) && strchr(languages[k].letters, option.bytes[option.count - 1]))
                return true;
    return false;
}

/* Agents join arguments with blanks: a program that lost its quotes goes on to the end, whatever stands in it. */
static bool program_read(struct reading *reading, struct cursor *cursor, struct text *out)
{
    blanks_skip(cursor);
    if (cursor->at == cursor->end || *cursor->at == '\'' || *cursor->at == '"')
        return false;
    *out = arena_text(reading->arena, (struct text){cursor->at, (size_t)(cursor->end - cursor->at)});
    cursor->at = cursor->end;
    return true;
}

/* "2>", ">>", "&>", "<" … at the cursor; a number before it belongs to it. */
static bool redirection(struct cursor *cursor, enum token_kind *kind)
{
    const char *at = cursor->at;

    while (at < cursor->end && *at >= '0' && *at <= '9')
        at++;
    if (at == cursor->at && at + 1 < cursor->end && at[0] == '&' && at[1] == '>')
        at++;
    if (at >= cursor->end || (*at != '>' && *at != '<'))
        return false;
    *kind = *at == '>' ? TOKEN_OUTPUT : TOKEN_INPUT;
    while (at < cursor->end && (*at == '>' || *at == '<' || *at == '&' || *at == '|'))
        at++;
    cursor->at = at;
    return true;
}

static enum token_kind token_kind_at(struct cursor *cursor)
{
    enum token_kind kind;

    blanks_skip(cursor);
    if (cursor->at >= cursor->end)
        return TOKEN_END;
    if (at_substitution(cursor, false))
        return TOKEN_WORD;
    if (redirection(cursor, &kind))
        return kind;
    switch (*cursor->at) {
    case '|':
        cursor->at++;
        if (cursor->at < cursor->end && *cursor->at == '|') {
            cursor->at++;
            return TOKEN_THEN;
        }
        cursor->at += cursor->at < cursor->end && *cursor->at == '&';
        return TOKEN_PIPE;
    case '&':
    case ';':
    case '\n':
    case '(':
    case ')':
        cursor->at++;
        return TOKEN_THEN;
    default:
        return TOKEN_WORD;
    }
}

/* ---- commands ---- */

static bool is_assignment(struct text word)
{
    size_t equals = text_find(word, '=');

    if (equals == 0 || equals == word.count)
        return false;
    for (size_t i = 0; i < equals; i++) {
        char byte = word.bytes[i];
        bool letter = (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z') || byte == '_';
        if (!letter && !(i > 0 && byte >= '0' && byte <= '9'))
            return false;
    }
    return true;
}

/* What starts the command behind it, with the options of its own that take a value. */
static const struct starter {
    const char *name, *valued; /* letters of options */
    unsigned words;            /* of its own that come first: "timeout 10 wget" */
} starters[] = {
    {"sudo", "ugpCRTU", 0}, {"doas", "uC", 0},  {"env", "uCS", 0},   {"nohup", "", 0},  {"nice", "n", 0},     {"ionice", "cnp", 0},
    {"time", "fo", 0},      {"exec", "a", 0},   {"setsid", "", 0},   {"timeout", "ks", 1}, {"xargs", "IdEnPsLa", 0}, {"busybox", "", 0},
    {"toybox", "", 0},      {"command", "", 0}, {"builtin", "", 0},  {"stdbuf", "ioe", 0}, {"chroot", "", 1},  {"unshare", "", 0},
    {"strace", "eopsu", 0}, {"watch", "n", 0},  {"linux32", "", 0},  {"then", "", 0},   {"do", "", 0},        {"else", "", 0},
    {"if", "", 0},          {"while", "", 0},   {"!", "", 0},        {"{", "", 0},
};

/* Which word of the command is the one that it starts; `count` where it starts none. */
static size_t started_word(const struct text *words, size_t count)
{
    struct text name = base_name(words[0]);
    const struct starter *starter = NULL;
    size_t at = 1;
    unsigned own;

    for (size_t i = 0; !starter && i < sizeof starters / sizeof *starters; i++)
        if (text_equal(name, text_of(starters[i].name)))
            starter = &starters[i];
    if (!starter)
        return count;
    own = starter->words;
    for (; at < count; at++) {
        struct text word = words[at];
        if (word.count > 1 && word.bytes[0] == '-') {
            at += word.count == 2 && strchr(starter->valued, word.bytes[1]) != NULL;
        } else if (own) {
            own--;
        } else if (!is_assignment(word)) {
            break;
        }
    }
    return at < count ? at : count;
}

static void word_add(struct reading *reading, struct command *command, struct text word)
{
    if (reading->word_count == COMMAND_WORDS_MAX)
        return;
    reading->words[reading->word_count++] = word;
    command->word_count++;
}

static struct command *command_add(struct reading *reading)
{
    if (reading->count == COMMANDS_MAX)
        return NULL;
    reading->last = reading->count;
    return &reading->commands[reading->count++];
}

/* A word of a script, so that it is read as the same word again; what stands in $(…) and <(…) goes on to be read. */
static void word_quote(struct buf *out, struct text word)
{
    bool plain = word.count > 0, opens = word.count > 1 && (word.bytes[0] == '<' || word.bytes[0] == '>') && word.bytes[1] == '(';

    for (size_t i = 0; i < word.count; i++)
        plain = plain && !memchr(" \t\n;&|<>()\\\"'", word.bytes[i], 12);
    if (plain || opens) {
        buf_text(out, word);
        return;
    }
    struct cursor cursor = {word.bytes, word.bytes + word.count};
    buf_byte(out, '"');
    while (cursor.at < cursor.end) {
        const char *from = cursor.at;
        if (at_substitution(&cursor, true)) {
            (void)substitution(&cursor);
            buf_text(out, (struct text){from, (size_t)(cursor.at - from)});
            continue;
        }
        if (*from == '\\' || *from == '"')
            buf_byte(out, '\\');
        buf_byte(out, *from);
        cursor.at++;
    }
    buf_byte(out, '"');
}

/* What a shell is told with -c: a word, or, where it lost its quotes, all words behind that. False: it is told nothing. */
static bool shell_read(struct reading *reading, struct command *shell)
{
    size_t before = reading->count;

    for (size_t i = 1; i < shell->word_count; i++) {
        struct text word = shell->words[i];
        struct buf script;
        if (word.count < 2 || word.bytes[0] != '-' || word.bytes[1] == '-' || !memchr(word.bytes, 'c', word.count))
            continue;
        buf_init(&script, 4 * COMMAND_BYTES_MAX);
        for (size_t k = i + 1; k < shell->word_count; k++) {
            if (k == i + 1) {
                buf_text(&script, shell->words[k]);
                continue;
            }
            buf_byte(&script, ' ');
            word_quote(&script, shell->words[k]);
        }
        struct text kept = arena_text(reading->arena, buf_as_text(&script));
        kept.count = kept.count < COMMAND_BYTES_MAX ? kept.count : COMMAND_BYTES_MAX;
        buf_done(&script);
        line_read(reading, kept, shell->is_within ? shell->around : NOT_WITHIN);
        if (reading->count > before) {
            struct command *last = &reading->commands[reading->last];
            last->end = shell->end;
            shell->end = COMMAND_ENDS;
            if (!last->output_count) {
                last->outputs = shell->outputs;
                last->output_count = shell->output_count;
            }
            if (!last->input_count) {
                last->inputs = shell->inputs;
                last->input_count = shell->input_count;
            }
        }
        return true;
    }
    return false;
}

/* One command with what it starts, behind each other. False: a shell's, whose words were read as commands themselves. `*put_at`: the last of
 * them. */
static bool command_put(struct reading *reading, const struct command *read, size_t *put_at)
{
    struct command command = *read;

    for (;;) {
        size_t skipped = 0;
        while (skipped < command.word_count && is_assignment(command.words[skipped]))
            skipped++;
        if (skipped == command.word_count && skipped)
            skipped--; /* assignments alone */
        command.words += skipped;
        command.word_count -= skipped;
        if (!command.word_count && !command.output_count)
            return true;
        struct command *put = command_add(reading);
        if (!put)
            return true;
        *put_at = reading->last;
        command.path = command.word_count ? command.words[0] : TEXT("");
        command.name = base_name(command.path);
        size_t started = command.word_count ? started_word(command.words, command.word_count) : 0;
        command.starts_next = started < command.word_count;
        *put = command;
        if (!command.starts_next)
            return reading->nesting == NESTING_MAX || !command_is_shell(put) || !shell_read(reading, put);
        command.words += started;
        command.word_count -= started;
    }
}

/* `around`: the index of the command among whose words the line stands; NOT_WITHIN. */
static void line_read(struct reading *reading, struct text line, size_t around)
{
    struct cursor cursor = {line.bytes, line.bytes + line.count};
    struct withins withins = {.count = 0};
    size_t begun_at = reading->count;
    enum token_kind kind;

    reading->nesting++;
    do {
        struct command command = {.words = reading->words + reading->word_count,
                                  .outputs = reading->files + reading->file_count,
                                  .is_within = around != NOT_WITHIN,
                                  .around = around};
        size_t withins_before = withins.count, put_at = reading->count;
        while ((kind = token_kind_at(&cursor)) == TOKEN_WORD || kind == TOKEN_OUTPUT || kind == TOKEN_INPUT) {
            blanks_skip(&cursor);
            const char *before = cursor.at;
            struct text word = word_read(reading, &cursor, &withins);
            if (kind == TOKEN_WORD) {
                word_add(reading, &command, word);
                if (program_follows(command.words, command.word_count) && program_read(reading, &cursor, &word))
                    word_add(reading, &command, word);
                if (cursor.at == before) /* a byte that begins nothing */
                    cursor.at++;
            } else if (word.count && reading->file_count < FILES_MAX && kind == TOKEN_OUTPUT) {
                reading->files[reading->file_count++] = word;
                command.output_count++;
            } else if (word.count && kind == TOKEN_INPUT) {
                struct text *input = ARENA_NEW(reading->arena, struct text);
                *input = word;
                command.inputs = input;
                command.input_count = 1; /* the last one is what it reads */
            }
        }
        command.end = kind == TOKEN_PIPE ? COMMAND_PIPES : kind == TOKEN_THEN ? COMMAND_THEN : COMMAND_ENDS;
        if (!command.word_count && !command.output_count) {
            if (kind == TOKEN_PIPE && reading->count > begun_at) /* (…) | */
                reading->commands[reading->last].end = COMMAND_PIPES;
            continue;
        }
        if (kind == TOKEN_PIPE && reading->count > begun_at && command.word_count == 1 && text_among(command.words[0], closers))
            reading->commands[reading->last].end = COMMAND_PIPES; /* { …; } | */
        if (!command_put(reading, &command, &put_at))
            withins.count = withins_before;
        while (withins_before < withins.count)
            withins.list[withins_before++].around = put_at;
    } while (kind != TOKEN_END && reading->count < COMMANDS_MAX);
    size_t last = reading->last;
    for (size_t i = 0; i < withins.count && reading->nesting < NESTING_MAX; i++)
        line_read(reading, withins.list[i].text, withins.list[i].around);
    reading->last = last;
    reading->nesting--;
}

void command_line_read(struct text line, struct arena *arena, struct command_line *out)
{
    struct command commands[COMMANDS_MAX];
    struct text words[COMMAND_WORDS_MAX], files[FILES_MAX];
    struct reading reading = {.arena = arena, .commands = commands, .words = words, .files = files};

    *out = (struct command_line){.text = line};
    if (!line.bytes)
        return;
    line.count = line.count < COMMAND_BYTES_MAX ? line.count : COMMAND_BYTES_MAX;
    line_read(&reading, line, NOT_WITHIN);
    struct command *kept = ARENA_ARRAY(arena, struct command, reading.count);
    struct text *kept_words = ARENA_ARRAY(arena, struct text, reading.word_count);
    struct text *kept_files = ARENA_ARRAY(arena, struct text, reading.file_count);
    memcpy(kept_words, words, reading.word_count * sizeof *words);
    memcpy(kept_files, files, reading.file_count * sizeof *files);
    for (size_t i = 0; i < reading.count; i++) {
        kept[i] = commands[i];
        kept[i].words = kept_words + (commands[i].words - words);
        kept[i].outputs = kept_files + (commands[i].outputs - files);
    }
    out->commands = kept;
    out->count = reading.count;
}

const struct command *command_find(const struct command_line *line, const char *name, const struct command *after)
{
    const char *const names[] = {name, NULL};
    return command_find_any(line, names, after);
}

const struct command *command_find_any(const struct command_line *line, const char *const *names, const struct command *after)
{
    for (size_t i = after ? (size_t)(after - line->commands) + 1 : 0; i < line->count; i++)
        if (text_among(line->commands[i].name, names))
            return &line->commands[i];
    return NULL;
}

const struct command *command_feeds(const struct command_line *line, const struct command *command)
{
    const struct command *last = line->commands + line->count - 1;

    while (command < last && command->starts_next)
        command++;
    if (command == last || command->end != COMMAND_PIPES)
        return NULL;
    for (command++; command < last && command->starts_next;)
        command++;
    return command;
}

const struct command *command_fed_by(const struct command_line *line, const struct command *command)
{
    while (command > line->commands && command[-1].starts_next)
        command--;
    return command > line->commands && command[-1].end == COMMAND_PIPES ? command - 1 : NULL;
}

struct text command_word(const struct command *command, const char *word)
{
    for (size_t i = 1; i < command->word_count; i++)
        if (text_equal(command->words[i], text_of(word)))
            return command->words[i];
    return TEXT_NONE;
}

struct text command_word_among(const struct command *command, const char *const *words)
{
    for (size_t i = 1; i < command->word_count; i++)
        if (text_among(command->words[i], words))
            return command->words[i];
    return TEXT_NONE;
}

struct text command_word_starting(const struct command *command, const char *start)
{
    for (size_t i = 1; i < command->word_count; i++)
        if (text_starts(command->words[i], text_of(start)))
            return command->words[i];
    return TEXT_NONE;
}

bool command_has_letter(const struct command *command, char letter)
{
    for (size_t i = 1; i < command->word_count; i++) {
        struct text word = command->words[i];
        if (word.count > 1 && word.bytes[0] == '-' && word.bytes[1] != '-' && memchr(word.bytes + 1, letter, word.count - 1))
            return true;
    }
    return false;
}

bool command_is_shell(const struct command *command)
{
    return text_among(command->name, shells);
}
