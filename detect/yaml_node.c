#include "detect/yaml_node.h"

struct text yaml_node_text(const yaml_node_t *node)
{
    return node && node->type == YAML_SCALAR_NODE ? (struct text){(const char *)node->data.scalar.value, node->data.scalar.length} : TEXT_NONE;
}

size_t yaml_node_items(const yaml_node_t *node)
{
    return node && node->type == YAML_SEQUENCE_NODE ? (size_t)(node->data.sequence.items.top - node->data.sequence.items.start) : 0;
}

const yaml_node_t *yaml_node_item(yaml_document_t *document, const yaml_node_t *list, size_t i)
{
    return i < yaml_node_items(list) ? yaml_document_get_node(document, list->data.sequence.items.start[i]) : NULL;
}

const yaml_node_t *yaml_node_member(yaml_document_t *document, const yaml_node_t *mapping, const char *name)
{
    if (!mapping || mapping->type != YAML_MAPPING_NODE)
        return NULL;
    for (const yaml_node_pair_t *pair = mapping->data.mapping.pairs.start; pair < mapping->data.mapping.pairs.top; pair++)
        if (text_equal(yaml_node_text(yaml_document_get_node(document, pair->key)), text_of(name)))
            return yaml_document_get_node(document, pair->value);
    return NULL;
}
