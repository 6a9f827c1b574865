/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Both halves of a flow are made, or neither; a missing one is made again from the other.
 * Knows no routes; who calls has found them.
 */
#ifndef XDNAT_CREATE_BPF_H
#define XDNAT_CREATE_BPF_H

#include "claim.bpf.h"

/*
 * Makes both halves or neither: they are hidden until both have a place, then the reply
 * half is seen first. XDNAT_DROP_BUSY: perhaps another processor makes the same flow.
 * Global as half_insert() is.
 */
__noinline enum xdnat_reason flow_make(void)
{
	struct making *making = scratch_get();
	enum xdnat_reason reason;

	if (!making)
		return XDNAT_DROP_BUSY;
	reason = flow_claim(making);
	if (reason)
		return reason;
	reason = half_insert(false, XDNAT_ORIGINAL, 0);
	if (reason) {
		making_give_back(making);
		return reason == XDNAT_DROP_TUPLE_TAKEN ? XDNAT_DROP_BUSY : reason;
	}
	/* Both are as old: else it would always be the reply half that has to go. */
	if (making->partner_place != PLACE_NONE)
		making_publish(making, making->partner_place, making->now + tick_jiffies);
	making_publish(making, making->in.place, making->now + tick_jiffies);
	return XDNAT_FORWARDED;
}

/* A missing half of a live flow is made again from the stored one, with the state of that:
 * making has what a packet of its says. Who ends a flow frees the original half last: if
 * that is why it was missing, the stored one is dead once there is a new one, hidden. */
static __always_inline enum xdnat_reason flow_remake(struct stored *stored, struct making *making,
						     __u32 direction, __u32 state)
{
	enum xdnat_reason reason = flow_make_partner(direction, state);

	if (reason || making->partner_place == PLACE_NONE)
		return reason;
	if (!stored_refresh(stored)) {
		making_give_back(making);
		return XDNAT_DROP_BUSY;
	}
	making_publish(making, making->partner_place, word_with_state(making->now, state));
	return XDNAT_FORWARDED;
}

/* The other half of a live flow is missing (an embryo's may be replaced): it is made
 * again from this one. If another flow has its tuple by now, this one has ended; one
 * that was on the fast path leaves it first, and its next packet ends it. */
static __always_inline enum xdnat_reason flow_renew(struct stored *stored, struct making *making)
{
	const struct xdnat_half *half = stored->half;
	__u32 state = xdnat_state(stored->word) & ~XDNAT_TAKEN;
	bool is_original = half->direction == XDNAT_ORIGINAL;
	enum xdnat_reason reason;

	if (!is_original && making->hook != XDNAT_HOOK_EGRESS &&
	    READ_ONCE(half->in_ifindex) != making->in_ifindex)
		return XDNAT_DROP_WRONG_INTERFACE;
	making->rule = half->rule;
	making->now = life_now();
	making->hop.ifindex = half->out_ifindex;
	making->hop.has_mac = false;
	making->reply_hop = (struct hop){.way = WAY_NEIGHBOUR, .ifindex = half->in_ifindex};
	if (making->hop.ifindex == LOCAL_IFINDEX)
		making->reply_hop.ifindex = LOCAL_IFINDEX;
	if (!flow_leaving(stored, &making->original, &making->leaving))
		return XDNAT_DROP_BUSY;
	tuple_reverse(&making->leaving, &making->reply);
	tuple_reverse(&making->original, &making->reply_leaving);
	reason = flow_remake(stored, making, is_original ? XDNAT_REPLY : XDNAT_ORIGINAL, state);
	if (reason != XDNAT_DROP_TUPLE_TAKEN)
		return reason;
	if (!(state & XDNAT_CONFIRMED))
		return XDNAT_DROP_EXPIRED;
	stored_change(stored, 0, WORD_STATE(XDNAT_CONFIRMED));
	return reason;
}

#endif
