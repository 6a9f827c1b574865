/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Flows as they are stored: find, end. Here, in two kernel hashes, one a family;
 * making.bpf.h inserts there, and nobody else knows.
 *
 * Readers. The kernel recycles an element of a preallocated hash at once, under
 * whoever still reads it. So a reader copies the translation, then compares the
 * element's key and state, and only then touches the packet: an insert writes the
 * key first, and an end has changed the state before.
 *
 * Writers. An end is a compare-and-swap of the state to XDNAT_DEAD; only who did
 * that deletes, and nobody brings a dead half back. Of two processors that make
 * the same flow both succeed: the second finds the first one's halves.
 *
 * Ports. The place of the reply half in the hash is the claim on a source port, its
 * insertion the one arbiter. Of an answered masquerade flow that has ended it stays,
 * dead, and rests; a rest is ended as a flow is.
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

/* The tuple itself: a copy would not find room on the stack. */
static __always_inline const struct xdnat_key6 *key6_of(const struct tuple *tuple)
{
	return (const void *)tuple;
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
		stored->half6 = bpf_map_lookup_elem(&xdnat_flows6, key6_of(tuple));
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

/* The half whose packets look like tuple and leave as leaving says; its own half is
 * filled in. 0, -EEXIST, or what else the kernel's hash says (full). */
static __always_inline int flow_insert4(const struct tuple *tuple, const struct tuple *leaving,
					struct xdnat_half4 *half4)
{
	key4_from(tuple, &half4->key);
	half4->src = leaving->src.word[3];
	half4->dst = leaving->dst.word[3];
	return bpf_map_update_elem(&xdnat_flows4, &half4->key, half4, BPF_NOEXIST);
}

static __always_inline int flow_insert6(const struct tuple *tuple, const struct tuple *leaving,
					struct xdnat_half6 *half6)
{
	half6->key = *key6_of(tuple);
	__builtin_memcpy(half6->src, &leaving->src, sizeof(half6->src));
	__builtin_memcpy(half6->dst, &leaving->dst, sizeof(half6->dst));
	return bpf_map_update_elem(&xdnat_flows6, &half6->key, half6, BPF_NOEXIST);
}

static __always_inline void flow_delete(const struct tuple *tuple)
{
	if (tuple->is_v6) {
		bpf_map_delete_elem(&xdnat_flows6, key6_of(tuple));
	} else {
		struct xdnat_key4 key;

		key4_from(tuple, &key);
		bpf_map_delete_elem(&xdnat_flows4, &key);
	}
}

/* Whether the claim of the flow rests when it ends: what its target still sends is on
 * its way to our own address. */
static __always_inline bool flow_rests(const struct xdnat_half *original,
				       const struct xdnat_half *reply, const struct tuple *tuple,
				       const struct partner *partner)
{
	return original->direction == XDNAT_ORIGINAL &&
	       ((READ_ONCE(original->state) | READ_ONCE(reply->state)) & XDNAT_ANSWERED) &&
	       !addr_is_same(&tuple->src, &partner->tuple.dst);
}

/*
 * Ends the flow of a half whose packets look like tuple; other is what
 * flow_find_partner() found. Who makes the state XDNAT_DEAD does the rest; false: that
 * was somebody else. The reply half goes first: while the original is there, nobody
 * makes the flow anew. wholly: nothing of it rests.
 */
static __noinline bool flow_end(const struct tuple *tuple, const struct stored *stored,
				const struct partner *partner, const struct stored *other,
				bool wholly)
{
	struct xdnat_half *half = stored->half, *reply = NULL;
	__u32 state = READ_ONCE(half->state), rule_id = half->rule;
	struct xdnat_rule *rule;

	if (other->half && stored_is(other, &partner->tuple))
		reply = other->half;
	wholly |= !reply || !flow_rests(half, reply, tuple, partner);
	barrier();
	if ((state & XDNAT_DEAD) || !stored_is(stored, tuple) ||
	    __sync_val_compare_and_swap(&half->state, state, XDNAT_DEAD) != state)
		return false;
	rule = bpf_map_lookup_elem(&xdnat_rules, &rule_id);
	if (rule) {
		half_add_totals(half, rule);
		if (reply)
			half_add_totals(reply, rule);
	}
	if (reply && !wholly) {
		life_rest(reply);
	} else if (reply) {
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

/* A dead half: whoever ended it could not delete it, as the kernel's hash was busy, or
 * it rests. True if it is gone. */
static __always_inline bool flow_bury(const struct tuple *tuple, const struct stored *stored,
				      bool wholly)
{
	bool rests = READ_ONCE(stored->half->state) & XDNAT_RESTING;

	if (!(rests && wholly) &&
	    life_idle(stored->half, life_now()) <= SWEEP_SLACK_TICKS * tick_jiffies)
		return false;
	if (rests && !life_end_rest(stored->half))
		return false;
	flow_delete(tuple);
	return true;
}

/* What a tool asks for: true if the flow is gone. */
static __noinline bool flow_end_requested(const struct xdnat_flow_end *request)
{
	bool wholly = request->force == XDNAT_END_WHOLLY;
	struct partner partner = {};
	struct stored stored, other;
	struct xdnat_half *reply;
	struct tuple tuple = {};

	flow_requested(request, &tuple);
	if (!flow_find(&tuple, &stored))
		return true;
	if (READ_ONCE(stored.half->state) & XDNAT_DEAD)
		return flow_bury(&tuple, &stored, wholly);
	reply = flow_find_partner(&stored, &tuple, &partner, &other);
	if (!request->force &&
	    !life_is_expired(stored.half, reply, tuple.proto == IPPROTO_TCP, SWEEP_SLACK_TICKS))
		return false;
	return flow_end(&tuple, &stored, &partner, &other, wholly);
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
