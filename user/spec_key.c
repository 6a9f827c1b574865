// SPDX-License-Identifier: GPL-2.0-only
#include "spec_key.h"

#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "addr.h"
#include "fail.h"
#include "spec_ports.h"
#include "spec_rule.h"

/* What every host takes: 576 and 1280 bytes with their headers (RFC 9293 section
 * 3.7.1); and the largest that a packet's length leaves (RFC 6691, RFC 8200). */
#define MSS_LOWEST4  536
#define MSS_LOWEST6  1220
#define MSS_HIGHEST4 65495
#define MSS_HIGHEST6 65515

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

static bool show_name(const struct spec *spec, char *value)
{
	snprintf(value, SPEC_VALUE_BYTES, "%s", spec->name);
	return spec_has_name(spec);
}

static int take_comment(struct spec *spec, const char *value)
{
	if (strlen(value) >= SPEC_COMMENT_BYTES)
		return fail(-EINVAL, "the comment is longer than %d bytes", SPEC_COMMENT_BYTES - 1);
	memcpy(spec->comment, value, strlen(value) + 1);
	return 0;
}

static bool show_comment(const struct spec *spec, char *value)
{
	snprintf(value, SPEC_VALUE_BYTES, "%s", spec->comment);
	return *spec->comment;
}

/* The source is chosen for packets that leave this host. */
static int need_other_host(const struct spec *spec, const char *key)
{
	return spec->is_local ? fail(-EINVAL,
				     "%s= is for other hosts: the target local sees its "
				     "clients as they are; leave it out",
				     key)
			      : 0;
}

static int take_mode(struct spec *spec, const char *value)
{
	if (strcmp(value, "preserve") && strcmp(value, "masquerade"))
		return fail(-EINVAL, "mode=%s is not known: type mode=preserve or mode=masquerade",
			    value);
	spec->is_masqueraded = !strcmp(value, "masquerade");
	return spec->is_masqueraded ? need_other_host(spec, "mode") : 0;
}

static bool show_mode(const struct spec *spec, char *value)
{
	snprintf(value, SPEC_VALUE_BYTES, "masquerade");
	return spec->is_masqueraded;
}

static int take_snat(struct spec *spec, const char *value)
{
	int err = need_other_host(spec, "snat");

	if (err)
		return err;
	err = spec_rule_parse_address(value, &spec->snat);
	if (err)
		return fail_while(err, "snat=");
	if (addr_is_v4(&spec->snat) == addr_is_v4(&spec->target))
		return 0;
	return fail(-EINVAL, "snat=%s and the target must be of one family", value);
}

static bool show_snat(const struct spec *spec, char *value)
{
	static const struct xdnat_addr none;
	char text[ADDR_TEXT_BYTES];

	snprintf(value, SPEC_VALUE_BYTES, "%s", addr_format(&spec->snat, false, text));
	return !addr_equal(&spec->snat, &none);
}

static int take_hairpin(struct spec *spec, const char *value)
{
	if (strcmp(value, "off") && strcmp(value, "on"))
		return fail(-EINVAL, "hairpin=%s is not known: type hairpin=on or hairpin=off",
			    value);
	spec->has_hairpin = !strcmp(value, "on");
	return spec->has_hairpin ? need_other_host(spec, "hairpin") : 0;
}

static bool show_hairpin(const struct spec *spec, char *value)
{
	snprintf(value, SPEC_VALUE_BYTES, "on");
	return spec->has_hairpin;
}

static int take_allow(struct spec *spec, const char *value)
{
	return source_parse("allow", value, spec_families(spec), spec->allow);
}

static bool show_allow(const struct spec *spec, char *value)
{
	snprintf(value, SPEC_VALUE_BYTES, "%s", spec->allow);
	return *spec->allow;
}

static int take_deny(struct spec *spec, const char *value)
{
	return source_parse("deny", value, spec_families(spec), spec->deny);
}

static bool show_deny(const struct spec *spec, char *value)
{
	snprintf(value, SPEC_VALUE_BYTES, "%s", spec->deny);
	return *spec->deny;
}

static int take_mss(struct spec *spec, const char *value)
{
	unsigned int families = spec_families(spec);
	uint64_t low = families & SPEC_V6 ? MSS_LOWEST6 : MSS_LOWEST4, number = 0;
	uint64_t high = families & SPEC_V4 ? MSS_HIGHEST4 : MSS_HIGHEST6;
	int err = 0;

	if (!(spec->protos & SPEC_TCP) && strcmp(value, "off"))
		return fail(-EINVAL, "mss=%s is for TCP, the rule is for UDP", value);
	if (!strcmp(value, "auto"))
		number = XDNAT_MSS_AUTO;
	else if (*value >= '0' && *value <= '9')
		err = number_parse(value, "mss=", low, high, &number);
	else if (strcmp(value, "off"))
		err = fail(-EINVAL, "mss=%s is not known: type mss=off, mss=auto or mss=N", value);
	spec->mss_host = (uint16_t)number;
	return err;
}

