/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What becomes of a packet, whatever hook it is at: the established flow's, the new
 * one's, and the refusal of what is ours but cannot be forwarded. It decides and
 * leaves the packet as it is: making->to says how it must leave, the hook does it.
 */
#ifndef XDNAT_FORWARD_BPF_H
#define XDNAT_FORWARD_BPF_H

#include "admission.bpf.h"
#include "create.bpf.h"
#include "flow.bpf.h"
#include "handed_on.bpf.h"
#include "life.bpf.h"
#include "mss.bpf.h"

#define AWAIT_TRIES 256 /* some ten microseconds */

/* Whether frames like this one are meant for us. */
static __always_inline bool forward_is_to_us(const struct packet *pkt, const struct making *making)
{
	const struct xdnat_interface *interface;

	if (!pkt->eth)
		return true;
	if (making->hook == XDNAT_HOOK_INGRESS && is_handed_on(pkt->eth->h_dest))
		return true;
	interface = interface_get(making->in_ifindex);
	return interface && is_same_mac(pkt->eth->h_dest, interface->mac);
}

/* Takes down what is decided by: the packet's tuple and traits. making: hook and
 * in_ifindex. The result is the flaw, unless it depends on the way: at the way out
 * nobody takes anything off the TTL, and this host delivers what it may not forward. */
static __noinline enum xdnat_reason forward_note(const struct packet *pkt, struct making *making,
						 enum xdnat_reason flaw)
{
	struct traits *traits = &making->traits;

	packet_tuple(pkt, &making->original);
	*traits = (struct traits){
		.all_bytes = pkt->bytes,
		.wire_packets = 1,
		.wire_bytes = pkt->bytes,
		.is_tcp = pkt->tcp != NULL,
		.tcp_flags = pkt->tcp_flags,
		.has_payload = pkt->payload_bytes != 0,
		.is_to_us = forward_is_to_us(pkt, making),
		.is_last_hop = flaw == XDNAT_DROP_TTL && making->hook != XDNAT_HOOK_EGRESS,
		.has_ports = true,
	};
	if (pkt->ip4)
		traits->is_bad_header = !packet_header_is_valid(pkt->ip4);
	return flaw == XDNAT_DROP_TTL ? XDNAT_FORWARDED : flaw;
}

/* The largest MSS that a SYN of a flow may announce; rule_mss_host: its rule's. */
static __always_inline __u16 forward_mss(__u16 rule_mss_host, const struct making *making,
					 __u16 reverse_mtu)
{
	if (rule_mss_host != XDNAT_MSS_AUTO)
		return rule_mss_host;
	return mss_of_ways(making->original.is_v6, making->hop.mtu, reverse_mtu);
}

/* The same for the SYN of a flow that is there. */
static __noinline __u16 forward_mss_of(__u32 rule_id, const struct making *making,
				       __u16 reverse_mtu)
{
	const struct xdnat_rule *rule = rule_get(rule_id);

	return rule ? forward_mss(rule->mss_host, making, reverse_mtu) : 0;
}

/* How the stored half's packets leave by making->hop: into making->to, leaving,
 * mss_host. reverse_mtu: of the partner's way, 0: not known. XDNAT_DROP_BUSY: the half
 * changed hands. */
static __noinline enum xdnat_reason forward_as(const struct stored *stored, struct making *making,
					       __u16 reverse_mtu)
{
	if (making->traits.wire_bytes > making->hop.mtu)
		return XDNAT_DROP_TOO_BIG;
	if (making->hook != XDNAT_HOOK_XDP &&
	    !flow_leaving(stored, &making->original, &making->leaving))
		return XDNAT_DROP_BUSY;
	making->mss_host = 0;
	if (making->traits.tcp_flags & TCP_SYN)
		making->mss_host = forward_mss_of(stored->half->rule, making, reverse_mtu);
	if (!stored_copy(stored, &making->hop, &making->to))
		return XDNAT_DROP_BUSY;
	half_count(stored->half, making->traits.wire_packets, making->traits.all_bytes);
	return XDNAT_FORWARDED;
}

