// SPDX-License-Identifier: GPL-2.0-only
#include "spec.h"

#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "addr.h"
#include "fail.h"
#include "spec_key.h"
#include "spec_ports.h"
#include "spec_rule.h"

#define LINE_BYTES 2048 /* what is parsed; what is kept is XDNAT_SPEC_BYTES */
#define WORDS_MAX  32	/* a rule and every key the grammar has, once each */

/* Cuts the next word off *rest as a shell does, in place; NULL at the end. A
 * quote that is not closed sets *open. */
static char *take_word(char **rest, bool *open)
{
	char *in = *rest + strspn(*rest, " \t\r\n"), *out = in, *word = in;
	char quote = '\0';

	if (!*in)
		return NULL;
	for (; *in && (quote || !strchr(" \t\r\n", *in)); in++) {
		if (!quote && (*in == '\'' || *in == '"'))
			quote = *in;
		else if (quote && *in == quote)
			quote = '\0';
		else if (*in == '\\' && in[1] && quote != '\'')
			*out++ = *++in;
		else
			*out++ = *in;
	}
	*open = quote;
	*rest = *in ? in + 1 : in;
	*out = '\0';
	return word;
}

/* Appends, the way snprintf counts: *used grows by what it would have taken. */
static void __attribute__((format(printf, 4, 5)))
append(char *line, size_t size, size_t *used, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	*used += (size_t)vsnprintf(*used < size ? line + *used : NULL,
				   *used < size ? size - *used : 0, format, args);
	va_end(args);
}

char *spec_quote(const char *text, char *quoted)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789-_.,:/+@%=";
	char *out = quoted;

	if (!text[strspn(text, plain)])
		return strcpy(quoted, text);
	*out++ = '\'';
	for (; *text; text++)
		if (*text == '\'')
			out = stpcpy(out, "'\\''");
		else
			*out++ = *text;
	strcpy(out, "'");
	return quoted;
}

/* The rule itself: for a shell as one word, else only what take_word() would read
 * otherwise stands in quotes. */
static void append_rule(const struct spec *spec, bool for_shell, char *line, size_t size,
			size_t *used)
{
	char addr[ADDR_TEXT_BYTES], target[SPEC_LISTENER_BYTES];
	char interface[SPEC_QUOTED_BYTES(XDNAT_IFNAME_BYTES)], ports[SPEC_PORTS_BYTES];
	char word[sizeof(interface) + sizeof(addr) + sizeof(ports) + sizeof(target) + 16];
	char quoted[SPEC_QUOTED_BYTES(sizeof(word))];
	const char *bind = spec_rule_bind(spec, addr);

	if (spec->bind == SPEC_BIND_INTERFACE && !for_shell)
		bind = spec_quote(bind, interface);
	spec_format_target(spec, target);
	snprintf(word, sizeof(word), "%s%s%s:%s/%s", bind, *bind ? ":" : "",
		 spec_rule_ports(spec, ports), target, spec_protos_name(spec));
	append(line, size, used, "%s", for_shell ? spec_quote(word, quoted) : word);
}

/* Returns the length of the whole line, also if it is size or more. */
static size_t format_line(const struct spec *spec, bool for_shell, char *line, size_t size)
{
	char value[SPEC_VALUE_BYTES], quoted[SPEC_QUOTED_BYTES(SPEC_VALUE_BYTES)];
	size_t used = 0, at = 0;
	const char *name;

	append_rule(spec, for_shell, line, size, &used);
	while ((name = spec_key_next(spec, &at, value)))
		append(line, size, &used, " %s=%s", name, spec_quote(value, quoted));
	return used;
}

/* Interfaces and comments end up in JSON and on terminals: UTF-8 without control
 * characters (C1 ones are 0xc2 0x80..0x9f). */
static bool is_printable(const char *text)
{
	json_t *utf8 = json_string(text);
	bool printable = utf8;

	json_decref(utf8);
	for (; *text && printable; text++) {
		unsigned char next = (unsigned char)text[1];

		printable = !iscntrl((unsigned char)*text) &&
			    !((unsigned char)*text == 0xc2 && next < 0xa0);
	}
	return printable;
}

