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

/* Sends the packet as the stored half says, by the next hop given. Packet pointers
 * stay valid; XDNAT_DROP_BUSY: the half changed hands. */
static __noinline enum xdnat_reason forward_by(struct packet *pkt, const struct stored *stored,
					       const struct tuple *tuple, const struct hop *hop,
					       __u32 *out_ifindex)
{
	struct translation to;

	if (pkt->bytes > hop->mtu)
		return XDNAT_DROP_TOO_BIG;
	if (!stored_copy(stored, tuple, hop, &to))
		return XDNAT_DROP_BUSY;
	half_count(stored->half, pkt->bytes);
	*out_ifindex = hop->ifindex;
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
static __always_inline enum xdnat_reason
forward_admit(const struct packet *pkt, const struct tuple *tuple, const struct xdnat_rule *rule)
{
	if (pkt->ip4 && !packet_header_is_valid(pkt->ip4))
		return XDNAT_DROP_HEADER_CHECKSUM;
	if (is_bad_source(tuple, &rule->target))
		return XDNAT_DROP_BAD_SOURCE;
	return pkt->tcp ? rule_admit_tcp(pkt) : XDNAT_FORWARDED;
}

static __always_inline void making_start(struct making *making, const struct xdnat_rule *rule,
					 __u32 ingress)
{
	making->leaving = making->original;
	making->leaving.dst = rule->target;
	making->leaving.ports.dport = rule->target_port;
	tuple_reverse(&making->leaving, &making->reply);
	tuple_reverse(&making->original, &making->reply_leaving);
	making->in_ifindex = ingress;
	making->now = life_now();
}

/* A packet without a flow; making->original is its tuple. */
static __noinline enum xdnat_reason forward_new(struct xdp_md *ctx, struct packet *pkt,
						struct making *making, __u32 *out_ifindex)
{
	const struct xdnat_interface *interface;
	enum xdnat_reason reason;
	struct xdnat_rule *rule;
	struct stored stored;

	making->rule = rule_find(&making->original);
	rule = making->rule ? rule_get(making->rule) : NULL;
	if (!rule)
		return XDNAT_PASS_NO_RULE;
	interface = interface_get(ctx->ingress_ifindex);
	if (!interface || !is_same_mac(pkt->eth->h_dest, interface->mac))
		return XDNAT_PASS_OTHER_MAC;
	reason = forward_admit(pkt, &making->original, rule);
	if (reason)
		return reason;
	making_start(making, rule, ctx->ingress_ifindex);
	reason = forward_routes(ctx, making);
	if (reason)
		return reason;
	if (pkt->bytes > making->hop.mtu)
		return XDNAT_DROP_TOO_BIG;
	reason = flow_make(making, rule);
	if (reason)
		return reason;
	if (!flow_find(&making->original, &stored))
		return XDNAT_DROP_BUSY;
	return forward_by(pkt, &stored, &making->original, &making->hop, out_ifindex);
}

/* The reply half of a live flow is missing: it is made again from the original. */
static __always_inline enum xdnat_reason forward_remake(const struct stored *stored,
							struct making *making)
{
	flow_leaving(stored, &making->original, &making->leaving);
	tuple_reverse(&making->leaving, &making->reply);
	tuple_reverse(&making->original, &making->reply_leaving);
	making->rule = stored->half->rule;
	making->now = life_now();
	making->hop.ifindex = stored->half->out_ifindex;
	__builtin_memset(&making->reply_hop, 0, sizeof(making->reply_hop));
	return flow_make_reply(making);
}

/* Originals may come in anywhere we are loaded; replies only where the originals
 * go out. */
static __always_inline enum xdnat_reason forward_check(const struct xdp_md *ctx,
						       const struct stored *stored,
						       const struct xdnat_half *partner,
						       struct making *making)
{
	if (stored->half->direction == XDNAT_ORIGINAL)
		return partner ? XDNAT_FORWARDED : forward_remake(stored, making);
	if (!partner)
		return XDNAT_DROP_EXPIRED;
	return READ_ONCE(partner->out_ifindex) == ctx->ingress_ifindex ? XDNAT_FORWARDED
								       : XDNAT_DROP_WRONG_INTERFACE;
}

/*
 * The next hop for a packet that is not on the fast path: the first one after the
 * half's tick has ended begins the next tick, looks the hop up and writes it down;
 * the rest copy it, or look it up for themselves while it is being written.
 */
static __noinline enum xdnat_reason forward_next_hop(struct xdp_md *ctx,
						     const struct stored *stored,
						     const struct tuple *tuple, bool refreshes,
						     struct hop *hop)
{
	struct xdnat_half *half = stored->half;
	__u32 until = READ_ONCE(half->until), now = life_now();
	bool is_first =
		refreshes && life_tick_is_over(until, now) &&
		__sync_val_compare_and_swap(&half->until, until, now + tick_jiffies) == until;
	enum xdnat_reason reason;
	struct tuple leaving;

	if (!is_first && half_load_hop(half, hop))
		return XDNAT_FORWARDED;
	flow_leaving(stored, tuple, &leaving);
	reason = route_lookup(ctx, &leaving, ctx->ingress_ifindex, hop);
	if (reason)
		hop->mtu = 0;
	/* Replies go on coming in where the last good answer was. */
	if (!hop->ifindex || reason == XDNAT_DROP_NOT_LOADED)
		hop->ifindex = READ_ONCE(half->out_ifindex);
	if (is_first || !READ_ONCE(half->mtu))
		half_store_hop(half, hop);
	return reason;
}

/* A packet of a flow, but not one that the fast path may take. */
static __noinline enum xdnat_reason forward_by_flow(struct xdp_md *ctx, struct packet *pkt,
						    const struct stored *stored,
						    struct making *making, __u32 *out_ifindex)
{
	const struct xdnat_interface *interface = interface_get(ctx->ingress_ifindex);
	struct xdnat_half *half = stored->half, *partner;
	struct stored other;

	enum xdnat_reason reason;

	if (!interface || !is_same_mac(pkt->eth->h_dest, interface->mac))
		return XDNAT_PASS_OTHER_MAC;
	if (READ_ONCE(half->state) & XDNAT_DEAD)
		return XDNAT_DROP_BUSY;
	partner = flow_find_partner(stored, &making->original, &making->partner, &other);
	if (life_is_expired(half, partner, pkt->tcp != NULL, 0))
		return XDNAT_DROP_EXPIRED;
	reason = forward_check(ctx, stored, partner, making);
	if (reason)
		return reason;
	half_set_ingress(half, ctx->ingress_ifindex, interface);
	life_advance(pkt, half, partner);

	reason = forward_next_hop(ctx, stored, &making->original, life_is_refreshed(pkt, half),
				  &making->hop);
	if (reason)
		return reason;
	return forward_by(pkt, stored, &making->original, &making->hop, out_ifindex);
}

/* Ours but unfit for rewriting here: dropped with its flaw. Else passed on. */
static __noinline enum xdnat_reason forward_refuse(const struct xdp_md *ctx,
						   const struct packet *pkt,
						   const struct tuple *tuple,
						   enum xdnat_reason flaw)
{
	const struct xdnat_interface *interface;
	struct stored stored;

	if (!flow_find(tuple, &stored) && !rule_find(tuple))
		return XDNAT_PASS_NO_RULE;
	interface = interface_get(ctx->ingress_ifindex);
	return interface && is_same_mac(pkt->eth->h_dest, interface->mac) ? flaw
									  : XDNAT_PASS_OTHER_MAC;
}

/* The flow has expired: its client's packet is one without a flow. */
static __noinline bool forward_end(const struct stored *stored, struct making *making)
{
	struct stored other;

	flow_find_partner(stored, &making->original, &making->partner, &other);
	return flow_end(&making->original, stored, &making->partner, &other);
}

/* Whose packet is it? making->original is its tuple. */
static __always_inline enum xdnat_reason forward_find(struct xdp_md *ctx, struct packet *pkt,
						      struct making *making, __u32 *out_ifindex)
{
	enum xdnat_reason reason;
	struct stored stored;

	if (flow_find(&making->original, &stored)) {
		reason = forward_by_flow(ctx, pkt, &stored, making, out_ifindex);
		if (reason != XDNAT_DROP_EXPIRED || stored.half->direction == XDNAT_REPLY)
			return reason;
		if (!forward_end(&stored, making))
			return XDNAT_DROP_BUSY;
	}
	reason = forward_new(ctx, pkt, making, out_ifindex);
	if (reason == XDNAT_DROP_TUPLE_TAKEN && making_takes_over(making))
		reason = forward_new(ctx, pkt, making, out_ifindex);
	return reason;
}

/*
 * Everything that the fast path leaves. It starts over with the frame: the fast
 * path can then keep what it parsed in registers, where nothing else looks at it.
 */
static __noinline enum xdnat_reason forward_slow(struct xdp_md *ctx, __u32 *out_ifindex)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct making *making = scratch_get();
	struct packet pkt = {};
	enum xdnat_reason reason = packet_parse(data, end, &pkt);

	if (reason == XDNAT_DROP_EXT_HEADERS && !pkt.has_ports)
		reason = packet_parse_extensions(&pkt, end);
	if (!pkt.has_ports || !making)
		return reason;
	packet_tuple(&pkt, &making->original);
	if (reason)
		return forward_refuse(ctx, &pkt, &making->original, reason);
	return forward_find(ctx, &pkt, making, out_ifindex);
}

