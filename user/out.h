/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Data on stdout. A record is a JSON object; a table describes which of its
 * members people see, under which title. One description, two renderings.
 */
#ifndef XDNAT_OUT_H
#define XDNAT_OUT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct out_column {
	const char *key; /* member of the record; missing or null prints "-" */
	const char *title;
	bool right; /* numbers */
};

/* An object that starts with {"version": 1, "kind": kind}. */
json_t *out_document(const char *kind);
/* Prints the object and a newline, and takes it. Indented unless compact. */
int out_json(json_t *document, bool compact);
/* Prints a command's failure as one line: an object, and a line of JSON Lines too.
 * text may hold any bytes. */
void out_error(int exit_code, const char *text);
/* Prints an array of records as an aligned table with a title line (bold on a
 * tty unless NO_COLOR). An empty array prints nothing. Borrows records. */
void out_table(const json_t *records, const struct out_column *columns, size_t count);
/* "1.2 MB", "312", "4.5 M" into text (16 bytes), for people. */
char *out_bytes(uint64_t bytes, char *text);
char *out_count(uint64_t number, char *text);
/* Columns of the terminal that stdout is, INT_MAX if it is none or does not say. */
int out_width(void);
/* True if stdout is a tty and NO_COLOR is not set. */
bool out_has_colour(void);

#endif
