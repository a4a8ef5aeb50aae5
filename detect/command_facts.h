#ifndef PICKET_DETECT_COMMAND_FACTS_H
#define PICKET_DETECT_COMMAND_FACTS_H

#include "detect/command_line.h"

/* What several detections ask of a command. */

/* It fetches files from elsewhere: wget, curl, tftp, ftpget and their like, asked to download. `*target` is the file that it writes,
 * TEXT_NONE where it prints or cannot be told; `*source` the URL or host, TEXT_NONE. */
bool command_downloads(const struct command *command, struct text *source, struct text *target);
/* The files that it writes, by a redirection, as a download, or as cp, mv, install, ln, tee, dd and sed -i do: the one at `index`, TEXT_NONE
 * behind the last. One may be named twice. */
struct text command_writes(const struct command *command, size_t index);
/* It reads a program from its input or its first word: a shell, python, perl, php … */
bool command_is_interpreter(const struct command *command);
/* The script, or Python's module, that an interpreter is given; TEXT_NONE where it is none, or has its program among its words (-c, -e). */
struct text command_script(const struct command *command);
/* What it prints is run: it stands as the first word of another command, or among those of an interpreter, of eval, or of the shell's dot. */
bool command_is_run_as_words(const struct command_line *line, const struct command *command);
/* Whether a command of the line that stands behind `after` runs the file: by its path, by an interpreter, or by the shell's dot. */
bool command_is_file_run(const struct command_line *line, const struct command *after, struct text path);
/* Below /tmp, /var/tmp, /dev/shm, /run and what is like them on small devices. */
bool path_is_temporary(struct text path);
/* It prints, searches, installs or documents what its words name and does not do it: echo, grep, man, apt … */
bool command_only_mentions(const struct command *command);
/* The host of "scheme://user@host:port/…", "user@host:path" or "host:port". TEXT_NONE. */
struct text url_host(struct text url);
bool text_contains_nocase(struct text whole, const char *part);
/* Whether one of its words but the first contains one of the parts, in any case; NULL ends them. */
bool command_contains_any(const struct command *command, const char *const *parts);
/* Whether an option of ssh, dbclient and plink takes a value: the rest of its word, or the next one. */
bool ssh_option_has_value(char letter);

#endif
