/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A network whose router's programs are run by hand: the datapath, what it is measured
 * against, and their tables.
 */
#ifndef WORLD_H
#define WORLD_H

#include "flows.h"
#include "network.h"

#include "bench.skel.h" /* wants bench_row to be known */

#define WORLD_PROGRAMS	  24   /* that are run, at the most */
#define WORLD_EXACT_RULES 1000 /* beside "*", in set 1 */

/* What tables are made for. */
struct world_setup {
	bool has_ticks;	 /* else the datapath's clock stands still: no flow needs its tick */
	uint32_t flows4; /* rated capacity, of the datapath's and of the others' */
	uint32_t flows6;
	uint32_t rules;	   /* of FLOWS_RULED */
	uint32_t rows_max; /* packets that are loaded at once */
};

struct world {
	struct network network;
	struct world_setup setup;
	struct bench_bpf *skeleton;
	struct bench_row *rows; /* in the programs' memory */
	const void *loaded;	/* whose rows these are; NULL: nobody's */
	uint32_t loaded_version;
	struct bpf_link *links[2];
	struct bpf_link *parked[WORLD_PROGRAMS];
};

/* Once, before world_load(). 0 or -errno. */
int world_make(struct world *world);
/* 0 or -errno; world_unload() takes a world that failed to load. */
int world_load(struct world *world, const struct world_setup *setup);
void world_unload(struct world *world);

uint32_t world_ingress(const struct world *world, uint8_t direction);
/* world_load() does these. 0 or -errno. */
int world_size_table(const struct world *world, struct xdnat_config *config);
int world_fill_rules(const struct world *world);

/* The bucket that flow i's half of that direction is at home in. */
uint32_t world_home(const struct world *world, const struct flows *flows, uint32_t i,
		    uint8_t direction);
/* Of a bucket: slots that another flow may be given. -errno: it cannot be read. */
int world_embryos(const struct world *world, bool is_v6, uint32_t bucket);
/* Empties one family's tables, the datapath's and the others'. */
int world_clear(const struct world *world, bool is_v6);
/* Bytes of memory that the maps of one family take: the datapath's flow table, the
 * kernel hash. 0 or -errno. */
int world_memory(const struct world *world, bool is_v6, uint64_t *table, uint64_t *hash);

#endif
