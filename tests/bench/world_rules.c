// SPDX-License-Identifier: GPL-2.0-only
/*
 * The rules of a world, one of each kind that flows may be under, as the tools write
 * them.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>

#include "world.h"

#define MANY_PREFIXES	 10000
#define CLIENTS_A_PREFIX 4
#define FIRST_RULED	 1000 /* id, above all others */

static uint32_t id_of(enum flows_rule rule, bool is_v6)
{
	return 1 + 2 * rule + is_v6;
}

static uint32_t flags_of(enum flows_rule rule)
{
	if (rule == FLOWS_MASQUERADED)
		return XDNAT_RULE_MASQUERADE;
	return rule == FLOWS_ONE_PREFIX || rule == FLOWS_MANY_PREFIXES ? XDNAT_RULE_ALLOWS : 0;
}

static int fill_rule(struct bench_bpf *skeleton, enum flows_rule kind, bool is_v6)
{
	static const uint8_t protos[] = {IPPROTO_TCP, IPPROTO_UDP};
	uint32_t id = id_of(kind, is_v6);
	struct xdnat_listener listener = {
		.addr = flows_listener(is_v6),
		.port = htons(flows_port_host(kind)),
	};
	struct xdnat_rule rule = {
		.target = flows_target(is_v6),
		.target_port = htons(FLOWS_TARGET_PORT),
		.id = id,
		.flags = flags_of(kind),
	};
	int err = bpf_map__update_elem(skeleton->maps.xdnat_rules, &id, sizeof(id), &rule,
				       sizeof(rule), BPF_ANY);

	for (int i = 0; !err && i < 2; i++) {
		listener.proto = protos[i];
		err = bpf_map__update_elem(skeleton->maps.xdnat_listeners, &listener,
					   sizeof(listener), &id, sizeof(id), BPF_ANY);
	}
	return err;
}

/* Set 1: every port of the listener, but for a thousand that have rules of their own. */
static int fill_any(struct bench_bpf *skeleton, uint32_t id)
{
	struct xdnat_range range = {
		.prefix_bits = XDNAT_RANGE_BITS,
		.set = 1,
		.proto = IPPROTO_UDP,
		.addr = flows_listener(false),
	};
	struct xdnat_listener listener = {
		.addr = flows_listener(false),
		.proto = IPPROTO_UDP,
		.set = 1,
	};
	uint32_t nobody = 0;
	int err = bpf_map__update_elem(skeleton->maps.xdnat_ranges, &range, sizeof(range), &id,
				       sizeof(id), BPF_ANY);

	range.prefix_bits += 16; /* port 0 is nobody's */
	if (!err)
		err = bpf_map__update_elem(skeleton->maps.xdnat_ranges, &range, sizeof(range),
					   &nobody, sizeof(nobody), BPF_ANY);
	for (int i = 0; !err && i < WORLD_EXACT_RULES; i++) {
		listener.port = htons(FLOWS_PORT + 1 + i);
		err = bpf_map__update_elem(skeleton->maps.xdnat_listeners, &listener,
					   sizeof(listener), &id, sizeof(id), BPF_ANY);
	}
	return err;
}

static void set_bit(__u8 *bits, uint16_t port_host)
{
	__be16 port = htons(port_host);

	bits[port / XDNAT_PORTS_A_BYTE] |= 1 << port % XDNAT_PORTS_A_BYTE;
}

/* Those of both sets' rules, but for "*": with it, nothing would be foreign. */
static void fill_port_bits(struct bench_bpf *skeleton, uint32_t ruled)
{
	struct xdnat_port_bits *bits = &skeleton->data_ports->xdnat_ports;

	set_bit(bits->as_source, FLOWS_TARGET_PORT);
	for (uint32_t i = 0; i <= WORLD_EXACT_RULES; i++)
		set_bit(bits->as_destination, FLOWS_PORT + i);
	for (uint32_t i = 0; i < ruled; i++)
		set_bit(bits->as_destination, flows_ruled_port_host(i));
}

/* Masquerading may give out all ports that clients have: they keep theirs. */
static int fill_snat_ports(struct bench_bpf *skeleton)
{
	struct xdnat_snat_port port = {.is_free_to_use = 1};
	int err = 0;

	for (uint32_t i = 0; !err && i < XDNAT_PORTS; i++) {
		port.port = htons(i);
		err = bpf_map__update_elem(skeleton->maps.xdnat_snat_ports, &i, sizeof(i), &port,
					   sizeof(port), BPF_ANY);
	}
	return err;
}

