/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * While packets are sent: lists the tables, over and over, as the tools do, and ends
 * flows. What it says was wrong was so at one moment: all slots that it is about had not
 * changed hands when the last of them had been read.
 */
#ifndef STRESS_WATCH_H
#define STRESS_WATCH_H

#include <pthread.h>

#include "world.h"

struct watch {
	const struct world *world;
	bool is_forcing; /* ends live flows, too, but kept ones */
	uint64_t random;
	/* Counts. */
	uint64_t passes;
	uint64_t requests;
	uint64_t duplicates;  /* tuples in two slots at once */
	uint64_t over_quotas; /* buckets with more embryos than may be */
	uint64_t misplaced;   /* halves that are not at home nor in the overflow */
	int err;
	bool is_over;
	pthread_t thread;
};

/* 0 or -errno; then watch_stop(), which says how the watching went. */
int watch_start(struct watch *watch);
int watch_stop(struct watch *watch);

#endif
