// SPDX-License-Identifier: GPL-2.0-only
/*
 * The expansion of rules into listeners is pure: rules and a description of the
 * network in, a sorted list without doubles out. listener_sync() describes the
 * real network and has the result put in force.
 */
#include "listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "addr.h"
#include "fail.h"

/* xdnat_listeners holds both sets. */
#define LISTENERS_MAX (XDNAT_LISTENERS_MAX / 2)

/* Lower wins. */
static const uint8_t precedence[] = {
	[SPEC_BIND_ADDRESS] = 0,
	[SPEC_BIND_INTERFACE] = 1,
	[SPEC_BIND_DEFAULT] = 2,
	[SPEC_BIND_ALL] = 3,
};

/* A listener that a rule would like to have. */
struct candidate {
	struct store_listener listener;
	uint8_t precedence;
};

struct candidates {
	struct candidate *items;
	size_t count, room;
};

static int add_candidate(struct candidates *candidates, const struct store_rule *rule,
			 const struct xdnat_addr *addr)
{
	const struct spec *spec = &rule->spec;

	if (candidates->count == candidates->room) {
		size_t room = candidates->room ? 2 * candidates->room : 64;
		void *items = reallocarray(candidates->items, room, sizeof(*candidates->items));

		if (!items)
			return -ENOMEM;
		candidates->items = items;
		candidates->room = room;
	}
	candidates->items[candidates->count++] = (struct candidate){
		.listener.key.addr = *addr,
		.listener.key.port = htons(spec->port_host),
		.listener.key.proto = spec->proto,
		.listener.rule = rule->id,
		.precedence = precedence[spec->bind],
	};
	return 0;
}

static bool is_loaded(const struct listener_world *world, uint32_t ifindex)
{
	for (size_t i = 0; i < world->interface_count; i++) {
		if (world->interfaces[i].ifindex == ifindex)
			return true;
	}
	return false;
}

static bool is_default(const struct listener_world *world, uint32_t ifindex, bool is_v6)
{
	for (size_t i = 0; i < world->default_count; i++) {
		if (world->defaults[i].ifindex == ifindex && world->defaults[i].is_v6 == is_v6)
			return true;
	}
	return false;
}

static bool is_default_loaded(const struct listener_world *world, bool is_v6)
{
	for (size_t i = 0; i < world->default_count; i++) {
		if (world->defaults[i].is_v6 == is_v6 &&
		    is_loaded(world, world->defaults[i].ifindex))
			return true;
	}
	return false;
}

static bool has_name(const struct listener_world *world, uint32_t ifindex, const char *name)
{
	for (size_t i = 0; i < world->link_count; i++) {
		if (world->links[i].ifindex == ifindex)
			return !strcmp(world->links[i].name, name);
	}
	return false;
}

/* Whether an unbound rule, or one bound to an interface, listens on ifindex. The
 * default routes that count are those of the rule's family. */
static bool listens_on(const struct spec *spec, const struct listener_world *world,
		       uint32_t ifindex)
{
	bool is_v6 = !addr_is_v4(&spec->target);

	if (spec->bind == SPEC_BIND_INTERFACE)
		return has_name(world, ifindex, spec->bind_interface);
	if (!is_loaded(world, ifindex))
		return false;
	return spec->bind == SPEC_BIND_ALL || !is_default_loaded(world, is_v6) ||
	       is_default(world, ifindex, is_v6);
}

static int expand_rule(const struct store_rule *rule, const struct listener_world *world,
		       struct candidates *candidates)
{
	const struct spec *spec = &rule->spec;
	bool is_v4 = addr_is_v4(&spec->target);
	int err = 0;

	if (!spec->enabled)
		return 0;
	if (spec->bind == SPEC_BIND_ADDRESS)
		return add_candidate(candidates, rule, &spec->bind_addr);
	for (size_t i = 0; i < world->address_count && !err; i++) {
		const struct netlink_address *address = &world->addresses[i];

		if (addr_is_v4(&address->addr) == is_v4 &&
		    listens_on(spec, world, address->ifindex))
			err = add_candidate(candidates, rule, &address->addr);
	}
	return err;
}

static int compare_keys(const void *left, const void *right)
{
	return memcmp(left, right, sizeof(struct xdnat_listener));
}

/* By listener; who wins comes first. */
static int compare_candidates(const void *left, const void *right)
{
	const struct candidate *first = left, *second = right;
	int order = compare_keys(&first->listener.key, &second->listener.key);

	if (order)
		return order;
	if (first->precedence != second->precedence)
		return first->precedence < second->precedence ? -1 : 1;
	if (first->listener.rule != second->listener.rule)
		return first->listener.rule < second->listener.rule ? -1 : 1;
	return 0;
}

