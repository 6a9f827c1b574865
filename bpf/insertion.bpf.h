/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Who gets a slot of the flow table, and how it is free again: claim, publish, release
 * (table.bpf.h has the protocol). One story for both families, as there.
 */
#ifndef XDNAT_INSERTION_BPF_H
#define XDNAT_INSERTION_BPF_H

#include <linux/errno.h>

#include "table.bpf.h"

#define SLOT_NONE	 0xffffffff
#define SLOT_EMBRYOS_MAX (XDNAT_SLOTS / 2) /* of a bucket */
#define CLAIM_TRIES	 3		   /* a slot is snatched away, look again */
#define OVERFLOW_TRIES	 8		   /* buckets; at rated capacity one of seven is full */
#define LOCK_TRIES	 2000		   /* some microseconds: it is held for one */

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
	__u32 pad;
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

/* Looks a bucket through for who has in's key, what is free, which embryo is the oldest.
 * Under its lock. */
static __always_inline void bucket_scan(bool is_v6, void *slots, struct insertion *in)
{
	volatile struct bucket_view *seen = &in->seen;

	seen->same_state = 0;
	seen->free = SLOT_NONE;
	seen->oldest = SLOT_NONE;
	seen->embryos = 0;
	/* Backwards: of the free ones the first to be probed stays. */
#pragma clang loop unroll(disable)
	for (__u32 i = XDNAT_SLOTS; i > 0; i--) {
		__u32 n = (READ_ONCE(in->start) + i - 1) % XDNAT_SLOTS;
		void *slot = slot_of(is_v6, slots, n);
		__u64 word = READ_ONCE(half_of(is_v6, slot)->word);

		if (!(xdnat_state(word) & XDNAT_TAKEN)) {
			seen->free = n;
			seen->free_word = word;
			continue;
		}
		if (slot_has(is_v6, slot, in))
			seen->same_state = xdnat_state(word);
		/* A hidden one may become an embryo. */
		if (xdnat_state(word) & (XDNAT_ASSURED | XDNAT_DEAD))
			continue;
		seen->embryos++;
		if (!word_is_visible(word) || xdnat_is_hop_written(word) ||
		    (seen->oldest != SLOT_NONE &&
		     (__s32)(xdnat_until(word) - seen->oldest_until) >= 0))
			continue;
		seen->oldest = n;
		seen->oldest_until = xdnat_until(word);
		seen->oldest_word = word;
	}
}

/* Takes the half out of the kernel's hash that a hidden slot beyond all homes has. */
static __always_inline void overflow_forget(bool is_v6, void *slot, __u32 place)
{
	struct xdnat_bucket *home;
	__u32 *found;

	if (place < home_buckets * XDNAT_SLOTS)
		return;
	found = bpf_map_lookup_elem(overflow_map(is_v6), slot);
	if (!found || *found != place)
		return;
	bpf_map_delete_elem(overflow_map(is_v6), slot);
	home = bucket_get(is_v6, xdnat_home_bucket(key_home(is_v6, slot)));
	if (home)
		__sync_fetch_and_sub(&home->overflowed, 1);
}

