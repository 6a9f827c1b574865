/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Flows as they are stored: find, create both halves or neither, end. The only
 * room that knows how: here, two kernel hashes, one a family.
 *
 * Readers. The kernel recycles an element of a preallocated hash at once, under
 * whoever still reads it. So a reader copies the translation, then compares the
 * element's key and state, and only then touches the packet: an insert writes the
 * key first, and an end has changed the state before.
 *
 * Writers. An end is a compare-and-swap of the state to XDNAT_DEAD; only who did
 * that deletes, and nobody brings a dead half back. Of two processors that make
 * the same flow both succeed: the second finds the first one's halves.
 */
#ifndef XDNAT_FLOW_BPF_H
#define XDNAT_FLOW_BPF_H

#include <linux/errno.h>

#include "half.bpf.h"
#include "life.bpf.h"

static __always_inline void key4_from(const struct tuple *tuple, struct xdnat_key4 *key)
{
	*key = (struct xdnat_key4){
		.src = tuple->src.word[3],
		.dst = tuple->dst.word[3],
		.ports = tuple->ports,
		.proto = tuple->proto,
	};
}

static __always_inline void key6_from(const struct tuple *tuple, struct xdnat_key6 *key)
{
	__builtin_memcpy(key->src, &tuple->src, sizeof(key->src));
	__builtin_memcpy(key->dst, &tuple->dst, sizeof(key->dst));
	key->ports = tuple->ports;
	key->proto = tuple->proto;
}

static __always_inline void packet_key4(const struct packet *pkt, struct xdnat_key4 *key)
{
	/* Read through the member Clang would split it: it has four bytes' alignment. */
	const __u64 *addrs = (const void *)&pkt->ip4->saddr;

	*key = (struct xdnat_key4){
		.both = *addrs,
		.ports = pkt->ports,
		.proto = pkt->proto,
	};
}

static __always_inline void packet_key6(const struct packet *pkt, struct xdnat_key6 *key)
{
	const __u64 *addrs = (const void *)&pkt->ip6->saddr;
	__u64 *to = (void *)key;

	for (int i = 0; i < 4; i++)
		to[i] = addrs[i];
	key->ports = pkt->ports;
	key->proto = pkt->proto;
}

/* Is the element still this key's? Asked last, see above. */
static __always_inline bool half4_is(const struct xdnat_half4 *half4, const struct xdnat_key4 *key)
{
	const volatile __u64 *have = (const volatile __u64 *)&half4->key;
	const __u64 *want = (const __u64 *)key;

	return have[0] == want[0] && have[1] == want[1];
}

static __always_inline bool half6_is(const struct xdnat_half6 *half6, const struct xdnat_key6 *key)
{
	const volatile __u64 *have = (const volatile __u64 *)&half6->key;
	const __u64 *want = (const __u64 *)key;

	return have[0] == want[0] && have[1] == want[1] && have[2] == want[2] &&
	       have[3] == want[3] && have[4] == want[4];
}

/* A half as it is stored: half is NULL or part of the one of half4 and half6 that
 * is not NULL. (From a flag the verifier cannot tell which map it came from.) */
struct stored {
	struct xdnat_half *half;
	struct xdnat_half4 *half4;
	struct xdnat_half6 *half6;
};

/* The half whose packets look like tuple. */
static __noinline struct xdnat_half *flow_find(const struct tuple *tuple, struct stored *stored)
{
	stored->half = NULL;
	stored->half4 = NULL;
	stored->half6 = NULL;
	if (tuple->is_v6) {
		struct xdnat_key6 key;

		key6_from(tuple, &key);
		stored->half6 = bpf_map_lookup_elem(&xdnat_flows6, &key);
		if (stored->half6)
			stored->half = &stored->half6->half;
	} else {
		struct xdnat_key4 key;

		key4_from(tuple, &key);
		stored->half4 = bpf_map_lookup_elem(&xdnat_flows4, &key);
		if (stored->half4)
			stored->half = &stored->half4->half;
	}
	return stored->half;
}

/* How the packets of a half, that look like tuple, leave. */
static __always_inline void flow_leaving(const struct stored *stored, const struct tuple *tuple,
					 struct tuple *leaving)
{
	*leaving = *tuple;
	if (stored->half6) {
		__builtin_memcpy(&leaving->src, stored->half6->src, sizeof(leaving->src));
		__builtin_memcpy(&leaving->dst, stored->half6->dst, sizeof(leaving->dst));
	} else if (stored->half4) {
		leaving->src.word[3] = stored->half4->src;
		leaving->dst.word[3] = stored->half4->dst;
	}
	leaving->ports = stored->half->ports;
}

