/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The established packet's look into the flow table (table.bpf.h), by its own bytes: the key
 * is never put together but where it is looked for beyond its home.
 */
#ifndef XDNAT_PROBE_BPF_H
#define XDNAT_PROBE_BPF_H

#include "find.bpf.h"
#include "plain.bpf.h"

/* What a packet has of a key. */
struct packet_key {
	const void *frame; /* a plain packet's */
	__u64 last;	   /* ports and protocol, as the key's last word */
};

static __always_inline __u64 packet_key_home(bool is_v6, const struct packet_key *key)
{
	const __u64 *addrs = plain_addrs(is_v6, key->frame + ETH_HLEN);

	return xdnat_home(is_v6 ? xdnat_hash6(addrs, key->last, hash_seeds)
				: xdnat_hash4(addrs, key->last, hash_seeds),
			  home_buckets);
}

/* Has the slot that key, visible or not, by *word? All of it is read before what is read
 * through *slot then. */
static __always_inline bool slot_is_of(bool is_v6, void **slot, const struct packet_key *key,
				       __u64 *word)
{
	const __u64 *addrs = plain_addrs(is_v6, key->frame + ETH_HLEN);
	const volatile __u64 *have;
	__u64 seen = 0;

	*word = READ_ONCE(half_of(is_v6, *slot)->word);
	*slot += after_load(*word);
	have = *slot;
	for (int i = 0; i < (is_v6 ? 5 : 2); i++) {
		__u64 part = have[i];

		if (part != (i == (is_v6 ? 4 : 1) ? key->last : addrs[i]))
			return false;
		seen |= part;
	}
	*slot += after_load(seen);
	return true;
}

/* probe_find() where a key is not where it is looked for first. NULL: *word is not 0 if
 * there may be such a slot all the same. */
static __always_inline void *probe_on(bool is_v6, const struct packet_key *key, __u64 home,
				      __u64 *word)
{
	const struct xdnat_bucket *known = bucket_get(is_v6, xdnat_home_bucket(home));
	void *slots = bucket_slots(is_v6, xdnat_home_bucket(home)), *slot;
	__u64 copy[5]; /* of the key */
	__u64 set;
	__u32 place;

	*word = 0;
	if (!slots || !known)
		return NULL;
	set = tags_that_are(READ_ONCE(known->tags), xdnat_home_tag(home));
#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < XDNAT_SLOTS && set; i++, set = tags_without_first(set)) {
		slot = slot_of(is_v6, slots, tags_first(set));
		if (slot_is_of(is_v6, &slot, key, word))
			return slot;
	}
	*word = READ_ONCE(known->overflowed);
	if (!*word)
		return NULL;
	for (int i = 0; i < (is_v6 ? 4 : 1); i++)
		copy[i] = plain_addrs(is_v6, key->frame + ETH_HLEN)[i];
	copy[is_v6 ? 4 : 1] = key->last;
	return overflow_find(is_v6, copy, word, &place);
}

/* Not inlined: most packets never come here, and clang keeps what they need in registers
 * then. */
static __noinline void *probe_on4(const void *frame, __u64 last, __u64 home, __u64 *word)
{
	struct packet_key key = {frame, last};

	return probe_on(false, &key, home, word);
}

static __noinline void *probe_on6(const void *frame, __u64 last, __u64 home, __u64 *word)
{
	struct packet_key key = {frame, last};

	return probe_on(true, &key, home, word);
}

/* A home as it lies in memory, where the number of its bucket is a map's key. */
union stored_home {
	__u64 whole;
	struct {
		__u32 begin; /* xdnat_home_slot() */
		__u32 bucket;
	};
};

/*
 * Finds the slot of a key, for who rewrites at once if *word says that it is settled, and
 * looks at that once more, by slot_copy(), when it has read what it needs. False: none;
 * *word is not 0 if there may be one all the same.
 */
static __always_inline bool probe_find(bool is_v6, const struct packet_key *key, void **slot,
				       __u64 *word)
{
	union stored_home home = {.whole = packet_key_home(is_v6, key)};
	void *slots = bucket_slots_at(is_v6, &home.bucket);
	__u64 found;

	*word = 0;
	if (!slots)
		return false;
	*slot = slot_of(is_v6, slots, xdnat_home_slot(home.begin));
	if (slot_is_of(is_v6, slot, key, word))
		return true;
	*slot = is_v6 ? probe_on6(key->frame, key->last, home.whole, &found)
		      : probe_on4(key->frame, key->last, home.whole, &found);
	*word = found;
	return *slot;
}

#endif
