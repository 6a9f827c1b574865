/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A packet that something is decided about, and the flow that it may make: each half of
 * it is put into the table, hidden, and published or given back.
 */
#ifndef XDNAT_MAKING_BPF_H
#define XDNAT_MAKING_BPF_H

#include "flow.bpf.h"
#include "rule.bpf.h"

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

#endif
