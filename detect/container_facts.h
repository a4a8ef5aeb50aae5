#ifndef PICKET_DETECT_CONTAINER_FACTS_H
#define PICKET_DETECT_CONTAINER_FACTS_H

#include "detect/rule.h"

/* Programs of containers; each list ends with NULL. */
extern const char *const container_words[];   /* what a command line about them bears: engines, and their daemon */
extern const char *const container_engines[]; /* that start them */
extern const char *const container_starts[];  /* what these are told to do then */

#endif
