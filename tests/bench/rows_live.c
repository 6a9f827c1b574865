// SPDX-License-Identifier: GPL-2.0-only
#include "rows.h"

#include <math.h>
#include <stdio.h>

#include "live.h"

#define RATE	   "Live frames, client -> router -> server on veth, counted at the server (Mpps)"
#define COST	   "Live frames, the router's own time: 1/pps - 1/pps of a drop at the router (ns)"
#define SAME	   "Live frames, masqueraded beside preserved ones (Mpps)"
#define ONE	   "Live frames, one interface: client -> router -> target, by XDP_TX (Mpps)"
#define CHUNKS	   8
#define CHUNKS_NFT 4 /* several times as long */
/* PERFORMANCE.md goals 5 and 6. */
#define GOAL_FLOOR 0.90
#define GOAL_NFT   3.6
#define GOAL_COST  7.
#define GOAL_SAME  0.97 /* what the scale itself may differ by */

struct live_case {
	const char *name;
	struct flows flows;
};

static const struct live_case cases[] = {
	{"v4 udp", {.count = LIVE_FLOWS}},
	{"v4 tcp", {.is_tcp = true, .count = LIVE_FLOWS}},
	{"v6 udp", {.is_v6 = true, .count = LIVE_FLOWS}},
	{"v6 tcp", {.is_v6 = true, .is_tcp = true, .count = LIVE_FLOWS}},
};
#define CASES (sizeof(cases) / sizeof(*cases))

/* What two lanes are compared by. */
struct comparison {
	const char *packet; /* NULL: the case's own name */
	const char *against;
	const char *section;
	enum score_kind kind;
	enum lane_kind ours;
	enum lane_kind other;
	double goal;
	bool is_cost;
	bool is_once; /* for the first case only */
};

enum { SELF, FLOOR_TO_NFT, TO_FLOOR, TO_NFT, OWN_TIME, TO_PRESERVED, TO_BACK, COMPARISONS };

static const struct comparison comparisons[COMPARISONS] = {
	[SELF] = {.packet = "Floor-R, v4 udp",
		  .against = "itself",
		  .section = RATE,
		  .kind = SCORE_SELF,
		  .ours = LANE_FLOOR,
		  .other = LANE_FLOOR_AGAIN,
		  .is_once = true},
	[FLOOR_TO_NFT] = {.packet = "Floor-R, v4 udp",
			  .against = "nft DNAT",
			  .section = RATE,
			  .kind = SCORE_AT_LEAST,
			  .ours = LANE_FLOOR,
			  .other = LANE_NFT,
			  .is_once = true},
	[TO_FLOOR] = {.against = "Floor-R",
		      .section = RATE,
		      .kind = SCORE_AT_LEAST,
		      .ours = LANE_XDNAT,
		      .other = LANE_FLOOR,
		      .goal = GOAL_FLOOR},
	[TO_NFT] = {.against = "nft DNAT",
		    .section = RATE,
		    .kind = SCORE_AT_LEAST,
		    .ours = LANE_XDNAT,
		    .other = LANE_NFT,
		    .goal = GOAL_NFT},
	[OWN_TIME] = {.against = "nft DNAT",
		      .section = COST,
		      .kind = SCORE_AT_LEAST,
		      .ours = LANE_XDNAT,
		      .other = LANE_NFT,
		      .goal = GOAL_COST,
		      .is_cost = true},
	[TO_PRESERVED] = {.against = "preserve",
			  .section = SAME,
			  .kind = SCORE_AT_LEAST,
			  .ours = LANE_MASQUERADE,
			  .other = LANE_XDNAT,
			  .goal = GOAL_SAME},
	[TO_BACK] = {.against = "XDP_TX",
		     .section = ONE,
		     .kind = SCORE_AT_LEAST,
		     .ours = LANE_RELAY,
		     .other = LANE_BACK},
};

struct course {
	struct live_bpf *skeleton;
	struct lane lanes[LANES];
	uint64_t lost;
};

/* Nanoseconds a frame, by lane: there and back again. */
struct lap {
	double ns[LANES];
	bool is_disturbed;
};

static int run_lap(struct course *course, const struct flows *flows, struct lap *lap)
{
	uint64_t before = rounds_disturbances();
	int err = 0;

	*lap = (struct lap){};
	for (int i = 0; !err && i < 2 * LANES; i++) {
		int which = i < LANES ? i : 2 * LANES - 1 - i;
		struct live_burst burst = {.chunks = which == LANE_NFT ? CHUNKS_NFT : CHUNKS};

		err = live_burst(course->skeleton, &course->lanes[which], flows, &burst);
		lap->ns[which] += burst.ns / 2;
		course->lost += burst.lost;
	}
	lap->is_disturbed = rounds_disturbances() != before;
	return err;
}

static void compare(const struct comparison *comparison, const struct lap *lap, struct round *round)
{
	double drop = comparison->is_cost ? lap->ns[LANE_DROP] : 0;
	double ours = lap->ns[comparison->ours] - drop, other = lap->ns[comparison->other] - drop;

	*round = (struct round){
		.ours = comparison->is_cost ? ours : 1000 / ours,
		.other = comparison->is_cost ? other : 1000 / other,
		.value = other / ours,
		.is_disturbed = lap->is_disturbed,
	};
}

static void conclude(const struct comparison *comparison, const struct lap *laps, uint32_t count,
		     struct result *result)
{
	struct round rounds[ROUNDS_MAX];

	for (uint32_t i = 0; i < count; i++)
		compare(comparison, &laps[i], &rounds[i]);
	rounds_conclude(rounds, count, result);
}

