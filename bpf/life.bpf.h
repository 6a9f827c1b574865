/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The life of a flow: its clock, what its packets say about its state, when it
 * has expired (RFC 4787 REQ-5, RFC 5382 REQ-5, RFC 7857 section 2).
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
static __always_inline bool life_begin_tick(struct stored *stored, __u32 now)
{
#pragma clang loop unroll(disable)
	for (int i = 0; i < SWAP_TRIES; i++) {
		if (!life_tick_is_over(xdnat_until(stored->word), now))
			return false;
		if (stored_swap(stored, word_with_until(stored->word, now + tick_jiffies)))
			return true;
		if (!stored_refresh(stored))
			return false;
	}
	return false;
}

/* Jiffies for which no packet has come, less a tick at the most. */
static __always_inline __u32 life_idle(__u64 word, __u32 now)
{
	__u32 until = xdnat_until(word);

	return life_tick_is_over(until, now) ? now - until : 0;
}

/* By the words of a flow's halves; partner: 0 if it is missing. slack: ticks of grace. Not
 * inlined: its callers' stack is short (by 32 bytes, with clang 19 on Linux 6.1). */
static __noinline bool life_is_expired(__u64 word, __u64 partner, bool is_tcp, __u32 slack)
{
	__u32 now = life_now(), idle = life_idle(word, now), state = xdnat_state(word), life;
	const struct xdnat_config *config = config_get();

	if (partner) {
		__u32 partner_idle = life_idle(partner, now);

		idle = partner_idle < idle ? partner_idle : idle;
		state |= xdnat_state(partner);
	}
	life = xdnat_life(is_tcp, state);
	return config && life < XDNAT_LIFE_MAX &&
	       idle > config->life_jiffies[life] + slack * tick_jiffies;
}

/* Changes both halves' state. On the fast path nobody would miss a partner that is gone
 * until the tick ends: a half without one leaves it, and its next packet makes that anew. */
static __always_inline void life_change(struct stored *stored, struct stored *partner, __u32 set,
					__u32 clear)
{
	if (stored_change(stored, WORD_STATE(set), WORD_STATE(clear)) &&
	    !(partner->half && stored_change(partner, WORD_STATE(set), WORD_STATE(clear))))
		stored_change(stored, 0, WORD_STATE(XDNAT_CONFIRMED));
}

/* Puts the dead flow's reply half to rest. */
static __always_inline bool life_rest(struct stored *reply)
{
	__u32 until = life_now() + XDNAT_REST_TICKS * tick_jiffies;

	return stored_change(reply, until | WORD_STATE(XDNAT_TAKEN | XDNAT_DEAD | XDNAT_RESTING),
			     WORD_STATE(0xff) | 0xffffffff);
}

/* Ends a rest. True for the one who does, and who frees the slot then. */
static __always_inline bool life_end_rest(struct stored *reply)
{
	return (xdnat_state(reply->word) & XDNAT_RESTING) &&
	       stored_swap(reply, word_with_state(reply->word, XDNAT_TAKEN | XDNAT_DEAD));
}

/* The target answers. The original half is marked first; if it is gone, the next answer
 * makes it anew. If the reply half is, the client's next packet makes it anew: it must not
 * be on the fast path. */
static __always_inline void life_answer(const struct traits *traits, struct stored *reply,
					struct stored *original)
{
	__u32 bits = traits->is_tcp ? XDNAT_ANSWERED : XDNAT_SETTLED;

	if (traits->tcp_flags & TCP_RST) /* a refusal is no answer (RFC 7857 section 7) */
		return;
	if (original->half && stored_change(original, WORD_STATE(bits), 0) &&
	    !stored_change(reply, WORD_STATE(bits), 0))
		stored_change(original, 0, WORD_STATE(XDNAT_CONFIRMED));
}

/* The target refuses: that does not keep a flow alive (RFC 7857 section 7). */
static __always_inline bool life_is_refreshed(const struct traits *traits,
					      const struct xdnat_half *half)
{
	return half->direction == XDNAT_ORIGINAL || !(traits->tcp_flags & TCP_RST);
}

/* What this packet means for the flow's state. FIN and RST only shorten its life,
 * data or a new SYN revives it (RFC 7857 section 2.2); a SYN starts over on the ports of
 * an old connection, whose place it keeps (XDNAT_ASSURED). */
static __always_inline void life_advance(const struct traits *traits, struct stored *stored,
					 struct stored *partner)
{
	bool is_original = stored->half->direction == XDNAT_ORIGINAL;
	__u32 set = 0, clear = 0;

	if (!is_original)
		life_answer(traits, stored, partner);
	if (!traits->is_tcp)
		return;
	if (traits->tcp_flags & (TCP_FIN | TCP_RST)) {
		stored_change(stored, WORD_STATE(XDNAT_CLOSING), 0);
	} else if (traits->tcp_flags & TCP_SYN) {
		if (is_original)
			clear = XDNAT_CLOSING | XDNAT_CONFIRMED;
	} else if (traits->has_payload) {
		clear = XDNAT_CLOSING;
	}
	if (is_original && (xdnat_state(stored->word) & XDNAT_ANSWERED) &&
	    !(traits->tcp_flags & (TCP_SYN | TCP_RST)))
		set = XDNAT_CONFIRMED | XDNAT_ASSURED;
	life_change(stored, partner, set, clear);
}

/* True if on the fast path and no hop is being written. */
static __always_inline bool life_is_settled(__u64 word)
{
	__u32 upper = word >> XDNAT_WORD_STATE;

	barrier_var(upper); /* else clang compares by 64-bit constants, which are loaded */
	return (upper & (0xff | 1U << (XDNAT_WORD_HOP - XDNAT_WORD_STATE))) ==
	       (XDNAT_TAKEN | XDNAT_SETTLED);
}

#endif
