// SPDX-License-Identifier: GPL-2.0-only
#include "check.h"

#include <stdarg.h>
#include <stdio.h>

static const char *subject = "stress";
static unsigned int failed;

void check_of(const char *name)
{
	subject = name;
}

void check(bool is_so, const char *claim, ...)
{
	va_list arguments;

	failed += !is_so;
	printf("%-5s stress, %s: ", is_so ? "ok" : "FAIL", subject);
	va_start(arguments, claim);
	vprintf(claim, arguments);
	va_end(arguments);
	printf("\n");
	fflush(stdout);
}

void check_skip(const char *why)
{
	printf("SKIP  stress: %s\n", why);
}

unsigned int check_failed(void)
{
	return failed;
}
