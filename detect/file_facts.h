#ifndef PICKET_DETECT_FILE_FACTS_H
#define PICKET_DETECT_FILE_FACTS_H

#include "detect/rule.h"

/* What is said of a watched file, in words or as bits of Linux' inotify. */

/* Whether it says either word, or, where it is a number, has one of the bits. */
bool file_mask_says(struct text mask, const char *word, const char *other, unsigned bits);
/* A finding for its path, where `says`. */
void file_judge_change(struct judging *judging, bool says, const char *clause);

#endif
