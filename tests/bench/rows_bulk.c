// SPDX-License-Identifier: GPL-2.0-only
#include "rows.h"

#include <stdio.h>

#include "bulk.h"

#define BULK	    "Bulk TCP, default offloads, client -> router -> server on veth, mode tc (Gbit/s)"
#define BYTES	    (UINT64_C(32) << 20) /* a transfer's: some 10 ms */
#define CHECK_BYTES (UINT64_C(8) << 20)
#define GOAL_NFT    1.1 /* PERFORMANCE.md goal 8 */

static const char *const names[][2] = {
	{"v4 bulk tcp", "v6 bulk tcp"},
	{"routing, v4 bulk tcp", "routing, v6 bulk tcp"},
	{"nft DNAT, v4 bulk tcp", "nft DNAT, v6 bulk tcp"},
};

enum { OURS, ROUTED, SELF, COMPARISONS };

/* Who translates nothing shows what there is to be won; nft beside itself, what a
 * ratio is worth. */
static const struct comparison {
	const char *against;
	enum bulk_kind ours;
	double goal;
} comparisons[COMPARISONS] = {
	[OURS] = {.against = "nft DNAT", .ours = BULK_XDNAT, .goal = GOAL_NFT},
	[ROUTED] = {.against = "nft DNAT", .ours = BULK_ROUTED},
	[SELF] = {.against = "itself", .ours = BULK_NFT_AGAIN},
};

/* Seconds a transfer, by router: there and back again. */
struct lap {
	double seconds[BULK_KINDS];
	bool is_disturbed;
};

static int run_lap(const struct bulk *bulks, struct lap *lap)
{
	uint64_t before = rounds_disturbances();
	double seconds;
	int err = 0;

	*lap = (struct lap){};
	for (int i = 0; !err && i < 2 * BULK_KINDS; i++) {
		int which = i < BULK_KINDS ? i : 2 * BULK_KINDS - 1 - i;

		err = bulk_send(&bulks[which], BYTES, &seconds);
		lap->seconds[which] += seconds / 2;
	}
	lap->is_disturbed = rounds_disturbances() != before;
	return err;
}

static int check(const struct bulk *bulks)
{
	int err = 0;

	for (int i = 0; !err && i < BULK_KINDS; i++)
		err = bulk_check(&bulks[i], CHECK_BYTES);
	return err;
}

static double gbits(double seconds)
{
	return BYTES * 8 / seconds / 1e9;
}

static void conclude(const struct lap *laps, uint32_t count, enum bulk_kind kind,
		     struct result *result)
{
	struct round rounds[ROUNDS_MAX];

	for (uint32_t i = 0; i < count; i++) {
		double ours = gbits(laps[i].seconds[kind]), nft = gbits(laps[i].seconds[BULK_NFT]);

		rounds[i] = (struct round){
			.ours = ours,
			.other = nft,
			.value = ours / nft,
			.is_disturbed = laps[i].is_disturbed,
		};
	}
	rounds_conclude(rounds, count, result);
}

static void add_scores(struct report *report, bool is_v6, const struct lap *laps, uint32_t count)
{
	struct score scores[COMPARISONS];

	for (int i = 0; i < COMPARISONS; i++) {
		scores[i] = (struct score){
			.section = BULK,
			.packet = names[i][is_v6],
			.against = comparisons[i].against,
			.measured_in = "Gbit/s",
			.flows = 1,
			.kind = SCORE_AT_LEAST,
			.goal = comparisons[i].goal,
		};
		conclude(laps, count, comparisons[i].ours, &scores[i].result);
		report_add(report, &scores[i]);
	}
	if (scores[OURS].result.value < GOAL_NFT)
		report_note(report,
			    "%s: under %g x nft DNAT; routing, which translates nothing, is at "
			    "%.2f.",
			    names[OURS][is_v6], GOAL_NFT, scores[ROUTED].result.value);
}

/* One connection through each router, all rounds over it. */
static int measure_family(struct bulk *bulks, bool is_v6, uint32_t rounds, struct report *report)
{
	struct lap laps[ROUNDS_MAX], warm_up;
	int err = 0;

	fprintf(stderr, "bulk TCP, %s ...\n", is_v6 ? "v6" : "v4");
	for (int i = 0; !err && i < BULK_KINDS; i++)
		err = bulk_connect(&bulks[i], is_v6);
	if (!err)
		err = check(bulks);
	if (!err)
		err = run_lap(bulks, &warm_up);
	for (uint32_t i = 0; !err && i < rounds; i++)
		err = run_lap(bulks, &laps[i]);
	/* Once more: nothing went wrong meanwhile. */
	if (!err)
		err = check(bulks);
	if (!err)
		add_scores(report, is_v6, laps, rounds);
	for (int i = 0; i < BULK_KINDS; i++)
		bulk_close(&bulks[i]);
	return err;
}

int rows_bulk(struct report *report, uint32_t rounds, const char *xdnat)
{
	struct bulk bulks[BULK_KINDS];
	int err = 0;

	for (int i = 0; !err && i < BULK_KINDS; i++)
		err = bulk_make(&bulks[i], i, xdnat);
	if (!err)
		err = measure_family(bulks, false, rounds, report);
	return err ? err : measure_family(bulks, true, rounds, report);
}
