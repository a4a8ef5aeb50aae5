#ifndef PICKET_DETECT_YAML_NODE_H
#define PICKET_DETECT_YAML_NODE_H

#include <yaml.h>

#include "runtime/text.h"

/* Looking into what libyaml has read. NULL is fine for every node. */
struct text yaml_node_text(const yaml_node_t *node);      /* TEXT_NONE: it is no scalar */
size_t yaml_node_items(const yaml_node_t *node);          /* 0: it is no sequence */
const yaml_node_t *yaml_node_item(yaml_document_t *document, const yaml_node_t *list, size_t i);
/* The value of that name; NULL. */
const yaml_node_t *yaml_node_member(yaml_document_t *document, const yaml_node_t *mapping, const char *name);

#endif
