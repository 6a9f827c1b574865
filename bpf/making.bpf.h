/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A flow in the making: its source port is claimed, both halves are inserted or
 * neither. Knows no routes; who calls has found them.
 */
#ifndef XDNAT_MAKING_BPF_H
#define XDNAT_MAKING_BPF_H

#include "flow.bpf.h"
#include "port.bpf.h"
#include "rule.bpf.h"

#define MAKING_TRIES 16 /* while another processor makes what we want, or its neighbour */

/* A packet that something is decided about and, perhaps, a flow in the making, in the
 * scratch memory. */
struct making {
	struct insertion in; /* a half on its way into the table */
	struct traits traits;
	struct tuple original; /* as the client's packets arrive */
	struct tuple leaving;  /* as they leave */
	struct tuple reply;    /* as the target's arrive: leaving, reversed */
	struct tuple reply_leaving;
	struct hop hop;	      /* towards the target */
	struct hop reply_hop; /* towards the client */
	struct translation to;
	__u32 rule;
	__u32 set; /* of rules, that the packet is judged by */
	__u32 now;
	__u32 in_ifindex;    /* at XDNAT_HOOK_EGRESS: where it leaves */
	__u32 hook;	     /* XDNAT_HOOK_… */
	__u32 ports;	     /* that may be given out; not 0 */
	__u32 port_hash;     /* says in which order */
	__u32 mss_host;	     /* largest that this SYN may announce; 0: any */
	__u32 partner_place; /* hidden there, to be published; PLACE_NONE: adopted */
	__u8 is_partner;     /* of the half that is being inserted, ... */
	__u8 direction;
	__u8 state;
	__u8 pad;
	__u32 rule_mss_host;	/* as in the rule */
	struct tuple owner;	/* of the place that we want */
	struct partner partner; /* of the flow found or ended */
};
_Static_assert(sizeof(struct making) <= SCRATCH_BYTES && offsetof(struct making, in) == 0,
	       "table_insert4() finds in at the start");

/* Where the half's packets come in, mostly by the way that the other half's go out. */
static __always_inline void half_prepare_ingress(const struct making *making,
						 struct xdnat_half *half)
{
	const struct hop *hop = making->is_partner ? &making->hop : &making->reply_hop;
	__u32 in_ifindex = making->is_partner ? making->hop.ifindex : making->in_ifindex;
	const struct xdnat_interface *interface;

	if (hop->has_mac && hop->ifindex == in_ifindex) {
		half_set_ingress(half, in_ifindex, hop->mac);
		return;
	}
	interface = interface_get(in_ifindex);
	if (interface)
		half_set_ingress(half, in_ifindex, interface->mac);
}

/* The half of the packet's own direction, or its partner, with its state. */
static __always_inline void half_prepare(const struct making *making, struct xdnat_half *half)
{
	half->rule = making->rule;
	half->direction = making->direction;
	half_prepare_ingress(making, half);
	if (making->is_partner) {
		half_set_hop(half, &making->reply_hop);
		half_set_rewrite(half, &making->reply, &making->reply_leaving);
	} else {
		half_set_hop(half, &making->hop);
		half_set_rewrite(half, &making->original, &making->leaving);
		half_count(half, making->traits.wire_packets, making->traits.all_bytes);
	}
	half->word = word_with_state(0, making->state);
}

/* Adds what the embryo carried that had to go. */
static __noinline void making_settle(const struct making *making)
{
	__u32 direction = making->in.replaced_direction % XDNAT_DIRECTIONS;
	struct xdnat_rule *rule = rule_get(making->in.replaced_rule);

	if (!rule)
		return;
	__sync_fetch_and_add(&rule->ended_packets[direction], making->in.replaced_packets);
	__sync_fetch_and_add(&rule->ended_bytes[direction], making->in.replaced_bytes);
}

/* Begins to load what making the flow will touch. Global as half_insert() is. */
__noinline int making_preload(void)
{
	struct making *making = scratch_get();
	struct xdnat_key4 key;

	if (!making)
		return 0;
	if (making->original.is_v6) {
		table_preload(true, key6_of(&making->reply));
		table_preload(true, key6_of(&making->original));
		return 0;
	}
	key4_from(&making->reply, &key);
	table_preload(false, &key);
	key4_from(&making->original, &key);
	table_preload(false, &key);
	return 0;
}

