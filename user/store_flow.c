// SPDX-License-Identifier: GPL-2.0-only
/*
 * The store's flows. With bpf/flow.bpf.h the only place that knows how they are
 * stored: two kernel hashes of halves.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <netinet/in.h>
#include <string.h>

#include "addr.h"
#include "clock.h"
#include "fail.h"
#include "store_maps.h"

/* A half in the form of both families. */
struct half {
	bool is_v6;
	struct xdnat_key6 key; /* as store_flow.key */
	struct xdnat_addr src, dst, new_src, new_dst;
	struct xdnat_half half;
};

struct walk {
	const struct store *store;
	uint64_t jiffies;
	int (*each)(const struct store_flow *flow, void *context);
	void *context;
};

static void half_from4(const struct xdnat_half4 *half4, struct half *half)
{
	*half = (struct half){.half = half4->half};
	half->key.src[0] = half4->key.src;
	half->key.dst[0] = half4->key.dst;
	half->key.ports = half4->key.ports;
	half->key.proto = half4->key.proto;
	half->src = addr_from_v4(half4->key.src);
	half->dst = addr_from_v4(half4->key.dst);
	half->new_src = addr_from_v4(half4->src);
	half->new_dst = addr_from_v4(half4->dst);
}

static void half_from6(const struct xdnat_half6 *half6, struct half *half)
{
	*half = (struct half){.half = half6->half, .key = half6->key, .is_v6 = true};
	half->src = addr_from_v6(half6->key.src);
	half->dst = addr_from_v6(half6->key.dst);
	half->new_src = addr_from_v6(half6->src);
	half->new_dst = addr_from_v6(half6->dst);
}

/* The half of the other direction: what leaves, reversed. */
static bool find_partner(const struct store *store, const struct half *half, struct half *partner)
{
	struct xdnat_half4 half4;
	struct xdnat_half6 half6;

	if (half->is_v6) {
		struct xdnat_key6 key = {
			.ports = {.sport = half->half.ports.dport, .dport = half->half.ports.sport},
			.proto = half->key.proto,
		};

		memcpy(key.src, &half->new_dst, sizeof(key.src));
		memcpy(key.dst, &half->new_src, sizeof(key.dst));
		if (bpf_map_lookup_elem(store->maps[STORE_FLOWS6], &key, &half6))
			return false;
		half_from6(&half6, partner);
	} else {
		struct xdnat_key4 key = {
			.src = half->new_dst.word[3],
			.dst = half->new_src.word[3],
			.ports = {.sport = half->half.ports.dport, .dport = half->half.ports.sport},
			.proto = half->key.proto,
		};

		if (bpf_map_lookup_elem(store->maps[STORE_FLOWS4], &key, &half4))
			return false;
		half_from4(&half4, partner);
	}
	/* What is in its place may be another flow's. */
	return addr_equal(&partner->new_dst, &half->src) &&
	       addr_equal(&partner->new_src, &half->dst) &&
	       partner->half.ports.dport == half->key.ports.sport &&
	       partner->half.ports.sport == half->key.ports.dport;
}

/* Jiffies since the tick of the half's last packet ended: bpf/life.bpf.h. */
static uint32_t idle_jiffies(const struct walk *walk, const struct half *half)
{
	uint32_t idle = (uint32_t)walk->jiffies - half->half.until;

	return (int32_t)idle < 0 ? 0 : idle;
}

static void set_direction(struct store_flow *flow, const struct half *half)
{
	unsigned int direction = half->half.direction & 1;

	flow->packets[direction] = half->half.packets;
	flow->bytes[direction] = half->half.bytes;
	flow->state |= half->half.state;
}

static void set_ends(struct store_flow *flow, const struct half *original)
{
	flow->client = original->src;
	flow->listener = original->dst;
	flow->target = original->new_dst;
	flow->source = original->new_src;
	flow->client_port_host = ntohs(original->key.ports.sport);
	flow->listener_port_host = ntohs(original->key.ports.dport);
	flow->target_port_host = ntohs(original->half.ports.dport);
	flow->source_port_host = ntohs(original->half.ports.sport);
}

