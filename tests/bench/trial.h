/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One row of program time while it is measured: flows are made, every packet is looked
 * at, then the programs run against each other.
 */
#ifndef TRIAL_H
#define TRIAL_H

#include "program_case.h"
#include "stream.h"

enum { TRIAL_EMPTY, TRIAL_OURS, TRIAL_FLOOR, TRIAL_HASH };
enum { SIDE_OURS, SIDE_BESIDE, SIDES };

struct trial {
	struct world world;
	uint32_t rounds;
	uint32_t flows_max; /* of a row */
	const struct program_case *row;
	struct stream timed[SIDES];
	struct stream making; /* what flows are established by */
	struct stream flood[SIDES];
	struct contest contest;
	uint32_t *order;
	uint32_t filled; /* flows of the world that are established: of rows with percent */
	uint64_t checked;
};

/* Memory for all rows. 0 or -errno. */
int trial_make(struct trial *trial);
/* Of the world that is loaded. results: measure_contest()'s. 0 or -errno. */
int trial_run(struct trial *trial, const struct program_case *row, struct result *results);

/* trial_run()'s parts. Each packet makes a flow: */
bool trial_makes_flows(const struct program_case *row);
/* The descriptor of a family's program. */
int trial_pick(bool is_v6, const struct bpf_program *four, const struct bpf_program *six);
/* The datapath as the row has it. */
int trial_datapath(const struct trial *trial, bool is_v6);
struct shot trial_shot(const struct trial *trial, const struct stream *stream, int program);
/* Fills trial->contest.who. */
void trial_choose_contest(struct trial *trial);

#endif