/* How the packet leaves that has made its flow: by the half that was just put into the
 * table. */
static __always_inline void forward_as_made(struct making *making, struct xdnat_rule *rule)
{
	struct translation *to = &making->to;

	if (rule->id == making->rule) /* else it went meanwhile */
		__sync_fetch_and_add(&rule->flows_made, 1);
	making->mss_host = 0;
	if (making->traits.tcp_flags & TCP_SYN)
		making->mss_host =
			forward_mss(making->rule_mss_host, making, making->reply_hop.mtu);
	__builtin_memset(to, 0, sizeof(*to));
	if (making->original.is_v6) {
		half_copy(&making->in.half6.half, to);
		__builtin_memcpy(to->addrs, making->in.half6.src, sizeof(to->addrs));
	} else {
		half_copy(&making->in.half4.half, to);
		to->addrs[0] = making->in.half4.both;
	}
}

/* Originals may come in anywhere we are loaded; replies only where the originals
 * go out, but those that the kernel sends out, by its own judgement, anywhere. */
static __always_inline enum xdnat_reason forward_check(struct stored *stored, struct stored *other,
						       struct making *making)
{
	if (!other->half) {
		enum xdnat_reason reason = flow_renew(stored, making);

		if (!reason)
			flow_find_partner(stored, &making->original, &making->partner, other);
		return reason;
	}
	if (stored->half->direction == XDNAT_ORIGINAL || making->hook == XDNAT_HOOK_EGRESS ||
	    READ_ONCE(other->half->out_ifindex) == making->in_ifindex)
		return XDNAT_FORWARDED;
	return XDNAT_DROP_WRONG_INTERFACE;
}

/*
 * The next hop for a packet that is not on the fast path: the first one after the
 * half's tick has ended begins the next tick, looks the hop up and writes it down;
 * the rest copy it, or look it up for themselves while it is being written.
 */
static __noinline enum xdnat_reason forward_next_hop(void *ctx, struct stored *stored,
						     struct making *making, bool refreshes)
{
	const struct xdnat_interface *interface = interface_get(making->in_ifindex);
	bool is_first = refreshes && life_begin_tick(stored, life_now());
	struct xdnat_half *half = stored->half;
	struct hop *hop = &making->hop;
	enum xdnat_reason reason;

	if (making->hook == XDNAT_HOOK_EGRESS || READ_ONCE(half->out_ifindex) == LOCAL_IFINDEX) {
		forward_local(making);
		return XDNAT_FORWARDED;
	}
	/* What sends it may be another hook at another interface. */
	if (interface && half_is_moved(half, making->in_ifindex, interface))
		is_first = true;
	if (!is_first && half_load_hop(half, hop))
		return XDNAT_FORWARDED;
	if (!flow_leaving(stored, &making->original, &making->leaving))
		return XDNAT_DROP_BUSY;
	reason = route_lookup(ctx, &making->leaving, making->in_ifindex, hop);
	if (reason)
		hop->way = WAY_NEIGHBOUR;
	/* Replies go on coming in where the last good answer was. */
	if (!hop->ifindex || reason == XDNAT_DROP_NOT_LOADED)
		hop->ifindex = READ_ONCE(half->out_ifindex);
	if (is_first || !READ_ONCE(half->tc_mtu))
		half_store_hop(stored, hop, making->in_ifindex, interface);
	return reason;
}

/* A packet of a flow, but not one that the fast path may take. */
static __noinline enum xdnat_reason forward_by_flow(void *ctx, struct stored *stored,
						    struct making *making)
{
	enum xdnat_reason reason;
	struct stored other;

