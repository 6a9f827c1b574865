/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * From a parsed packet to a forwarded one: the fast path of an established flow,
 * the slow one when something must be decided, the making of a new flow, and the
 * refusal of what is ours but cannot be forwarded here.
 */
#ifndef XDNAT_FORWARD_BPF_H
#define XDNAT_FORWARD_BPF_H

#include "flow.bpf.h"
#include "life.bpf.h"
#include "rule.bpf.h"

/* Rewrites pkt, which looks like tuple, as its half says, out by hop. */
static __noinline enum xdnat_reason forward_by(struct packet *pkt, const struct stored *stored,
					       const struct hop *hop, const struct tuple *tuple)
{
	struct translation to;

	if (pkt->bytes > hop->mtu)
		return XDNAT_DROP_TOO_BIG;
	if (!stored_copy(stored, tuple, hop, &to))
		return XDNAT_DROP_BUSY;
	half_count(stored->half, pkt);
	pkt->out_ifindex = hop->ifindex;
	if (pkt->ip6)
		rewrite6(pkt, &to);
	else if (pkt->ip4)
		rewrite4(pkt, &to);
	return XDNAT_FORWARDED;
}

/* Both next hops of a new flow, and whether the client can be where the packet
 * came from. The reply's may be unknown for now, its first packet asks again. */
static __noinline enum xdnat_reason forward_routes(struct xdp_md *ctx, struct making *making)
{
	struct hop *hop = &making->hop, *reply_hop = &making->reply_hop;
	enum xdnat_reason reason = route_lookup(ctx, &making->leaving, making->in_ifindex, hop);

	if (reason)
		return reason;
	reason = route_lookup(ctx, &making->reply_leaving, hop->ifindex, reply_hop);
	/* Our own address, or one that lives where the target does (RFC 6092 REC-5). */
	if (reply_hop->is_local ||
	    (reply_hop->ifindex == hop->ifindex && hop->ifindex != making->in_ifindex))
		return XDNAT_DROP_BAD_SOURCE;
	if (reason == XDNAT_DROP_NO_NEIGHBOUR) {
		reply_hop->mtu = 0;
		return XDNAT_FORWARDED;
	}
	return reason;
}

/* A packet that matched a rule, may it make a flow? */
static __always_inline enum xdnat_reason forward_admit(const struct packet *pkt,
						       const struct tuple *tuple,
						       const struct xdnat_rule *rule, __u32 tick)
{
	if (pkt->ip4 && !packet_header_is_valid(pkt->ip4))
		return XDNAT_DROP_HEADER_CHECKSUM;
	if (is_bad_source(tuple, &rule->target))
		return XDNAT_DROP_BAD_SOURCE;
	return pkt->tcp ? rule_admit_tcp(pkt, tick) : XDNAT_FORWARDED;
}

static __always_inline void making_start(struct making *making, const struct xdnat_rule *rule,
					 __u32 ingress, __u32 tick)
{
	making->leaving = making->original;
	making->leaving.dst = rule->target;
	making->leaving.dport = rule->target_port;
	tuple_reverse(&making->leaving, &making->reply);
	tuple_reverse(&making->original, &making->reply_leaving);
	making->in_ifindex = ingress;
	making->tick = tick;
}

