/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Two threads, each on a processor of its own, that send packets as their lanes say.
 */
#ifndef STRESS_LANES_H
#define STRESS_LANES_H

#include "world.h"

/* Until one of the two is reached; 0: no limit. */
struct lanes_limit {
	double seconds;
	uint64_t packets; /* of each lane */
};

/* Chooses the processors. -ENODEV: there are not that many. */
int lanes_settle(void);
int lanes_run(const struct world *world, const struct lanes_limit *limit);
/* Of both lanes together; their counts are zero after. */
struct stress_lane lanes_total(struct world *world);

/* One lane: a packet of each of those flows, in that order. */
int lane_send(const struct world *world, enum stress_order order, uint32_t first, uint32_t count);
/* Opened, answered and gone on with, one flow after the other. */
int lane_establish(const struct world *world, uint32_t first, uint32_t count);

double seconds_now(void);

#endif
