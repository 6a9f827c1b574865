// SPDX-License-Identifier: GPL-2.0-only
#include "log.h"

#include <bpf/libbpf.h>
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <xdp/libxdp.h>

static const char *log_program = "xdnat";
static bool log_is_quiet, log_has_syslog;
static char libbpf_last[256], libxdp_first[256];

/* Messages quote what users and files say: no control character of theirs
 * reaches the terminal. */
static void blank_controls(char *text)
{
	for (; *text; text++)
		if (iscntrl((unsigned char)*text) && *text != '\n')
			*text = '?';
}

/* One write a line, so that lines of several processes do not mix. */
static void __attribute__((format(printf, 2, 0)))
say(int priority, const char *format, va_list args)
{
	const char *severity = priority == LOG_WARNING ? "warning: " : "";
	char text[2048];

	vsnprintf(text, sizeof(text), format, args);
	blank_controls(text);
	fprintf(stderr, "%s: %s%s\n", log_program, severity, text);
	if (log_has_syslog)
		syslog(priority, "%s%s", severity, text);
}

void log_info(const char *format, ...)
{
	va_list args;

	if (log_is_quiet)
		return;
	va_start(args, format);
	say(LOG_INFO, format, args);
	va_end(args);
}

void log_warning(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(LOG_WARNING, format, args);
	va_end(args);
}

void log_error(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(LOG_ERR, format, args);
	va_end(args);
}

/* A warning may be a whole verifier log: its first line with text in it, if any,
 * replaces what is kept. */
static void __attribute__((format(printf, 3, 0)))
keep_line(char *kept, size_t kept_bytes, const char *format, va_list args)
{
	static const char blanks[] = " \t\r\n";
	char text[sizeof(libbpf_last)];
	const char *start;
	size_t length;

	vsnprintf(text, sizeof(text), format, args);
	start = text + strspn(text, blanks);
	length = strcspn(start, "\n");
	while (length && strchr(blanks, start[length - 1]))
		length--;
	if (length)
		snprintf(kept, kept_bytes, "%.*s", (int)length, start);
}

static int __attribute__((format(printf, 2, 0)))
keep_libbpf_warning(enum libbpf_print_level level, const char *format, va_list args)
{
	if (level == LIBBPF_WARN)
		keep_line(libbpf_last, sizeof(libbpf_last), format, args);
	return 0;
}

static int __attribute__((format(printf, 2, 0)))
keep_libxdp_complaint(enum libxdp_print_level level, const char *format, va_list args)
{
	if (level != LIBXDP_DEBUG && !*libxdp_first)
		keep_line(libxdp_first, sizeof(libxdp_first), format, args);
	return 0;
}

const char *log_libbpf_last(void)
{
	return libbpf_last;
}

void log_libxdp_forget(void)
{
	*libxdp_first = '\0';
}

const char *log_libxdp_first(void)
{
	return libxdp_first;
}

void log_quiet(bool quiet)
{
	log_is_quiet = quiet;
}

void log_to_syslog(void)
{
	openlog(log_program, LOG_PID, LOG_DAEMON);
	log_has_syslog = true;
}

void log_init(const char *program)
{
	log_program = program;
	libbpf_set_print(keep_libbpf_warning);
	libxdp_set_print(keep_libxdp_complaint);
}
