// SPDX-License-Identifier: GPL-2.0-only
/*
 * Asking before what cannot be undone. Nothing is asked of a script.
 */
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "cmd.h"
#include "fail.h"

int cmd_ask(bool yes, const char *format, ...)
{
	char answer[16] = "";
	va_list arguments;

	if (yes)
		return 0;
	if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
		return fail(-EUSAGE, "this asks first, and there is no terminal to ask on: "
				     "add --yes");
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fprintf(stderr, " [y/N] ");
	if (!fgets(answer, sizeof(answer), stdin) || (answer[0] != 'y' && answer[0] != 'Y'))
		return fail(-ECANCELED, "nothing done");
	return 0;
}
