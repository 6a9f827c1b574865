/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Ending chosen flows: first all of them are noted, then they are ended, so that
 * nothing is deleted under the walk over the tables and a client that goes on
 * sending, and so gets a flow again, does not keep it going for ever.
 */
#ifndef XDNAT_FLOW_END_H
#define XDNAT_FLOW_END_H

#include "store.h"

struct flow_choice {
	/* Also asked about expired flows and orphans. */
	bool (*wants)(const struct store_flow *flow, const void *context);
	const void *context;
	uint32_t force; /* XDNAT_END_…: also what has not expired */
	size_t at_most; /* 0: all; 44 bytes of memory for each */
};

/* Ends those that were there, with force live orphans too; *ended counts no orphans. 0, 1 if
 * there are more than at_most, or -errno with fail(): an error with one flow does not keep the
 * others. */
int flow_end_chosen(const struct store *store, const struct flow_choice *choice, uint64_t *ended);
/* Ends all flows that these rules made, whether or not the rules are still there.
 * rules: ids, rising. 0 or -errno with fail(). */
int flow_end_of_rules(const struct store *store, const uint32_t *rules, size_t count,
		      uint64_t *ended);

#endif
