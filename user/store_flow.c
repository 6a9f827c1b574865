// SPDX-License-Identifier: GPL-2.0-only
/*
 * The store's flows, put together from the halves that store_table.c finds.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <netinet/in.h>
#include <string.h>

#include "addr.h"
#include "clock.h"
#include "fail.h"
#include "store_table.h"

/* A half in the form of both families. */
struct half {
	bool is_v6;
	struct xdnat_key6 key; /* as store_flow.key */
	struct xdnat_addr src, dst, new_src, new_dst;
	struct xdnat_half half;
};

struct walk {
	const struct store *store;
	struct store_table table;
	uint64_t jiffies;
	store_flow_visitor each;
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

static void half_from(const union store_half *stored, bool is_v6, struct half *half)
{
	if (is_v6)
		half_from6(&stored->v6, half);
	else
		half_from4(&stored->v4, half);
}

/* What it says of the flow, not of its slot. */
static uint32_t half_state(const struct half *half)
{
	return xdnat_state(half->half.word) & ~(XDNAT_TAKEN | XDNAT_HIDDEN);
}

/* The half of the other direction: what leaves, reversed. False: it is missing, or dead. */
static bool find_partner(const struct walk *walk, const struct half *half, struct half *partner)
{
	union xdnat_ports ports = {.sport = half->half.ports.dport,
				   .dport = half->half.ports.sport};
	union store_half key = {}, found;

	if (half->is_v6) {
		memcpy(key.v6.key.src, &half->new_dst, sizeof(key.v6.key.src));
		memcpy(key.v6.key.dst, &half->new_src, sizeof(key.v6.key.dst));
		key.v6.key.ports = ports;
		key.v6.key.proto = half->key.proto;
	} else {
		key.v4.key.src = half->new_dst.word[3];
		key.v4.key.dst = half->new_src.word[3];
		key.v4.key.ports = ports;
		key.v4.key.proto = half->key.proto;
	}
	if (!store_table_find(&walk->table, &key, &found))
		return false;
	half_from(&found, half->is_v6, partner);
	/* What is in its place may be another flow's, or be freed. */
	return !(half_state(partner) & XDNAT_DEAD) && addr_equal(&partner->new_dst, &half->src) &&
	       addr_equal(&partner->new_src, &half->dst) &&
	       partner->half.ports.dport == half->key.ports.sport &&
	       partner->half.ports.sport == half->key.ports.dport;
}

/* Jiffies since the tick of the half's last packet ended: bpf/life.bpf.h. */
static uint32_t idle_jiffies(const struct walk *walk, const struct half *half)
{
	uint32_t idle = (uint32_t)walk->jiffies - xdnat_until(half->half.word);

	return (int32_t)idle < 0 ? 0 : idle;
}

static void set_direction(struct store_flow *flow, const struct half *half)
{
	unsigned int direction = half->half.direction & 1;

	flow->packets[direction] = half->half.packets;
	flow->bytes[direction] = half->half.bytes;
	flow->state |= half_state(half);
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
	flow.has_reply = find_partner(walk, original, &reply);
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
static int visit_freeable(const struct walk *walk, const struct half *reply)
{
	struct store_flow flow = {
		.is_v6 = reply->is_v6,
		.proto = reply->key.proto,
		.rule = reply->half.rule,
		.state = half_state(reply),
		.key = reply->key,
		.is_orphan = true,
		.expired = true,
	};
	uint32_t state = flow.state;
	struct half original;

	if (state & XDNAT_RESTING) {
		flow.expired = idle_jiffies(walk, reply) > 0;
		return walk->each(&flow, walk->context);
	}

	if ((!(state & XDNAT_DEAD) &&
	     idle_jiffies(walk, reply) <=
		     walk->store->config
			     .life_jiffies[xdnat_life(flow.proto == IPPROTO_TCP, state)]) ||
	    find_partner(walk, reply, &original))
		return 0;
	return walk->each(&flow, walk->context);
}

static int visit(const union store_half *stored, void *context)
{
	const struct walk *walk = context;
	struct half half;

	half_from(stored, walk->table.is_v6, &half);
	if (half.half.direction == XDNAT_REPLY)
		return visit_freeable(walk, &half);
	return visit_flow(walk, &half);
}

/* Whose ends are its flow's, as the missing original half would have them. */
static int visit_orphan(const union store_half *stored, void *context)
{
	const struct walk *walk = context;
	struct half reply, original;
	struct store_flow flow;

	half_from(stored, walk->table.is_v6, &reply);
	if (reply.half.direction != XDNAT_REPLY || half_state(&reply) & XDNAT_DEAD ||
	    find_partner(walk, &reply, &original))
		return 0;
	original = (struct half){
		.src = reply.new_dst,
		.dst = reply.new_src,
		.new_src = reply.dst,
		.new_dst = reply.src,
		.key.ports = {.sport = reply.half.ports.dport, .dport = reply.half.ports.sport},
		.half.ports = {.sport = reply.key.ports.dport, .dport = reply.key.ports.sport},
	};
	flow = (struct store_flow){
		.is_v6 = reply.is_v6,
		.proto = reply.key.proto,
		.rule = reply.half.rule,
		.key = reply.key,
		.has_reply = true,
		.is_orphan = true,
	};
	set_ends(&flow, &original);
	set_direction(&flow, &reply);
	return walk->each(&flow, walk->context);
}

static int walk_tables(struct walk *walk,
		       int (*visit_half)(const union store_half *stored, void *context))
{
	int err = 0;

	for (int is_v6 = 0; !err && is_v6 <= 1; is_v6++) {
		walk->table = (struct store_table){.store = walk->store, .is_v6 = is_v6};
		err = store_table_each(&walk->table, visit_half, walk);
		store_table_unmap(&walk->table);
	}
	return err;
}

int store_flows_each(const struct store *store, store_flow_visitor each, void *context)
{
	struct walk walk = {.store = store, .each = each, .context = context};
	struct xdnat_clock clock;
	int err = clock_read(store->programs[STORE_CLOCK], &clock);

	if (err)
		return fail_kernel(err, "cannot read the datapath's clock");
	walk.jiffies = clock.jiffies;
	return walk_tables(&walk, visit);
}

int store_orphans_each(const struct store *store, store_flow_visitor each, void *context)
{
	struct walk walk = {.store = store, .each = each, .context = context};

	return walk_tables(&walk, visit_orphan);
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

int store_flow_put(const struct store *store, struct xdnat_flow_put *request)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = request, .ctx_size_in = sizeof(*request));
	int err = bpf_prog_test_run_opts(store->programs[STORE_FLOW_PUT], &opts);

	return err ? fail_kernel(err, "cannot write a flow") : request->result;
}