	if (!making->traits.is_to_us)
		return XDNAT_PASS_OTHER_MAC;
	if (xdnat_state(stored->word) & XDNAT_DEAD)
		return xdnat_state(stored->word) & XDNAT_RESTING ? XDNAT_DROP_EXPIRED
								 : XDNAT_DROP_BUSY;
	if (making->traits.is_last_hop && READ_ONCE(stored->half->out_ifindex) != LOCAL_IFINDEX)
		return XDNAT_DROP_TTL;
	flow_find_partner(stored, &making->original, &making->partner, &other);
	if (life_is_expired(stored->word, flow_partner_word(&other), making->traits.is_tcp, 0))
		return XDNAT_DROP_EXPIRED;
	reason = forward_check(stored, &other, making);
	if (reason)
		return reason;
	life_advance(&making->traits, stored, &other);
	reason = forward_next_hop(ctx, stored, making,
				  life_is_refreshed(&making->traits, stored->half));
	if (!reason)
		reason = forward_way(making);
	if (reason)
		return reason;
	return forward_as(stored, making, other.half ? READ_ONCE(other.half->tc_mtu) : 0);
}

/* Ours but unfit for rewriting here: its flaw. Else passed on. */
static __noinline enum xdnat_reason forward_refuse(struct making *making, enum xdnat_reason flaw)
{
	struct stored stored;

	if (!flow_find(&making->original, &stored) && !forward_rule(making))
		return XDNAT_PASS_NO_RULE;
	return making->traits.is_to_us ? flaw : XDNAT_PASS_OTHER_MAC;
}

/* The flow has expired: its client's packet is one without a flow. */
static __noinline bool forward_end(struct stored *stored, struct making *making)
{
	struct stored other;

	flow_find_partner(stored, &making->original, &making->partner, &other);
	return flow_end(&making->original, stored, &making->partner, &other, 0);
}

/* One turn of bpf_loop(): not 0 ends it. */
static long forward_await_flow(__u32 tried, struct making **context)
{
	struct stored stored;

	(void)tried;
	return flow_find(&(*context)->original, &stored);
}

/* Another processor makes the flow just now: waits until it is there, or a while. */
static __noinline void forward_await(struct making *making)
{
	bpf_loop(AWAIT_TRIES, forward_await_flow, &making, 0);
}

/*
 * Whose packet is it, and what becomes of it? making: its tuple, as original; hook,
 * traits, in_ifindex. XDNAT_FORWARDED: as making->to says, by making->hop.
 */
static __always_inline enum xdnat_reason forward_decide(void *ctx, struct making *making)
{
	enum xdnat_reason reason;
	struct xdnat_rule *rule;
	struct stored stored;

	if (flow_find(&making->original, &stored)) {
		reason = forward_by_flow(ctx, &stored, making);
		if (reason != XDNAT_DROP_EXPIRED || stored.half->direction == XDNAT_REPLY)
			return reason;
		if (!forward_end(&stored, making))
			return XDNAT_DROP_BUSY;
	}
	rule = forward_rule(making);
	if (!rule)
		return XDNAT_PASS_NO_RULE;
	reason = forward_new(ctx, making, rule);
	if (!reason)
		reason = flow_make();
	if (!reason)
		forward_as_made(making, rule);
	if (reason != XDNAT_DROP_BUSY)
		return reason;
	forward_await(making);
	if (!flow_find(&making->original, &stored))
		return XDNAT_DROP_BUSY;
	return forward_as(&stored, making, making->reply_hop.mtu);
}

/* At XDNAT_HOOK_EGRESS: what cannot be translated and has a flaw. A live flow's answer
 * must not be seen as it is. */
static __always_inline enum xdnat_reason forward_refuse_out(const struct making *making,
							    enum xdnat_reason flaw)
{
	struct stored stored;

	if (!flow_find(&making->original, &stored) || stored.half->direction != XDNAT_REPLY ||
	    (xdnat_state(stored.word) & XDNAT_DEAD))
		return XDNAT_PASS_NO_RULE;
	return flaw;
}

/* At XDNAT_HOOK_EGRESS: a target's answer that the kernel sends out by itself, from
 * this host or forwarded, is translated; it asks no route and no MAC address. */
static __always_inline enum xdnat_reason forward_reply_out(void *ctx, struct making *making)
{
	struct stored stored;

	if (!flow_find(&making->original, &stored) || stored.half->direction != XDNAT_REPLY)
		return XDNAT_PASS_NO_RULE;
	return forward_by_flow(ctx, &stored, making);
}

#endif