/*
 * Decides what needs no deciding: an established packet is rewritten, what can be
 * nobody's passes. False: a case for forward_slow().
 */
static __always_inline bool forward_fast(const struct xdp_md *ctx, enum xdnat_reason *reason,
					 __u32 *out_ifindex)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct xdnat_half *half = NULL;
	struct translation to;
	struct packet pkt = {};
	bool is_known = true;
	__u32 rule = 0;

	*reason = packet_parse(data, end, &pkt);
	if (*reason)
		return *reason < XDNAT_FIRST_DROP;
	if (pkt.ip4) {
		half = flow_copy4(&pkt, ctx->ingress_ifindex, &to, &is_known);
		if (half)
			rewrite4(&pkt, &to);
		else if (!is_known)
			rule = rule_find4(pkt.ip4->daddr, pkt.ports.dport, pkt.proto);
	} else if (pkt.ip6) {
		half = flow_copy6(&pkt, ctx->ingress_ifindex, &to, &is_known);
		if (half)
			rewrite6(&pkt, &to);
		else if (!is_known)
			rule = rule_find6(&pkt.ip6->daddr, pkt.ports.dport, pkt.proto);
	}
	if (!half) {
		*reason = XDNAT_PASS_NO_RULE;
		return !is_known && !rule;
	}
	half_count(half, pkt.bytes);
	*out_ifindex = to.out_ifindex;
	return true;
}

#endif
