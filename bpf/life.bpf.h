/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The life of a flow: its clock, what its packets say about its state, when it
 * has expired (RFC 4787 REQ-5, RFC 5382 REQ-5, RFC 7857 section 2). State bits are
 * set and cleared by atomic operations, by both directions.
 */
#ifndef XDNAT_LIFE_BPF_H
#define XDNAT_LIFE_BPF_H

#include "half.bpf.h"

/* Ticks beyond its lifetime after which the sweep may free a flow: no packet
 * that still found it alive is under way then. */
#define SWEEP_SLACK_TICKS 2

/* A flow's share of the tick, from its client's port: flows change ticks at times
 * of their own, so that they do not all look up their next hop at once. */
static __always_inline __u8 life_phase(__be16 client_port)
{
	return ((const __u8 *)&client_port)[1];
}

/* Seconds or so since boot, for a flow of that phase. */
static __always_inline __u32 life_tick(__u8 phase)
{
	return (bpf_jiffies64() + (((__u64)phase << tick_shift) >> 8)) >> tick_shift;
}

/* Ticks since the half's last packet; one that came meanwhile counts as now. */
static __always_inline __u32 life_idle(const struct xdnat_half *half, __u32 tick)
{
	__u32 idle = tick - READ_ONCE(half->tick);

	return (__s32)idle < 0 ? 0 : idle;
}

/* partner may be NULL. slack: ticks of grace. */
static __always_inline bool life_is_expired(const struct xdnat_half *half,
					    const struct xdnat_half *partner, bool is_tcp,
					    __u32 slack)
{
	const struct xdnat_config *config = config_get();
	__u32 tick = life_tick(half->phase), idle = life_idle(half, tick);
	__u32 state = READ_ONCE(half->state), life;

	if (partner) {
		__u32 partner_idle = life_idle(partner, tick);

		idle = partner_idle < idle ? partner_idle : idle;
		state |= READ_ONCE(partner->state);
	}
	life = xdnat_life(is_tcp, state);
	return config && life < XDNAT_LIFE_MAX && idle > config->life_ticks[life] + slack;
}

static __always_inline void life_set(struct xdnat_half *half, __u32 bits)
{
	if (half && (READ_ONCE(half->state) & bits) != bits)
		__sync_fetch_and_or(&half->state, bits);
}

static __always_inline void life_clear(struct xdnat_half *half, __u32 bits)
{
	if (half && READ_ONCE(half->state) & bits)
		__sync_fetch_and_and(&half->state, ~bits);
}

/* The target answers. The original half is marked first. */
static __always_inline void life_answer(const struct packet *pkt, struct xdnat_half *half,
					struct xdnat_half *original)
{
	__u32 bits = pkt->proto == IPPROTO_TCP ? XDNAT_ANSWERED : XDNAT_SETTLED;

	if (pkt->tcp_flags & TCP_RST) /* a refusal is no answer (RFC 7857 section 7) */
		return;
	life_set(original, bits);
	life_set(half, bits);
}

/* The target refuses: that does not keep a flow alive (RFC 7857 section 7). */
static __always_inline bool life_is_refreshed(const struct packet *pkt,
					      const struct xdnat_half *half)
{
	return half->direction == XDNAT_ORIGINAL || !(pkt->tcp_flags & TCP_RST);
}

/* A client starts over on the ports of an old connection. */
static __always_inline void life_restart(struct xdnat_half *half, struct xdnat_half *partner)
{
	life_clear(half, XDNAT_CLOSING | XDNAT_CONFIRMED);
	life_clear(partner, XDNAT_CLOSING | XDNAT_CONFIRMED);
}

/* What this packet means for the flow's state. FIN and RST only shorten its life,
 * data or a new SYN revives it (RFC 7857 section 2.2). */
static __always_inline void life_advance(const struct packet *pkt, struct xdnat_half *half,
					 struct xdnat_half *partner)
{
	if (half->direction == XDNAT_REPLY)
		life_answer(pkt, half, partner);
	if (pkt->proto != IPPROTO_TCP)
		return;
	if (pkt->tcp_flags & (TCP_FIN | TCP_RST)) {
		life_set(half, XDNAT_CLOSING);
	} else if (pkt->tcp_flags & TCP_SYN) {
		if (half->direction == XDNAT_ORIGINAL)
			life_restart(half, partner);
	} else if (pkt->payload_bytes) {
		life_clear(half, XDNAT_CLOSING);
		life_clear(partner, XDNAT_CLOSING);
	}
	if (half->direction == XDNAT_ORIGINAL && READ_ONCE(half->state) & XDNAT_ANSWERED &&
	    !(pkt->tcp_flags & (TCP_SYN | TCP_RST))) {
		life_set(half, XDNAT_CONFIRMED);
		life_set(partner, XDNAT_CONFIRMED);
	}
}

/* half_word() of a half on the fast path: the version, unless a hop is written. */
static __always_inline bool life_is_settled(__u64 word)
{
	return (word >> 32) == XDNAT_SETTLED && !(word & 1);
}

/* A packet of this tick, from where the last one came: nothing to decide. */
static __always_inline bool life_is_usual(const struct xdnat_half *half, const struct packet *pkt,
					  __u32 ingress)
{
	return READ_ONCE(half->tick) == life_tick(half->phase) &&
	       READ_ONCE(half->in_ifindex) == ingress &&
	       is_same_mac(pkt->eth->h_dest, half->in_mac) && pkt->bytes <= READ_ONCE(half->mtu) &&
	       !(pkt->tcp_flags & (TCP_SYN | TCP_FIN | TCP_RST));
}

#endif
