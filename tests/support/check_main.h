#ifndef PICKET_TESTS_CHECK_MAIN_H
#define PICKET_TESTS_CHECK_MAIN_H

#include <check.h>
#include <stddef.h>

/* What a unit test's main() hands over. `setup` and `teardown` surround each test, in the test's own process, and may
 * be NULL. */
struct check_suite {
    const char *name; /* "runtime/buf" */
    const TTest *const *tests;
    size_t count;
    void (*setup)(void);
    void (*teardown)(void);
    double timeout_seconds; /* per test; 0: Check's four */
};

/* Runs all tests and prints Check's summary line. The result is for exit(): 0 when all passed. */
int check_main(const struct check_suite *suite);

/* The whole of main() where no fixture is needed:  return CHECK_MAIN("runtime/buf", tests); */
#define CHECK_MAIN(suite_name, test_array) \
    check_main(&(const struct check_suite){.name = (suite_name), \
                                           .tests = (test_array), \
                                           .count = sizeof(test_array) / sizeof(test_array)[0], \
                                           .timeout_seconds = 30})

#endif
