/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The first word of a rule: [BIND ":"] PORTS ":" TARGETS ["/" PROTO].
 */
#ifndef XDNAT_SPEC_RULE_H
#define XDNAT_SPEC_RULE_H

#include "spec.h"

/* Stores bind, ports, protocols and target; spec's other members stay. 0, or
 * -EINVAL with fail(). */
int spec_rule_parse(const char *word, struct spec *spec);
/* An address that packets can come from or go to, IPv6 in brackets. As above. */
int spec_rule_parse_address(const char *text, struct xdnat_addr *addr);

/* BIND, "" for none; text has ADDR_TEXT_BYTES and may be what is returned. */
const char *spec_rule_bind(const struct spec *spec, char *text);
/* PORTS; text has SPEC_PORTS_BYTES and is returned. */
char *spec_rule_ports(const struct spec *spec, char *text);

#endif