/* "80 10.0.0.5": a blank where a colon would make a rule. */
static int check_blank(const char *const *words, size_t count)
{
	char joined[XDNAT_SPEC_BYTES];
	struct spec spec = {};

	if (count < 2 || spec_key_is(words[1]) ||
	    snprintf(joined, sizeof(joined), "%s:%s", words[0], words[1]) >= (int)sizeof(joined) ||
	    spec_rule_parse(joined, &spec))
		return 0;
	return fail(-EINVAL, "a rule is one word: type %s", joined);
}

static int parse_words(const char *const *words, size_t count, struct spec *spec)
{
	const char *rule = count ? words[0] : "";
	int err;

	*spec = (struct spec){.enabled = true};
	for (size_t i = 0; i < count; i++)
		if (!is_printable(words[i]))
			return fail(-EINVAL, "\"%s\" holds control characters or is not UTF-8",
				    words[i]);
	if (spec_key_is(rule))
		return fail(-EINVAL, "\"%s\" comes after the rule: type the rule first", rule);
	err = check_blank(words, count);
	if (!err)
		err = spec_rule_parse(rule, spec);
	if (!err && count)
		err = spec_keys_parse(words + 1, count - 1, spec);
	if (!err)
		err = spec_ports_check(spec);
	if (err)
		return err;
	if (!*spec->name)
		spec_format_listener(spec, spec->name);
	/* Nothing else makes a line too long; and it costs as much as all the rest. */
	if ((*spec->comment || spec->except_count || spec_has_sources(spec)) &&
	    format_line(spec, false, NULL, 0) >= XDNAT_SPEC_BYTES)
		return fail(-EINVAL,
			    "the rule is longer than %d bytes with its quotes: shorten the "
			    "comment, name fewer ports in except=, or write prefixes into a file: "
			    "allow=@/PATH/OF/FILE",
			    XDNAT_SPEC_BYTES - 1);
	return 0;
}

int spec_parse_line(const char *line, struct spec *spec)
{
	const char *words[WORDS_MAX];
	char copy[LINE_BYTES], *rest = copy;
	bool open = false;
	size_t count = 0;

	if (snprintf(copy, sizeof(copy), "%s", line) >= LINE_BYTES)
		return fail(-EINVAL, "the rule is longer than %d bytes", LINE_BYTES - 1);
	while (count < WORDS_MAX && (words[count] = take_word(&rest, &open)))
		count++;
	if (open)
		return fail(-EINVAL, "a quote is not closed in: %s", line);
	if (count == WORDS_MAX)
		return fail(-EINVAL, "the rule has more than %d words", WORDS_MAX - 1);
	return parse_words(words, count, spec);
}

int spec_parse(const char *const *words, size_t count, struct spec *spec)
{
	return count == 1 ? spec_parse_line(words[0], spec) : parse_words(words, count, spec);
}

void spec_format(const struct spec *spec, char *line)
{
	format_line(spec, false, line, XDNAT_SPEC_BYTES);
}

void spec_format_command(const struct spec *spec, char *line)
{
	format_line(spec, true, line, SPEC_COMMAND_BYTES);
}

bool spec_has_name(const struct spec *spec)
{
	char listener[SPEC_LISTENER_BYTES];

	spec_format_listener(spec, listener);
	return strcmp(spec->name, listener);
}

/* What the target sees as the source is chosen in the same way. */
static bool same_source(const struct spec *left, const struct spec *right)
{
	return left->is_masqueraded == right->is_masqueraded &&
	       left->has_hairpin == right->has_hairpin && addr_equal(&left->snat, &right->snat);
}

bool spec_same_row(const struct spec *left, const struct spec *right)
{
	return spec_same_target(left, right) && same_source(left, right) &&
	       left->mss_host == right->mss_host && !*left->allow == !*right->allow &&
	       !*left->deny == !*right->deny;
}

bool spec_has_sources(const struct spec *spec)
{
	return *spec->allow || *spec->deny;
}

bool spec_equal(const struct spec *left, const struct spec *right)
{
	return spec_same_listener(left, right) && spec_same_row(left, right) &&
	       !memcmp(left->except, right->except, sizeof(left->except)) &&
	       left->enabled == right->enabled && !strcmp(left->name, right->name) &&
	       !strcmp(left->allow, right->allow) && !strcmp(left->deny, right->deny) &&
	       !strcmp(left->comment, right->comment);
}
