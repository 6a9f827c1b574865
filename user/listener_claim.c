// SPDX-License-Identifier: GPL-2.0-only
#include "listener_claim.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "addr.h"

/* Lower wins. Unbound rules are one class, in which the form of PORTS counts first. */
static const uint8_t bind_class[] = {
	[SPEC_BIND_ADDRESS] = 0,
	[SPEC_BIND_INTERFACE] = 1,
	[SPEC_BIND_DEFAULT] = 2,
	[SPEC_BIND_ALL] = 2,
};

/* Older rules have lower ids. */
static uint64_t rank_of(const struct store_rule *rule)
{
	const struct spec *spec = &rule->spec;
	uint32_t is_last = spec->bind == SPEC_BIND_ALL;

	return (uint64_t)((bind_class[spec->bind] * 4u + spec->form) * 2 + is_last) << 32 |
	       rule->id;
}

static int add_claim(struct listener_claims *claims, const struct listener_claim *claim)
{
	if (claims->count == claims->room) {
		size_t room = claims->room ? 2 * claims->room : 64;
		void *items = reallocarray(claims->items, room, sizeof(*claims->items));

		if (!items)
			return -ENOMEM;
		claims->items = items;
		claims->room = room;
	}
	claims->items[claims->count++] = *claim;
	return 0;
}

static int claim_address(struct listener_claims *claims, const struct store_rule *rule,
			 const struct xdnat_addr *addr)
{
	struct listener_claim claim = {.addr = *addr, .rank = rank_of(rule), .rule = rule};
	int err = 0;

	for (claim.proto = SPEC_TCP; !err && claim.proto <= SPEC_UDP; claim.proto <<= 1)
		if (rule->spec.protos & claim.proto)
			err = add_claim(claims, &claim);
	return err;
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
		    listener_is_loaded(world, world->defaults[i].ifindex))
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
 * default routes that count are those of the address's family. */
static bool listens_on(const struct spec *spec, const struct listener_world *world,
		       uint32_t ifindex, bool is_v6)
{
	if (spec->bind == SPEC_BIND_INTERFACE)
		return has_name(world, ifindex, spec->bind_interface);
	if (!listener_is_loaded(world, ifindex))
		return false;
	return spec->bind == SPEC_BIND_ALL || !is_default_loaded(world, is_v6) ||
	       is_default(world, ifindex, is_v6);
}

static int claim_all(const struct store_rule *rule, const struct listener_world *world,
		     struct listener_claims *claims)
{
	const struct spec *spec = &rule->spec;
	int err = 0;

	if (!spec->enabled)
		return 0;
	if (spec->bind == SPEC_BIND_ADDRESS)
		return claim_address(claims, rule, &spec->bind_addr);
	for (size_t i = 0; i < world->address_count && !err; i++) {
		const struct netlink_address *address = &world->addresses[i];
		bool is_v6 = !addr_is_v4(&address->addr);

		if (spec_families(spec) & (is_v6 ? SPEC_V6 : SPEC_V4) &&
		    listens_on(spec, world, address->ifindex, is_v6))
			err = claim_address(claims, rule, &address->addr);
	}
	return err;
}

int listener_claim_compare_places(const struct listener_claim *left,
				  const struct listener_claim *right)
{
	int order = memcmp(&left->addr, &right->addr, sizeof(left->addr));

	return order ? order : left->proto - right->proto;
}

/* Then one port before many, by port; who wins comes first. */
static int compare_claims(const void *left, const void *right)
{
	const struct listener_claim *l = left, *r = right;
	const struct spec *l_spec = &l->rule->spec, *r_spec = &r->rule->spec;
	int order = listener_claim_compare_places(l, r);

	if (!order)
		order = (l_spec->form != SPEC_EXACT) - (r_spec->form != SPEC_EXACT);
	if (!order && l_spec->form == SPEC_EXACT)
		order = l_spec->ports.first_host - r_spec->ports.first_host;
	return order ? order : (l->rank > r->rank) - (l->rank < r->rank);
}

int listener_claims_make(const struct store_rule *rules, size_t rule_count,
			 const struct listener_world *world, struct listener_claims *claims)
{
	int err = 0;

	for (size_t i = 0; i < rule_count && !err; i++)
		err = claim_all(&rules[i], world, claims);
	if (claims->count)
		qsort(claims->items, claims->count, sizeof(*claims->items), compare_claims);
	return err;
}
