#ifndef PICKET_INGEST_TWINS_H
#define PICKET_INGEST_TWINS_H

#include "ingest/identity.h"
#include "runtime/db.h"

/* A device's own view of its twin: what it reads and what it reports, in IoT Hub's shapes. Each call is one statement
 * of picket_ingest's, on any thread that has a database connection. */
#define TWIN_SECTION_MAX 32768 /* bytes of desired, and of reported, as JSON text: IoT Hub's limit */

/* {"desired":{…,"$version":n},"reported":{…,"$version":n}} into `arena`; `*desired_version` is what desired
 * properties changed to last. An identity without a twin yet has two empty objects of version 1.
 * STATUS_REJECT: no such identity. STATUS_RETRY: the database is away. */
MUST_CHECK enum status twin_read(struct db *db, const struct identity *identity, uint32_t timeout_ms,
                                 struct arena *arena, struct text *out, int64_t *desired_version, struct problem *why);

/* Merges a patch (RFC 7396: null deletes) into what is reported; `*version` is the new $version.
 * STATUS_REJECT: it is no JSON object, or breaks a rule for names, values, depth or size: `why` says which and where. */
MUST_CHECK enum status twin_report(struct db *db, const struct identity *identity, struct text patch,
                                   uint32_t timeout_ms, int64_t *version, struct problem *why);

#endif
