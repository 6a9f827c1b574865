/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Takes the datapath's flows over into the tables of the others, both halves of the flow
 * whose client's packet it is.
 */
#ifndef BENCH_COPY_BPF_H
#define BENCH_COPY_BPF_H

#include "floor.bpf.h"

__u64 copied; /* flows, both halves of which were settled */

/* Too large for the stack. Test runs do not nest. */
static struct hash_half4 copy4;
static struct hash_half6 copy6;
static struct partner copy_partner;

static __always_inline bool is_settled(const struct stored *stored)
{
	return xdnat_state(stored->word) == (XDNAT_TAKEN | XDNAT_SETTLED);
}

static __noinline bool copy_stored4(const struct stored *stored, const struct tuple *tuple)
{
	if (!stored->half || !stored->half4)
		return false;
	key4_from(tuple, &copy4.key);
	copy4.half = *stored->half;
	copy4.both = stored->half4->both;
	return !bpf_map_update_elem(&bench_hash4, &copy4.key, &copy4, BPF_ANY) &&
	       !bpf_map_update_elem(&bench_floor_map4, &copy4.key, &copy4, BPF_ANY);
}

static __noinline bool copy_stored6(const struct stored *stored, const struct tuple *tuple)
{
	if (!stored->half || !stored->half6)
		return false;
	copy6.key = *key6_of(tuple);
	copy6.half = *stored->half;
	__builtin_memcpy(copy6.src, stored->half6->src, sizeof(copy6.src));
	__builtin_memcpy(copy6.dst, stored->half6->dst, sizeof(copy6.dst));
	return !bpf_map_update_elem(&bench_hash6, &copy6.key, &copy6, BPF_ANY) &&
	       !bpf_map_update_elem(&bench_floor_map6, &copy6.key, &copy6, BPF_ANY);
}

/* False: the flow is not there, or not settled. */
static __always_inline bool copy_flow(const struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct stored stored, other;
	struct packet pkt = {};
	struct tuple tuple;

	if (packet_parse(data, end, &pkt))
		return false;
	packet_tuple(&pkt, &tuple);
	if (!flow_find(&tuple, &stored))
		return false;
	flow_find_partner(&stored, &tuple, &copy_partner, &other);
	if (!other.half || !is_settled(&stored) || !is_settled(&other))
		return false;
	/* The reply first, as the datapath does: neighbours in memory. */
	if (tuple.is_v6)
		return copy_stored6(&other, &copy_partner.tuple) && copy_stored6(&stored, &tuple);
	return copy_stored4(&other, &copy_partner.tuple) && copy_stored4(&stored, &tuple);
}

#endif