/* All but the word. */
static __always_inline void slot_write(bool is_v6, void *slot, const struct insertion *in)
{
	__u32 words = (slot_key_bytes(is_v6) + sizeof(struct xdnat_half) + (is_v6 ? 32 : 8)) / 8;
	const __u64 *from = (const void *)in;
	__u64 *to = slot;

	for (__u32 i = 0; i < words; i++)
		if (i != slot_key_bytes(is_v6) / 8)
			to[i] = from[i];
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

/* Of an embryo that was hidden to take its place. */
static __always_inline void insertion_note_replaced(struct insertion *in,
						    const struct xdnat_half *half)
{
	in->replaced_rule = half->rule;
	in->replaced_direction = half->direction;
	in->replaced_packets = half->packets;
	in->replaced_bytes = half->bytes;
}

/* Hides a slot, by what bucket_scan() saw, and writes it. Under the bucket's lock.
 * -EAGAIN: it has changed since; -ENOSPC: there is none. */
static __always_inline int bucket_claim(bool is_v6, void *slots, __u32 bucket, struct insertion *in)
{
	const volatile struct bucket_view *seen = &in->seen;
	__u32 n = bucket_choose(seen, word_is_embryo(half_of(is_v6, in)->word), in->embryos_max);
	struct xdnat_bucket *known = bucket_get(is_v6, bucket);
	__u64 word = n == seen->free ? seen->free_word : seen->oldest_word;
	void *slot = slot_of(is_v6, slots, n);
	struct xdnat_half *half = half_of(is_v6, slot);
	__u64 hidden = (word + (1ULL << XDNAT_WORD_OWNER)) & XDNAT_OWNER_MASK;

	if (n == SLOT_NONE || !known)
		return -ENOSPC;
	hidden = word_with_state(hidden, XDNAT_TAKEN | XDNAT_HIDDEN);
	if (__sync_val_compare_and_swap(&half->word, word, hidden) != word)
		return -EAGAIN;
	in->place = xdnat_place(bucket, n % XDNAT_SLOTS);
	if (xdnat_state(word) & XDNAT_TAKEN) {
		insertion_note_replaced(in, half);
		overflow_forget(is_v6, slot, in->place);
	} else {
		__sync_fetch_and_add(&known->taken, 1);
	}
	slot_write(is_v6, slot, in);
	return 0;
}

/* The insertion that the scratch memory begins with, of packets or of tools. */
static __always_inline struct insertion *insertion_get(__u32 is_tool)
{
	return is_tool ? put_scratch_get() : scratch_get();
}

/* What insertion says about the key: 0, or who has it already. */
static __always_inline int insertion_judge(const struct insertion *in)
{
	__u32 state = READ_ONCE(in->seen.same_state);

	if (!state)
		return 0;
	return state & XDNAT_HIDDEN ? -EBUSY : -EEXIST;
}

/* Is the key beyond its home? Under its home's lock. */
static __always_inline int overflow_judge(bool is_v6, struct insertion *in)
{
	__u32 *place = bpf_map_lookup_elem(overflow_map(is_v6), in);
	void *slots = place ? bucket_slots(is_v6, *place / XDNAT_SLOTS) : NULL, *slot;
	__u64 word;

	if (!slots)
		return 0;
	slot = slot_of(is_v6, slots, *place);
	word = word_load(half_of(is_v6, slot));
	if (!(xdnat_state(word) & XDNAT_TAKEN) || !slot_has(is_v6, slot, in))
		return 0;
	in->seen.same_state = xdnat_state(word);
	return insertion_judge(in);
}

/* Frees the hidden slot, which is ours. A free slot has nobody's key: probe_find() meets
 * the one that has. */
static __always_inline void slot_free(bool is_v6, void *slot, __u32 place)
{
	struct xdnat_bucket *known = bucket_get(is_v6, place / XDNAT_SLOTS);
	__u32 *proto = slot + slot_key_bytes(is_v6) - sizeof(*proto);
	struct xdnat_half *half = half_of(is_v6, slot);

	overflow_forget(is_v6, slot, place);
	*proto = 0;
	__sync_lock_test_and_set(&half->word, half->word & XDNAT_OWNER_MASK);
	if (known)
		__sync_fetch_and_sub(&known->taken, 1);
}

/* Frees the slot at a place that insertion has hidden. */
static __always_inline void table_give_back(bool is_v6, __u32 place)
{
	void *slot = table_slot(is_v6, place);

	if (slot)
		slot_free(is_v6, slot, place);
}

/* bucket_scan(), and bucket_claim() unless the key is there: 0, -EEXIST or -EBUSY. Global
 * functions are verified once, not anew for every way to them. */
static __always_inline int bucket_take(bool is_v6, __u32 bucket, __u32 is_tool)
{
	struct insertion *in = insertion_get(is_tool);
	void *slots = bucket_slots(is_v6, bucket);
	int err;

	if (!in || !slots)
		return -ENOSPC;
	bucket_scan(is_v6, slots, in);
	err = insertion_judge(in);
	return err ? err : bucket_claim(is_v6, slots, bucket, in);
}

__noinline int bucket_take4(__u32 bucket, __u32 is_tool)
{
	return bucket_take(false, bucket, is_tool);
}

__noinline int bucket_take6(__u32 bucket, __u32 is_tool)
{
	return bucket_take(true, bucket, is_tool);
}

/* In some bucket beyond the homes. Under the lock of its home. */
static __always_inline int overflow_insert(bool is_v6, struct xdnat_bucket *home,
					   struct insertion *in, __u32 is_tool)
{
	int err = -ENOSPC;

#pragma clang loop unroll(disable)
	for (int i = 0; i < OVERFLOW_TRIES && err; i++) {
		__u32 random = bpf_get_prandom_u32();
		__u32 bucket = home_buckets + random % overflow_buckets;
		struct xdnat_bucket *known = bucket_get(is_v6, bucket);

		if (!known || !bucket_lock(known))
			continue;
		in->start = random % XDNAT_SLOTS;
		err = is_v6 ? bucket_take6(bucket, is_tool) : bucket_take4(bucket, is_tool);
		bucket_unlock(known);
	}
	if (err)
		return err == -EAGAIN ? -EBUSY : err;
	__sync_fetch_and_add(&home->overflowed, 1);
	err = bpf_map_update_elem(overflow_map(is_v6), in, &in->place, BPF_ANY);
	if (err) {
		__sync_fetch_and_sub(&home->overflowed, 1);
		table_give_back(is_v6, in->place);
		return -ENOSPC;
	}
	return 0;
}

/* At home or beyond. Under the lock of its home. */
static __always_inline int insert_locked(bool is_v6, __u32 bucket, struct xdnat_bucket *home,
					 struct insertion *in, __u32 is_tool)
{
	int err = READ_ONCE(home->overflowed) ? overflow_judge(is_v6, in) : 0;
	__u32 start = in->start;

	if (err)
		return err;
	in->embryos_max = SLOT_EMBRYOS_MAX;
	err = -EAGAIN;
#pragma clang loop unroll(disable)
	for (int i = 0; i < CLAIM_TRIES && err == -EAGAIN; i++)
		err = is_v6 ? bucket_take6(bucket, is_tool) : bucket_take4(bucket, is_tool);
	if (err == -ENOSPC)
		err = overflow_insert(is_v6, home, in, is_tool);
	if (err == -ENOSPC) { /* assured halves are everywhere: the embryos at home must do */
		in->embryos_max = 1;
		in->start = start;
		err = is_v6 ? bucket_take6(bucket, is_tool) : bucket_take4(bucket, is_tool);
	}
	return err == -EAGAIN ? -EBUSY : err;
}

static __always_inline int table_insert(bool is_v6, __u32 is_tool)
{
	struct insertion *in = insertion_get(is_tool);
	struct xdnat_bucket *home;
	__u64 place;
	int err;

	if (!in)
		return -EBUSY;
	place = key_home(is_v6, in);
	home = bucket_get(is_v6, xdnat_home_bucket(place));
	in->start = xdnat_home_slot(place);
	in->replaced_rule = 0;
	if (!home || !bucket_lock(home))
		return -EBUSY;
	err = insert_locked(is_v6, xdnat_home_bucket(place), home, in, is_tool);
	bucket_unlock(home);
	return err;
}

/* Puts a half into a slot of its own, hidden: the one that the scratch memory begins
 * with. 0, -EEXIST: its key has a slot, -EBUSY: it is just getting or giving up one, or
 * many others insert, -ENOSPC: there is no room. */
__noinline int table_insert4(__u32 is_tool)
{
	return table_insert(false, is_tool);
}

__noinline int table_insert6(__u32 is_tool)
{
	return table_insert(true, is_tool);
}

/* Others find the half at a place that insertion has hidden. word: its until and state
 * from now on. */
static __always_inline void table_publish(bool is_v6, __u32 place, __u64 word)
{
	void *slot = table_slot(is_v6, place);
	struct xdnat_half *half;

	if (!slot)
		return;
	half = half_of(is_v6, slot);
	word = word_with_state(word & ~(XDNAT_OWNER_MASK | XDNAT_HOP_MASK),
			       (xdnat_state(word) | XDNAT_TAKEN) & ~XDNAT_HIDDEN);
	__sync_lock_test_and_set(&half->word, word | (half->word & XDNAT_OWNER_MASK));
}

static __always_inline bool slot_release(bool is_v6, __u32 place, __u64 owner)
{
	void *slot = table_slot(is_v6, place);
	struct xdnat_half *half;

	if (!slot)
		return false;
	half = half_of(is_v6, slot);
#pragma clang loop unroll(disable)
	for (int i = 0; i < RELEASE_TRIES; i++) {
		__u64 word = word_load(half);

		if (((word ^ owner) & XDNAT_OWNER_MASK) || !word_is_visible(word))
			return false;
		if (xdnat_is_hop_written(word) ||
		    __sync_val_compare_and_swap(
			    &half->word, word, word_with_state(word, XDNAT_TAKEN | XDNAT_HIDDEN)) !=
			    word)
			continue;
		slot_free(is_v6, slot, place);
		return true;
	}
	return false;
}

/* Takes the slot from its half, which is XDNAT_DEAD and had that owner in its word: it is
 * free. 0: another one did, or its hop was always being written. */
__noinline int table_release(__u32 is_v6, __u32 place, __u64 owner)
{
	return is_v6 ? slot_release(true, place, owner) : slot_release(false, place, owner);
}

static __always_inline bool stored_release(const struct stored *stored)
{
	return table_release(stored->half6 != NULL, stored->place, stored->word);
}

#endif
