/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Interleaved rounds of three programs and what they say: ratios, their median and
 * its interval. Knows programs and repeats, not what they do.
 */
#ifndef MEASURE_H
#define MEASURE_H

#include "world.h"

#define MEASURE_ROUNDS_MAX	64
#define MEASURE_REPEAT		(BENCH_CHUNK * BENCH_CHUNKS + 1) /* the last one stamps */
#define MEASURE_DROPPED_PERCENT 30				 /* more make a row invalid */

/* Descriptors of programs. */
struct contest {
	int ours;
	int floor;
	int empty;
	bool is_added; /* ours is compared with empty alone, by difference */
};

struct result {
	double ours_ns; /* medians, net of empty */
	double floor_ns;
	double value; /* median of the rounds' ratios, or of the ns added */
	double low;   /* its 95 % bootstrap interval */
	double high;
	uint32_t rounds;
	uint32_t dropped; /* of them, for steal or involuntary switches */
	bool is_valid;
};

/* One packet by program, the position-th row's. in and out: frames of bytes. */
int measure_packet(const struct world *world, int program, uint32_t ingress, uint32_t position,
		   const uint8_t *in, uint8_t *out, uint32_t bytes, uint32_t *action);
/* Keeps to one processor, before all others on it, if it may. */
void measure_settle(void);
int measure_contest(const struct world *world, const struct contest *contest, uint32_t ingress,
		    uint32_t bytes, uint32_t rounds, struct result *result);

#endif
