#ifndef PICKET_DETECT_SIGMA_PLACEHOLDER_H
#define PICKET_DETECT_SIGMA_PLACEHOLDER_H

#include "detect/sigma_value.h"
#include "detect/yaml_node.h"

/* `%name%` in values with the modifier expand. The specification leaves to the engine what they stand for: here the rule itself says it, under
 * `placeholders`, a map of names to values or lists of values. So a rule is whole wherever it is read. */
struct sigma_placeholder {
    const struct sigma_placeholder *next;
    struct text name;
    const struct text *values;
    size_t count;
};

/* NULL is no map, and gives none. False: `reason` (SIGMA_REASON_SIZE bytes) says what is wrong. */
bool sigma_placeholders_read(yaml_document_t *document, const yaml_node_t *mapping, struct arena *arena, const struct sigma_placeholder **out, char *reason);

/* Where the modifiers say so, puts each value of a placeholder in its place: a value becomes as many as there are combinations. `\%` is no placeholder's beginning.
 * Before sigma_modify(). */
bool sigma_expand(struct sigma_item *item);

#endif
