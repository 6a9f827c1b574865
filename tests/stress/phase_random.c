// SPDX-License-Identifier: GPL-2.0-only
#include <string.h>

#include "audit.h"
#include "check.h"
#include "lanes.h"
#include "phases.h"
#include "rules.h"
#include "watch.h"

#define KEPT	     8	/* flows: three and a masqueraded one of each family */
#define BLOCK	     16 /* flows: all kinds, of one family and protocol */
#define WINDOW_OF    3	/* so many times as many flows there are as are about at once */
#define WINDOW_SHIFT 3	/* it moves every so many jiffies, doubled: flows expire between */

static int keep_some(struct world *world)
{
	struct stress_flow *flows = world->skeleton->bss->stress_flows;

	for (uint32_t i = 0; i < KEPT; i++)
		flow_fill(flows, i, i % 4 == 3 ? STRESS_KEPT_MASQUERADED : STRESS_KEPT, i / 4,
			  true);
	return lane_establish(world, 0, KEPT);
}

/* Four that share a target's port, eight masqueraded ones, four of neither kind, which
 * are aimed at two homes where there are many. */
static void fill_block(struct world *world, uint32_t first)
{
	struct stress_flow *flows = world->skeleton->bss->stress_flows;
	bool is_v6 = first / BLOCK & 1, is_tcp = first / BLOCK & 2;
	const struct table *table = &world->tables[is_v6];

	for (uint32_t i = 0; i < 4; i++)
		flow_fill(flows, first + i, STRESS_SHARED, is_v6, is_tcp);
	for (uint32_t i = 4; i < 12; i++)
		flow_fill(flows, first + i, STRESS_MASQUERADED, is_v6, is_tcp);
	for (uint32_t i = 12; i < BLOCK; i++) {
		flow_fill(flows, first + i, STRESS_PRESERVED, is_v6, is_tcp);
		flow_aim(&flows[first + i], table, i % 2, i / 2 % 2);
	}
}

static void fill(struct world *world, uint32_t count, uint64_t seed)
{
	struct stress_bpf__bss *bss = world->skeleton->bss;

	for (uint32_t first = KEPT; first < KEPT + count; first += BLOCK)
		fill_block(world, first);
	bss->stress_plan.first_kept = 0;
	bss->stress_plan.kept = KEPT;
	bss->stress_plan.window = count / WINDOW_OF;
	bss->stress_plan.shift = WINDOW_SHIFT;
	for (int i = 0; i < STRESS_LANES; i++)
		bss->stress_lanes[i] = (struct stress_lane){
			.order = STRESS_AT_RANDOM,
			.first = KEPT,
			.count = count,
			.random = world_random(&seed),
		};
}

static int run(struct world *world, uint64_t seed, double seconds)
{
	struct watch watch = {.world = world, .is_forcing = true, .random = seed};
	struct lanes_limit limit = {.seconds = seconds};
	int err = watch_start(&watch), watched;

	if (err)
		return err;
	err = lanes_run(world, &limit);
	watched = watch_stop(&watch);
	check(watch.passes && !watch.duplicates && !watch.misplaced,
	      "meanwhile no tuple was there twice (%lu) nor where none looks (%lu; %lu listings, "
	      "%lu requests)",
	      watch.duplicates, watch.misplaced, watch.passes, watch.requests);
	check(!watch.over_quotas,
	      "meanwhile at most half of a bucket were embryos (%lu times more)",
	      watch.over_quotas);
	return err ? err : watched;
}

int phase_random(struct world *world, uint32_t flows, uint64_t seed, double seconds)
{
	int err = keep_some(world);

	fill(world, flows, seed);
	if (!err)
		err = run(world, seed, seconds);
	phase_judge(world, "at random");
	if (!err)
		err = audit(world);
	if (!err)
		err = phase_translate(world, 0, KEPT, "confirmed flows outlived that");
	if (!err)
		err = phase_sweep(world);
	return err ? err : phase_refill(world, KEPT + flows);
}
