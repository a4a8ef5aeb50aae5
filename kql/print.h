#ifndef PICKET_KQL_PRINT_H
#define PICKET_KQL_PRINT_H

#include "kql/ast.h"

/* The tree as text, for tests and for people who want to see how a query was read: (or (== a 1) (has b "x")), one
 * statement a line, operators with what they hold. */
void kql_print(const struct kql_statement *statements, struct buf *out);

#endif
