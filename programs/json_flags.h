#ifndef PICKET_PROGRAMS_JSON_FLAGS_H
#define PICKET_PROGRAMS_JSON_FLAGS_H

#include <jansson.h>

#include "programs/cli.h"

/* What is given as JSON on a command line. */

/* The object in the file that `flag` names ("-": standard input). STATUS_REJECT: there is none such, or it is not one. */
MUST_CHECK enum status json_flag_file(const struct cli *cli, const char *flag, json_t **out, struct problem *why);

/* "NAME=VALUE" with VALUE as JSON where it is such, as text where it is not, into `object`. */
MUST_CHECK enum status json_flag_pair(const char *pair, json_t *object, struct problem *why);

/* "NAME=TEXT,NAME=TEXT" into a new object of strings. */
MUST_CHECK enum status json_flag_texts(const char *list, json_t **out, struct problem *why);

#endif
