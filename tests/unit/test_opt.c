// SPDX-License-Identifier: GPL-2.0-only
/* fail.h comes before cmocka.h, which has a macro of that name. */
#include "fail.h"
#include "opt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#define WORDS_MAX 8

static bool json, all;
static uint64_t flows;
static const char *mode, *instance;

static const struct opt global[] = {
	{.name = "json", .type = OPT_FLAG, .help = "print JSON", .flag = &json},
	{.name = "instance",
	 .type = OPT_TEXT,
	 .value = "NAME",
	 .help = "which instance",
	 .text = &instance},
	{0},
};

static const struct opt own[] = {
	{.name = "flows",
	 .type = OPT_NUMBER,
	 .value = "N",
	 .help = "flows of each family",
	 .number = &flows,
	 .low = 2,
	 .high = 100},
	{.name = "mode",
	 .type = OPT_CHOICE,
	 .value = "auto|native|generic",
	 .help = "what stands in front",
	 .text = &mode},
	{.name = "all", .type = OPT_FLAG, .help = "every interface", .flag = &all},
	{0},
};

static int reset(void **state)
{
	(void)state;
	json = all = false;
	flows = 0;
	mode = instance = NULL;
	return 0;
}

/* line: words with one blank between them; left: what should stay of them. */
static int parse(const char *line, char *left, size_t size)
{
	static char copy[256]; /* values point into it */
	const char *words[WORDS_MAX];
	char *rest = copy;
	size_t count = 0;
	int err;

	snprintf(copy, sizeof(copy), "%s", line);
	while (*line && rest)
		words[count++] = strsep(&rest, " ");
	err = opt_parse(global, own, words, &count);
	*left = '\0';
	for (size_t i = 0; !err && i < count; i++)
		snprintf(left + strlen(left), size - strlen(left), "%s%s", i ? " " : "", words[i]);
	return err;
}

static void assert_left(const char *line, const char *expected)
{
	char left[256];

	assert_int_equal(parse(line, left, sizeof(left)), 0);
	assert_string_equal(left, expected);
}

static void assert_refused(const char *line, const char *message)
{
	char left[256];

	assert_int_equal(parse(line, left, sizeof(left)), -EUSAGE);
	assert_string_equal(fail_text(), message);
}

static void test_options_anywhere(void **state)
{
	(void)state;
	assert_left("--json eth0 --flows 5 eth1 --all --mode native", "eth0 eth1");
	assert_true(json);
	assert_true(all);
	assert_int_equal(flows, 5);
	assert_string_equal(mode, "native");
	assert_null(instance);
}

static void test_inline_values(void **state)
{
	(void)state;
	assert_left("eth0 --flows=7 --instance=a=b --mode=auto", "eth0");
	assert_int_equal(flows, 7);
	assert_string_equal(instance, "a=b");
	assert_string_equal(mode, "auto");
}

static void test_nothing(void **state)
{
	(void)state;
	assert_left("", "");
	assert_left("add 80:10.0.0.5 name=web", "add 80:10.0.0.5 name=web");
	assert_false(json || all);
}

static void test_end_of_options(void **state)
{
	(void)state;
	assert_left("--all -- --json -- -x", "--json -- -x");
	assert_true(all);
	assert_false(json);
}

static void test_dash_is_an_operand(void **state)
{
	(void)state;
	assert_left("add - --json", "add -");
	assert_true(json);
}

static void test_number_limits(void **state)
{
	(void)state;
	assert_left("--flows 2", "");
	assert_int_equal(flows, 2);
	assert_left("--flows 100", "");
	assert_int_equal(flows, 100);
	assert_refused("--flows 1", "--flows \"1\" is not a whole number from 2 to 100");
	assert_refused("--flows 101", "--flows \"101\" is not a whole number from 2 to 100");
	assert_refused("--flows=5x", "--flows \"5x\" is not a whole number from 2 to 100");
	assert_refused("--flows=", "--flows \"\" is not a whole number from 2 to 100");
	assert_int_equal(flows, 100);
}

static void test_choices(void **state)
{
	(void)state;
	assert_left("--mode generic", "");
	assert_string_equal(mode, "generic");
	mode = NULL;
	assert_refused("--mode nat", "--mode \"nat\" is none of auto|native|generic");
	assert_refused("--mode natives", "--mode \"natives\" is none of auto|native|generic");
	assert_refused("--mode=", "--mode \"\" is none of auto|native|generic");
	assert_null(mode);
}

static void test_misuse(void **state)
{
	static const char valid[] = "valid here: --flows, --mode, --all, --json, --instance";
	char message[128];

	(void)state;
	snprintf(message, sizeof(message), "unknown option --jso; %s", valid);
	assert_refused("--jso", message);
	snprintf(message, sizeof(message), "unknown option --flow; %s", valid);
	assert_refused("--flow=5", message);
	snprintf(message, sizeof(message), "unknown option -j; %s", valid);
	assert_refused("-j", message);
	assert_refused("--flows", "--flows needs a value: --flows N");
	assert_refused("--flows --json", "--flows needs a value: --flows N");
	assert_refused("--json=yes", "--json takes no value");
}

static void test_no_tables(void **state)
{
	const char *words[] = {"status", "--json"};
	size_t count = 2;

	(void)state;
	assert_int_equal(opt_parse(NULL, NULL, words, &count), -EUSAGE);
	assert_string_equal(fail_text(), "unknown option --json: there are none here");
	assert_int_equal(opt_parse(global, NULL, words, &count), 0);
	assert_int_equal(count, 1);
	assert_true(json);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_options_anywhere, reset),
		cmocka_unit_test_setup(test_inline_values, reset),
		cmocka_unit_test_setup(test_nothing, reset),
		cmocka_unit_test_setup(test_end_of_options, reset),
		cmocka_unit_test_setup(test_dash_is_an_operand, reset),
		cmocka_unit_test_setup(test_number_limits, reset),
		cmocka_unit_test_setup(test_choices, reset),
		cmocka_unit_test_setup(test_misuse, reset),
		cmocka_unit_test_setup(test_no_tables, reset),
	};

	return cmocka_run_group_tests_name("opt", tests, NULL, NULL);
}