/* What the packets of the other direction look like. */
static __always_inline void flow_partner_tuple(const struct stored *stored,
					       const struct tuple *tuple, struct tuple *partner)
{
	struct tuple leaving;

	flow_leaving(stored, tuple, &leaving);
	tuple_reverse(&leaving, partner);
}

/* Is the element still this tuple's? Asked last, see above. */
static __always_inline bool stored_is(const struct stored *stored, const struct tuple *tuple)
{
	const volatile struct xdnat_key6 *key6;
	const volatile struct xdnat_key4 *key4;

	if (stored->half6) {
		key6 = &stored->half6->key;
		for (int i = 0; i < 4; i++)
			if (key6->src[i] != tuple->src.word[i] ||
			    key6->dst[i] != tuple->dst.word[i])
				return false;
		return key6->ports.both == tuple->ports.both && key6->proto == tuple->proto;
	}
	if (!stored->half4)
		return false;
	key4 = &stored->half4->key;
	return key4->src == tuple->src.word[3] && key4->dst == tuple->dst.word[3] &&
	       key4->ports.both == tuple->ports.both && key4->proto == tuple->proto;
}

/* Room to look for the other half of a flow. The caller has it: in XDP there is
 * none left on the stack, elsewhere the scratch memory is not one's own. */
struct partner {
	struct tuple tuple; /* what its packets look like */
	struct tuple back;  /* and those of its own other half */
};

/* NULL if it is missing: what is in its place may be another flow's. */
static __noinline struct xdnat_half *flow_find_partner(const struct stored *stored,
						       const struct tuple *tuple,
						       struct partner *partner,
						       struct stored *other)
{
	flow_partner_tuple(stored, tuple, &partner->tuple);
	if (!flow_find(&partner->tuple, other))
		return NULL;
	flow_partner_tuple(other, &partner->tuple, &partner->back);
	if (!tuple_is_same(&partner->back, tuple))
		other->half = NULL;
	return other->half;
}

static __always_inline void flow_delete(const struct tuple *tuple)
{
	if (tuple->is_v6) {
		struct xdnat_key6 key;

		key6_from(tuple, &key);
		bpf_map_delete_elem(&xdnat_flows6, &key);
	} else {
		struct xdnat_key4 key;

		key4_from(tuple, &key);
		bpf_map_delete_elem(&xdnat_flows4, &key);
	}
}

/*
 * Ends the flow of a half whose packets look like tuple; other is what
 * flow_find_partner() found. Who makes the state
 * XDNAT_DEAD does the rest; false: that was somebody else. The reply half goes
 * first: while the original is there, nobody makes the flow anew.
 */
static __noinline bool flow_end(const struct tuple *tuple, const struct stored *stored,
				const struct partner *partner, const struct stored *other)
{
	struct xdnat_half *half = stored->half, *reply = NULL;
	__u32 state = READ_ONCE(half->state), rule_id = half->rule;
	struct xdnat_rule *rule;

	barrier();
	if ((state & XDNAT_DEAD) || !stored_is(stored, tuple) ||
	    __sync_val_compare_and_swap(&half->state, state, XDNAT_DEAD) != state)
		return false;
	if (other->half && stored_is(other, &partner->tuple))
		reply = other->half;
	rule = bpf_map_lookup_elem(&xdnat_rules, &rule_id);
	if (rule) {

		half_add_totals(half, rule);
		if (reply)
			half_add_totals(reply, rule);
	}
	if (reply) {
		__sync_fetch_and_or(&reply->state, XDNAT_DEAD);
		flow_delete(&partner->tuple);
	}
	flow_delete(tuple);
	return true;
}

/* The tuple that a tool's request names. */
static __always_inline void flow_requested(const struct xdnat_flow_end *request,
					   struct tuple *tuple)
{
	const struct xdnat_key6 *key = &request->key;

	tuple->is_v6 = request->is_v6 != 0;
	if (tuple->is_v6) {
		__builtin_memcpy(&tuple->src, key->src, sizeof(tuple->src));
		__builtin_memcpy(&tuple->dst, key->dst, sizeof(tuple->dst));
	} else {
		tuple->src = addr_mapped(key->src[0]);
		tuple->dst = addr_mapped(key->dst[0]);
	}
	tuple->ports = key->ports;
	tuple->proto = key->proto;
}

