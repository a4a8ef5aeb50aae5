#include "agent/word_list.h"

#include <string.h>
#include <strings.h>

size_t word_list_next(const char **at, char between, const char **word)
{
    while (**at == ' ' || (**at && **at == between))
        ++*at;
    *word = *at;
    *at = strchrnul(*at, between);
    size_t count = (size_t)(*at - *word);
    while (count && (*word)[count - 1] == ' ')
        count--;
    return count;
}

bool word_list_has(const char *list, char between, const char *word)
{
    const char *next;
    size_t count;

    while ((count = word_list_next(&list, between, &next)))
        if (count == strlen(word) && strncasecmp(next, word, count) == 0)
            return true;
    return false;
}