static void add_score(struct report *report, const struct live_case *row, const struct lap *laps,
		      uint32_t count, const struct comparison *comparison)
{
	struct score score = {
		.section = comparison->section,
		.packet = comparison->packet ? comparison->packet : row->name,
		.against = comparison->against,
		.measured_in = comparison->is_cost ? "ns" : "Mpps",
		.flows = row->flows.count,
		.kind = comparison->kind,
		.goal = comparison->goal,
	};

	conclude(comparison, laps, count, &score.result);
	report_add(report, &score);
}

/* The lap that is nearest to what all of them say: its times belong together, the
 * machine may run at another speed in the next. */
static const struct lap *typical_of(const struct lap *laps, uint32_t count, double value)
{
	const struct lap *best = laps;
	double nearest = INFINITY;
	struct round round;

	for (uint32_t i = 0; i < count; i++) {
		compare(&comparisons[TO_FLOOR], &laps[i], &round);
		if (fabs(round.value - value) >= nearest)
			continue;
		nearest = fabs(round.value - value);
		best = &laps[i];
	}
	return best;
}

/* Where the time goes, and what of it makes a goal be missed. */
static void explain(struct report *report, const struct live_case *row, const struct lap *laps,
		    uint32_t count)
{
	struct result results[COMPARISONS];
	double drop, floor, ours, nft;
	const struct lap *typical;

	for (int i = 0; i < COMPARISONS; i++)
		conclude(&comparisons[i], laps, count, &results[i]);
	typical = typical_of(laps, count, results[TO_FLOOR].value);
	drop = typical->ns[LANE_DROP];
	floor = typical->ns[LANE_FLOOR];
	ours = typical->ns[LANE_XDNAT];
	nft = typical->ns[LANE_NFT];
	report_note(report,
		    "%s: a frame takes %.0f ns to the router; to the sink %.0f by Floor-R, %.0f by "
		    "xdnat, %.0f by nft.",
		    row->name, drop, floor, ours, nft);
	if (results[TO_FLOOR].value < GOAL_FLOOR)
		report_note(report,
			    "  Under %g of Floor-R: xdnat's program takes %.0f ns more than "
			    "Floor-R's stores and redirect; %.0f would do.",
			    GOAL_FLOOR, ours - floor, floor / GOAL_FLOOR - floor);
	if (results[TO_NFT].value < GOAL_NFT)
		report_note(report,
			    "  Under %g x nft DNAT: that is %.0f ns a frame; Floor-R takes %.0f.",
			    GOAL_NFT, nft / GOAL_NFT, floor);
	if (results[OWN_TIME].value < GOAL_COST)
		report_note(report,
			    "  Under %g x nft's own time: of xdnat's %.0f ns Floor-R's way takes "
			    "%.0f, its program %.0f; %.0f in all would do.",
			    GOAL_COST, ours - drop, floor - drop, ours - floor,
			    (nft - drop) / GOAL_COST);
}

static int settle(struct course *course, const struct live_case *row, struct report *report)
{
	int err = 0;

	for (int i = 0; !err && i < LANES; i++)
		err = live_settle(course->skeleton, &course->lanes[i], &row->flows,
				  &report->packets_checked);
	return err;
}

static int check(struct course *course, const struct live_case *row, struct report *report)
{
	int err = 0;

	for (int i = 0; !err && i < LANES; i++)
		err = live_check(course->skeleton, &course->lanes[i], &row->flows,
				 &report->packets_checked);
	return err;
}

/* Laps of one kind of flows. */
static int measure_case(struct course *course, const struct live_case *row, uint32_t rounds,
			struct lap *laps, struct report *report)
{
	struct lap warm_up;
	int err = settle(course, row, report);

	if (!err)
		err = run_lap(course, &row->flows, &warm_up);
	for (uint32_t i = 0; !err && i < rounds; i++)
		err = run_lap(course, &row->flows, &laps[i]);
	/* Once more: nothing went wrong meanwhile. */
	return err ? err : check(course, row, report);
}

static int measure_all(struct course *course, uint32_t rounds, struct lap laps[CASES][ROUNDS_MAX],
		       struct report *report)
{
	int err = 0;

	for (size_t i = 0; !err && i < CASES; i++) {
		fprintf(stderr, "live frames, %s ...\n", cases[i].name);
		err = measure_case(course, &cases[i], rounds, laps[i], report);
	}
	return err;
}

static int course_make(struct course *course, const char *xdnat)
{
	int err = live_open(&course->skeleton);

	for (int i = 0; !err && i < LANES; i++)
		err = lane_make(&course->lanes[i], i, course->skeleton, xdnat);
	return err;
}

int rows_live(struct report *report, uint32_t rounds, const char *xdnat)
{
	static struct lap laps[CASES][ROUNDS_MAX];
	struct course course = {};
	int err = course_make(&course, xdnat);

	if (!err)
		err = measure_all(&course, rounds, laps, report);
	for (int n = 0; !err && n < COMPARISONS; n++)
		for (size_t i = 0; i < (comparisons[n].is_once ? 1 : CASES); i++)
			add_score(report, &cases[i], laps[i], rounds, &comparisons[n]);
	for (size_t i = 0; !err && i < CASES; i++)
		explain(report, &cases[i], laps[i], rounds);
	if (!err)
		report_note(report, "Of all live frames that were counted %llu were lost.",
			    (unsigned long long)course.lost);
	live_bpf__destroy(course.skeleton);
	return err;
}