/* What a tool asks for: true if the flow is gone. */
static __noinline bool flow_end_requested(const struct xdnat_flow_end *request)
{
	struct partner partner = {};
	struct stored stored, other;
	struct xdnat_half *reply;
	struct tuple tuple = {};

	flow_requested(request, &tuple);
	if (!flow_find(&tuple, &stored))
		return true;
	/* Whoever ended it could not delete it: the kernel's hash was busy. */
	if (READ_ONCE(stored.half->state) & XDNAT_DEAD) {
		if (life_idle(stored.half, life_now()) <= SWEEP_SLACK_TICKS * tick_jiffies)
			return false;
		flow_delete(&tuple);
		return true;
	}
	reply = flow_find_partner(&stored, &tuple, &partner, &other);
	if (!request->force &&
	    !life_is_expired(stored.half, reply, tuple.proto == IPPROTO_TCP, SWEEP_SLACK_TICKS))
		return false;
	return flow_end(&tuple, &stored, &partner, &other);
}

/* A flow in the making, in the scratch memory. */
struct making {
	struct tuple original; /* as the client's packets arrive */
	struct tuple leaving;  /* as they leave */
	struct tuple reply;    /* as the target's arrive: leaving, reversed */
	struct tuple reply_leaving;
	struct hop hop;	      /* towards the target */
	struct hop reply_hop; /* towards the client; mtu 0: not known yet */
	__u32 rule;
	__u32 now;
	__u32 in_ifindex;
	__u32 pad;
	struct tuple owner;	/* of the place that we want */
	struct partner partner; /* of the flow found or ended */
	union {
		struct xdnat_half4 half4;
		struct xdnat_half6 half6;
	};
};
_Static_assert(sizeof(struct making) <= SCRATCH_BYTES, "making");

static __always_inline void half_prepare(const struct making *making, struct xdnat_half *half,
					 __u8 direction)
{
	bool is_original = direction == XDNAT_ORIGINAL;
	__u32 in_ifindex = is_original ? making->in_ifindex : making->hop.ifindex;
	const struct xdnat_interface *interface = interface_get(in_ifindex);

	half->rule = making->rule;
	half->direction = direction;
	half->until = making->now;
	if (interface)
		half_set_ingress(half, in_ifindex, interface);
	if (is_original) {
		half->until += tick_jiffies;
		half_set_hop(half, &making->hop);
		half_set_rewrite(half, &making->original, &making->leaving);
	} else {
		half_set_hop(half, &making->reply_hop);
		half_set_rewrite(half, &making->reply, &making->reply_leaving);
	}
}

static __noinline int half_insert4(struct making *making, const struct tuple *tuple,
				    const struct tuple *leaving, __u8 direction)
{
	struct xdnat_half4 *half4 = &making->half4;

	__builtin_memset(half4, 0, sizeof(*half4));
	half_prepare(making, &half4->half, direction);
	key4_from(tuple, &half4->key);
	half4->src = leaving->src.word[3];
	half4->dst = leaving->dst.word[3];
	return bpf_map_update_elem(&xdnat_flows4, &half4->key, half4, BPF_NOEXIST);
}

static __noinline int half_insert6(struct making *making, const struct tuple *tuple,
				    const struct tuple *leaving, __u8 direction)
{
	struct xdnat_half6 *half6 = &making->half6;

	__builtin_memset(half6, 0, sizeof(*half6));
	half_prepare(making, &half6->half, direction);
	key6_from(tuple, &half6->key);
	__builtin_memcpy(half6->src, &leaving->src, sizeof(half6->src));
	__builtin_memcpy(half6->dst, &leaving->dst, sizeof(half6->dst));
	return bpf_map_update_elem(&xdnat_flows6, &half6->key, half6, BPF_NOEXIST);
}

/* Inserts one half: 0, -EEXIST, or what else the kernel's hash says (full). An int: as
 * such 6.1 returns it, and leaves what is above it undefined. */
static __always_inline int half_insert(struct making *making, __u8 direction)
{
	const struct tuple *tuple = &making->original, *leaving = &making->leaving;

	if (direction == XDNAT_REPLY) {
		tuple = &making->reply;
		leaving = &making->reply_leaving;
	}
	if (tuple->is_v6)
		return half_insert6(making, tuple, leaving, direction);
	return half_insert4(making, tuple, leaving, direction);
}

/* Is the half that has our reply's place our own flow's? */
static __noinline bool making_is_there(struct making *making)
{
	struct stored taken;

	if (!flow_find(&making->reply, &taken) || (READ_ONCE(taken.half->state) & XDNAT_DEAD))
		return false;
	flow_partner_tuple(&taken, &making->reply, &making->owner);
	return tuple_is_same(&making->owner, &making->original);
}

