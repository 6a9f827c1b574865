/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A router in a network namespace of the process's own, its neighbours permanent
 * entries, the datapath and its floors loaded; and what its flows' packets look
 * like on both sides.
 */
#ifndef WORLD_H
#define WORLD_H

#include "frame.h"
#include "xdnat_abi.h"

#include "bench.skel.h" /* wants bench_row to be known */

struct world {
	struct bench_bpf *skeleton;
	struct bpf_link *links[2];
	uint32_t wan; /* interface indices */
	uint32_t lan;
};

/* What kind of flows: the i-th of each kind is another client's. */
struct flows {
	bool is_v6;
	bool is_tcp;
	bool is_foreign; /* to a port without a rule; has no reply */
	uint32_t count;	 /* a power of two, at most BENCH_ROWS */
};

/* Once a process, before world_load(). 0 or -errno. */
int world_make(void);
/* is_held: the datapath's clock stands still, no flow ever needs its tick.
 * 0 or -errno; world_unload() takes a world that failed to load. */
int world_load(struct world *world, bool is_held);
void world_unload(struct world *world);

uint32_t world_ingress(const struct world *world, uint8_t direction);
/* The packet of flow i as it arrives, and as it must leave. */
void world_arriving(const struct flows *flows, uint32_t i, uint8_t direction, uint8_t tcp_flags,
		    struct frame *frame);
void world_leaving(const struct flows *flows, uint8_t direction, const struct frame *arriving,
		   struct frame *frame);
/* Copies flow i's halves to the floor's table. -EINVAL: they are not settled. */
int world_copy_flow(const struct world *world, const struct flows *flows, uint32_t i);

#endif
