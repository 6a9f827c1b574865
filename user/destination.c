// SPDX-License-Identifier: GPL-2.0-only
/*
 * Collects targets and clients, sorted and without doubles, and looks their routes
 * up. An answer is remembered until destination_forget(): a round of thousands of
 * clients asks only about new ones, and about no more than a round's share.
 */
#include "destination.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "addr.h"
#include "fail.h"

/* Beyond that, clients are left to the datapath's own ways. */
#define DESTINATIONS_MAX 65536
/* A round's route lookups, some ten microseconds each. */
#define LOOKUPS_MAX 4096

static struct destinations known; /* of the round before, sorted */
static size_t next_lookup;	  /* where the round before ran out of lookups */

static int compare_addrs(const void *left, const void *right)
{
	return memcmp(left, right, sizeof(struct xdnat_addr));
}

/* By address, a target before a client of the same address. */
static int compare_destinations(const void *left, const void *right)
{
	const struct destination *first = left, *second = right;

	return compare_addrs(&first->addr, &second->addr) ?: second->is_target - first->is_target;
}

static void sort_destinations(struct destinations *destinations)
{
	size_t kept = 0;

	if (destinations->count)
		qsort(destinations->items, destinations->count, sizeof(*destinations->items),
		      compare_destinations);
	for (size_t i = 0; i < destinations->count; i++) {
		const struct destination *next = &destinations->items[i];

		if (!kept || !addr_equal(&destinations->items[kept - 1].addr, &next->addr))
			destinations->items[kept++] = *next;
	}
	destinations->count = kept;
}

/* Doubles are thrown out when the array would pass twice what may be in it. */
static int add_destination(struct destinations *destinations, const struct xdnat_addr *addr,
			   bool is_target)
{
	if (destinations->count == 2 * DESTINATIONS_MAX) {
		sort_destinations(destinations);
		if (destinations->count > DESTINATIONS_MAX) {
			destinations->is_cut = true;
			return 1;
		}
	}
	if (destinations->count == destinations->room) {
		size_t room = destinations->room ? 2 * destinations->room : 64;
		void *items = reallocarray(destinations->items, room, sizeof(*destinations->items));

		if (!items)
			return fail(-ENOMEM, "no memory");
		destinations->items = items;
		destinations->room = room;
	}
	destinations->items[destinations->count++] =
		(struct destination){.addr = *addr, .is_target = is_target};
	return 0;
}

static bool is_last(const struct destinations *destinations, const struct xdnat_addr *addr)
{
	size_t count = destinations->count;

	return count && addr_equal(&destinations->items[count - 1].addr, addr);
}

/* A flow outlives its rule: its target counts on. */
static int add_flow(const struct store_flow *flow, void *context)
{
	struct destinations *destinations = context;
	int err = 0;

	if (flow->expired || flow->is_orphan)
		return 0;
	if (flow->state & XDNAT_ANSWERED && !is_last(destinations, &flow->client))
		err = add_destination(destinations, &flow->client, false);
	if (!err && !is_last(destinations, &flow->target))
		err = add_destination(destinations, &flow->target, true);
	return err;
}

static int add_targets(const struct store *store, struct destinations *destinations)
{
	struct store_rule *rules = NULL;
	size_t count;
	int err;

	err = store_rules(store, &rules, &count);
	for (size_t i = 0; !err && i < count; i++)
		if (!rules[i].spec.is_local)
			err = add_destination(destinations, &rules[i].spec.target, true);
	free(rules);
	return err;
}

/* What the round before knew of them. Both are sorted. */
static void carry_over(struct destinations *destinations)
{
	size_t k = 0;

	for (size_t i = 0; i < destinations->count; i++) {
		struct destination *destination = &destinations->items[i];

		while (k < known.count &&
		       compare_addrs(&known.items[k].addr, &destination->addr) < 0)
			k++;
		if (k == known.count)
			break;
		if (!addr_equal(&known.items[k].addr, &destination->addr))
			continue;
		destination->hop = known.items[k].hop;
		destination->is_current = known.items[k].is_current;
	}
}

/* Looks up what is not current, targets or clients, from next_lookup on round
 * about, while *left lasts. */
static int look_up(struct destinations *destinations, bool targets, int *left)
{
	size_t count = destinations->count;

	for (size_t n = 0; n < count && *left; n++) {
		size_t i = (next_lookup + n) % count;
		struct destination *destination = &destinations->items[i];
		int err;

		if (destination->is_current || destination->is_target != targets)
			continue;
		err = netlink_route(&destination->addr, &destination->hop);
		if (err && err != -EHOSTUNREACH)
			return err;
		if (err)
			destination->hop.ifindex = 0;
		destination->is_current = true;
		if (!--*left)
			next_lookup = i + 1;
	}
	return 0;
}

int destination_read(const struct store *store, struct destinations *destinations)
{
	int left = LOOKUPS_MAX;
	int err;

	err = add_targets(store, destinations);
	if (!err)
		err = store_flows_each(store, add_flow, destinations);
	if (err < 0)
		return err;
	sort_destinations(destinations);
	carry_over(destinations);
	err = look_up(destinations, true, &left);
	if (!err)
		err = look_up(destinations, false, &left);
	return err;
}

bool destination_is_complete(const struct destinations *destinations)
{
	for (size_t i = 0; i < destinations->count; i++) {
		if (!destinations->items[i].is_current)
			return false;
	}
	return !destinations->is_cut;
}

void destination_remember(struct destinations *destinations)
{
	free(known.items);
	known = *destinations;
	*destinations = (struct destinations){};
}

void destination_forget(void)
{
	for (size_t i = 0; i < known.count; i++)
		known.items[i].is_current = false;
}