/* After XDNAT_DROP_TUPLE_TAKEN: true if the flow that had the place has ended. */
static __noinline bool making_takes_over(struct making *making)
{
	struct stored owner, other;
	struct xdnat_half *reply;

	if (!flow_find(&making->owner, &owner))
		return false;
	reply = flow_find_partner(&owner, &making->owner, &making->partner, &other);
	return life_is_expired(owner.half, reply, making->owner.proto == IPPROTO_TCP,
			       SWEEP_SLACK_TICKS) &&
	       flow_end(&making->owner, &owner, &making->partner, &other);
}

/* Puts the reply half in its place: it decides who has the tuple. */
static __always_inline enum xdnat_reason flow_make_reply(struct making *making)
{
	int err = half_insert(making, XDNAT_REPLY);

	if (err == -EEXIST)
		return making_is_there(making) ? XDNAT_FORWARDED : XDNAT_DROP_TUPLE_TAKEN;
	if (err == -EBUSY)
		return XDNAT_DROP_BUSY;
	return err ? XDNAT_DROP_TABLE_FULL : XDNAT_FORWARDED;
}

/* Makes both halves or neither, the reply half first. One that is there already
 * and is this flow's own is as good. */
static __always_inline enum xdnat_reason flow_make(struct making *making, struct xdnat_rule *rule)
{
	enum xdnat_reason reason = flow_make_reply(making);
	struct stored original;
	int err;

	if (reason)
		return reason;
	err = half_insert(making, XDNAT_ORIGINAL);
	if (!err)
		__sync_fetch_and_add(&rule->flows_made, 1);
	if (!err || err == -EEXIST) /* another processor was faster */
		return XDNAT_FORWARDED;
	if (!flow_find(&making->original, &original))
		flow_delete(&making->reply);
	return err == -EBUSY ? XDNAT_DROP_BUSY : XDNAT_DROP_TABLE_FULL;
}

/* A whole copy with the next hop given. False: the element is another's by now. */
static __noinline bool stored_copy(const struct stored *stored, const struct tuple *tuple,
				   const struct hop *hop, struct translation *to)
{
	__builtin_memset(to, 0, sizeof(*to));
	half_copy(stored->half, to);
	to->out_ifindex = hop->ifindex;
	__builtin_memcpy(to->eth, hop->eth, sizeof(to->eth));
	if (stored->half6) {
		__builtin_memcpy(to->addrs, stored->half6->src, sizeof(to->addrs));
	} else if (stored->half4) {
		to->addrs[0] = stored->half4->both;
	}
	barrier();
	return stored_is(stored, tuple) && !(READ_ONCE(stored->half->state) & XDNAT_DEAD);
}

/*
 * The half of an established flow whose packet this is, if there is nothing to
 * decide about it, with a whole copy of its translation. NULL: the slow path's, if
 * *is_known then; else there is no flow.
 * What a call would push out of its register is asked before the lookup.
 */
static __always_inline struct xdnat_half *flow_copy4(const struct packet *pkt, __u32 ingress,
						     struct translation *to, bool *is_known)
{
	__u32 now = life_now();
	struct xdnat_half4 *half4;
	struct xdnat_key4 key;
	__u64 word;

	packet_key4(pkt, &key);
	half4 = bpf_map_lookup_elem(&xdnat_flows4, &key);
	*is_known = half4 != NULL;
	if (!half4)
		return NULL;
	word = half_word(&half4->half);
	if (!life_is_settled(word) || !life_is_usual(&half4->half, pkt, ingress, now))
		return NULL;
	half_copy(&half4->half, to);
	to->addrs[0] = half4->both;
	barrier();
	return half_word(&half4->half) == word && half4_is(half4, &key) ? &half4->half : NULL;
}

static __always_inline struct xdnat_half *flow_copy6(const struct packet *pkt, __u32 ingress,
						     struct translation *to, bool *is_known)
{
	__u32 now = life_now();
	struct xdnat_half6 *half6;
	struct xdnat_key6 key;
	__u64 word;

	packet_key6(pkt, &key);
	half6 = bpf_map_lookup_elem(&xdnat_flows6, &key);
	*is_known = half6 != NULL;
	if (!half6)
		return NULL;
	word = half_word(&half6->half);
	if (!life_is_settled(word) || !life_is_usual(&half6->half, pkt, ingress, now))
		return NULL;
	half_copy(&half6->half, to);
	__builtin_memcpy(to->addrs, half6->src, sizeof(to->addrs));
	barrier();
	return half_word(&half6->half) == word && half6_is(half6, &key) ? &half6->half : NULL;
}

#endif
