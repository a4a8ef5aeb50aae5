#ifndef PICKET_QUERY_DEVICE_PATH_H
#define PICKET_QUERY_DEVICE_PATH_H

#include "query/request.h"

/* The device or module that a path names, found in one of the request's workspaces. Strings live in its arena. */
struct device_path {
    const char *device, *module; /* module "": the device itself */
    const char *workspace;       /* id as decimal text, for statements */
    int64_t workspace_id;
    const char *workspace_name, *status;
    const char *name; /* "dev" or "dev/module", for the audit and for sentences */
};

/* Reads :id and :module. STATUS_REJECT: 404 when there is none, or it is deleted; 400 when several of the request's
 * workspaces have one and none is named. Otherwise as db_query(). */
MUST_CHECK enum status device_path_find(const struct request *request, struct device_path *out, struct reply *reply,
                                        struct problem *why);

/* IoT Hub's rule for the id of a device or a module. */
bool device_id_valid(struct text id);

#endif
