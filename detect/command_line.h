#ifndef PICKET_DETECT_COMMAND_LINE_H
#define PICKET_DETECT_COMMAND_LINE_H

#include "runtime/arena.h"

/* A command line taken apart as a POSIX shell would, well enough to judge it: what runs what, with which words, where its output
 * goes. Nothing is expanded or run. Agents join arguments with blanks and lose the quotes: `sh -c` takes all words behind it, so
 * that both forms read alike.
 *
 * The commands that stand within others are listed as well, behind them: those of `sh -c '…'`, of `$(…)`, `<(…)` and back quotes, and what
 * sudo, env, nohup, busybox, xargs and their like start. The last command of `sh -c '…'` and of `(…)` has what stands behind the whole: the
 * pipe that it goes into, and, of a shell's, the files. */
enum command_end {
    COMMAND_ENDS,  /* the line, or its list */
    COMMAND_PIPES, /* into the next command */
    COMMAND_THEN,  /* ';', '&', '&&', '||' or a new line: others follow */
};

struct command {
    struct text name;   /* without its folders, as "wget" of "/usr/bin/wget"; of "busybox wget" too */
    struct text path;   /* as it is written */
    const struct text *words; /* the first is `path` */
    size_t word_count;
    const struct text *outputs; /* files behind > and >> */
    size_t output_count;
    const struct text *inputs; /* behind < */
    size_t input_count;
    enum command_end end;
    bool starts_next; /* it is sudo, nohup … and starts the command that is listed next */
    bool is_within;   /* its output, or a file of it, is among another command's words: $(…), <(…) … */
    size_t around;    /* … of which this is the index in the line */
};

struct command_line {
    struct text text;
    const struct command *commands;
    size_t count;
};

#define COMMANDS_MAX 64              /* of a line; what is beyond is not looked at */
#define COMMAND_WORDS_MAX 400        /* of all of them together */
#define COMMAND_BYTES_MAX (16 * 1024) /* of the line that are read */

/* Never fails: what is no shell's grammar is words. */
void command_line_read(struct text line, struct arena *arena, struct command_line *out);

/* The first command of that name behind `after` (NULL: from the first); NULL. */
const struct command *command_find(const struct command_line *line, const char *name, const struct command *after);
/* The same for any of several names, NULL at their end. */
const struct command *command_find_any(const struct command_line *line, const char *const *names, const struct command *after);
/* The command that its output goes into, and the one whose output it gets, past sudo and the like that start one of them; NULL. */
const struct command *command_feeds(const struct command_line *line, const struct command *command);
const struct command *command_fed_by(const struct command_line *line, const struct command *command);
/* A word that is exactly this one, or TEXT_NONE. The first word is the command's own and does not count. */
struct text command_word(const struct command *command, const char *word);
struct text command_word_among(const struct command *command, const char *const *words); /* NULL ends the list */
/* A word that begins so, or TEXT_NONE. */
struct text command_word_starting(const struct command *command, const char *start);
/* Whether an option of one letter is given, alone or among others: "-rf" has 'r' and 'f'. */
bool command_has_letter(const struct command *command, char letter);
bool command_is_shell(const struct command *command);

#endif
