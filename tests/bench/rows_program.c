// SPDX-License-Identifier: GPL-2.0-only
#include "rows.h"

#include <errno.h>
#include <stdio.h>

#include "trial.h"

#define MEMORY "Memory a flow, both halves, at rated capacity (bytes)"
/* PERFORMANCE.md goal 14: IPv4, IPv6. */
static const double goals_table[2] = {400, 600}, goals_hash[2] = {352, 512};

static void add_score(struct report *report, const struct trial *trial, uint32_t which,
		      const struct result *result)
{
	static const enum score_kind kinds[] = {
		[CASE_SELF] = SCORE_SELF, [CASE_FOREIGN] = SCORE_ADDED_NS};
	const struct program_case *row = trial->row;
	struct score score = {
		.section = row->section,
		.packet = row->name,
		.against = row->against,
		.measured_in = "ns",
		.flows = trial->timed[SIDE_OURS].flows.count,
		.kind = row->kind <= CASE_FOREIGN ? kinds[row->kind] : SCORE_AT_MOST,
		.goal = row->goal,
		.result = *result,
	};

	if (row->kind == CASE_ESTABLISHED)
		score.against = which == TRIAL_FLOOR ? "Floor-P" : REPORT_HASH;
	if (row->kind == CASE_ESTABLISHED && which == TRIAL_HASH)
		score.goal = 1;
	report_add(report, &score);
}

static void add_memory(struct report *report, const char *what, uint32_t flows, double goal,
		       const double *bytes)
{
	struct result result = {
		.ours = bytes[0],
		.other = bytes[1],
		.value = bytes[0],
		.low = bytes[0],
		.high = bytes[0],
		.rounds = 1,
		.is_valid = true,
	};

	report_add(report, &(struct score){
				   .section = MEMORY,
				   .packet = what,
				   .against = REPORT_HASH,
				   .measured_in = "bytes",
				   .flows = flows,
				   .kind = SCORE_BYTES,
				   .goal = goal,
				   .result = result,
			   });
}

/* Of the world that is loaded; the rows stand together at the end. */
static int weigh(const struct trial *trial, struct report *report)
{
	const struct world_setup *setup = &trial->world.setup;
	static const char *const names[2][2] = {{"v4 flow table", "v4 kernel hash"},
						{"v6 flow table", "v6 kernel hash"}};
	int err = 0;

	for (int is_v6 = 0; !err && is_v6 < 2; is_v6++) {
		uint32_t flows = is_v6 ? setup->flows6 : setup->flows4;
		uint64_t table, hash;
		double bytes[2], same[2];

		err = world_memory(&trial->world, is_v6, &table, &hash);
		bytes[0] = table / flows; /* whole: what does not grow is not a flow's */
		bytes[1] = hash / flows;
		same[0] = same[1] = bytes[1];
		if (err)
			break;
		add_memory(report, names[is_v6][0], flows, goals_table[is_v6], bytes);
		add_memory(report, names[is_v6][1], flows, goals_hash[is_v6], same);
	}
	return err;
}

static int measure_row(struct trial *trial, const struct program_case *row, struct report *report)
{
	struct result results[MEASURE_CONTESTANTS] = {};
	int err = trial_run(trial, row, results);

	report->packets_checked += trial->checked;
	for (uint32_t i = TRIAL_FLOOR; !err && i < trial->contest.count; i++)
		if (trial->contest.who[i].less >= 0)
			add_score(report, trial, i, &results[i]);
	return err;
}

static int enter_world(struct trial *trial, const struct world_setup *setup)
{
	world_unload(&trial->world);
	trial->filled = 0;
	return world_load(&trial->world, setup);
}

static int measure_all(struct trial *trial, struct report *report)
{
	const struct program_case *last = NULL;
	struct world_setup setup;
	int err = 0;

	for (uint32_t i = 0; !err && i < program_cases_count; i++) {
		const struct program_case *row = &program_cases[i];

		if (!program_world(row->world, trial->flows_max, &setup))
			continue;
		fprintf(stderr, "program time %u/%u, %s ...\n", i + 1, program_cases_count,
			row->name);
		if (!last || row->world != last->world)
			err = enter_world(trial, &setup);
		if (!err && !last)
			err = weigh(trial, report);
		if (!err)
			err = measure_row(trial, row, report);
		last = row;
	}
	return err;
}

int rows_program(struct report *report, uint32_t rounds, uint32_t flows_max)
{
	static struct trial trial;
	int err;

	trial.rounds = rounds;
	trial.flows_max = flows_max;
	err = trial_make(&trial);
	if (!err)
		err = world_make(&trial.world);
	if (!err)
		err = measure_all(&trial, report);
	world_unload(&trial.world);
	if (!err)
		report_verdict(report);
	return err;
}
