// SPDX-License-Identifier: GPL-2.0-only
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "reason.h"

/* The table's size alone does not show a gap in its middle. */
static void test_every_reason_is_named(void **state)
{
	(void)state;
	for (int reason = 0; reason < XDNAT_REASON_MAX; reason++) {
		assert_non_null(reason_name(reason));
		assert_non_null(reason_help(reason));
		for (int earlier = 0; earlier < reason; earlier++)
			assert_string_not_equal(reason_name(reason), reason_name(earlier));
	}
}

static void test_verdicts(void **state)
{
	(void)state;
	assert_string_equal(reason_verdict(XDNAT_FORWARDED), "forwarded");
	assert_string_equal(reason_verdict(XDNAT_PASS_NOT_IP), "passed");
	assert_string_equal(reason_verdict(XDNAT_PASS_NO_RULE), "passed");
	assert_string_equal(reason_verdict(XDNAT_DROP_HEADER_CHECKSUM), "dropped");
	assert_string_equal(reason_verdict(XDNAT_DROP_BUSY), "dropped");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_reason_is_named),
		cmocka_unit_test(test_verdicts),
	};

	return cmocka_run_group_tests_name("reason", tests, NULL, NULL);
}
