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
#include "spec_rule.h"

#define LINE_BYTES 2048 /* what is parsed; what is kept is XDNAT_SPEC_BYTES */
#define WORDS_MAX  32	/* a rule and every key the grammar has, once each */

static int take_name(struct spec *spec, const char *value)
{
	if (!*value)
		return fail(-EINVAL, "name= is empty: type name=NAME or leave it out");
	if (strlen(value) >= SPEC_NAME_BYTES)
		return fail(-EINVAL, "the name is longer than %d characters: %s",
			    SPEC_NAME_BYTES - 1, value);
	for (const char *c = value; *c; c++)
		if (!isalnum((unsigned char)*c) && !(strchr("._-", *c) && (*c != '-' || c > value)))
			return fail(
				-EINVAL,
				"the name \"%s\" is refused: only letters, digits, \".\", \"_\" "
				"and \"-\" (not first)",
				value);
	memcpy(spec->name, value, strlen(value) + 1);
	return 0;
}

static int take_comment(struct spec *spec, const char *value)
{
	if (strlen(value) >= SPEC_COMMENT_BYTES)
		return fail(-EINVAL, "the comment is longer than %d bytes", SPEC_COMMENT_BYTES - 1);
	memcpy(spec->comment, value, strlen(value) + 1);
	return 0;
}

static int take_mode(struct spec *spec, const char *value)
{
	(void)spec; /* preserve is all there is */
	if (!strcmp(value, "preserve"))
		return 0;
	if (!strcmp(value, "masquerade"))
		return fail(-EINVAL, "mode=masquerade is not in this version; mode=preserve is");
	return fail(-EINVAL, "mode=%s is not known: type mode=preserve", value);
}

static int take_enabled(struct spec *spec, const char *value)
{
	if (strcmp(value, "yes") && strcmp(value, "no"))
		return fail(-EINVAL, "enabled=%s is not known: type enabled=yes or enabled=no",
			    value);
	spec->enabled = !strcmp(value, "yes");
	return 0;
}

/* DESIGN.md section 4's keys; without a function: not in this version. */
static const struct {
	const char *name;
	int (*take)(struct spec *spec, const char *value);
} keys[] = {
	{"name", take_name},   {"comment", take_comment},
	{"mode", take_mode},   {"enabled", take_enabled},
	{"snat", NULL},	       {"allow", NULL},
	{"deny", NULL},	       {"hairpin", NULL},
	{"except", NULL},      {"idle-tcp", NULL},
	{"idle-udp", NULL},    {"max-flows", NULL},
	{"new-rate", NULL},    {"new-rate-source", NULL},
	{"mss", NULL},	       {"log", NULL},
	{"balance", NULL},     {"check", NULL},
	{"check-every", NULL}, {"check-timeout", NULL},
	{"rise", NULL},	       {"fall", NULL},
	{"on-down", NULL},     {"no-target", NULL},
	{"sticky", NULL},      {"slow-start", NULL},
	{"on-resolve", NULL},
};
#define KEYS (sizeof(keys) / sizeof(keys[0]))
static const char keys_here[] = "name=, comment=, mode=preserve, enabled=";

/* The row of the word's key, KEYS if it has none that we know. */
static size_t find_key(const char *word)
{
	size_t length = strcspn(word, "="), i = 0;

	while (i < KEYS && (strlen(keys[i].name) != length || memcmp(keys[i].name, word, length)))
		i++;
	return word[length] ? i : KEYS;
}

static int parse_keys(const char *const *words, size_t count, struct spec *spec)
{
	bool seen[KEYS] = {false};
	int err = 0;

	for (size_t i = 0; i < count && !err; i++) {
		size_t key = find_key(words[i]);
		const char *equals = strchr(words[i], '=');

		if (!equals)
			return fail(-EINVAL, "\"%s\" after the rule is not KEY=VALUE; valid: %s",
				    words[i], keys_here);
		if (key == KEYS)
			return fail(-EINVAL, "the key %.*s= is not known; valid: %s",
				    (int)(equals - words[i]), words[i], keys_here);
		if (!keys[key].take)
			return fail(-EINVAL, "%s= is not in this version; valid: %s",
				    keys[key].name, keys_here);
		if (seen[key])
			return fail(-EINVAL, "%s= is given twice", keys[key].name);
		seen[key] = true;
		err = keys[key].take(spec, equals + 1);
	}
	return err;
}

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

