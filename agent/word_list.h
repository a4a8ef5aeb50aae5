#ifndef PICKET_AGENT_WORD_LIST_H
#define PICKET_AGENT_WORD_LIST_H

#include <stdbool.h>
#include <stddef.h>

/* Lists in one line of text, as settings have them: "files, hardware". */

/* The next word, without the blanks around it, and moves `at` behind it; empty ones are passed over. Returns its length, 0 at the end. */
size_t word_list_next(const char **at, char between, const char **word);
/* Whether it is among them, in whatever case. */
bool word_list_has(const char *list, char between, const char *word);

#endif
