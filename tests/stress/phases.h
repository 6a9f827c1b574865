/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is done to a world, and what must be true of it then: a line a claim. Each
 * returns 0 or -errno; that is for what could not be tried.
 */
#ifndef STRESS_PHASES_H
#define STRESS_PHASES_H

#include "world.h"

/* Flows come and go at random for so long, while somebody lists, sweeps and kills. */
int phase_random(struct world *world, uint32_t flows, uint64_t seed, double seconds);
/* Flows that never answer, at the very buckets of some that did. */
int phase_flood(struct world *world, uint64_t packets);
/* Confirmed flows whose keys were chosen, knowing the seeds, to share one home. */
int phase_aimed(struct world *world);

/* Ends what has expired until nothing is left that does; checks that this comes. */
int phase_sweep(const struct world *world);
/* Ends every flow, fills every slot, ends all. first: flows that it may use. */
int phase_refill(struct world *world, uint32_t first);
/* Kept flows' packets, both ways, now that nothing else is under way. */
int phase_translate(struct world *world, uint32_t first, uint32_t count, const char *claim);
/* The judgement of all packets since it was last asked. */
void phase_judge(struct world *world, const char *what);

#endif
