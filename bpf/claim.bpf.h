/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The claim on a source port: the place of the reply half, under the client's port or
 * another. It may be another flow's, which has ended or rests.
 */
#ifndef XDNAT_CLAIM_BPF_H
#define XDNAT_CLAIM_BPF_H

#include "making.bpf.h"
#include "port.bpf.h"

#define MAKING_TRIES 16 /* while another processor makes what we want, or its neighbour */

/* A reply half that rests gives up its place when it has rested, and at once to the
 * client that it was. True for who may try it. */
static __always_inline bool claim_ends_rest(const struct making *making, struct stored *taken)
{
	if (!life_tick_is_over(xdnat_until(taken->word), making->now) &&
	    !tuple_is_same(&making->owner, &making->original))
		return false;
	return life_end_rest(taken) && stored_release(taken);
}

/* Our reply's place is taken. XDNAT_FORWARDED: by this flow itself; XDNAT_DROP_BUSY: not
 * any more, it may be tried again; XDNAT_DROP_EXPIRED: by this flow, which somebody just
 * ends; XDNAT_DROP_TUPLE_TAKEN: by another one, whose original is in owner.
 * Global as half_insert() is. */
__noinline enum xdnat_reason claim_judge(void)
{
	struct making *making = scratch_get();
	struct stored taken;

	if (!making || !flow_find(&making->reply, &taken) ||
	    !flow_leaving(&taken, &making->reply, &making->partner.back)) /* the stack is short */
		return XDNAT_DROP_BUSY;
	tuple_reverse(&making->partner.back, &making->owner);
	if (xdnat_state(taken.word) & XDNAT_RESTING)
		return claim_ends_rest(making, &taken) ? XDNAT_DROP_BUSY : XDNAT_DROP_TUPLE_TAKEN;
	if (!tuple_is_same(&making->owner, &making->original))
		return XDNAT_DROP_TUPLE_TAKEN;
	return xdnat_state(taken.word) & XDNAT_DEAD ? XDNAT_DROP_EXPIRED : XDNAT_FORWARDED;
}

/* Claims the place of the other direction's half (the reply's says who has the tuple):
 * hidden in partner_place, or PLACE_NONE if the flow has it already. Global as
 * half_insert() is. */
__noinline enum xdnat_reason flow_make_partner(__u32 direction, __u32 state)
{
	struct making *making = scratch_get();
	enum xdnat_reason reason = XDNAT_DROP_BUSY;

	if (!making)
		return XDNAT_DROP_BUSY;
	making->partner_place = PLACE_NONE;
#pragma clang loop unroll(disable)
	for (int i = 0; i < MAKING_TRIES; i++) {
		reason = half_insert(true, direction, state);
		if (!reason)
			making->partner_place = making->in.place;
		if (reason == XDNAT_DROP_TUPLE_TAKEN)
			reason = claim_judge();
		if (reason != XDNAT_DROP_BUSY && reason != XDNAT_DROP_EXPIRED)
			return reason;
	}
	return reason == XDNAT_DROP_EXPIRED ? XDNAT_DROP_TUPLE_TAKEN : XDNAT_DROP_BUSY;
}

/* After XDNAT_DROP_TUPLE_TAKEN: true if the flow that has the place has ended, and
 * with it its claim. */
static __noinline bool making_takes_over(struct making *making)
{
	struct stored owner, other;

	if (!flow_find(&making->owner, &owner))
		return false;
	flow_find_partner(&owner, &making->owner, &making->partner, &other);
	return life_is_expired(owner.word, flow_partner_word(&other),
			       making->owner.proto == IPPROTO_TCP, SWEEP_SLACK_TICKS) &&
	       flow_end(&making->owner, &owner, &making->partner, &other, 0);
}

/* May the flow keep the client's port? With the client's own address it may. */
static __always_inline bool making_keeps_port(const struct making *making)
{
	__u32 port_host = bpf_ntohs(making->original.ports.sport);
	const struct xdnat_snat_port *entry;

	if (addr_is_same(&making->leaving.src, &making->original.src))
		return true;
	entry = bpf_map_lookup_elem(&xdnat_snat_ports, &port_host);
	return entry && entry->is_free_to_use;
}

/* The port to be tried after `tried` others; NULL never happens. A function by itself: in
 * the loop, clang 14 lets one way to choose run into the other's end, which Linux 6.1 takes
 * for a back-edge. */
static __noinline const struct xdnat_snat_port *claim_candidate(const struct making *making,
								__u32 tried)
{
	__u32 key = port_candidate(making->port_hash, tried, making->ports);

	return bpf_map_lookup_elem(&xdnat_snat_ports, &key);
}

/* Claims the reply half's place under one port after the other. */
static __always_inline enum xdnat_reason claim_any_port(struct making *making)
{
	enum xdnat_reason reason = XDNAT_DROP_TUPLE_TAKEN;
	__u32 candidates = port_candidates(making->ports);

#pragma clang loop unroll(disable)
	for (__u32 tried = 0; tried < PORT_CANDIDATES && tried < candidates; tried++) {
		const struct xdnat_snat_port *entry = claim_candidate(making, tried);

		if (!entry)
			continue;
		making->leaving.ports.sport = entry->port;
		making->reply.ports.dport = entry->port;
		reason = flow_make_partner(XDNAT_REPLY, 0);
		if (reason != XDNAT_DROP_TUPLE_TAKEN)
			break;
	}
	return reason;
}

/* Claims the reply half's place, under the client's port or another. */
static __always_inline enum xdnat_reason flow_claim(struct making *making)
{
	enum xdnat_reason reason = XDNAT_DROP_TUPLE_TAKEN;
	const struct xdnat_config *config = config_get();

	if (making_keeps_port(making)) {
		reason = flow_make_partner(XDNAT_REPLY, 0);
		if (reason == XDNAT_DROP_TUPLE_TAKEN && making_takes_over(making))
			reason = flow_make_partner(XDNAT_REPLY, 0);
	}
	if (reason != XDNAT_DROP_TUPLE_TAKEN)
		return reason;
	if (!config || !config->snat_ports)
		return XDNAT_DROP_NO_PORT;
	making->ports = config->snat_ports;
	making->port_hash = port_hash((const __u32 *)&making->original,
				      sizeof(making->original) / sizeof(__u32), config->seed);
	reason = claim_any_port(making);
	return reason == XDNAT_DROP_TUPLE_TAKEN ? XDNAT_DROP_NO_PORT : reason;
}

#endif
