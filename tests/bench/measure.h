/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Program time: a program run over and over, three programs interleaved. Knows
 * programs and repeats, not what they do.
 */
#ifndef MEASURE_H
#define MEASURE_H

#include "rounds.h"
#include "world.h"

#define MEASURE_CHUNKS 48 /* more than 65536 flows once */

/* What a run sends: the packets' common frame, and what tells them apart. */
struct packets {
	uint64_t frame[BENCH_FRAME6_BYTES / 8];
	struct bench_row rows[BENCH_ROWS];
	uint32_t count; /* a power of two */
	bool is_tcp;
};

/* Descriptors of programs. */
struct contest {
	int ours;
	int floor;
	int empty;
	uint32_t chunks;      /* of a run, each BENCH_CHUNK packets */
	bool is_added;	      /* ours is compared with empty alone, by difference */
	bool is_of_new_flows; /* the tables are emptied before each run */
	/* Both NULL: they get the packets that are loaded. */
	const struct packets *to_ours;
	const struct packets *to_floor;
};

/* Of the runs that follow. */
void measure_load(const struct world *world, const struct packets *packets);
/* Packets of a run: the last one stamps. */
uint32_t measure_packets(const struct contest *contest);
/* One packet by program, the position-th row's. in and out: frames of bytes. */
int measure_packet(const struct world *world, int program, uint32_t ingress, uint32_t position,
		   const uint8_t *in, uint8_t *out, uint32_t bytes, uint32_t *action);
int measure_contest(const struct world *world, const struct contest *contest, uint32_t ingress,
		    uint32_t bytes, uint32_t rounds, struct result *result);

#endif
