// SPDX-License-Identifier: GPL-2.0-only
#include "rule_lines.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fail.h"

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
static int parse(char *text, size_t length, struct spec *spec)
{
	size_t blanks;
	int err;

	if (strlen(text) != length)
		return fail(-EINVAL, "it holds a NUL byte: this is not text");
	text[strcspn(text, "\r\n")] = '\0';
	blanks = strspn(text, " \t");
	if (!text[blanks] || text[blanks] == '#')
		return 0;
	err = spec_parse_line(text, spec);
	return err ? err : 1;
}

int rule_lines_read(FILE *file, struct rule_wanted **wanted, size_t *count)
{
	struct rule_wanted line = {};
	size_t room = 0, bytes = 0;
	char *text = NULL;
	ssize_t length;
	int err = 0;

	*wanted = NULL;
	*count = 0;
	while (err >= 0 && (length = getline(&text, &bytes, file)) >= 0) {
		line.line++;
		err = parse(text, length, &line.spec);
		if (err > 0)
			err = append(wanted, count, &room, &line);
		if (err < 0)
			fail_while(err, "line %u", line.line);
	}
	if (err >= 0 && ferror(file))
		err = fail(-EIO, "cannot read the rules: %s", strerror(errno));
	free(text);
	return err < 0 ? err : 0;
}
