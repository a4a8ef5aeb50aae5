#ifndef PICKET_PROGRAMS_LISTING_H
#define PICKET_PROGRAMS_LISTING_H

#include "programs/cli.h"
#include "programs/table.h"

/* What most verbs are: one request, and its answer as a list, as members, or as a word. */

/* GETs every page of `path` and prints the elements of `noun` as columns, or one JSON a line. */
MUST_CHECK enum cli_exit listing_print(const struct cli *cli, const char *path, const char *noun,
                                       const struct table_column *columns, size_t count);

/* GETs one thing and prints its members. */
MUST_CHECK enum cli_exit listing_show(const struct cli *cli, const char *path);

/* Sends `take_body` (may be NULL) and prints the answer: members, or on stderr "<done>" where there are none. */
MUST_CHECK enum cli_exit listing_change(const struct cli *cli, const char *method, const char *path, json_t *take_body,
                                        const char *done);

/* The device or module that argument 0 names: "pump-17/security" is /v1/devices/pump-17/modules/security, with `action`
 * behind it and "?workspace=" where --workspace is given. Static string. */
const char *listing_device_path(const struct cli *cli, const char *action);

/* <before><argument 0, escaped><after>; with "?workspace=" where --workspace is given. Static string. */
const char *listing_path(const struct cli *cli, const char *before, const char *after);

#endif
