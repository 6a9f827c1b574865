/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The ports that masquerading may give out: a range, less what this host and its
 * rules use themselves, so that nobody's answer is taken for another's (a flow on a
 * port that something listens on would shadow it).
 */
#ifndef XDNAT_SNAT_PORT_H
#define XDNAT_SNAT_PORT_H

#include <stdbool.h>
#include <stdint.h>

#include "store.h"

struct snat_range {
	uint16_t first_host, last_host; /* both 0: the default, 1024 to 65535 */
};
/* "20000-29999", as load --snat-ports has it. -EINVAL with fail(). */
int snat_range_parse(const char *text, struct snat_range *range);
/* The range in force. */
struct snat_range snat_range_of(const struct xdnat_config *config);
/* -EEXIST with fail(), and what to type, if this host gives out ports of the range
 * itself or something listens there. */
int snat_range_check(const struct snat_range *range);

/* Makes the list that of the rules, and of what the host uses now. Caller holds the
 * instance's lock and is in its network namespace. */
int snat_port_sync(struct store *store, const struct store_rule *rules, size_t count);
/* Whether the list is empty; why into text, SNAT_PORT_NONE_BYTES. */
#define SNAT_PORT_NONE_BYTES 80
bool snat_port_none(const struct store *store, char *text);

#endif
