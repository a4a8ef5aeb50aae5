/* A datagram that leaves the host for a name server, by whoever made it: its name is text that ends, in the form of a zone's file. */
#include <stdlib.h>
#include <string.h>

#include "agent/dns_question.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dns_question question;
    char type[DNS_TYPE_SIZE];

    if (!dns_question_read(data, size, &question))
        return 0;
    size_t length = strnlen(question.name, sizeof question.name);
    if (length == 0 || length == sizeof question.name || question.flow.remote_port != 53)
        abort();
    for (size_t i = 0; i < length; i++)
        if (question.name[i] <= ' ' || question.name[i] > '~')
            abort();
    dns_type_print(question.type, type);
    return 0;
}
