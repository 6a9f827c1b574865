/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The datapath, loaded into a network namespace of its own with rules and a table of a
 * given size, and lanes that send packets through it. Clients and targets are behind
 * one interface.
 */
#ifndef STRESS_WORLD_H
#define STRESS_WORLD_H

#include <net/if.h>

#include "stress_abi.h"
#include "table.h"

#include "stress.skel.h" /* after what it is of */

#define WORLD_FAMILIES 2 /* IPv4, IPv6 */

struct shape {
	const char *name;
	uint32_t homes, overflow; /* buckets */
	uint32_t tick_jiffies;	  /* 0: each packet begins a tick */
};

struct world {
	const struct shape *shape;
	struct stress_bpf *skeleton;
	struct bpf_link *link;
	uint32_t ifindex;
	__u64 seeds[XDNAT_SEEDS];
	struct table tables[WORLD_FAMILIES];
};

/* A number that seed makes, another one each time. */
uint64_t world_random(uint64_t *seed);
/* Once a process: into a network namespace of its own. 0 or -errno, also below. */
int world_make(void);
/* seed: what all that is random in it comes from. */
int world_load(struct world *world, const struct shape *shape, uint64_t seed);
void world_unload(struct world *world);

/* So many packets of that lane. */
int world_send(const struct world *world, uint32_t lane, uint32_t packets);
/* Ends a flow by the key of one of its halves. force: XDNAT_END_... */
int world_end(const struct world *world, bool is_v6, const struct xdnat_key6 *key, uint32_t force);
/* Handshakes may take long, as between two test runs on an emulated processor; or not. */
int world_be_patient(const struct world *world, bool is_patient);
/* Packets of all lanes that ended so. */
uint64_t world_reason(const struct world *world, uint32_t reason);
/* All neighbours have another MAC address; it takes turns. */
int world_move_neighbours(void);

#endif