static bool show_mss(const struct spec *spec, char *value)
{
	if (spec->mss_host == XDNAT_MSS_AUTO)
		strcpy(value, "auto");
	else
		snprintf(value, SPEC_VALUE_BYTES, "%u", spec->mss_host);
	return spec->mss_host;
}

static int take_enabled(struct spec *spec, const char *value)
{
	if (strcmp(value, "yes") && strcmp(value, "no"))
		return fail(-EINVAL, "enabled=%s is not known: type enabled=yes or enabled=no",
			    value);
	spec->enabled = !strcmp(value, "yes");
	return 0;
}

static bool show_enabled(const struct spec *spec, char *value)
{
	snprintf(value, SPEC_VALUE_BYTES, "no");
	return !spec->enabled;
}

/* DESIGN.md section 4's keys, in the order of canonical lines. */
static const struct {
	const char *name;
	/* Stores what the value says; the rule itself has been parsed. NULL: the key is
	 * not in this version. */
	int (*take)(struct spec *spec, const char *value);
	/* Writes the value, SPEC_VALUE_BYTES at most. False: it is the default, and not
	 * shown. NULL: there is but one value. */
	bool (*show)(const struct spec *spec, char *value);
} keys[] = {
	{"name", take_name, show_name},
	{"mode", take_mode, show_mode},
	{"snat", take_snat, show_snat},
	{"allow", take_allow, show_allow},
	{"deny", take_deny, show_deny},
	{"hairpin", take_hairpin, show_hairpin},
	{"except", spec_take_except, spec_show_except},
	{"idle-tcp", NULL, NULL},
	{"idle-udp", NULL, NULL},
	{"max-flows", NULL, NULL},
	{"new-rate", NULL, NULL},
	{"new-rate-source", NULL, NULL},
	{"mss", take_mss, show_mss},
	{"log", NULL, NULL},
	{"balance", NULL, NULL},
	{"check", NULL, NULL},
	{"check-every", NULL, NULL},
	{"check-timeout", NULL, NULL},
	{"rise", NULL, NULL},
	{"fall", NULL, NULL},
	{"on-down", NULL, NULL},
	{"no-target", NULL, NULL},
	{"sticky", NULL, NULL},
	{"slow-start", NULL, NULL},
	{"on-resolve", NULL, NULL},
	{"enabled", take_enabled, show_enabled},
	{"comment", take_comment, show_comment},
};
#define KEYS (sizeof(keys) / sizeof(keys[0]))

/* The row of the word's key, KEYS if it has none that we know. */
static size_t find_key(const char *word)
{
	size_t length = strcspn(word, "="), i = 0;

	while (i < KEYS && (strlen(keys[i].name) != length || memcmp(keys[i].name, word, length)))
		i++;
	return word[length] ? i : KEYS;
}

bool spec_key_is(const char *word)
{
	return find_key(word) < KEYS;
}

/* Why the word is none of a rule's, and which would be. */
static int fail_key(const char *word, size_t key)
{
	int length = (int)strcspn(word, "=");
	char valid[FAIL_TEXT_BYTES / 2];
	size_t used = 0;

	for (size_t i = 0; i < KEYS; i++)
		if (keys[i].take)
			used += (size_t)snprintf(valid + used, sizeof(valid) - used,
						 "%s%s=", used ? ", " : "", keys[i].name);
	if (!word[length])
		return fail(-EINVAL, "\"%s\" after the rule is not KEY=VALUE; valid: %s", word,
			    valid);
	return fail(-EINVAL, "the key %.*s= is not %s; valid: %s", length, word,
		    key == KEYS ? "known" : "in this version", valid);
}

int spec_keys_parse(const char *const *words, size_t count, struct spec *spec)
{
	bool seen[KEYS] = {false};
	int err = 0;

	for (size_t i = 0; i < count && !err; i++) {
		size_t key = find_key(words[i]);

		if (key == KEYS || !keys[key].take)
			return fail_key(words[i], key);
		if (seen[key])
			return fail(-EINVAL, "%s= is given twice", keys[key].name);
		seen[key] = true;
		err = keys[key].take(spec, strchr(words[i], '=') + 1);
	}
	return err;
}

const char *spec_key_next(const struct spec *spec, size_t *at, char *value)
{
	while (*at < KEYS) {
		size_t key = (*at)++;

		if (keys[key].show && keys[key].show(spec, value))
			return keys[key].name;
	}
	return NULL;
}
