/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What follows the first word of a rule: KEY=VALUE words. One row a key: how its
 * value is read, and how it is written.
 */
#ifndef XDNAT_SPEC_KEY_H
#define XDNAT_SPEC_KEY_H

#include "spec.h"

#define SPEC_VALUE_BYTES XDNAT_SPEC_BYTES

/* Whether the word begins with a key of the grammar and "=". */
bool spec_key_is(const char *word);
/* Stores what the words say; the rule itself is there already. 0, or -EINVAL with
 * fail(). */
int spec_keys_parse(const char *const *words, size_t count, struct spec *spec);
/* The next key, from *at = 0 on, that is not as it is by default: its name, and its
 * value (SPEC_VALUE_BYTES) as it was before spec_quote(). NULL: there are no more. */
const char *spec_key_next(const struct spec *spec, size_t *at, char *value);

#endif
