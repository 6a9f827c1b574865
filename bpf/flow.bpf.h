/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Flows: pairs of halves in the table. Finds, copies and ends them; create.bpf.h makes
 * them.
 *
 * An end is a compare-and-swap of the word to XDNAT_DEAD; only who did that frees the
 * slots, and nobody brings a dead half back. The place of the reply half's key is the
 * claim on a source port, the table's one arbiter. Of an answered masquerade flow that
 * has ended it stays, dead, and rests; a rest is ended as a flow is.
 */
#ifndef XDNAT_FLOW_BPF_H
#define XDNAT_FLOW_BPF_H

#include "find.bpf.h"
#include "half.bpf.h"
#include "insertion.bpf.h"
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

/* The half whose packets look like tuple: false if there is none. */
static __noinline bool flow_find(const struct tuple *tuple, struct stored *stored)
{
	stored->half = NULL;
	stored->half4 = NULL;
	stored->half6 = NULL;
	if (tuple->is_v6) {
		stored->half6 = table_find(true, key6_of(tuple), &stored->word, &stored->place);
		if (stored->half6)
			stored->half = &stored->half6->half;
	} else {
		struct xdnat_key4 key;

		key4_from(tuple, &key);
		stored->half4 = table_find(false, &key, &stored->word, &stored->place);
		if (stored->half4)
			stored->half = &stored->half4->half;
	}
	return stored->half;
}

/* How the packets of a half, that look like tuple, leave. False: the half is gone, and
 * leaving may be anything. */
static __always_inline bool flow_leaving(const struct stored *stored, const struct tuple *tuple,
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
	return stored_is(stored);
}

/* What the packets of the other direction look like. False: as flow_leaving(). */
static __always_inline bool flow_partner_tuple(const struct stored *stored,
					       const struct tuple *tuple, struct tuple *partner)
{
	struct tuple leaving;
	bool is_there = flow_leaving(stored, tuple, &leaving);

	tuple_reverse(&leaving, partner);
	return is_there;
}

/* Room to look for the other half of a flow. The caller has it: in XDP there is
 * none left on the stack, elsewhere the scratch memory is not one's own. */
struct partner {
	struct tuple tuple; /* what its packets look like */
	struct tuple back;  /* and those of its own other half */
};

/* False if it is missing: what is in its place may be another flow's, or dead and at rest. */
static __noinline bool flow_find_partner(const struct stored *stored, const struct tuple *tuple,
					 struct partner *partner, struct stored *other)
{
	other->half = NULL;
	if (!flow_partner_tuple(stored, tuple, &partner->tuple) ||
	    !flow_find(&partner->tuple, other))
		return false;
	if ((xdnat_state(other->word) & XDNAT_DEAD) ||
	    !flow_partner_tuple(other, &partner->tuple, &partner->back) ||
	    !tuple_is_same(&partner->back, tuple))
		other->half = NULL;
	return other->half;
}

/* A flow's partner's word, for life_is_expired(). */
static __always_inline __u64 flow_partner_word(const struct stored *other)
{
	return other->half ? other->word : 0;
}

/* Whether the claim of the flow rests when it ends: what its target still sends is on
 * its way to our own address. */
static __always_inline bool flow_rests(const struct stored *stored, const struct stored *other,
				       const struct tuple *tuple, const struct partner *partner)
{
	return stored->half->direction == XDNAT_ORIGINAL &&
	       ((xdnat_state(stored->word) | xdnat_state(other->word)) & XDNAT_ANSWERED) &&
	       !addr_is_same(&tuple->src, &partner->tuple.dst);
}

/* How a flow ends. */
#define FLOW_END_WHOLLY 0x1 /* nothing of it rests */
#define FLOW_END_FORCED 0x2 /* also if it saw a packet since it was found */

/* True for who ended it. */
static __always_inline bool flow_die(struct stored *stored, __u32 how)
{
	__u64 dead = stored->word | WORD_STATE(XDNAT_DEAD);

	if (dead == stored->word)
		return false;
	return how & FLOW_END_FORCED ? stored_change(stored, WORD_STATE(XDNAT_DEAD), 0)
				     : stored_swap(stored, dead);
}

/*
 * Ends the flow of a half whose packets look like tuple, if it is as it was found; other
 * is what flow_find_partner() found. False: it is not, or somebody else ended it.
 */
