// SPDX-License-Identifier: GPL-2.0-only
#include "rule_lines.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fail.h"
#include "line.h"

static int append(struct rule_wanted **wanted, size_t *count, size_t *room,
		  const struct rule_wanted *line)
{
	if (*count == XDNAT_RULES_MAX)
		return fail(-EINVAL, "there are more than %u rules", XDNAT_RULES_MAX);
	if (*count == *room) {
		void *more = reallocarray(*wanted, *room ? 2 * *room : 64, sizeof(**wanted));

		if (!more)
			return fail(-ENOMEM, "no memory for %zu rules", *count);
		*wanted = more;
		*room = *room ? 2 * *room : 64;
	}
	(*wanted)[(*count)++] = *line;
	return 0;
}

/* 1: a rule, 0: none, or -EINVAL. */
static int parse(const char *text, struct spec *spec)
{
	size_t blanks = strspn(text, " \t");
	int err;

	if (!text[blanks] || text[blanks] == '#')
		return 0;
	err = spec_parse_line(text, spec);
	return err ? err : 1;
}

int rule_lines_read(FILE *file, struct rule_wanted **wanted, size_t *count)
{
	struct rule_wanted line = {};
	char text[LINE_BYTES];
	size_t room = 0;
	int result;

	*wanted = NULL;
	*count = 0;
	while ((result = line_read(file, text))) {
		line.line++;
		if (result > 0)
			result = parse(text, &line.spec);
		if (result > 0)
			result = append(wanted, count, &room, &line);
		if (result < 0)
			return fail_while(result, "line %u", line.line);
	}
	return 0;
}
