/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Ports and who has them, at one address: overlapping spans in, as few prefixes as say
 * the same out. Knows no rules and no addresses.
 */
#ifndef XDNAT_LISTENER_RANGE_H
#define XDNAT_LISTENER_RANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Ports first to last; where spans overlap, the lower rank wins. */
struct listener_span {
	uint16_t first_host, last_host;
	uint64_t rank;
	uint32_t rule;
	bool admits_all; /* false: some sources are left to those that it goes before */
};

/* All 65,536 ports in order, neighbours having different ranks. */
struct listener_run {
	uint16_t first_host, last_host;
	uint64_t rank; /* UINT64_MAX: nobody's */
	uint32_t rule; /* 0: nobody's */
	uint8_t above; /* spans that leave it sources; while it is made */
	bool is_settled;
};
/* level: 0 for the spans that go first; 1 for the next where those leave it sources, and
 * so on. Sorts spans by rank. *runs is malloc'd. 0 or -ENOMEM. */
int listener_runs_make(struct listener_span *spans, size_t count, uint8_t level,
		       struct listener_run **runs, size_t *run_count);
const struct listener_run *listener_run_at(const struct listener_run *runs, size_t count,
					   uint16_t port_host);

/* Ports that have their upper bits in common; the longest prefix of a port says whose it
 * is. */
struct listener_prefix {
	uint16_t port_host;
	uint8_t bits;
	uint32_t rule;
};
/* The fewest that give each port to its run's rule; what has none is nobody's.
 * *prefixes is malloc'd. 0 or -ENOMEM. */
int listener_prefixes_make(const struct listener_run *runs, size_t count,
			   struct listener_prefix **prefixes, size_t *prefix_count);

#endif