/* They have returned before table_insert4() and 6 begin: Linux 6.1 has no room on the
 * stack for both. */
static __noinline void half_prepare4(struct making *making)
{
	const struct tuple *tuple = making->is_partner ? &making->reply : &making->original;
	const struct tuple *leaving =
		making->is_partner ? &making->reply_leaving : &making->leaving;
	struct xdnat_half4 *half4 = &making->in.half4;

	__builtin_memset(half4, 0, sizeof(*half4));
	half_prepare(making, &half4->half);
	key4_from(tuple, &half4->key);
	half4->src = leaving->src.word[3];
	half4->dst = leaving->dst.word[3];
}

static __noinline void half_prepare6(struct making *making)
{
	const struct tuple *tuple = making->is_partner ? &making->reply : &making->original;
	const struct tuple *leaving =
		making->is_partner ? &making->reply_leaving : &making->leaving;
	struct xdnat_half6 *half6 = &making->in.half6;

	__builtin_memset(half6, 0, sizeof(*half6));
	half_prepare(making, &half6->half);
	half6->key = *key6_of(tuple);
	__builtin_memcpy(half6->src, &leaving->src, sizeof(half6->src));
	__builtin_memcpy(half6->dst, &leaving->dst, sizeof(half6->dst));
}

/* Puts one half into the table, hidden, as making->in.place. A global function, verified
 * once and not anew for every way to it. It finds struct making by itself: Linux 6.1 does
 * not take an argument of a global function for a map's key or value. */
__noinline enum xdnat_reason half_insert(__u32 is_partner, __u32 direction, __u32 state)
{
	struct making *making = scratch_get();
	int err;

	if (!making)
		return XDNAT_DROP_BUSY;
	making->is_partner = is_partner;
	making->direction = direction;
	making->state = state;
	if (making->original.is_v6) {
		half_prepare6(making);
		err = table_insert6(false);
	} else {
		half_prepare4(making);
		err = table_insert4(false);
	}
	if (making->in.replaced_rule)
		making_settle(making);
	if (err == -EEXIST)
		return XDNAT_DROP_TUPLE_TAKEN;
	if (err == -EBUSY)
		return XDNAT_DROP_BUSY;
	return err ? XDNAT_DROP_TABLE_FULL : XDNAT_FORWARDED;
}

static __always_inline void making_publish(const struct making *making, __u32 place, __u64 word)
{
	if (making->original.is_v6)
		table_publish(true, place, word);
	else
		table_publish(false, place, word);
}

/* The hidden half in partner_place is not to be. */
static __noinline void making_give_back(const struct making *making)
{
	if (making->partner_place == PLACE_NONE)
		return;
	if (making->original.is_v6)
		table_give_back(true, making->partner_place);
	else
		table_give_back(false, making->partner_place);
}

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

/* The packet is to leave with our address instead of the client's. */
static __noinline enum xdnat_reason making_masquerade(struct making *making)
{
	const struct xdnat_snat *snat = bpf_map_lookup_elem(&xdnat_snat, &making->rule);

	if (!snat)
		return XDNAT_DROP_NO_SOURCE;
	making->leaving.src = snat->addr;
	making->reply.dst = snat->addr;
	return XDNAT_FORWARDED;
}

/* Does the client live where the target does? Then its answers would go there
 * straight, as nobody's (RFC 4787 REQ-9). After forward_routes(). */
static __always_inline bool making_is_hairpin(const struct making *making,
					      const struct xdnat_rule *rule)
{
	return (rule->flags & XDNAT_RULE_HAIRPIN) && making->hop.ifindex == making->in_ifindex;
}

/*
 * Makes both halves or neither: they are hidden until both have a place, then the reply
 * half is seen first. XDNAT_DROP_BUSY: perhaps another processor makes the same flow.
 * Global as half_insert() is.
 */
__noinline enum xdnat_reason flow_make(void)
{
	struct making *making = scratch_get();
	enum xdnat_reason reason;
	struct xdnat_rule *rule;

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
	rule = bpf_map_lookup_elem(&xdnat_rules, &making->rule);
	if (rule)
		__sync_fetch_and_add(&rule->flows_made, 1);
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