static const char *proto_name(const struct spec *spec)
{
	return spec->proto == IPPROTO_TCP ? "tcp" : "udp";
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

/* What stands before the port, "" for nothing; text has ADDR_TEXT_BYTES. */
static const char *bind_text(const struct spec *spec, char *text)
{
	if (spec->bind == SPEC_BIND_ADDRESS)
		return addr_format(&spec->bind_addr, true, text);
	if (spec->bind == SPEC_BIND_INTERFACE)
		return spec->bind_interface;
	return spec->bind == SPEC_BIND_ALL ? "*" : "";
}

/* The rule itself: for a shell as one word, else only what take_word() would read
 * otherwise stands in quotes. */
static void append_rule(const struct spec *spec, bool for_shell, char *line, size_t size,
			size_t *used)
{
	char addr[ADDR_TEXT_BYTES], target[SPEC_LISTENER_BYTES];
	char interface[SPEC_QUOTED_BYTES(XDNAT_IFNAME_BYTES)];
	char word[sizeof(interface) + sizeof(addr) + sizeof(target) + 16];
	char quoted[SPEC_QUOTED_BYTES(sizeof(word))];
	const char *bind = bind_text(spec, addr);

	if (spec->bind == SPEC_BIND_INTERFACE && !for_shell)
		bind = spec_quote(bind, interface);
	spec_format_target(spec, target);
	snprintf(word, sizeof(word), "%s%s%u:%s/%s", bind, *bind ? ":" : "", spec->port_host,
		 target, proto_name(spec));
	append(line, size, used, "%s", for_shell ? spec_quote(word, quoted) : word);
}

/* Returns the length of the whole line, also if it is size or more. */
static size_t format_line(const struct spec *spec, bool for_shell, char *line, size_t size)
{
	char quoted[SPEC_QUOTED_BYTES(SPEC_COMMENT_BYTES)];
	size_t used = 0;

	append_rule(spec, for_shell, line, size, &used);
	if (spec_has_name(spec))
		append(line, size, &used, " name=%s", spec->name);
	if (!spec->enabled)
		append(line, size, &used, " enabled=no");
	if (*spec->comment)
		append(line, size, &used, " comment=%s", spec_quote(spec->comment, quoted));
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

static int parse_words(const char *const *words, size_t count, struct spec *spec)
{
	const char *rule = count ? words[0] : "";
	int err;

	*spec = (struct spec){.enabled = true};
	for (size_t i = 0; i < count; i++)
		if (!is_printable(words[i]))
			return fail(-EINVAL, "\"%s\" holds control characters or is not UTF-8",
				    words[i]);
	if (find_key(rule) < KEYS)
		return fail(-EINVAL, "\"%s\" comes after the rule: type the rule first", rule);
	err = spec_rule_parse(rule, spec);
	if (!err && count)
		err = parse_keys(words + 1, count - 1, spec);
	if (err)
		return err;
	if (!*spec->name)
		spec_format_listener(spec, spec->name);
	/* Nothing else makes a line too long; and it costs as much as all the rest. */
	if (*spec->comment && format_line(spec, false, NULL, 0) >= XDNAT_SPEC_BYTES)
		return fail(-EINVAL,
			    "the rule is longer than %d bytes with its quotes: shorten "
			    "the comment",
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

void spec_format_listener(const struct spec *spec, char *text)
{
	char addr[ADDR_TEXT_BYTES];
	const char *bind = bind_text(spec, addr);

	/* Without an address it is the target that says which family it listens in. */
	snprintf(text, SPEC_LISTENER_BYTES, "%s%s%u/%s%s", bind, *bind ? ":" : "", spec->port_host,
		 proto_name(spec),
		 spec->bind != SPEC_BIND_ADDRESS && !addr_is_v4(&spec->target) ? "6" : "");
}

void spec_format_target(const struct spec *spec, char *text)
{
	char addr[ADDR_TEXT_BYTES];

	snprintf(text, SPEC_LISTENER_BYTES, "%s:%u", addr_format(&spec->target, true, addr),
		 spec->target_port_host);
}

bool spec_has_name(const struct spec *spec)
{
	char listener[SPEC_LISTENER_BYTES];

	spec_format_listener(spec, listener);
	return strcmp(spec->name, listener);
}

/* Bound before unbound, as packets see them; then as people count. */
static int compare_listeners(const struct spec *left, const struct spec *right)
{
	static const int rank[] = {
		[SPEC_BIND_ADDRESS] = 0,
		[SPEC_BIND_INTERFACE] = 1,
		[SPEC_BIND_DEFAULT] = 2,
		[SPEC_BIND_ALL] = 3,
	};
	int order = rank[left->bind] - rank[right->bind];

	if (!order)
		order = memcmp(&left->bind_addr, &right->bind_addr, sizeof(left->bind_addr));
	if (!order)
		order = strcmp(left->bind_interface, right->bind_interface);
	if (!order)
		order = left->port_host - right->port_host;
	if (!order)
		order = left->proto - right->proto;
	return order ? order : addr_is_v4(&right->target) - addr_is_v4(&left->target);
}

bool spec_same_listener(const struct spec *left, const struct spec *right)
{
	return !compare_listeners(left, right);
}

int spec_compare(const void *left, const void *right)
{
	return compare_listeners(left, right);
}

bool spec_same_target(const struct spec *left, const struct spec *right)
{
	return addr_equal(&left->target, &right->target) &&
	       left->target_port_host == right->target_port_host;
}

bool spec_equal(const struct spec *left, const struct spec *right)
{
	return spec_same_listener(left, right) && spec_same_target(left, right) &&
	       left->enabled == right->enabled && !strcmp(left->name, right->name) &&
	       !strcmp(left->comment, right->comment);
}