/* A packet without a flow. */
static __noinline enum xdnat_reason forward_new(struct xdp_md *ctx, struct packet *pkt)
{
	__u32 tick = life_tick(pkt->sport, pkt->dport);
	const struct xdnat_interface *interface;
	struct making *making = scratch_get();
	enum xdnat_reason reason;
	struct xdnat_rule *rule;
	struct stored stored;

	if (!making)
		return XDNAT_PASS_NO_RULE;
	packet_tuple(pkt, &making->original);
	making->rule = rule_find(&making->original);
	rule = making->rule ? rule_get(making->rule) : NULL;
	if (!rule || rule->is_v6 != making->original.is_v6)
		return XDNAT_PASS_NO_RULE;
	interface = interface_get(ctx->ingress_ifindex);
	if (!interface || !is_same_mac(pkt->eth->h_dest, interface->mac))
		return XDNAT_PASS_OTHER_MAC;
	reason = forward_admit(pkt, &making->original, rule, tick);
	if (reason)
		return reason;
	making_start(making, rule, ctx->ingress_ifindex, tick);
	reason = forward_routes(ctx, making);
	if (reason)
		return reason;
	if (pkt->bytes > making->hop.mtu)
		return XDNAT_DROP_TOO_BIG;
	reason = flow_make(making);
	if (reason)
		return reason;
	__sync_fetch_and_add(&rule->flows_made, 1);
	if (!flow_find(&making->original, &stored))
		return XDNAT_DROP_BUSY;
	return forward_by(pkt, &stored, &making->hop, &making->original);
}

/* Originals may come in anywhere we are loaded; replies only where the originals
 * go out. An original re-makes a reply half that is missing. */
static __always_inline enum xdnat_reason forward_check(struct xdp_md *ctx, struct xdnat_half *half,
						       struct xdnat_half *partner)
{
	if (half->direction != XDNAT_REPLY)
		return XDNAT_FORWARDED;
	if (!partner)
		return XDNAT_DROP_EXPIRED;
	return READ_ONCE(partner->out_ifindex) == ctx->ingress_ifindex ? XDNAT_FORWARDED
								       : XDNAT_DROP_WRONG_INTERFACE;
}

/*
 * The next hop for a packet that is not on the fast path: the first packet of a
 * tick looks it up and writes it down for the others; the rest copy it, or look
 * it up for themselves while it is being written.
 */
static __noinline enum xdnat_reason forward_next_hop(struct xdp_md *ctx,
						     const struct stored *stored,
						     const struct tuple *tuple, __u32 tick,
						     struct hop *hop)
{
	struct xdnat_half *half = stored->half;
	struct tuple leaving;
	__u32 seen = READ_ONCE(half->tick);
	bool is_first =
		seen != tick && __sync_val_compare_and_swap(&half->tick, seen, tick) == seen;
	enum xdnat_reason reason;

	if (!is_first && half_load_hop(half, hop))
		return XDNAT_FORWARDED;
	flow_leaving(stored, tuple, &leaving);
	reason = route_lookup(ctx, &leaving, ctx->ingress_ifindex, hop);
	if (reason) /* replies go on coming in where it was */
		hop->mtu = 0;
	if (!hop->ifindex)
		hop->ifindex = READ_ONCE(half->out_ifindex);
	half_store_hop(half, hop);
	return reason;
}

/* A packet of a flow, but not one that the fast path may take. XDNAT_PASS_NO_RULE:
 * the flow had ended, it is a packet without one now. */
static __noinline enum xdnat_reason forward_by_flow(struct xdp_md *ctx, struct packet *pkt,
						    const struct stored *stored)
{
	const struct xdnat_interface *interface = interface_get(ctx->ingress_ifindex);
	__u32 tick = life_tick(pkt->sport, pkt->dport);
	struct xdnat_half *half = stored->half, *partner;
	enum xdnat_reason reason;
	struct tuple tuple;
	struct hop hop;

	if (!interface || !is_same_mac(pkt->eth->h_dest, interface->mac))
		return XDNAT_PASS_OTHER_MAC;
	packet_tuple(pkt, &tuple);
	partner = flow_find_partner(stored, &tuple);
	if (READ_ONCE(half->state) & XDNAT_DEAD)
		return XDNAT_DROP_BUSY;
	if (life_is_expired(half, partner, tick, 0) || (!partner && !half->direction)) {
		if (half->direction == XDNAT_REPLY)
			return XDNAT_DROP_EXPIRED;
		return flow_end(&tuple, stored, partner) ? XDNAT_PASS_NO_RULE : XDNAT_DROP_BUSY;
	}
	reason = forward_check(ctx, half, partner);
	if (reason)
		return reason;
	half_remember_ingress(half, ctx->ingress_ifindex, interface);
	life_advance(pkt, half, partner);
	reason = forward_next_hop(ctx, stored, &tuple, tick, &hop);
	if (reason)
		return reason;
	return forward_by(pkt, stored, &hop, &tuple);
}

