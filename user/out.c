// SPDX-License-Identifier: GPL-2.0-only
#include "out.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "fail.h"

#define CELL_BYTES 512

json_t *out_document(const char *kind)
{
	return json_pack("{s:i, s:s}", "version", 1, "kind", kind);
}

int out_json(json_t *document, bool compact)
{
	size_t flags = compact ? JSON_COMPACT : JSON_INDENT(2);
	int err = 0;

	if (!document || json_dumpf(document, stdout, flags) || putchar('\n') == EOF)
		err = fail(-EIO, "cannot write JSON to stdout");
	json_decref(document);
	return err;
}

/* Messages quote what was typed, which need not be UTF-8, and may be cut short. */
static json_t *printable(const char *text)
{
	json_t *string = json_string(text);
	char *copy;

	if (string)
		return string;
	copy = strdup(text);
	for (char *byte = copy; byte && *byte; byte++)
		if ((unsigned char)*byte >= 0x80)
			*byte = '?';
	string = json_string(copy ?: "");
	free(copy);
	return string;
}

void out_error(int exit_code, const char *text)
{
	json_t *document = out_document("error");

	json_object_set_new(document, "exit_code", json_integer(exit_code));
	json_object_set_new(document, "error", printable(text));
	out_json(document, true);
	fflush(stdout);
}

/* What a person reads for the record's member; cell has CELL_BYTES. */
static const char *cell_text(const json_t *record, const char *key, char *cell)
{
	const json_t *value = json_object_get(record, key);

	if (json_is_string(value))
		snprintf(cell, CELL_BYTES, "%s", json_string_value(value));
	else if (json_is_integer(value))
		snprintf(cell, CELL_BYTES, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
	else if (json_is_boolean(value))
		snprintf(cell, CELL_BYTES, "%s", json_is_true(value) ? "yes" : "no");
	else
		snprintf(cell, CELL_BYTES, "-");
	return cell;
}

/* Characters, not bytes: UTF-8 continuation bytes take no room. */
static int text_width(const char *text)
{
	int width = 0;

	for (; *text; text++)
		width += ((unsigned char)*text & 0xc0) != 0x80;
	return width;
}

static int column_width(const json_t *records, const struct out_column *column)
{
	int width = text_width(column->title);
	char cell[CELL_BYTES];
	json_t *record;
	size_t row;

	json_array_foreach(records, row, record)
	{
		int needed = text_width(cell_text(record, column->key, cell));

		if (needed > width)
			width = needed;
	}
	return width;
}

static void print_cell(const char *text, int width, bool right, bool last)
{
	int blanks = width - text_width(text);

	if (right)
		printf("%*s%s", blanks, "", text);
	else
		printf("%s%*s", text, last ? 0 : blanks, "");
	fputs(last ? "" : "  ", stdout);
}

void out_table(const json_t *records, const struct out_column *columns, size_t count)
{
	const bool bold = out_has_colour();
	char cell[CELL_BYTES];
	json_t *record;
	int *widths;
	size_t row;

	if (!json_array_size(records) || !count)
		return;
	widths = calloc(count, sizeof(*widths));
	if (!widths)
		abort();
	fputs(bold ? "\033[1m" : "", stdout);
	for (size_t i = 0; i < count; i++) {
		widths[i] = column_width(records, &columns[i]);
		print_cell(columns[i].title, widths[i], columns[i].right, i + 1 == count);
	}
	puts(bold ? "\033[0m" : "");
	json_array_foreach(records, row, record)
	{
		for (size_t i = 0; i < count; i++)
			print_cell(cell_text(record, columns[i].key, cell), widths[i],
				   columns[i].right, i + 1 == count);
		putchar('\n');
	}
	free(widths);
}

/* 1234567 -> "1.2 M": at most five characters of number, a unit of thousands. */
static char *format_scaled(uint64_t number, const char *unit, char *text)
{
	static const char prefixes[] = "kMGTPE";
	double value = (double)number;
	int scale = -1;

	if (number < 1000) {
		snprintf(text, 16, "%" PRIu64 "%s%s", number, *unit ? " " : "", unit);
		return text;
	}
	/* From 999.95 on, "%.1f" would print 1000.0. */
	while (value >= 999.95) {
		value /= 1000;
		scale++;
	}
	snprintf(text, 16, "%.1f %c%s", value, prefixes[scale], unit);
	return text;
}

char *out_bytes(uint64_t bytes, char *text)
{
	return format_scaled(bytes, "B", text);
}

char *out_count(uint64_t number, char *text)
{
	return format_scaled(number, "", text);
}

int out_width(void)
{
	struct winsize size = {};

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) || !size.ws_col)
		return INT_MAX;
	return size.ws_col;
}

bool out_has_colour(void)
{
	const char *no_color = getenv("NO_COLOR");

	return isatty(STDOUT_FILENO) && (!no_color || !*no_color);
}
