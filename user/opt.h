/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Long options from a table: the parser and --help read the same rows.
 */
#ifndef XDNAT_OPT_H
#define XDNAT_OPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum opt_type { OPT_FLAG, OPT_NUMBER, OPT_CHOICE, OPT_TEXT };

struct opt {
	const char *name; /* "flows": given as --flows N or --flows=N */
	enum opt_type type;
	const char *value; /* "N", "auto|native|generic" (OPT_CHOICE splits it) */
	const char *help;
	union {
		bool *flag;
		uint64_t *number;
		const char **text; /* OPT_CHOICE and OPT_TEXT: points into argv */
	};
	uint64_t low, high; /* OPT_NUMBER */
};

/* Takes the options of the tables (each ends with an empty row; either may be
 * NULL) out of words[*count], wherever they stand, and stores their values; the
 * rest moves up. "--" ends options. -EUSAGE with fail(): unknown option (names
 * the valid ones), missing or bad value. */
int opt_parse(const struct opt *global, const struct opt *own, const char **words, size_t *count);
/* Prints "  --flows N    help" lines, aligned, to stdout. */
void opt_help(const struct opt *options);

#endif