static int fill_snat(struct bench_bpf *skeleton, bool is_v6)
{
	struct xdnat_snat snat = {.addr = flows_snat(is_v6)};
	uint32_t id = id_of(FLOWS_MASQUERADED, is_v6);

	return bpf_map__update_elem(skeleton->maps.xdnat_snat, &id, sizeof(id), &snat, sizeof(snat),
				    BPF_ANY);
}

/* Lists have the number of their rule. */
static int fill_prefix(struct bench_bpf *skeleton, struct xdnat_prefix prefix)
{
	return bpf_map__update_elem(skeleton->maps.xdnat_prefixes, &prefix, sizeof(prefix),
				    &prefix.id, sizeof(prefix.id), BPF_ANY);
}

static int fill_lists(struct bench_bpf *skeleton, uint32_t id)
{
	struct xdnat_prefix prefix = {
		.prefix_bits = XDNAT_PREFIX_BITS,
		.id = id,
		.list = XDNAT_LISTS,
	};
	int err = fill_prefix(skeleton, prefix);

	prefix.prefix_bits += XDNAT_ADDR_BITS;
	return err ? err : fill_prefix(skeleton, prefix);
}

/* One prefix that all clients are in, or many that a few are in. */
static int fill_sources(struct bench_bpf *skeleton, enum flows_rule kind, bool is_v6)
{
	struct xdnat_prefix prefix = {
		.prefix_bits = XDNAT_PREFIX_BITS + XDNAT_ADDR_BITS - 2, /* four */
		.id = id_of(kind, is_v6),
		.list = XDNAT_ALLOWED,
	};
	int count = kind == FLOWS_MANY_PREFIXES ? MANY_PREFIXES : 1;
	int err = fill_lists(skeleton, prefix.id);

	if (kind == FLOWS_ONE_PREFIX)
		prefix.prefix_bits -= 14; /* 65536 */
	for (int i = 0; !err && i < count; i++) {
		prefix.addr = flows_client(is_v6, i * CLIENTS_A_PREFIX);
		err = fill_prefix(skeleton, prefix);
	}
	return err;
}

/* A rule for each, as the tools write them, but all at once. */
static int fill_ruled(struct bench_bpf *skeleton, uint32_t count)
{
	struct xdnat_listener *listeners = calloc(count, sizeof(*listeners));
	struct xdnat_rule *rules = calloc(count, sizeof(*rules));
	uint32_t *ids = calloc(count, sizeof(*ids)), done = count;
	int err = listeners && rules && ids ? 0 : -ENOMEM;

	for (uint32_t n = 0; !err && n < count; n++) {
		ids[n] = FIRST_RULED + n;
		rules[n] = (struct xdnat_rule){
			.target = flows_target(false),
			.target_port = htons(FLOWS_TARGET_PORT),
			.id = ids[n],
		};
		listeners[n] = (struct xdnat_listener){
			.addr = flows_ruled_listener(n),
			.port = htons(flows_ruled_port_host(n)),
			.proto = IPPROTO_UDP,
		};
	}
	if (!err)
		err = bpf_map_update_batch(bpf_map__fd(skeleton->maps.xdnat_rules), ids, rules,
					   &done, NULL);
	if (!err)
		err = bpf_map_update_batch(bpf_map__fd(skeleton->maps.xdnat_listeners), listeners,
					   ids, &done, NULL);
	free(listeners);
	free(rules);
	free(ids);
	return err;
}

int world_fill_rules(const struct world *world)
{
	struct bench_bpf *skeleton = world->skeleton;
	static const enum flows_rule kinds[] = {FLOWS_PRESERVED, FLOWS_MASQUERADED,
						FLOWS_ONE_PREFIX, FLOWS_MANY_PREFIXES};
	int err = fill_any(skeleton, id_of(FLOWS_PRESERVED, false));

	fill_port_bits(skeleton, world->setup.rules);
	for (int i = 0; !err && i < 8; i++)
		err = fill_rule(skeleton, kinds[i / 2], i % 2);
	if (!err)
		err = fill_snat_ports(skeleton);
	if (!err && world->setup.rules)
		err = fill_ruled(skeleton, world->setup.rules);
	for (int is_v6 = 0; !err && is_v6 < 2; is_v6++) {
		err = fill_snat(skeleton, is_v6);
		if (!err)
			err = fill_sources(skeleton, FLOWS_ONE_PREFIX, is_v6);
		if (!err)
			err = fill_sources(skeleton, FLOWS_MANY_PREFIXES, is_v6);
	}
	return err;
}