static __always_inline enum xdnat_reason forward_slow(struct xdp_md *ctx, struct packet *pkt,
						      const struct stored *stored)
{
	enum xdnat_reason reason = forward_by_flow(ctx, pkt, stored);

	return reason == XDNAT_PASS_NO_RULE ? forward_new(ctx, pkt) : reason;
}

/* An IPv4 packet, whole and without options. */
static __always_inline enum xdnat_reason forward4(struct xdp_md *ctx, struct packet *pkt)
{
	struct stored stored = {};
	struct xdnat_half4 *half4;
	struct xdnat_half *half;
	struct translation to;
	struct xdnat_key4 key;
	__u32 version;

	packet_key4(pkt, &key);
	half4 = bpf_map_lookup_elem(&xdnat_flows4, &key);
	if (!half4)
		return forward_new(ctx, pkt);
	half = &half4->half;
	stored.half = half;
	stored.half4 = half4;
	version = READ_ONCE(half->version);
	if ((version & 1) || !life_is_settled(half, pkt, ctx->ingress_ifindex))
		return forward_slow(ctx, pkt, &stored);
	half_copy(half, &to);
	to.src[0] = half4->src;
	to.dst[0] = half4->dst;
	barrier();
	if (READ_ONCE(half->version) != version || !half4_is(half4, &key))
		return forward_slow(ctx, pkt, &stored);
	half_count(half, pkt);
	pkt->out_ifindex = to.out_ifindex;
	rewrite4(pkt, &to);
	return XDNAT_FORWARDED;
}

/* The same for IPv6. */
static __always_inline enum xdnat_reason forward6(struct xdp_md *ctx, struct packet *pkt)
{
	struct stored stored = {};
	struct xdnat_half6 *half6;
	struct xdnat_half *half;
	struct translation to;
	struct xdnat_key6 key;
	__u32 version;

	packet_key6(pkt, &key);
	half6 = bpf_map_lookup_elem(&xdnat_flows6, &key);
	if (!half6)
		return forward_new(ctx, pkt);
	half = &half6->half;
	stored.half = half;
	stored.half6 = half6;
	version = READ_ONCE(half->version);
	if ((version & 1) || !life_is_settled(half, pkt, ctx->ingress_ifindex))
		return forward_slow(ctx, pkt, &stored);
	half_copy(half, &to);
	__builtin_memcpy(to.src, half6->src, sizeof(to.src));
	__builtin_memcpy(to.dst, half6->dst, sizeof(to.dst));
	barrier();
	if (READ_ONCE(half->version) != version || !half6_is(half6, &key))
		return forward_slow(ctx, pkt, &stored);
	half_count(half, pkt);
	pkt->out_ifindex = to.out_ifindex;
	rewrite6(pkt, &to);
	return XDNAT_FORWARDED;
}

/* Ours but unfit for rewriting here: dropped with its flaw. Else passed on. */
static __noinline enum xdnat_reason forward_refuse(struct xdp_md *ctx, struct packet *pkt,
						   enum xdnat_reason flaw)
{
	const struct xdnat_interface *interface;
	struct stored stored;
	struct tuple tuple;

	packet_tuple(pkt, &tuple);
	if (!flow_find(&tuple, &stored) && !rule_find(&tuple))
		return XDNAT_PASS_NO_RULE;
	interface = interface_get(ctx->ingress_ifindex);
	return interface && is_same_mac(pkt->eth->h_dest, interface->mac) ? flaw
									  : XDNAT_PASS_OTHER_MAC;
}

#endif
