// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who knows the seeds: keys are chosen by their homes.
 */
#include <errno.h>

#include "audit.h"
#include "check.h"
#include "lanes.h"
#include "phases.h"
#include "rules.h"
#include "watch.h"

#define FLOOD_KEPT   12	   /* a third in one home beside embryos, the others fill another */
#define FLOOD_FLOWS  8192  /* of a lane */
#define FLOOD_ROUNDS 8	   /* between which confirmed flows are asked */
#define AIMED	     10000 /* flows at one home */
#define AIMED_HOME   2
#define OTHERS	     100 /* two halves each: at most four in one of 63 homes */

static int aim(struct world *world, uint32_t i, enum stress_port port, bool is_v6,
	       const uint32_t *homes)
{
	struct stress_flow *flows = world->skeleton->bss->stress_flows;

	flow_fill(flows, i, port, is_v6, true);
	return flow_aim(&flows[i], &world->tables[is_v6], homes[XDNAT_ORIGINAL], homes[XDNAT_REPLY])
		       ? 0
		       : -ERANGE;
}

static int flood_fill(struct world *world)
{
	int err = 0;

	world->skeleton->bss->stress_plan.kept = 0;
	for (uint32_t i = 0; !err && i < FLOOD_KEPT; i++) {
		uint32_t home = i >= FLOOD_KEPT / 3;

		err = aim(world, i, STRESS_KEPT, i % 2, (uint32_t[]){home, home});
	}
	for (uint32_t i = 0; !err && i < STRESS_LANES * FLOOD_FLOWS; i++)
		err = aim(world, FLOOD_KEPT + i, STRESS_PRESERVED, i % 2,
			  (uint32_t[]){i / 2 % 2, i / 4 % 2});
	return err ? err : lane_establish(world, 0, FLOOD_KEPT);
}

static int flood_run(struct world *world, uint64_t packets)
{
	struct lanes_limit limit = {.packets = packets / STRESS_LANES / FLOOD_ROUNDS};
	int err = 0;

	for (int round = 0; !err && round < FLOOD_ROUNDS; round++) {
		for (int i = 0; i < STRESS_LANES; i++) {
			struct stress_lane *lane = &world->skeleton->bss->stress_lanes[i];

			lane->order = STRESS_OPEN;
			lane->first = FLOOD_KEPT + i * FLOOD_FLOWS;
			lane->count = FLOOD_FLOWS;
		}
		err = lanes_run(world, &limit);
		if (!err)
			err = lane_send(world, STRESS_ANSWER, 0, FLOOD_KEPT);
		if (!err)
			err = lane_send(world, STRESS_GO_ON, 0, FLOOD_KEPT);
	}
	return err;
}

int phase_flood(struct world *world, uint64_t packets)
{
	struct watch watch = {.world = world};
	int err = flood_fill(world), watched;

	if (!err)
		err = watch_start(&watch);
	if (err)
		return err;
	err = flood_run(world, packets);
	watched = watch_stop(&watch);
	check(!watch.over_quotas && !watch.duplicates,
	      "flooded, at most half of a bucket were embryos (%lu times more), no tuple was there "
	      "twice (%lu)",
	      watch.over_quotas, watch.duplicates);
	phase_judge(world, "flooded");
	err = err ? err : watched;
	if (!err)
		err = audit(world);
	if (!err)
		err = phase_translate(
			world, 0, FLOOD_KEPT,
			"a flood at their own buckets took no confirmed flow's place");
	if (!err)
		err = phase_sweep(world);
	return err ? err : phase_refill(world, FLOOD_KEPT);
}

/* Opened; if that was taken, answered and gone on with. */
static int try_establish(const struct world *world, uint32_t flow, uint32_t *refused)
{
	int err = lane_send(world, STRESS_OPEN, flow, 1);

	if (err)
		return err;
	if (!world->skeleton->bss->stress_flows[flow].has_passed) {
		++*refused;
		return 0;
	}
	err = lane_send(world, STRESS_ANSWER, flow, 1);
	return err ? err : lane_send(world, STRESS_GO_ON, flow, 1);
}

static int aim_all(struct world *world)
{
	uint64_t full = world_reason(world, XDNAT_DROP_TABLE_FULL);
	uint32_t room = XDNAT_SLOTS * (1 + world->shape->overflow) / 2, refused = 0;
	int err = 0;

	for (uint32_t i = 0; !err && i < AIMED; i++) {
		err = aim(world, i, STRESS_PRESERVED, false, (uint32_t[]){AIMED_HOME, AIMED_HOME});
		if (!err)
			err = try_establish(world, i, &refused);
	}
	full = world_reason(world, XDNAT_DROP_TABLE_FULL) - full;
	check(AIMED - refused == room && full == refused,
	      "of %u flows aimed at one home so many are taken as there is room in it and beyond "
	      "(%u of %u), the others are refused as the table is full (%lu)",
	      AIMED, AIMED - refused, room, full);
	return err;
}

int phase_aimed(struct world *world)
{
	uint32_t others = world->shape->homes - 1;
	int err = aim_all(world);

	for (uint32_t i = 0; !err && i < OTHERS; i++)
		err = aim(world, AIMED + i, STRESS_PRESERVED, false,
			  (uint32_t[]){(AIMED_HOME + 1 + 2 * i % others) % world->shape->homes,
				       (AIMED_HOME + 1 + (2 * i + 1) % others) %
					       world->shape->homes});
	if (!err)
		err = lane_send(world, STRESS_OPEN, AIMED, OTHERS);
	if (!err)
		err = phase_translate(world, AIMED, OTHERS,
				      "flows of all other homes are as well off as without them");
	phase_judge(world, "aimed");
	if (!err)
		err = audit(world);
	return err ? err : phase_refill(world, AIMED);
}
