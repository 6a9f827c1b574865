// SPDX-License-Identifier: GPL-2.0-only
/*
 * What all phases end with.
 */
#include "phases.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "audit.h"
#include "check.h"
#include "lanes.h"
#include "rules.h"

#define SWEEP_SECONDS  10    /* a rest takes half a second */
#define SWEEP_PAUSE_US 10000 /* some jiffies */
/* bpf_fib_lookup() copies a neighbour's address without its lock: while that moves, one in
 * a million packets has half of the old one and half of the new. */
#define TORN_SHARE	50000
#define UNCLEAR_SHARE	100 /* one packet of so many may be */
#define KEPT_BUSY_SHARE 1000
#define FILL_TRIES	1000

static void print_tuple(const char *what, const struct stress_tuple *tuple)
{
	char source[INET6_ADDRSTRLEN], destination[INET6_ADDRSTRLEN];

	inet_ntop(AF_INET6, tuple->src, source, sizeof(source));
	inet_ntop(AF_INET6, tuple->dst, destination, sizeof(destination));
	printf("      %s %s %u > %s %u\n", what, source, ntohs(tuple->sport), destination,
	       ntohs(tuple->dport));
}

static void print_findings(const struct world *world)
{
	static const char *const wrongs[STRESS_WRONGS] = {
		[STRESS_WRONG_FLOW] = "translated as another's",
		[STRESS_WRONG_BYTES] = "checksum, TTL or protocol is wrong",
		[STRESS_WRONG_HOP] = "sent to no neighbour's MAC address",
		[STRESS_LOST_KEPT] = "a confirmed flow's packet was lost",
		[STRESS_LEFT_ALONE] = "a client's packet was passed on",
	};
	struct stress_bpf__bss *bss = world->skeleton->bss;

	for (uint32_t i = 0; i < bss->stress_found && i < STRESS_FINDINGS; i++) {
		const struct stress_finding *finding = &bss->stress_findings[i];
		const uint8_t *mac = finding->macs;

		printf("      %s: flow %u, %s, lane %u, to %02x:%02x:%02x:%02x:%02x:%02x\n",
		       wrongs[finding->wrong], finding->flow,
		       finding->direction == XDNAT_ORIGINAL ? "original" : "reply", finding->lane,
		       mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
		print_tuple("sent", &finding->sent);
		print_tuple(" got", &finding->got);
	}
	bss->stress_found = 0;
}

void phase_judge(struct world *world, const char *what)
{
	struct stress_lane total = lanes_total(world);
	uint64_t forwarded = total.forwarded[XDNAT_ORIGINAL] + total.forwarded[XDNAT_REPLY];

	check(!total.wrong[STRESS_WRONG_FLOW] && !total.wrong[STRESS_LEFT_ALONE] &&
		      total.unclear * UNCLEAR_SHARE <= forwarded && forwarded,
	      "%s: no packet was translated as another flow's (%llu, and %llu passed on, of %llu "
	      "forwarded, %llu dropped, %llu passed; %llu unclear)",
	      what, total.wrong[STRESS_WRONG_FLOW], total.wrong[STRESS_LEFT_ALONE],
	      (unsigned long long)forwarded, total.dropped, total.passed, total.unclear);
	check(!total.wrong[STRESS_WRONG_BYTES] &&
		      total.wrong[STRESS_WRONG_HOP] <= 1 + forwarded / TORN_SHARE,
	      "%s: every packet is whole (%llu are not) and goes to a neighbour (%llu do not)",
	      what, total.wrong[STRESS_WRONG_BYTES], total.wrong[STRESS_WRONG_HOP]);
	check(!total.wrong[STRESS_LOST_KEPT] && total.kept_busy * KEPT_BUSY_SHARE <= total.packets,
	      "%s: confirmed flows that nobody ends lose no packet (%llu lost, %llu for "
	      "contention)",
	      what, total.wrong[STRESS_LOST_KEPT], total.kept_busy);
	print_findings(world);
}

/* A flow that lives on without packets: TCP, and both sides have gone on, none closed. */
static bool is_lasting(const struct table *table, const struct slot *slot)
{
	struct xdnat_key6 key = key_reversed(&slot->leaving);
	uint32_t state = xdnat_state(slot->word);
	struct slot partner;

	if (table_find(table, &key, &partner))
		state |= xdnat_state(partner.word);
	return slot->key.proto == IPPROTO_TCP && (state & XDNAT_CONFIRMED) &&
	       !(state & (XDNAT_CLOSING | XDNAT_DEAD));
}

/* Slots whose flows have expired, or will. */
static uint32_t count_passing(const struct world *world)
{
	uint32_t count = 0;
	struct slot slot;

	for (int i = 0; i < WORLD_FAMILIES; i++)
		for (uint32_t place = 0; place < table_slots(&world->tables[i]); place++)
			count += table_read(&world->tables[i], place, &slot) &&
				 !is_lasting(&world->tables[i], &slot);
	return count;
}

/* One round over both tables. */
static int end_all(const struct world *world, uint32_t force)
{
	struct slot slot;
	int err = 0;

	for (int i = 0; !err && i < WORLD_FAMILIES; i++) {
		const struct table *table = &world->tables[i];

		for (uint32_t place = 0; !err && place < table_slots(table); place++)
			if (table_read(table, place, &slot))
				err = world_end(world, table->is_v6, &slot.key, force);
	}
	return err;
}

int phase_sweep(const struct world *world)
{
	double end = seconds_now() + SWEEP_SECONDS;
	int err = end_all(world, XDNAT_END_EXPIRED);

	while (!err && count_passing(world) && seconds_now() < end) {
		usleep(SWEEP_PAUSE_US);
		err = end_all(world, XDNAT_END_EXPIRED);
	}
	if (err)
		return err;
	check(!count_passing(world), "a sweep leaves nothing that has expired (%u of %u slots)",
	      count_passing(world), audit_taken(world));
	return audit(world);
}

static int empty(const struct world *world, const char *when)
{
	int err = end_all(world, XDNAT_END_WHOLLY);

	if (!err)
		check(!audit_taken(world), "%s all are ended: no slot is lost (%u are taken)", when,
		      audit_taken(world));
	return err;
}

static uint32_t count_taken(const struct xdnat_bucket *bucket)
{
	uint32_t taken = 0;

	for (uint32_t i = 0; i < XDNAT_SLOTS; i++)
		taken += bucket->tag[i] != 0;
	return taken;
}

/* A home with a free slot from that one on, in turn; homes: there is none. */
static uint32_t home_with_room(const struct table *table, uint32_t from, uint32_t wanted)
{
	for (uint32_t i = 0; i < table->homes; i++) {
		uint32_t home = (from + i) % table->homes;

		if (count_taken(&table->buckets[home]) + wanted <= XDNAT_SLOTS)
			return home;
	}
	return table->homes;
}

/* Where the next flow's halves are to go. When no two free slots are at home, anywhere:
 * beyond. */
static void choose_homes(const struct table *table, uint32_t turn, uint32_t *homes)
{
	homes[XDNAT_ORIGINAL] = home_with_room(table, turn, 1);
	homes[XDNAT_REPLY] = home_with_room(table, homes[XDNAT_ORIGINAL] + 1, 1);
	if (homes[XDNAT_REPLY] == homes[XDNAT_ORIGINAL] && homes[XDNAT_REPLY] < table->homes)
		homes[XDNAT_REPLY] = home_with_room(table, homes[XDNAT_ORIGINAL], 2);
	for (int i = 0; i < XDNAT_DIRECTIONS; i++)
		if (homes[i] == table->homes)
			homes[i] = (turn + i) % table->homes;
}

/* Beyond the homes a new flow looks into a few buckets only: it may take some tries. */
static int establish(const struct world *world, uint32_t flow)
{
	int err = 0;

	world->skeleton->bss->stress_flows[flow].has_passed = 0;
	for (int i = 0; !err && i < FILL_TRIES; i++) {
		err = lane_send(world, STRESS_OPEN, flow, 1);
		if (world->skeleton->bss->stress_flows[flow].has_passed)
			break;
	}
	if (!err)
		err = lane_send(world, STRESS_ANSWER, flow, 1);
	return err ? err : lane_send(world, STRESS_GO_ON, flow, 1);
}

static int fill_table(struct world *world, const struct table *table, uint32_t *next)
{
	struct stress_flow *flows = world->skeleton->bss->stress_flows;
	uint32_t homes[XDNAT_DIRECTIONS];
	int err = 0;

	for (uint32_t i = 0; !err && i < table_slots(table) / 2 && *next < STRESS_FLOWS;
	     (*next)++) {
		flow_fill(flows, *next, STRESS_PRESERVED, table->is_v6, true);
		choose_homes(table, i, homes);
		if (!flow_aim(&flows[*next], table, homes[XDNAT_ORIGINAL], homes[XDNAT_REPLY]))
			continue;
		err = establish(world, *next);
		i++;
	}
	return err;
}

static uint32_t free_slots(const struct world *world)
{
	return WORLD_FAMILIES * table_slots(&world->tables[0]) - audit_taken(world);
}

int phase_refill(struct world *world, uint32_t first)
{
	int err = empty(world, "when");

	for (int i = 0; !err && i < WORLD_FAMILIES; i++)
		err = fill_table(world, &world->tables[i], &first);
	if (err)
		return err;
	check(!free_slots(world), "every slot can be filled again (%u of %u are free)",
	      free_slots(world), WORLD_FAMILIES * table_slots(&world->tables[0]));
	err = audit(world);
	phase_judge(world, "filling it");
	return err ? err : empty(world, "when, full,");
}

int phase_translate(struct world *world, uint32_t first, uint32_t count, const char *claim)
{
	struct stress_flow *flows = world->skeleton->bss->stress_flows;
	static const enum stress_order orders[] = {STRESS_ANSWER, STRESS_GO_ON};
	uint32_t forwarded = 0;
	int err = 0;

	for (int n = 0; !err && n < XDNAT_DIRECTIONS; n++) {
		err = lane_send(world, orders[n], first, count);
		for (uint32_t i = first; i < first + count; i++)
			forwarded += flows[i].has_passed;
	}
	check(forwarded == XDNAT_DIRECTIONS * count, "%s (%u of %u packets forwarded)", claim,
	      forwarded, XDNAT_DIRECTIONS * count);
	return err;
}
