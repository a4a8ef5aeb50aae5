#include "tests/support/check_main.h"

#include <stdlib.h>

int check_main(const struct check_suite *suite)
{
    Suite *made = suite_create(suite->name);
    TCase *all = tcase_create("all");
    SRunner *runner = srunner_create(made);

    suite_add_tcase(made, all);
    if (suite->timeout_seconds > 0)
        tcase_set_timeout(all, suite->timeout_seconds);
    if (suite->setup || suite->teardown)
        tcase_add_checked_fixture(all, suite->setup, suite->teardown);
    for (size_t i = 0; i < suite->count; i++)
        tcase_add_test(all, suite->tests[i]);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