/* Sorts, and keeps the winner of each listener. */
static int settle(struct candidates *candidates, struct store_listener **listeners, size_t *count)
{
	struct store_listener *winners;

	winners = calloc(candidates->count ?: 1, sizeof(*winners));
	if (!winners)
		return -ENOMEM;
	*count = 0;
	if (candidates->count)
		qsort(candidates->items, candidates->count, sizeof(*candidates->items),
		      compare_candidates);
	for (size_t i = 0; i < candidates->count; i++) {
		const struct store_listener *next = &candidates->items[i].listener;

		if (!*count || compare_keys(&winners[*count - 1].key, &next->key))
			winners[(*count)++] = *next;
	}
	*listeners = winners;
	return 0;
}

int listener_expand(const struct store_rule *rules, size_t rule_count,
		    const struct listener_world *world, struct store_listener **listeners,
		    size_t *count)
{
	struct candidates candidates = {};
	int err = 0;

	*listeners = NULL;
	*count = 0;
	for (size_t i = 0; i < rule_count && !err; i++)
		err = expand_rule(&rules[i], world, &candidates);
	if (!err)
		err = settle(&candidates, listeners, count);
	free(candidates.items);
	if (err)
		fail(err, "cannot expand the rules: %s", strerror(-err));
	return err;
}

int listener_world_read(const struct store *store, struct listener_world *world)
{
	struct store_interface *interfaces = NULL;
	struct netlink_address *addresses = NULL;
	struct netlink_link *links = NULL;
	struct netlink_default *defaults = NULL;
	int err;

	err = store_interfaces(store, &interfaces, &world->interface_count);
	world->interfaces = interfaces;
	if (!err)
		err = netlink_addresses(&addresses, &world->address_count);
	world->addresses = addresses;
	if (!err)
		err = netlink_default_interfaces(&defaults, &world->default_count);
	world->defaults = defaults;
	if (!err)
		err = netlink_links(&links, &world->link_count);
	world->links = links;
	return err;
}

void listener_world_release(struct listener_world *world)
{
	free((void *)world->interfaces);
	free((void *)world->addresses);
	free((void *)world->defaults);
	free((void *)world->links);
}

static const struct store_listener *find(const struct store_listener *listeners, size_t count,
					 const struct store_listener *listener)
{
	return bsearch(listener, listeners, count, sizeof(*listeners), compare_keys);
}

/* What the map holds and what it should hold, both sorted. */
struct difference {
	struct store_listener *wanted, *present;
	size_t wanted_count, present_count;
	size_t count; /* listeners that are missing, others', or too many */
};

static bool is_present(const struct difference *difference, const struct store_listener *wanted)
{
	const struct store_listener *known =
		find(difference->present, difference->present_count, wanted);

	return known && known->rule == wanted->rule;
}

static bool is_wanted(const struct difference *difference, const struct store_listener *present)
{
	return find(difference->wanted, difference->wanted_count, present);
}

static int difference_read(const struct store *store, const struct store_rule *rules, size_t count,
			   struct difference *difference)
{
	struct listener_world world = {};
	int err = listener_world_read(store, &world);

	if (!err)
		err = listener_expand(rules, count, &world, &difference->wanted,
				      &difference->wanted_count);
	listener_world_release(&world);
	if (!err && difference->wanted_count > LISTENERS_MAX)
		err = fail(
			-ENOSPC,
			"the rules need %zu listeners (a rule has one on each address), there is "
			"room for %d; delete rules, all at once if need be: xdnat rule flush",
			difference->wanted_count, LISTENERS_MAX);
	if (!err)
		err = store_listeners(store, &difference->present, &difference->present_count);
	if (!err && difference->present_count)
		qsort(difference->present, difference->present_count, sizeof(*difference->present),
		      compare_keys);
	for (size_t i = 0; !err && i < difference->wanted_count; i++)
		difference->count += !is_present(difference, &difference->wanted[i]);
	for (size_t i = 0; !err && i < difference->present_count; i++)
		difference->count += !is_wanted(difference, &difference->present[i]);
	return err;
}

int listener_prepare(struct store *store, const struct store_rule *rules, size_t count,
		     bool *is_swap)
{
	struct difference difference = {};
	int err = difference_read(store, rules, count, &difference);

	*is_swap = !err && difference.count;
	if (*is_swap)
		err = store_listeners_prepare(store, difference.wanted, difference.wanted_count);
	free(difference.wanted);
	free(difference.present);
	return err;
}

int listener_sync(struct store *store)
{
	struct store_rule *rules = NULL;
	bool is_swap = false;
	size_t count = 0;
	int err;

	err = store_change_settle(store);
	if (!err)
		err = store_rules(store, &rules, &count);
	if (!err)
		err = listener_prepare(store, rules, count, &is_swap);
	free(rules);
	if (err || !is_swap)
		return err;
	err = store_change_commit(store, true);
	return err ? err : store_change_settle(store);
}
