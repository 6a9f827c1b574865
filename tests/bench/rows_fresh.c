// SPDX-License-Identifier: GPL-2.0-only
#include "rows.h"

#include <stdio.h>

#include "live.h"

#define RATE "New flows: live frames, each another flow's first, counted at the server (Mpps)"
/* PERFORMANCE.md goal 9. */
#define GOAL_NFT 5.

enum { OURS, NFT, ROUTERS };

static const enum lane_kind kinds[ROUTERS] = {[OURS] = LANE_XDNAT, [NFT] = LANE_NFT};

struct course {
	struct live_bpf *skeleton;
	struct lane lanes[ROUTERS];
	uint64_t lost;
};

static int course_make(struct course *course, const char *xdnat)
{
	int err = live_open(&course->skeleton);

	for (int i = 0; !err && i < ROUTERS; i++)
		err = lane_make(&course->lanes[i], kinds[i], course->skeleton, xdnat);
	return err;
}

/* There and back again, each from no flow on. */
static int run_round(struct course *course, const struct flows *flows, struct round *round)
{
	static const int order[] = {OURS, NFT, NFT, OURS};
	double ns[ROUTERS] = {};
	int err = 0;

	*round = (struct round){};
	for (size_t turn = 0; !err && turn < sizeof(order) / sizeof(*order); turn++) {
		int i = order[turn];
		struct live_burst burst = {.chunks = LIVE_FRESH_CHUNKS_MAX, .is_fresh = true};
		uint64_t before = rounds_disturbances();

		err = live_burst(course->skeleton, &course->lanes[i], flows, &burst);
		round->is_disturbed |= rounds_disturbances() != before;
		if (!err)
			err = lane_flush(&course->lanes[i]);
		ns[i] += burst.ns / 2;
		course->lost += burst.lost;
	}
	round->ours = 1000 / ns[OURS];
	round->other = 1000 / ns[NFT];
	round->value = ns[NFT] / ns[OURS];
	return err;
}

/* What arrives is looked at before and after, with flows that are made then. */
static int check(struct course *course, const struct flows *flows, struct report *report)
{
	int err = 0;

	for (int i = 0; !err && i < ROUTERS; i++) {
		err = live_check(course->skeleton, &course->lanes[i], flows,
				 &report->packets_checked);
		if (!err)
			err = lane_flush(&course->lanes[i]);
	}
	return err;
}

static int measure_family(struct course *course, bool is_v6, uint32_t rounds, struct report *report)
{
	const struct flows flows = {.is_v6 = is_v6, .count = LIVE_FRESH};
	struct round all[ROUNDS_MAX], warm_up;
	struct score score = {
		.section = RATE,
		.packet = is_v6 ? "v6 udp" : "v4 udp",
		.against = "nft DNAT",
		.measured_in = "Mpps",
		.flows = flows.count,
		.kind = SCORE_AT_LEAST,
		.goal = GOAL_NFT,
	};
	int err = check(course, &flows, report);

	fprintf(stderr, "new flows, live frames, %s ...\n", score.packet);
	if (!err)
		err = run_round(course, &flows, &warm_up);
	for (uint32_t i = 0; !err && i < rounds; i++)
		err = run_round(course, &flows, &all[i]);
	if (!err)
		err = check(course, &flows, report);
	if (err)
		return err;
	rounds_conclude(all, rounds, &score.result);
	report_add(report, &score);
	return 0;
}

int rows_fresh(struct report *report, uint32_t rounds, const char *xdnat)
{
	struct course course = {};
	int err = course_make(&course, xdnat);

	if (!err)
		err = measure_family(&course, false, rounds, report);
	if (!err)
		err = measure_family(&course, true, rounds, report);
	if (!err)
		report_note(report, "Of all frames of new flows %llu were lost.",
			    (unsigned long long)course.lost);
	live_bpf__destroy(course.skeleton);
	return err;
}
