/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Live frames through a lane: sent from the client's namespace, seen at the server,
 * every flow's looked at byte by byte before and after frames are counted.
 */
#ifndef LIVE_H
#define LIVE_H

#include "lane.h"

#define LIVE_CHUNKS_MAX	      (BENCH_STAMPS - 2)
#define LIVE_FRESH_CHUNKS_MAX (LIVE_FRESH / LIVE_CHUNK - 2)

struct live_burst {
	uint32_t chunks; /* at most LIVE_CHUNKS_MAX, or LIVE_FRESH_CHUNKS_MAX */
	bool is_fresh;	 /* each frame is another flow's first */
	double ns;
	uint64_t lost;
};

/* 0 or -errno. Flows' rule is the lane's. */
int live_open(struct live_bpf **skeleton);
/* Each flow's first packets, both ways, as clients and targets make them: flows
 * are settled then. Adds to *checked how many were looked at. */
int live_settle(struct live_bpf *skeleton, const struct lane *lane, const struct flows *flows,
		uint64_t *checked);
/* One packet of each flow, in the original direction. */
int live_check(struct live_bpf *skeleton, const struct lane *lane, const struct flows *flows,
	       uint64_t *checked);
/* Chunks of LIVE_CHUNK frames: ns is the median chunk's time a frame, as counted
 * where they arrive; lost is how many did not. Settled flows, or fresh ones. */
int live_burst(struct live_bpf *skeleton, const struct lane *lane, const struct flows *flows,
	       struct live_burst *burst);

#endif
