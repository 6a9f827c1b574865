// SPDX-License-Identifier: GPL-2.0-only
/*
 * The expansion of rules is pure: rules and a description of the network in, sorted
 * listeners and ranges without doubles out.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fail.h"
#include "listener.h"
#include "listener_claim.h"
#include "listener_range.h"

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
static int add_span(struct settling *settling, const struct listener_claim *claim,
		    uint32_t first_host, uint32_t last_host)
{
	int err = grow((void **)&settling->spans, settling->span_count, &settling->span_room,
		       sizeof(*settling->spans));

	if (!err && first_host <= last_host)
		settling->spans[settling->span_count++] = (struct listener_span){
			.first_host = first_host,
			.last_host = last_host,
			.rank = claim->rank,
			.rule = claim->rule->id,
			.admits_all = !spec_has_sources(&claim->rule->spec),
		};
	return err;
}

static int compare_ports(const void *left, const void *right)
{
	const struct spec_ports *l = left, *r = right;

	return l->first_host - r->first_host;
}

/* What the rule leaves to others there, rising; holes has room for it. */
static size_t list_holes(const struct listener_world *world, const struct listener_claim *claim,
			 struct spec_ports *holes)
{
	const struct spec *spec = &claim->rule->spec;
	size_t count = spec->except_count;

	memcpy(holes, spec->except, count * sizeof(*holes));
	if (spec->form == SPEC_ANY && world->ephemeral.last_host)
		holes[count++] = world->ephemeral;
	for (size_t i = 0; spec->form == SPEC_ANY && i < world->socket_count; i++) {
		const struct host_socket *socket = &world->sockets[i];

		if (socket->proto == claim->proto && host_port_is_reached(socket, &claim->addr))
			holes[count++] = (struct spec_ports){socket->port_host, socket->port_host};
	}
	qsort(holes, count, sizeof(*holes), compare_ports);
	return count;
}

/* The claim's ports without what it leaves to others. */
static int add_spans(struct settling *settling, const struct listener_claim *claim)
{
	const struct spec *spec = &claim->rule->spec;
	uint32_t from_host = spec->ports.first_host;
	struct spec_ports *holes =
		calloc(spec->except_count + settling->world->socket_count + 2, sizeof(*holes));
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

static uint8_t proto_number(const struct listener_claim *claim)
{
	return claim->proto == SPEC_TCP ? IPPROTO_TCP : IPPROTO_UDP;
}

static int add_listener(struct settling *settling, const struct listener_claim *claim)
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

static int add_ranges(struct settling *settling, const struct listener_claim *place, uint8_t level,
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
				.key.level = level,
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
static int settle_place(struct settling *settling, const struct listener_claim *claims,
			size_t count)
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
		err = listener_runs_make(settling->spans, settling->span_count, 0, &runs,
					 &run_count);
	if (!err && run_count)
		err = add_ranges(settling, claims, 0, runs, run_count);
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

/* claims: all of one place. *is_last: nobody has a port at that level. */
static int settle_level(struct settling *settling, const struct listener_claim *claims,
			uint8_t level, bool *is_last)
{
	struct listener_run *runs = NULL;
	size_t run_count = 0;
	int err =
		listener_runs_make(settling->spans, settling->span_count, level, &runs, &run_count);

	*is_last = run_count == 1 && !runs->rule;
	if (!err && !*is_last)
		err = add_ranges(settling, claims, level, runs, run_count);
	free(runs);
	return err;
}

/* Who is next where sources are not admitted; single ports are ranges there. */
static int settle_below(struct settling *settling, const struct listener_claim *claims,
			size_t count)
{
	bool is_last = true;
	int err = 0;

	for (size_t i = 0; i < count; i++)
		is_last &= !spec_has_sources(&claims[i].rule->spec);
	settling->span_count = 0;
	for (size_t i = 0; !err && !is_last && i < count; i++)
		err = add_spans(settling, &claims[i]);
	for (uint8_t level = 1; !err && !is_last && level < XDNAT_LEVELS; level++)
		err = settle_level(settling, claims, level, &is_last);
	return err;
}

static int settle(struct settling *settling, const struct listener_claim *claims, size_t count)
{
	size_t next;
	int err = 0;

	for (size_t i = 0; !err && i < count; i = next) {
		for (next = i + 1;
		     next < count && !listener_claim_compare_places(&claims[i], &claims[next]);)
			next++;
		err = settle_place(settling, &claims[i], next - i);
		if (!err)
			err = settle_below(settling, &claims[i], next - i);
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
	struct listener_claims claims = {};
	int err = listener_claims_make(rules, rule_count, world, &claims);

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
