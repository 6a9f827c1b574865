/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One bucket of the flow table: its lock, and what an insertion sees in it: who has the
 * key, what is free, whose place may be taken. Changes no slot.
 */
#ifndef XDNAT_BUCKET_BPF_H
#define XDNAT_BUCKET_BPF_H

#include "table.bpf.h"

#define SLOT_NONE  0xffffffff
#define LOCK_TRIES 2000 /* some microseconds: it is held for one */

/* What a bucket was seen to have. In map memory and volatile: the verifier goes through
 * the loop once, not for all that can have been found. */
struct bucket_view {
	__u32 same_state;   /* of the slot with the key; 0: none */
	__u32 free, oldest; /* slots, or SLOT_NONE */
	__u32 oldest_until;
	__u32 embryos;
	__u32 pad;
	__u64 free_word, oldest_word;
};

/* What is to be put into the table, and how that went. In map memory. */
struct insertion {
	union { /* of the word, its state counts: it says which class it is */
		struct xdnat_half4 half4;
		struct xdnat_half6 half6;
	};
	__u32 place; /* out: hidden there, until it is published or released */

	/* Out: the counters of the embryo whose place it took. */
	__u32 replaced_rule; /* 0: nobody's */
	__u32 replaced_direction;
	__u32 start;	   /* the slot to begin with */
	__u32 embryos_max; /* of a bucket; one more takes the oldest's place */
	__u32 tag;	   /* of its key */
	__u64 replaced_packets, replaced_bytes;

	struct bucket_view seen;
};

struct lock_try {
	struct xdnat_bucket *bucket;
	__u64 is_ours;
};

/* One turn of bpf_loop(), whose context must be on the stack: not 0 ends it. */
static long bucket_try_lock(__u32 tried, struct lock_try *try)
{
	(void)tried;
	try->is_ours = !READ_ONCE(try->bucket->lock) &&
		       !__sync_val_compare_and_swap(&try->bucket->lock, 0, 1);
	return try->is_ours;
}

/* Waits a little for a bucket's lock. False: it was not to be had. */
static __always_inline bool bucket_lock(struct xdnat_bucket *bucket)
{
	struct lock_try try = {.bucket = bucket};

	if (!__sync_val_compare_and_swap(&bucket->lock, 0, 1))
		return true;
	bpf_loop(LOCK_TRIES, bucket_try_lock, &try, 0);
	return try.is_ours;
}

static __always_inline void bucket_unlock(struct xdnat_bucket *bucket)
{
	__sync_lock_test_and_set(&bucket->lock, 0);
}

/* Has a slot of the set in's key? */
static __always_inline void bucket_scan_same(bool is_v6, void *slots, __u64 set,
					     struct insertion *in)
{
	volatile struct bucket_view *seen = &in->seen;

	seen->same_state = 0;
#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < XDNAT_SLOTS && set; i++, set = tags_without_first(set)) {
		void *slot = slot_of(is_v6, slots, tags_first(set));

		if (slot_has(is_v6, slot, in))
			seen->same_state = xdnat_state(READ_ONCE(half_of(is_v6, slot)->word));
	}
}

/* The first of the set, which is what is free from in's first slot on. */
static __always_inline void bucket_scan_free(bool is_v6, void *slots, __u64 set,
					     struct insertion *in)
{
	volatile struct bucket_view *seen = &in->seen;
	__u32 n = (READ_ONCE(in->start) + tags_first(set)) % XDNAT_SLOTS;

	seen->free = SLOT_NONE;
	if (!set)
		return;
	seen->free = n;
	seen->free_word = READ_ONCE(half_of(is_v6, slot_of(is_v6, slots, n))->word);
}

/* How many slots of the set have embryos, and which one is the oldest. */
static __always_inline void bucket_scan_embryos(bool is_v6, void *slots, __u64 set,
						struct insertion *in)
{
	volatile struct bucket_view *seen = &in->seen;

#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < XDNAT_SLOTS && set; i++, set = tags_without_first(set)) {
		__u32 n = tags_first(set) % XDNAT_SLOTS;
		__u64 word = READ_ONCE(half_of(is_v6, slot_of(is_v6, slots, n))->word);

		/* A hidden one may become an embryo. */
		if ((xdnat_state(word) & (XDNAT_TAKEN | XDNAT_ASSURED | XDNAT_DEAD)) != XDNAT_TAKEN)
			continue;
		seen->embryos++;
		if ((word & (WORD_STATE(XDNAT_HIDDEN) | 1ULL << XDNAT_WORD_HOP)) ||
		    (seen->oldest != SLOT_NONE &&
		     (__s32)(xdnat_until(word) - seen->oldest_until) >= 0))
			continue;
		seen->oldest = n;
		seen->oldest_until = xdnat_until(word);
		seen->oldest_word = word;
	}
}

/* Looks a bucket through for who has in's key, what is free and, if that may matter,
 * which embryo is the oldest. Under its lock. */
static __always_inline void bucket_scan(bool is_v6, void *slots, __u64 tags, struct insertion *in)
{
	volatile struct bucket_view *seen = &in->seen;

	bucket_scan_same(is_v6, slots, tags_that_are(tags, in->tag), in);
	bucket_scan_free(is_v6, slots, tags_free(tags_from(tags, READ_ONCE(in->start))), in);
	seen->oldest = SLOT_NONE;
	seen->embryos = 0;
	if (seen->free == SLOT_NONE || tags_count(tags_taken(tags)) >= in->embryos_max)
		bucket_scan_embryos(is_v6, slots, tags_taken(tags), in);
}

/* For this class, by bucket_scan(): a slot, or SLOT_NONE. */
static __always_inline __u32 bucket_choose(const volatile struct bucket_view *seen, bool is_embryo,
					   __u32 embryos_max)
{
	if (is_embryo && seen->embryos >= embryos_max)
		return seen->oldest;
	if (is_embryo || seen->free != SLOT_NONE)
		return seen->free;
	return seen->oldest;
}

/* What insertion says about the key: 0, or who has it already. */
static __always_inline int insertion_judge(const struct insertion *in)
{
	__u32 state = READ_ONCE(in->seen.same_state);

	if (!state)
		return 0;
	return state & XDNAT_HIDDEN ? -EBUSY : -EEXIST;
}

#endif
