// SPDX-License-Identifier: GPL-2.0-only
#include "rule_options.h"

#include <stdio.h>
#include <string.h>

#include "source.h"
#include "spec_key.h"

#define SHORT_BYTES 24 /* lists up to that length stand in tables as they are */

static bool has_place(const char *key)
{
	return !strcmp(key, "name") || !strcmp(key, "comment") || !strcmp(key, "enabled");
}

static void shorten(const char *key, char *value)
{
	size_t count = 1;

	if (strlen(value) <= SHORT_BYTES || source_is_file(value))
		return;
	for (const char *c = value; *c; c++)
		count += *c == ',';
	if (count > 1)
		snprintf(value, SPEC_VALUE_BYTES, "%zu %s", count,
			 strcmp(key, "except") ? "prefixes" : "ranges");
}

static void format(const struct spec *spec, bool is_short, char *text)
{
	char value[SPEC_VALUE_BYTES];
	size_t used = 0, at = 0;
	const char *key;

	*text = '\0';
	while ((key = spec_key_next(spec, &at, value)) && used < RULE_OPTIONS_BYTES) {
		if (has_place(key))
			continue;
		if (is_short)
			shorten(key, value);
		used += (size_t)snprintf(text + used, RULE_OPTIONS_BYTES - used, "%s%s=%s",
					 used ? " " : "", key, value);
	}
}

void rule_options_format(const struct spec *spec, char *text)
{
	format(spec, false, text);
}

void rule_options_format_short(const struct spec *spec, char *text)
{
	format(spec, true, text);
}
