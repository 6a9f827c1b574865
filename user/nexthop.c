// SPDX-License-Identifier: GPL-2.0-only
/*
 * Destinations (rules' targets, clients of answered flows) -> next hops ->
 * neighbour entries that the kernel keeps resolved for us. What we manage is
 * recorded in the store before it is done, so that a successor can let go of it.
 */
#include "nexthop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "addr.h"
#include "destination.h"
#include "fail.h"

#define RESOLVE_POLL_MS 5

/* A neighbour that a destination needs. */
struct need {
	struct xdnat_neighbour neighbour;
	bool for_target;
};

/* What the last round needs, sorted. */
static struct need *kept_needs;
static size_t kept_count;

/* Where it found targets. */
static struct {
	uint32_t *ifindexes;
	size_t count;
	bool is_complete;
} target_sides;

static int compare_neighbours(const void *left, const void *right)
{
	return memcmp(left, right, sizeof(struct xdnat_neighbour));
}

static int compare_needs(const void *left, const void *right)
{
	const struct need *first = left, *second = right;

	return compare_neighbours(&first->neighbour, &second->neighbour)
		       ?: second->for_target - first->for_target;
}

/* The needs of all destinations, sorted, without doubles. */
static int list_needs(const struct destinations *destinations, struct need **needs, size_t *count)
{
	size_t all = 0, kept = 0;
	struct need *items;

	items = calloc(destinations->count ?: 1, sizeof(*items));
	if (!items)
		return fail(-ENOMEM, "no memory");
	for (size_t i = 0; i < destinations->count; i++) {
		const struct destination *destination = &destinations->items[i];

		if (!destination->hop.ifindex)
			continue;
		items[all].neighbour.addr = destination->hop.next;
		items[all].neighbour.ifindex = destination->hop.ifindex;
		items[all++].for_target = destination->is_target;
	}
	qsort(items, all, sizeof(*items), compare_needs);
	for (size_t i = 0; i < all; i++) {
		if (!kept || compare_neighbours(&items[kept - 1], &items[i]))
			items[kept++] = items[i];
	}
	*needs = items;
	*count = kept;
	return 0;
}

/* Only Ethernet has neighbours that the datapath could ask for. */
static bool has_neighbours(uint32_t ifindex, const struct netlink_link *links, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (links[i].ifindex == ifindex)
			return links[i].has_ethernet;
	}
	return false;
}

/* Drops what needs no entry; keeps the order. */
static int drop_needless(struct need *needs, size_t *count)
{
	struct netlink_link *links;
	size_t kept = 0, link_count;
	int err;

	err = netlink_links(&links, &link_count);
	if (err)
		return err;
	for (size_t i = 0; i < *count; i++) {
		if (has_neighbours(needs[i].neighbour.ifindex, links, link_count))
			needs[kept++] = needs[i];
	}
	*count = kept;
	free(links);
	return 0;
}

/* Cuts the needs down to what may be managed, targets' first; keeps the order.
 * The kernel's table is the whole host's: ours is a quarter of it. */
static int choose_needs(struct need *needs, size_t *count)
{
	size_t room = XDNAT_NEIGHBOURS_MAX, targets = 0, clients, kept = 0;
	uint32_t capacity;
	int err;

	err = drop_needless(needs, count);
	if (!err)
		err = netlink_neighbour_capacity(&capacity);
	if (err)
		return err;
	if (room > capacity / 4)
		room = capacity / 4;
	for (size_t i = 0; i < *count; i++)
		targets += needs[i].for_target;
	if (targets > room)
		targets = room;
	clients = room - targets;
	for (size_t i = 0; i < *count; i++) {
		size_t *left = needs[i].for_target ? &targets : &clients;

		if (*left) {
			--*left;
			needs[kept++] = needs[i];
		}
	}
	*count = kept;
	return 0;
}

/* Recorded first: whoever comes after a sudden end knows of it. What turns out to
 * be managed by someone else, or fixed, is not ours and not recorded. */
static int manage(struct store *store, const struct xdnat_neighbour *neighbour, bool is_recorded)
{
	struct netlink_hop hop = {.ifindex = neighbour->ifindex, .next = neighbour->addr};
	int status = 0;

	if (!is_recorded)
		status = store_neighbour_put(store, neighbour);
	if (status < 0)
		return status;
	status = netlink_neighbour_manage(&hop, true);
	if (!is_recorded && status != 1)
		store_neighbour_remove(store, neighbour);
	return status < 0 ? status : 0;
}

/* The interface, and the entry with it, may be gone. */
static void let_go(struct store *store, const struct xdnat_neighbour *neighbour)
{
	struct netlink_hop hop = {.ifindex = neighbour->ifindex, .next = neighbour->addr};

	netlink_neighbour_manage(&hop, false);
	store_neighbour_remove(store, neighbour);
}

static int read_recorded(const struct store *store, struct xdnat_neighbour **recorded,
			 size_t *count)
{
	int err = store_neighbours(store, recorded, count);

	if (!err && *count)
		qsort(*recorded, *count, sizeof(**recorded), compare_neighbours);
	return err;
}

static bool is_among(const void *neighbour, const void *sorted, size_t count, size_t item_bytes)
{
	return count && bsearch(neighbour, sorted, count, item_bytes, compare_neighbours);
}

