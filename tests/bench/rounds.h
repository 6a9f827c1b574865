/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * From interleaved rounds to what they say: medians, an interval, and whether the
 * machine was quiet enough. Knows numbers, not what was measured.
 */
#ifndef ROUNDS_H
#define ROUNDS_H

#include <stdbool.h>
#include <stdint.h>

#define ROUNDS_MAX	       64
#define ROUNDS_DROPPED_PERCENT 30 /* more make a row invalid */

struct round {
	double ours;
	double other;
	double value; /* what is compared with the goal: a ratio or a difference */
	bool is_disturbed;
};

struct result {
	double ours; /* medians */
	double other;
	double value;
	double low; /* value's 95 % bootstrap interval */
	double high;
	uint32_t rounds;
	uint32_t dropped; /* of them, for steal or involuntary switches */
	bool is_valid;
};

/* Keeps to one processor and returns which; is_first: before all others on it, if it may.
 * Its children are like all others: a command that tries again until a lock of the
 * kernel's is free would keep the lock's owner from running. */
int rounds_settle(bool is_first);
/* A number that differs afterwards if this processor was taken away meanwhile. */
uint64_t rounds_disturbances(void);
/* Sorts values. */
double rounds_median(double *values, uint32_t count);
void rounds_conclude(const struct round *rounds, uint32_t count, struct result *result);

#endif
