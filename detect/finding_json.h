#ifndef PICKET_DETECT_FINDING_JSON_H
#define PICKET_DETECT_FINDING_JSON_H

#include "detect/finding.h"
#include "runtime/buf.h"

/* A finding as alerts keep it. Each appends one JSON value. */

/* [{"field","clause","value","event"},…]: why it fired, and by which event. */
void finding_write_reasons(const struct finding *finding, struct buf *out);
/* What is involved, as Sentinel writes entities, numbered from 2 on: the first is the device, which the alert knows itself. */
void finding_write_entities(const struct finding *finding, struct buf *out);
/* The extended properties that clients of the catalogue know: "CommandLine", "User Name", "Full Source Address" … */
void finding_write_properties(const struct finding *finding, struct buf *out);

#endif