/* Goes on after an error; the first one is returned. While not all is known,
 * nothing is let go of, unless the record is filling up with what may be dead. */
static int apply(struct store *store, const struct need *needs, size_t count, bool is_complete)
{
	struct xdnat_neighbour *recorded = NULL;
	size_t recorded_count = 0;
	int err;

	err = read_recorded(store, &recorded, &recorded_count);
	if (err)
		return err;
	for (size_t i = 0; i < recorded_count; i++) {
		if (!is_complete && recorded_count < XDNAT_NEIGHBOURS_MAX / 2)
			break;
		if (!is_among(&recorded[i], needs, count, sizeof(*needs)))
			let_go(store, &recorded[i]);
	}
	for (size_t i = 0; i < count; i++) {
		const struct xdnat_neighbour *next = &needs[i].neighbour;
		bool is_recorded = is_among(next, recorded, recorded_count, sizeof(*recorded));
		int status = manage(store, next, is_recorded);

		if (status && status != -ENODEV && !err)
			err = status;
		if (status == -ENOBUFS)
			break; /* the kernel's table is full */
	}
	free(recorded);
	return err;
}

static bool is_target_side(uint32_t ifindex)
{
	for (size_t i = 0; i < target_sides.count; i++)
		if (target_sides.ifindexes[i] == ifindex)
			return true;
	return false;
}

static int list_target_sides(const struct destinations *destinations)
{
	target_sides.count = 0;
	target_sides.is_complete = destination_is_complete(destinations);
	for (size_t i = 0; i < destinations->count; i++) {
		uint32_t ifindex = destinations->items[i].hop.ifindex;
		uint32_t *grown;

		if (!destinations->items[i].is_target || !ifindex || is_target_side(ifindex))
			continue;
		grown = reallocarray(target_sides.ifindexes, target_sides.count + 1,
				     sizeof(*grown));
		if (!grown)
			return fail(-ENOMEM, "no memory");
		target_sides.ifindexes = grown;
		grown[target_sides.count++] = ifindex;
	}
	return 0;
}

bool nexthop_target_sides(const uint32_t **ifindexes, size_t *count)
{
	*ifindexes = target_sides.ifindexes;
	*count = target_sides.count;
	return target_sides.is_complete;
}

int nexthop_sync(struct store *store)
{
	struct destinations destinations = {};
	struct need *needs = NULL;
	size_t count = 0;
	int err;

	target_sides.is_complete = false;
	err = destination_read(store, &destinations);
	if (!err)
		err = list_target_sides(&destinations);
	if (!err)
		err = list_needs(&destinations, &needs, &count);
	if (!err)
		err = choose_needs(needs, &count);
	if (!err)
		err = apply(store, needs, count, destination_is_complete(&destinations));
	free(kept_needs);
	kept_needs = needs;
	kept_count = count;
	destination_remember(&destinations);
	return err ? fail_while(err, "cannot keep next hops resolved") : 0;
}

bool nexthop_is_kept(const struct netlink_hop *hop)
{
	const struct xdnat_neighbour neighbour = {.addr = hop->next, .ifindex = hop->ifindex};

	return is_among(&neighbour, kept_needs, kept_count, sizeof(*kept_needs));
}

void nexthop_release(struct store *store)
{
	struct xdnat_neighbour *recorded = NULL;
	size_t count = 0;

	if (!store_neighbours(store, &recorded, &count)) {
		for (size_t i = 0; i < count; i++)
			let_go(store, &recorded[i]);
	}
	free(recorded);
}

static int manage_one(struct store *store, const struct netlink_hop *hop)
{
	struct xdnat_neighbour neighbour = {.addr = hop->next, .ifindex = hop->ifindex};
	struct xdnat_neighbour *recorded = NULL;
	size_t count = 0;
	int err;

	err = read_recorded(store, &recorded, &count);
	if (!err)
		err = manage(store, &neighbour,
			     is_among(&neighbour, recorded, count, sizeof(*recorded)));
	free(recorded);
	return err;
}

int nexthop_ask(struct store *store, const struct xdnat_addr *target)
{
	struct netlink_link *links = NULL;
	size_t count = 0;
	struct netlink_hop hop;
	int err;

	err = netlink_route(target, &hop);
	if (!err)
		err = netlink_links(&links, &count);
	if (!err && has_neighbours(hop.ifindex, links, count))
		err = manage_one(store, &hop);
	free(links);
	return err;
}

static bool is_answered(const struct xdnat_addr *target)
{
	enum netlink_neighbour_state state;
	struct netlink_hop hop;

	return netlink_route(target, &hop) || netlink_neighbour_state(&hop, &state) ||
	       state != NETLINK_NEIGHBOUR_NONE;
}

void nexthop_await(const struct xdnat_addr *targets, size_t count, int timeout_ms)
{
	const struct timespec pause = {.tv_nsec = RESOLVE_POLL_MS * 1000000L};

	for (int waited = 0; count && waited < timeout_ms; waited += RESOLVE_POLL_MS) {
		while (count && is_answered(&targets[count - 1]))
			count--;
		if (count)
			nanosleep(&pause, NULL);
	}
}
