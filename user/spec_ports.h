/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Ports in a rule: PORTS, the target's, and except=. Text <-> struct spec_ports.
 */
#ifndef XDNAT_SPEC_PORTS_H
#define XDNAT_SPEC_PORTS_H

#include "spec.h"

#define SPEC_PORTS_BYTES 12 /* "65534-65535" and NUL */

/* "80", "80-90" or "*". 0, or -EINVAL with fail(). */
int spec_ports_parse(const char *text, struct spec_ports *ports, enum spec_form *form);
/* The target's, of a spec that has PORTS; NULL: the same. */
int spec_ports_parse_target(struct spec *spec, const char *text);
/* except=, of a spec that has PORTS: "22,8000-8010". */
int spec_take_except(struct spec *spec, const char *text);
/* SPEC_VALUE_BYTES at most; false: there is none. */
bool spec_show_except(const struct spec *spec, char *value);
/* What only rule and keys together show to be wrong. */
int spec_ports_check(const struct spec *spec);

/* SPEC_PORTS_BYTES at most; returns text. */
char *spec_ports_format(const struct spec_ports *ports, char *text);

#endif
