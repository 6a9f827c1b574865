/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a rule says besides listener and target, for people.
 */
#ifndef XDNAT_RULE_OPTIONS_H
#define XDNAT_RULE_OPTIONS_H

#include "spec.h"

#define RULE_OPTIONS_BYTES XDNAT_SPEC_BYTES

/* "mode=masquerade mss=1300": keys that are not as they are by default, but for those
 * that have a place of their own: name, comment, enabled. "" if there are none. */
void rule_options_format(const struct spec *spec, char *text);
/* The same for a table: of long lists how long they are ("allow=3 prefixes"). */
void rule_options_format_short(const struct spec *spec, char *text);

#endif
