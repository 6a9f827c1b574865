/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Who gets a slot of the flow table, and how it is free again: claim, publish, release
 * (table.bpf.h has the protocol). One story for both families, as there.
 */
#ifndef XDNAT_INSERTION_BPF_H
#define XDNAT_INSERTION_BPF_H

#include <linux/errno.h>

#include "bucket.bpf.h"

#define SLOT_EMBRYOS_MAX (XDNAT_SLOTS / 2) /* of a bucket */
#define CLAIM_TRIES	 3		   /* a slot is snatched away, look again */
#define OVERFLOW_TRIES	 8		   /* buckets; at rated capacity one of seven is full */

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
static __always_inline int bucket_claim(bool is_v6, void *slots, struct xdnat_bucket *known,
					__u32 bucket, struct insertion *in)
{
	const volatile struct bucket_view *seen = &in->seen;
	__u32 n = bucket_choose(seen, word_is_embryo(half_of(is_v6, in)->word), in->embryos_max);
	__u64 word = n == seen->free ? seen->free_word : seen->oldest_word;
	void *slot = slot_of(is_v6, slots, n);
	struct xdnat_half *half = half_of(is_v6, slot);
	__u64 hidden = (word + (1ULL << XDNAT_WORD_OWNER)) & XDNAT_OWNER_MASK;

	if (n == SLOT_NONE)
		return -ENOSPC;
	hidden = word_with_state(hidden, XDNAT_TAKEN | XDNAT_HIDDEN);
	if (__sync_val_compare_and_swap(&half->word, word, hidden) != word)
		return -EAGAIN;
	in->place = xdnat_place(bucket, n % XDNAT_SLOTS);
	if (xdnat_state(word) & XDNAT_TAKEN) {
		insertion_note_replaced(in, half);
		overflow_forget(is_v6, slot, in->place);
	}
	known->tag[n % XDNAT_SLOTS] = in->tag;
	slot_write(is_v6, slot, in);
	return 0;
}

/* The insertion that the scratch memory begins with, of packets or of tools. */
static __always_inline struct insertion *insertion_get(__u32 is_tool)
{
	return is_tool ? put_scratch_get() : scratch_get();
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

/* Frees the hidden slot, which is ours. A free slot has no packet's key: probe_find() would
 * take it for the one that has. */
static __always_inline void slot_free(bool is_v6, void *slot, __u32 place)
{
	struct xdnat_bucket *known = bucket_get(is_v6, place / XDNAT_SLOTS);
	__u32 *proto = slot + slot_key_bytes(is_v6) - sizeof(*proto);
	struct xdnat_half *half = half_of(is_v6, slot);

	overflow_forget(is_v6, slot, place);
	*proto = 0;
	__sync_lock_test_and_set(&half->word, half->word & XDNAT_OWNER_MASK);
	if (known)
		known->tag[place % XDNAT_SLOTS] = 0;
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
	struct xdnat_bucket *known = bucket_get(is_v6, bucket);
	int err;

	if (!in || !slots || !known)
		return -ENOSPC;
	bucket_scan(is_v6, slots, READ_ONCE(known->tags), in);
	err = insertion_judge(in);
	return err ? err : bucket_claim(is_v6, slots, known, bucket, in);
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
	in->tag = xdnat_home_tag(place);
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
