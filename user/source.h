/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The sources that a rule allows or denies: text and files <-> prefixes. Knows
 * nothing of maps.
 */
#ifndef XDNAT_SOURCE_H
#define XDNAT_SOURCE_H

#include "addr.h"

#define SOURCE_TEXT_BYTES 256 /* with NUL; more goes into a file */

struct source_list {
	struct addr_prefix *prefixes;
	size_t count;
};

/* value: of the key ("allow"), prefixes with commas between them or "@" and an
 * absolute path, which is not looked at. families: spec_families(). text, SOURCE_TEXT_BYTES: the
 * same, canonical. 0, or -EINVAL with fail(). */
int source_parse(const char *key, const char *value, unsigned int families, char *text);
/* text: as source_parse() made it. list is {} before; release it also after an error.
 * 0, or -EINVAL with fail() that says file and line. */
int source_read(const char *key, const char *text, unsigned int families, struct source_list *list);
void source_release(struct source_list *list);
/* Its prefixes are read from a file. */
static inline bool source_is_file(const char *text)
{
	return *text == '@';
}

#endif
