// SPDX-License-Identifier: GPL-2.0-only
#include "fail.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static char message[FAIL_TEXT_BYTES];

/* Arguments may point into the message, so it is replaced last. */
static void __attribute__((format(printf, 1, 0))) remember(const char *format, va_list args)
{
	char text[sizeof(message)];

	vsnprintf(text, sizeof(text), format, args);
	memcpy(message, text, sizeof(message));
}

int fail(int err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	remember(format, args);
	va_end(args);
	return err;
}

int fail_while(int err, const char *format, ...)
{
	char cause[sizeof(message)];
	va_list args;
	size_t used;

	memcpy(cause, message, sizeof(cause));
	va_start(args, format);
	remember(format, args);
	va_end(args);
	used = strlen(message);
	snprintf(message + used, sizeof(message) - used, ": %s", cause);
	return err;
}

int fail_kernel(int err, const char *format, ...)
{
	va_list args;
	size_t used;

	va_start(args, format);
	remember(format, args);
	va_end(args);
	used = strlen(message);
	snprintf(message + used, sizeof(message) - used, ": %s", strerror(-err));
	return err == -EPERM || err == -EACCES ? err : -EIO;
}

const char *fail_text(void)
{
	return message;
}

int fail_exit_code(int err)
{
	switch (-err) {
	case 0:
		return 0;
	case EUSAGE:
		return 2;
	case ENOTLOADED:
		return 3;
	case ENOENT:
	case ENODEV:
		return 4;
	case EEXIST:
	case EBUSY:
	case EADDRINUSE:
		return 5;
	case EINVAL:
		return 6;
	case EPERM:
	case EACCES:
	case ENOSYS:
	case EOPNOTSUPP:
		return 7;
	default:
		return 1;
	}
}