static __noinline bool flow_end(const struct tuple *tuple, struct stored *stored,
				const struct partner *partner, struct stored *other, __u32 how)
{
	bool rests = other->half && !(how & FLOW_END_WHOLLY) &&
		     flow_rests(stored, other, tuple, partner);
	struct xdnat_rule *rule;
	__u32 rule_id;

	if (!flow_die(stored, how))
		return false;
	rule_id = stored->half->rule;
	rule = bpf_map_lookup_elem(&xdnat_rules, &rule_id);
	if (rule)
		half_add_totals(stored->half, rule);
	if (other->half && (rests ? life_rest(other) : flow_die(other, FLOW_END_FORCED))) {
		if (rule)
			half_add_totals(other->half, rule);
		if (!rests)
			stored_release(other);
	}
	stored_release(stored);
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

/* A dead half: who ended it could not free it, as its hop was being written, or it rests.
 * True if it is gone. */
static __always_inline bool flow_bury(struct stored *stored, bool wholly)
{
	bool rests = xdnat_state(stored->word) & XDNAT_RESTING;

	if (!(rests && wholly) &&
	    life_idle(stored->word, life_now()) <= SWEEP_SLACK_TICKS * tick_jiffies)
		return false;
	return (!rests || life_end_rest(stored)) && stored_release(stored);
}

/* What a tool asks for: true if the flow is gone. */
static __noinline bool flow_end_requested(const struct xdnat_flow_end *request)
{
	__u32 how = request->force ? FLOW_END_FORCED : 0;
	struct stored stored, other;
	struct partner partner = {};
	struct tuple tuple = {};

	if (request->force == XDNAT_END_WHOLLY)
		how |= FLOW_END_WHOLLY;
	flow_requested(request, &tuple);
	if (!flow_find(&tuple, &stored))
		return true;
	if (xdnat_state(stored.word) & XDNAT_DEAD)
		return flow_bury(&stored, how & FLOW_END_WHOLLY);
	flow_find_partner(&stored, &tuple, &partner, &other);
	if (!how && !life_is_expired(stored.word, flow_partner_word(&other),
				     tuple.proto == IPPROTO_TCP, SWEEP_SLACK_TICKS))
		return false;
	return flow_end(&tuple, &stored, &partner, &other, how);
}

/* What a tool brings, as it is: 0, -EEXIST, -EBUSY or -ENOSPC. */
static __always_inline int flow_put(const struct xdnat_flow_put *request)
{
	struct insertion *in = put_scratch_get();
	__u64 word;
	int err;

	if (!in)
		return -EBUSY;
	if (request->is_v6) {
		in->half6 = request->half6;
		word = in->half6.half.word;
		err = table_insert6(true);
		if (!err)
			table_publish(true, in->place, word);
	} else {
		in->half4 = request->half4;
		word = in->half4.half.word;
		err = table_insert4(true);
		if (!err)
			table_publish(false, in->place, word);
	}
	return err;
}

/* A whole copy with the next hop given. False: the half is gone or going. */
static __noinline bool stored_copy(const struct stored *stored, const struct hop *hop,
				   struct translation *to)
{
	__u64 word;

	__builtin_memset(to, 0, sizeof(*to));
	half_copy(stored->half, to);
	to->out_ifindex = hop->ifindex;
	__builtin_memcpy(to->eth, hop->eth, sizeof(to->eth));
	if (stored->half6) {
		__builtin_memcpy(to->addrs, stored->half6->src, sizeof(to->addrs));
	} else if (stored->half4) {
		to->addrs[0] = stored->half4->both;
	}
	word = word_load(stored->half);
	return !((word ^ stored->word) & XDNAT_OWNER_MASK) && word_is_visible(word) &&
	       !(xdnat_state(word) & XDNAT_DEAD);
}

/* The translation of a slot's half. False: it is not one half's, whole, by its word before. */
static __always_inline bool slot_copy(bool is_v6, const void *slot, __u64 word,
				      struct translation *to)
{
	const struct xdnat_half *half = slot + slot_key_bytes(is_v6);
	const struct xdnat_half6 *half6 = slot;
	const struct xdnat_half4 *half4 = slot;
	const __u64 *addrs = is_v6 ? (const void *)half6->src : &half4->both;
	const __u64 *words = (const void *)&to->ports;
	__u64 copied = 0;

	half_copy(half, to);
	for (int i = 0; i < (is_v6 ? 4 : 1); i++) {
		to->addrs[i] = addrs[i];
		copied ^= addrs[i];
	}
	for (int i = 0; i < HALF_COPIED_WORDS; i++)
		copied ^= words[i];
	half = (const void *)half + after_load(copied);
	return READ_ONCE(half->word) == word;
}

#endif
