/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where a key's visible half is, at its home or beyond, for who decides about its flow.
 * (Who only rewrites has probe.bpf.h.)
 */
#ifndef XDNAT_FIND_BPF_H
#define XDNAT_FIND_BPF_H

#include "table.bpf.h"

/* Has a visible slot that key? *word is as it was while it had it then. */
static __always_inline bool slot_is_visible_as(bool is_v6, void *slot, const void *key, __u64 *word)
{
	struct xdnat_half *half = half_of(is_v6, slot);
	__u64 before;

	if (!slot_has(is_v6, slot, key))
		return false;
	before = word_load(half);
	if (!slot_has(is_v6, slot, key))
		return false;
	*word = word_load(half);
	return !((before ^ *word) & XDNAT_OWNER_MASK) && word_is_visible(before) &&
	       word_is_visible(*word);
}

/* The visible slot of a key beyond its home, or NULL. */
static __always_inline void *overflow_find(bool is_v6, const void *key, __u64 *word, __u32 *place)
{
	__u32 *found = bpf_map_lookup_elem(overflow_map(is_v6), key);
	void *slot;

	if (!found)
		return NULL;
	*place = *found;
	slot = table_slot(is_v6, *place);
	return slot && slot_is_visible_as(is_v6, slot, key, word) ? slot : NULL;
}

/* The place of a visible slot of a key at its home. */
static __always_inline __u32 home_find(bool is_v6, const void *key, __u64 *word)
{
	__u64 home = key_home(is_v6, key);
	__u32 bucket = xdnat_home_bucket(home);
	void *slots = bucket_slots(is_v6, bucket);
	struct xdnat_bucket *known = bucket_get(is_v6, bucket);
	__u64 set;

	if (!slots || !known)
		return PLACE_NONE;
	set = tags_that_are(READ_ONCE(known->tags), xdnat_home_tag(home));
#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < XDNAT_SLOTS && set; i++, set = tags_without_first(set)) {
		__u32 n = tags_first(set) % XDNAT_SLOTS;

		if (slot_is_visible_as(is_v6, slot_of(is_v6, slots, n), key, word))
			return xdnat_place(bucket, n);
	}
	return READ_ONCE(known->overflowed) ? PLACE_BEYOND : PLACE_NONE;
}

/*
 * The place of a visible slot of that key at its home; PLACE_BEYOND: there is none, but
 * there may be beyond; or PLACE_NONE. *word: as it was while the slot had the key. Global
 * functions: verified once, not anew for every way to them. (Linux 6.1 does not take their
 * arguments as keys of maps.)
 */
__noinline __u32 home_find4(const struct xdnat_key4 *key, __u64 *word)
{
	return key && word ? home_find(false, key, word) : PLACE_NONE;
}

__noinline __u32 home_find6(const struct xdnat_key6 *key, __u64 *word)
{
	return key && word ? home_find(true, key, word) : PLACE_NONE;
}

/* The visible slot of a key, or NULL. */
static __always_inline void *table_find(bool is_v6, const void *key, __u64 *word, __u32 *place)
{
	*place = is_v6 ? home_find6(key, word) : home_find4(key, word);
	if (*place == PLACE_BEYOND)
		return overflow_find(is_v6, key, word, place);
	return table_slot(is_v6, *place);
}

/* Begins to load what the insertion of that key will touch, mostly: who has something else
 * to do meanwhile does not wait for memory then. (BPF has no prefetch.) */
static __always_inline void table_preload(bool is_v6, const void *key)
{
	__u64 home = key_home(is_v6, key);
	void *slots = bucket_slots(is_v6, xdnat_home_bucket(home));
	const struct xdnat_bucket *known = bucket_get(is_v6, xdnat_home_bucket(home));
	const __u8 *slot;

	if (!slots || !known)
		return;
	slot = slot_of(is_v6, slots, xdnat_home_slot(home));
	(void)READ_ONCE(known->tags);
	(void)READ_ONCE(slot[0]);
	(void)READ_ONCE(slot[64]);
	if (is_v6)
		(void)READ_ONCE(slot[128]);
}

#endif
