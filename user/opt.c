// SPDX-License-Identifier: GPL-2.0-only
#include "opt.h"

#include <stdio.h>
#include <string.h>

#include "addr.h"
#include "fail.h"

#define HELP_WIDTH 80
#define MARGINS	   6 /* "  --" in front of the name, two blanks behind the value */

/* word: "--flows" or "--flows=5". */
static const struct opt *find(const struct opt *table, const char *word)
{
	const char *name = word + 2;
	size_t length = strcspn(name, "=");

	if (strncmp(word, "--", 2))
		return NULL;
	for (; table && table->name; table++)
		if (strlen(table->name) == length && !memcmp(table->name, name, length))
			return table;
	return NULL;
}

static void append_names(const struct opt *table, char *text, size_t size)
{
	for (; table && table->name; table++) {
		size_t used = strlen(text);

		snprintf(text + used, size - used, "%s--%s", used ? ", " : "", table->name);
	}
}

static int fail_unknown(const struct opt *global, const struct opt *own, const char *word)
{
	char names[512] = "";
	int length = (int)strcspn(word, "=");

	append_names(own, names, sizeof(names));
	append_names(global, names, sizeof(names));
	if (!*names)
		return fail(-EUSAGE, "unknown option %.*s: there are none here", length, word);
	return fail(-EUSAGE, "unknown option %.*s; valid here: %s", length, word, names);
}

static int check_choice(const struct opt *opt, const char *value)
{
	const char *choice = opt->value;
	size_t length;

	for (;; choice += length + 1) {
		length = strcspn(choice, "|");
		if (strlen(value) == length && !memcmp(choice, value, length))
			return 0;
		if (!choice[length])
			return fail(-EUSAGE, "--%s \"%s\" is none of %s", opt->name, value,
				    opt->value);
	}
}

static int store_value(const struct opt *opt, const char *value)
{
	char what[64];

	if (opt->type == OPT_NUMBER) {
		snprintf(what, sizeof(what), "--%s", opt->name);
		return number_parse(value, what, opt->low, opt->high, opt->number) ? -EUSAGE : 0;
	}
	if (opt->type == OPT_CHOICE && check_choice(opt, value))
		return -EUSAGE;
	*opt->text = value;
	return 0;
}

/* word: the option; next: the word after it or NULL. Returns how many words it
 * took, or a negative errno. */
static int take(const struct opt *opt, const char *word, const char *next)
{
	const char *inline_value = strchr(word, '=');
	int err;

	if (opt->type == OPT_FLAG) {
		if (inline_value)
			return fail(-EUSAGE, "--%s takes no value", opt->name);
		*opt->flag = true;
		return 1;
	}
	if (inline_value) {
		err = store_value(opt, inline_value + 1);
		return err ? err : 1;
	}
	if (!next || !strncmp(next, "--", 2))
		return fail(-EUSAGE, "--%s needs a value: --%s %s", opt->name, opt->name,
			    opt->value);
	err = store_value(opt, next);
	return err ? err : 2;
}

int opt_parse(const struct opt *global, const struct opt *own, const char **words, size_t *count)
{
	size_t kept = 0, at = 0;

	while (at < *count) {
		const char *word = words[at];
		const struct opt *opt;
		int taken;

		if (*word != '-' || !strcmp(word, "-")) {
			words[kept++] = words[at++];
			continue;
		}
		if (!strcmp(word, "--")) {
			at++;
			break;
		}
		opt = find(own, word);
		if (!opt)
			opt = find(global, word);
		if (!opt)
			return fail_unknown(global, own, word);
		taken = take(opt, word, at + 1 < *count ? words[at + 1] : NULL);
		if (taken < 0)
			return taken;
		at += (size_t)taken;
	}
	while (at < *count)
		words[kept++] = words[at++];
	*count = kept;
	return 0;
}

static int left_width(const struct opt *opt)
{
	size_t value = opt->value ? strlen(opt->value) + 1 : 0;

	return (int)(strlen(opt->name) + value);
}

/* The text between column and HELP_WIDTH; the cursor is at column. */
static void print_wrapped(const char *text, int column)
{
	int room = HELP_WIDTH - column;

	while ((int)strlen(text) > room) {
		int length = room;

		while (length && text[length] != ' ')
			length--;
		if (!length) /* one word, too long */
			break;
		printf("%.*s\n%*s", length, text, column, "");
		text += length + 1;
	}
	puts(text);
}

void opt_help(const struct opt *options)
{
	int width = 0;

	for (const struct opt *opt = options; opt && opt->name; opt++)
		if (left_width(opt) > width)
			width = left_width(opt);
	for (const struct opt *opt = options; opt && opt->name; opt++) {
		printf("  --%s%s%s%*s  ", opt->name, opt->value ? " " : "",
		       opt->value ? opt->value : "", width - left_width(opt), "");
		print_wrapped(opt->help, width + MARGINS);
	}
}
