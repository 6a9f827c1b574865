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

/* Jiffies, the low word: differences hold for 24 days at 1000 Hz. */
static __always_inline __u32 life_now(void)
{
	return bpf_jiffies64();
}

/* The first packet after this has something to look up. */
static __always_inline bool life_tick_is_over(__u32 until, __u32 now)
{
	return (__s32)(now - until) >= 0;
}

/* True for the one packet that begins the half's next tick. */
static __always_inline bool life_begin_tick(struct xdnat_half *half, __u32 now)
{
	__u32 until = READ_ONCE(half->until);

	return life_tick_is_over(until, now) &&
	       __sync_val_compare_and_swap(&half->until, until, now + tick_jiffies) == until;
}

/* Jiffies for which no packet has come, less a tick at the most. */
static __always_inline __u32 life_idle(const struct xdnat_half *half, __u32 now)
{
	__u32 until = READ_ONCE(half->until);

	return life_tick_is_over(until, now) ? now - until : 0;
}

/* partner may be NULL. slack: ticks of grace. */
static __always_inline bool life_is_expired(const struct xdnat_half *half,
					    const struct xdnat_half *partner, bool is_tcp,
					    __u32 slack)
{
	__u32 now = life_now(), idle = life_idle(half, now), state = READ_ONCE(half->state), life;
	const struct xdnat_config *config = config_get();

	if (partner) {
		__u32 partner_idle = life_idle(partner, now);

		idle = partner_idle < idle ? partner_idle : idle;
		state |= READ_ONCE(partner->state);
	}
	life = xdnat_life(is_tcp, state);
	return config && life < XDNAT_LIFE_MAX &&
	       idle > config->life_jiffies[life] + slack * tick_jiffies;
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

/* Puts the dead flow's reply half to rest. `until` is in place before it counts. */
static __always_inline void life_rest(struct xdnat_half *reply)
{
	reply->until = life_now() + XDNAT_REST_TICKS * tick_jiffies;
	__sync_lock_test_and_set(&reply->state, XDNAT_DEAD | XDNAT_RESTING);
}

/* Ends a rest. True for the one who does, and who deletes it then. */
static __always_inline bool life_end_rest(struct xdnat_half *reply)
{
	__u32 state = READ_ONCE(reply->state);

	return (state & XDNAT_RESTING) &&
	       __sync_val_compare_and_swap(&reply->state, state, XDNAT_DEAD) == state;
}

/* The target answers. The original half is marked first. */
static __always_inline void life_answer(const struct traits *traits, struct xdnat_half *half,
					struct xdnat_half *original)
{
	__u32 bits = traits->is_tcp ? XDNAT_ANSWERED : XDNAT_SETTLED;

	if (traits->tcp_flags & TCP_RST) /* a refusal is no answer (RFC 7857 section 7) */
		return;
	life_set(original, bits);
	life_set(half, bits);
}

/* The target refuses: that does not keep a flow alive (RFC 7857 section 7). */
static __always_inline bool life_is_refreshed(const struct traits *traits,
					      const struct xdnat_half *half)
{
	return half->direction == XDNAT_ORIGINAL || !(traits->tcp_flags & TCP_RST);
}

/* A client starts over on the ports of an old connection. */
static __always_inline void life_restart(struct xdnat_half *half, struct xdnat_half *partner)
{
	life_clear(half, XDNAT_CLOSING | XDNAT_CONFIRMED);
	life_clear(partner, XDNAT_CLOSING | XDNAT_CONFIRMED);
}

/* What this packet means for the flow's state. FIN and RST only shorten its life,
 * data or a new SYN revives it (RFC 7857 section 2.2). */
static __always_inline void life_advance(const struct traits *traits, struct xdnat_half *half,
					 struct xdnat_half *partner)
{
	if (half->direction == XDNAT_REPLY)
		life_answer(traits, half, partner);
	if (!traits->is_tcp)
		return;
	if (traits->tcp_flags & (TCP_FIN | TCP_RST)) {
		life_set(half, XDNAT_CLOSING);
	} else if (traits->tcp_flags & TCP_SYN) {
		if (half->direction == XDNAT_ORIGINAL)
			life_restart(half, partner);
	} else if (traits->has_payload) {
		life_clear(half, XDNAT_CLOSING);
		life_clear(partner, XDNAT_CLOSING);
	}
	if (half->direction == XDNAT_ORIGINAL && READ_ONCE(half->state) & XDNAT_ANSWERED &&
	    !(traits->tcp_flags & (TCP_SYN | TCP_RST))) {
		life_set(half, XDNAT_CONFIRMED);
		life_set(partner, XDNAT_CONFIRMED);
	}
}

/* word: half_word(). True if on the fast path and no hop is being written. */
static __always_inline bool life_is_settled(__u64 word)
{
	return (word >> 32) == XDNAT_SETTLED && !(word & 1);
}

/* A packet of this tick, from where the last one came: nothing to decide. */
static __always_inline bool life_is_usual(const struct xdnat_half *half, const struct packet *pkt,
					  __u32 ingress, __u32 now)
{
	return !life_tick_is_over(READ_ONCE(half->until), now) &&
	       READ_ONCE(half->in_ifindex) == ingress &&
	       is_same_mac(pkt->eth->h_dest, half->in_mac) && pkt->bytes <= READ_ONCE(half->mtu) &&
	       !(pkt->tcp_flags & (TCP_SYN | TCP_FIN | TCP_RST));
}

#endif