static int visit_flow(const struct walk *walk, const struct half *original)
{
	uint32_t idle = idle_jiffies(walk, original), reply_idle, life;
	struct half reply;
	struct store_flow flow = {
		.is_v6 = original->is_v6,
		.proto = original->key.proto,
		.rule = original->half.rule,
		.key = original->key,
	};

	set_ends(&flow, original);
	set_direction(&flow, original);
	flow.has_reply = find_partner(walk->store, original, &reply);
	if (flow.has_reply) {
		set_direction(&flow, &reply);
		reply_idle = idle_jiffies(walk, &reply);
		idle = reply_idle < idle ? reply_idle : idle;
	}
	life = walk->store->config.life_jiffies[xdnat_life(flow.proto == IPPROTO_TCP, flow.state)];
	flow.expired = idle > life || (flow.state & XDNAT_DEAD);
	flow.idle_sec = idle / walk->store->config.hz;
	flow.life_sec = life / walk->store->config.hz;
	return walk->each(&flow, walk->context);
}

/* A reply half alone is no flow: nobody sees it, but the sweep may find it. */
static int visit_orphan(const struct walk *walk, const struct half *reply)
{
	struct store_flow flow = {
		.is_v6 = reply->is_v6,
		.proto = reply->key.proto,
		.rule = reply->half.rule,
		.key = reply->key,
		.is_orphan = true,
		.expired = true,
	};
	struct half original;
	uint32_t state = reply->half.state;

	if (state & XDNAT_RESTING) {
		flow.expired = idle_jiffies(walk, reply) > 0;
		return walk->each(&flow, walk->context);
	}

	if ((!(state & XDNAT_DEAD) &&
	     idle_jiffies(walk, reply) <=
		     walk->store->config
			     .life_jiffies[xdnat_life(flow.proto == IPPROTO_TCP, state)]) ||
	    find_partner(walk->store, reply, &original))
		return 0;
	return walk->each(&flow, walk->context);
}

static int visit(const struct walk *walk, const struct half *half)
{
	if (half->half.direction == XDNAT_REPLY)
		return visit_orphan(walk, half);
	return visit_flow(walk, half);
}

static int visit4(const void *key, const void *value, void *context)
{
	struct half half;

	(void)key;
	half_from4(value, &half);
	return visit(context, &half);
}

static int visit6(const void *key, const void *value, void *context)
{
	struct half half;

	(void)key;
	half_from6(value, &half);
	return visit(context, &half);
}

int store_flows_each(const struct store *store,
		     int (*each)(const struct store_flow *flow, void *context), void *context)
{
	struct store_entry_sizes sizes4 = {sizeof(struct xdnat_key4), sizeof(struct xdnat_half4)};
	struct store_entry_sizes sizes6 = {sizeof(struct xdnat_key6), sizeof(struct xdnat_half6)};
	struct walk walk = {.store = store, .each = each, .context = context};
	struct xdnat_clock clock;
	int err = clock_read(store->programs[STORE_CLOCK], &clock);

	if (err)
		return fail_kernel(err, "cannot read the datapath's clock");
	walk.jiffies = clock.jiffies;
	err = store_map_each(store->maps[STORE_FLOWS4], sizes4, visit4, &walk);
	if (!err)
		err = store_map_each(store->maps[STORE_FLOWS6], sizes6, visit6, &walk);
	return err;
}

int store_flow_end(const struct store *store, const struct store_flow *flow, uint32_t force)
{
	struct xdnat_flow_end request = {
		.key = flow->key,
		.is_v6 = flow->is_v6,
		.force = force,
	};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = &request, .ctx_size_in = sizeof(request));
	int err = bpf_prog_test_run_opts(store->programs[STORE_FLOW_END], &opts);

	return err ? fail_kernel(err, "cannot end a flow") : (int)request.ended;
}
