/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * FILTER words (src= dst= rule= proto= state=) and what they say of a flow.
 */
#ifndef XDNAT_FLOW_FILTER_H
#define XDNAT_FLOW_FILTER_H

#include "rule_set.h"
#include "store.h"

struct flow_filter_end {
	bool is_set;
	struct xdnat_addr addr;
	uint16_t port_host; /* 0: any */
};

struct flow_filter {
	struct flow_filter_end src, dst;
	uint8_t proto;	   /* 0: any */
	uint32_t rule;	   /* 0: any */
	const char *state; /* NULL: any; points into the words */
};

/* "embryo", "half-open", "established" (TCP), "answered" (UDP) or "closing". */
const char *flow_state(const struct store_flow *flow);

/* -EUSAGE with fail(), or -ENOENT for an unknown rule. */
int flow_filter_parse(const char *const *words, size_t count, const struct rule_set *set,
		      struct flow_filter *filter);
/* True if all words hold; dst is the listener's or the target's side. False of what
 * has expired: it translates nothing any more and only waits to be freed. */
bool flow_filter_matches(const struct flow_filter *filter, const struct store_flow *flow);

#endif
