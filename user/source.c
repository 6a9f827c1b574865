// SPDX-License-Identifier: GPL-2.0-only
#include "source.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fail.h"
#include "line.h"
#include "spec.h"

static int parse_one(const char *text, unsigned int families, struct addr_prefix *prefix)
{
	int err = *text == '[' ? fail(-EINVAL, "%s: a prefix has no brackets", text)
			       : prefix_parse(text, prefix);

	if (!err && !(families & (addr_is_v4(&prefix->addr) ? SPEC_V4 : SPEC_V6)))
		err = fail(-EINVAL, "%s is IPv%d, the rule is IPv%d", text,
			   families & SPEC_V4 ? 6 : 4, families & SPEC_V4 ? 4 : 6);
	return err;
}

static int append(struct source_list *list, const struct addr_prefix *prefix)
{
	/* Room is doubled whenever the count is a power of two. */
	if (!(list->count & (list->count - 1))) {
		void *more = reallocarray(list->prefixes, list->count ? 2 * list->count : 1,
					  sizeof(*list->prefixes));

		if (!more)
			return fail(-ENOMEM, "no memory for %zu prefixes", list->count);
		list->prefixes = more;
	}
	list->prefixes[list->count++] = *prefix;
	return 0;
}

static int parse_path(const char *key, const char *path)
{
	char here[PATH_MAX];

	if (*path == '/')
		return 0;
	if (!*path || !getcwd(here, sizeof(here)))
		strcpy(here, "/etc/xdnat");
	return fail(-EINVAL, "%s=@%s is not a whole path: type %s=@%s/%s", key, path, key,
		    strcmp(here, "/") ? here : "", *path ? path : "FILE");
}

/* Cuts the next prefix off *rest, which becomes NULL after the last. */
static int take_prefix(char **rest, unsigned int families, struct addr_prefix *prefix)
{
	return parse_one(strsep(rest, ","), families, prefix);
}

static int fail_long(const char *key)
{
	return fail(-EINVAL,
		    "%s= is longer than %d characters: write the prefixes into a file, one a "
		    "line, and type %s=@/PATH/OF/FILE",
		    key, SOURCE_TEXT_BYTES - 1, key);
}

static int parse_prefixes(const char *key, const char *value, unsigned int families, char *text)
{
	char copy[2 * SOURCE_TEXT_BYTES], one[PREFIX_TEXT_BYTES], *rest = copy;
	size_t used = 0;

	if (snprintf(copy, sizeof(copy), "%s", value) >= (int)sizeof(copy))
		return fail_long(key);
	while (rest) {
		struct addr_prefix prefix;
		int err;

		if (*rest == '@')
			return fail(-EINVAL,
				    "%s=: a file stands alone: write the prefixes into it, and "
				    "type %s=@%s",
				    key, key, rest[1] ? rest + 1 : "FILE");
		err = take_prefix(&rest, families, &prefix);
		if (err)
			return fail_while(err, "%s=", key);
		used += (size_t)snprintf(text + used, SOURCE_TEXT_BYTES - used, "%s%s",
					 used ? "," : "", prefix_format(&prefix, one));
		if (used >= SOURCE_TEXT_BYTES)
			return fail_long(key);
	}
	return 0;
}

int source_parse(const char *key, const char *value, unsigned int families, char *text)
{
	int err;

	if (!*value)
		return fail(-EINVAL,
			    "%s= is empty: type %s=PREFIX,PREFIX or %s=@FILE, or leave it "
			    "out",
			    key, key, key);
	if (*value != '@')
		return parse_prefixes(key, value, families, text);
	err = parse_path(key, value + 1);
	if (err)
		return err;
	if (strlen(value) >= SOURCE_TEXT_BYTES)
		return fail(-EINVAL, "the path of %s= is longer than %d characters", key,
			    SOURCE_TEXT_BYTES - 2);
	strcpy(text, value);
	return 0;
}

/* The line's prefix, ended in place, behind it blanks or a comment; NULL: it has none. */
static char *find_prefix(char *line, char **behind)
{
	char *start = line + strspn(line, " \t");
	char *end = start + strcspn(start, " \t");

	*behind = end + strspn(end, " \t");
	*end = '\0';
	return *start && *start != '#' ? start : NULL;
}

static int take_line(char *line, unsigned int families, struct source_list *list)
{
	char *behind, *text = find_prefix(line, &behind);
	struct addr_prefix prefix;
	int err;

	if (!text)
		return 0;
	if (*behind && *behind != '#')
		return fail(-EINVAL, "one prefix a line, but after %s comes %s", text, behind);
	if (list->count == XDNAT_PREFIXES_MAX)
		return fail(-EINVAL, "there are more than %u prefixes", XDNAT_PREFIXES_MAX);
	err = parse_one(text, families, &prefix);
	return err ? err : append(list, &prefix);
}

static int read_lines(FILE *file, unsigned int families, struct source_list *list)
{
	char line[LINE_BYTES];
	unsigned int number = 1;
	int result;

	for (; (result = line_read(file, line)); number++) {
		if (result > 0)
			result = take_line(line, families, list);
		if (result < 0)
			return fail_while(result, "line %u", number);
	}
	return 0;
}

static int read_file(const char *path, unsigned int families, struct source_list *list)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* nobody may write the FIFO */
	struct stat status;
	FILE *file;
	int err;

	if (fd < 0)
		return fail(-EINVAL, "cannot be opened: %s", strerror(errno));
	if (fstat(fd, &status) || !S_ISREG(status.st_mode)) {
		close(fd);
		return fail(-EINVAL, "is not a regular file");
	}
	file = fdopen(fd, "r");
	if (!file) {
		close(fd);
		return fail(-ENOMEM, "no memory");
	}
	err = read_lines(file, families, list);
	fclose(file);
	return err;
}

int source_read(const char *key, const char *text, unsigned int families, struct source_list *list)
{
	char copy[SOURCE_TEXT_BYTES], *rest = copy;
	int err = 0;

	if (source_is_file(text)) {
		err = read_file(text + 1, families, list);
		return err ? fail_while(err, "%s=%s", key, text) : 0;
	}
	snprintf(copy, sizeof(copy), "%s", text);
	while (!err && rest && *copy) {
		struct addr_prefix prefix;

		err = take_prefix(&rest, families, &prefix);
		if (!err)
			err = append(list, &prefix);
	}
	return err;
}

void source_release(struct source_list *list)
{
	free(list->prefixes);
	*list = (struct source_list){};
}
