/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A network whose router's programs are run by hand: the datapath, its floors, and
 * their tables.
 */
#ifndef WORLD_H
#define WORLD_H

#include "flows.h"
#include "network.h"

#include "bench.skel.h" /* wants bench_row to be known */

#define WORLD_PROGRAMS 12 /* that are run, at the most */

struct world {
	struct network network;
	struct bench_bpf *skeleton;
	struct bpf_link *links[2];
	struct bpf_link *parked[WORLD_PROGRAMS];
};

/* Once, before world_load(). 0 or -errno. */
int world_make(struct world *world);
/* is_held: the datapath's clock stands still, no flow ever needs its tick.
 * 0 or -errno; world_unload() takes a world that failed to load. */
int world_load(struct world *world, bool is_held);
void world_unload(struct world *world);

uint32_t world_ingress(const struct world *world, uint8_t direction);
/* Copies flow i's halves to the floor's table. -EINVAL: they are not settled. */
int world_copy_flow(const struct world *world, const struct flows *flows, uint32_t i);
#define WORLD_EXACT_RULES 1000 /* beside "*", in set 1 */
/* world_load() does it. 0 or -errno. */
int world_fill_rules(struct bench_bpf *skeleton);

/* Empties the flow tables, the datapath's and the floor's. */
int world_clear(const struct world *world);

#endif
