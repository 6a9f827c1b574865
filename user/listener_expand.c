// SPDX-License-Identifier: GPL-2.0-only
/*
 * The expansion of rules is pure: rules and a description of the network in, sorted
 * listeners and ranges without doubles out.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "addr.h"
#include "fail.h"
#include "listener.h"
#include "listener_range.h"

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

/* A rule at an address that it would like to have, of one protocol. */
struct claim {
	struct xdnat_addr addr;
	uint8_t proto; /* SPEC_TCP or SPEC_UDP */
	uint64_t rank;
	const struct store_rule *rule;
};

struct claims {
	struct claim *items;
	size_t count, room;
};

static int add_claim(struct claims *claims, const struct claim *claim)
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

static int claim_address(struct claims *claims, const struct store_rule *rule,
			 const struct xdnat_addr *addr)
{
	struct claim claim = {.addr = *addr, .rank = rank_of(rule), .rule = rule};
	int err = 0;

	for (claim.proto = SPEC_TCP; !err && claim.proto <= SPEC_UDP; claim.proto <<= 1)
		if (rule->spec.protos & claim.proto)
			err = add_claim(claims, &claim);
	return err;
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
 * default routes that count are those of the address's family. */
static bool listens_on(const struct spec *spec, const struct listener_world *world,
		       uint32_t ifindex, bool is_v6)
{
	if (spec->bind == SPEC_BIND_INTERFACE)
		return has_name(world, ifindex, spec->bind_interface);
	if (!is_loaded(world, ifindex))
		return false;
	return spec->bind == SPEC_BIND_ALL || !is_default_loaded(world, is_v6) ||
	       is_default(world, ifindex, is_v6);
}

static int claim_all(const struct store_rule *rule, const struct listener_world *world,
		     struct claims *claims)
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

/* By address and protocol: those that may meet stand together. */
static int compare_places(const struct claim *left, const struct claim *right)
{
	int order = memcmp(&left->addr, &right->addr, sizeof(left->addr));

	return order ? order : left->proto - right->proto;
}

/* Then one port before many, by port; who wins comes first. */
static int compare_claims(const void *left, const void *right)
{
	const struct claim *l = left, *r = right;
	const struct spec *l_spec = &l->rule->spec, *r_spec = &r->rule->spec;
	int order = compare_places(l, r);

	if (!order)
		order = (l_spec->form != SPEC_EXACT) - (r_spec->form != SPEC_EXACT);
	if (!order && l_spec->form == SPEC_EXACT)
		order = l_spec->ports.first_host - r_spec->ports.first_host;
	return order ? order : (l->rank > r->rank) - (l->rank < r->rank);
}

/* What settling one place after the other yields. */
struct settling {
	const struct listener_world *world;
	struct listener_set *set;
	size_t listener_room, range_room;
	struct listener_span *spans; /* of one place */
	size_t span_count, span_room;
};

static int grow(void **items, size_t count, size_t *room, size_t item_bytes)
{
	size_t wanted = *room ? 2 * *room : 64;
	void *grown;

	if (count < *room)
		return 0;
	grown = reallocarray(*items, wanted, item_bytes);
	if (!grown)
		return -ENOMEM;
	*items = grown;
	*room = wanted;
	return 0;
}

/* Ports first to last, if there are any. */
static int add_span(struct settling *settling, const struct claim *claim, uint32_t first_host,
		    uint32_t last_host)
{
	int err = grow((void **)&settling->spans, settling->span_count, &settling->span_room,
		       sizeof(*settling->spans));

	if (!err && first_host <= last_host)
		settling->spans[settling->span_count++] = (struct listener_span){
			.first_host = first_host,
			.last_host = last_host,
			.rank = claim->rank,
			.rule = claim->rule->id,
		};
	return err;
}

static int compare_ports(const void *left, const void *right)
{
	const struct spec_ports *l = left, *r = right;

	return l->first_host - r->first_host;
}

/* What the rule leaves to others there, rising; holes has room for it. */
static size_t list_holes(const struct listener_world *world, const struct claim *claim,
			 struct spec_ports *holes)
{
	const struct spec *spec = &claim->rule->spec;
	size_t count = spec->except_count;

	memcpy(holes, spec->except, count * sizeof(*holes));
	for (size_t i = 0; spec->form == SPEC_ANY && i < world->socket_count; i++) {
		const struct host_socket *socket = &world->sockets[i];

		if (socket->proto == claim->proto && host_port_is_reached(socket, &claim->addr))
			holes[count++] = (struct spec_ports){socket->port_host, socket->port_host};
	}
	qsort(holes, count, sizeof(*holes), compare_ports);
	return count;
}

/* The claim's ports without what it leaves to others. */
static int add_spans(struct settling *settling, const struct claim *claim)
{
	const struct spec *spec = &claim->rule->spec;
	uint32_t from_host = spec->ports.first_host;
	struct spec_ports *holes =
		calloc(spec->except_count + settling->world->socket_count + 1, sizeof(*holes));
	size_t count = holes ? list_holes(settling->world, claim, holes) : 0;
	int err = holes ? 0 : -ENOMEM;

	for (size_t i = 0; !err && i < count; i++) {
		err = add_span(settling, claim, from_host, holes[i].first_host - 1u);
		if (holes[i].last_host >= from_host)
			from_host = holes[i].last_host + 1u;
	}
	if (!err)
		err = add_span(settling, claim, from_host, spec->ports.last_host);
	free(holes);
	return err;
}

static uint8_t proto_number(const struct claim *claim)
{
	return claim->proto == SPEC_TCP ? IPPROTO_TCP : IPPROTO_UDP;
}

static int add_listener(struct settling *settling, const struct claim *claim)
{
	struct listener_set *set = settling->set;
	int err = grow((void **)&set->listeners, set->listener_count, &settling->listener_room,
		       sizeof(*set->listeners));

	if (!err)
		set->listeners[set->listener_count++] = (struct store_listener){
			.key.addr = claim->addr,
			.key.port = htons(claim->rule->spec.ports.first_host),
			.key.proto = proto_number(claim),
			.rule = claim->rule->id,
		};
	return err;
}

static int add_ranges(struct settling *settling, const struct claim *place,
		      const struct listener_run *runs, size_t run_count)
{
	struct listener_set *set = settling->set;
	struct listener_prefix *prefixes = NULL;
	size_t count = 0;
	int err = listener_prefixes_make(runs, run_count, &prefixes, &count);

	for (size_t i = 0; !err && i < count; i++) {
		err = grow((void **)&set->ranges, set->range_count, &settling->range_room,
			   sizeof(*set->ranges));
		if (!err)
			set->ranges[set->range_count++] = (struct store_range){
				.key.prefix_bits = XDNAT_RANGE_BITS + prefixes[i].bits,
				.key.proto = proto_number(place),
				.key.addr = place->addr,
				.key.port = htons(prefixes[i].port_host),
				.rule = prefixes[i].rule,
			};
	}
	free(prefixes);
	return err;
}

/* claims: all of one place. A single port is asked for first, whatever its rule's rank:
 * one that a range outranks there gets no listener. */
static int settle_place(struct settling *settling, const struct claim *claims, size_t count)
{
	struct listener_run *runs = NULL;
	size_t exact = 0, run_count = 0;
	uint16_t port_host = 0;
	int err = 0;

	while (exact < count && claims[exact].rule->spec.form == SPEC_EXACT)
		exact++;
	settling->span_count = 0;
	for (size_t i = exact; !err && i < count; i++)
		err = add_spans(settling, &claims[i]);
	if (!err && settling->span_count)
		err = listener_runs_make(settling->spans, settling->span_count, &runs, &run_count);
	if (!err && run_count)
		err = add_ranges(settling, claims, runs, run_count);
	for (size_t i = 0; !err && i < exact; i++) {
		if (claims[i].rule->spec.ports.first_host == port_host)
			continue;
		port_host = claims[i].rule->spec.ports.first_host;
		if (!run_count ||
		    listener_run_at(runs, run_count, port_host)->rank > claims[i].rank)
			err = add_listener(settling, &claims[i]);
	}
	free(runs);
	return err;
}

static int settle(struct settling *settling, const struct claim *claims, size_t count)
{
	size_t next;
	int err = 0;

	for (size_t i = 0; !err && i < count; i = next) {
		for (next = i + 1; next < count && !compare_places(&claims[i], &claims[next]);)
			next++;
		err = settle_place(settling, &claims[i], next - i);
	}
	free(settling->spans);
	return err;
}

static int compare_listeners(const void *left, const void *right)
{
	return memcmp(left, right, sizeof(struct xdnat_listener));
}

static int compare_ranges(const void *left, const void *right)
{
	return memcmp(left, right, sizeof(struct xdnat_range));
}

void listener_set_sort(struct listener_set *set)
{
	if (set->listener_count)
		qsort(set->listeners, set->listener_count, sizeof(*set->listeners),
		      compare_listeners);
	if (set->range_count)
		qsort(set->ranges, set->range_count, sizeof(*set->ranges), compare_ranges);
}

int listener_expand(const struct store_rule *rules, size_t rule_count,
		    const struct listener_world *world, struct listener_set *set)
{
	struct settling settling = {.world = world, .set = set};
	struct claims claims = {};
	int err = 0;

	for (size_t i = 0; i < rule_count && !err; i++)
		err = claim_all(&rules[i], world, &claims);
	if (claims.count)
		qsort(claims.items, claims.count, sizeof(*claims.items), compare_claims);
	if (!err)
		err = settle(&settling, claims.items, claims.count);
	free(claims.items);
	listener_set_sort(set);
	return err ? fail(err, "cannot expand the rules: %s", strerror(-err)) : 0;
}

void listener_set_release(struct listener_set *set)
{
	free(set->listeners);
	free(set->ranges);
}
