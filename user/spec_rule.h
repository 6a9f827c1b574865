/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The first word of a rule: [BIND ":"] PORTS ":" TARGETS ["/" PROTO].
 */
#ifndef XDNAT_SPEC_RULE_H
#define XDNAT_SPEC_RULE_H

#include "spec.h"

/* Stores bind, port, protocol and target; spec's other members stay. 0, or
 * -EINVAL with fail(). */
int spec_rule_parse(const char *word, struct spec *spec);

#endif
