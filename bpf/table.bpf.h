/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The flow table: an open-addressing hash in arrays that the tools map (its layout:
 * xdnat_flow.h). Knows slots, keys and words, not what a flow is. One story for both
 * families: is_v6 is a constant wherever it is inlined. Here words are changed; halves are
 * found by probe.bpf.h for who only rewrites, by find.bpf.h for who decides;
 * insertion.bpf.h gives slots away and frees them.
 *
 * A slot's life, by its word:
 *
 *   free --1--> hidden --2--> visible --3--> hidden --4--> free
 *                  ^             |
 *                  +------1------+  an embryo, replaced
 *
 * 1. Claim: under the lock of the slot's bucket, and of the key's home, by
 *    compare-and-swap of the word that was looked at; the owner is another then.
 * 2. Publish: by atomic exchange, when the other half is hidden too.
 * 3. Release: by compare-and-swap, of what its flow has made XDNAT_DEAD, or, for 4, of
 *    what was never published. 4: by atomic exchange.
 *
 * Who may write what:
 * - The word of a hidden slot: who hid it. Of a visible one: anybody, by
 *   compare-and-swap from what was read, so that nothing is done to a slot that has
 *   changed hands, that was answered, or that saw a packet meanwhile.
 * - Fields that say "hop": who made the word's hop odd by compare-and-swap, and makes it
 *   even by an atomic addition. While it is odd, the slot does not change hands (1, 3).
 * - All else but the counters: who hid the slot, while it is hidden.
 * - A slot's tag, in struct xdnat_bucket: who hid the slot, by a store of one byte: before it
 *   is visible (2), and 0 after it is free (4). What has no tag is free, for who has the
 *   bucket's lock, and nothing else is claimed as free: between 4 and the store of 0 the
 *   slot is nobody else's. Without the lock, too, the tag is seen of each half that was
 *   visible before one looked: 2 is ordered after the store.
 * - Counters: anybody. In a slot that changed hands a packet may be counted wrong.
 *
 * No tuple is there twice: a key gets a slot under the lock of its home only, after all
 * places where it could be were looked at, the hidden ones too. Who finds it hidden
 * comes back (-EBUSY). A lock is held for some hundred instructions, by programs that
 * always end; who waits for it gives up after some time.
 *
 * A reader is safe: it reads the word, then key and fields, then the word again. Is that
 * the same, the slot was one half's all the while and no hop was being written; if not,
 * it has seen nothing. All read-modify-writes of words are fully ordered (BPF_FETCH). Loads
 * may be reordered on arm64, for which BPF has no barrier: the address of the one that
 * must be later depends on what must be read earlier, by after_load(), or there is an
 * atomic operation between.
 *
 * A half beyond its home: under the home's lock it is claimed (under that bucket's lock
 * too), and then its place is written into the kernel's hash. It is taken out before
 * the slot is free or has another key, by who hid the slot: an entry always is of a
 * slot with its key. bucket.overflowed is raised before and lowered after.
 *
 * Embryos are the halves that are not XDNAT_ASSURED yet. An answer of the target is not
 * enough for TCP: it answers SYNs from made-up sources, too. (Who makes up an ACK for each
 * as well has flows in use: the number in it is not looked at.) At most half of a bucket's
 * slots are given to embryos: one more takes the place of that one of them for which no
 * packet has come for the longest time; so it does if there is no room at home and none
 * beyond. No assured half ever loses its place, and none becomes an embryo again: a SYN,
 * which anybody can send, costs a connection its XDNAT_CONFIRMED, but never its place.
 * tests/model has all this as a model, checked exhaustively.
 */
#ifndef XDNAT_TABLE_BPF_H
#define XDNAT_TABLE_BPF_H

#include "maps.bpf.h"
#include "packet.bpf.h"
#include "tags.bpf.h"

#define READ_ONCE(x) (*(const volatile __typeof__(x) *)&(x))

#define PLACE_NONE    0xffffffff
#define PLACE_BEYOND  0xfffffffe
#define SWAP_TRIES    4	 /* of a word that others change at the same time */
#define RELEASE_TRIES 16 /* the same, where nothing else would do it */

/* Zero, but not before value was loaded: added to an address it keeps what is read there
 * from being read before (an address dependency). x86 does that anyway. */
static __always_inline __u64 after_load(__u64 value)
{
#ifdef __TARGET_ARCH_x86
	(void)value;
	barrier();
	return 0;
#else
	asm volatile("%0 &= 0" : "+r"(value));
	return value;
#endif
}

/* Reads in order with everything, before and after. */
static __always_inline __u64 word_load(struct xdnat_half *half)
{
	return __sync_fetch_and_or(&half->word, 0);
}

static __always_inline bool word_is_visible(__u64 word)
{
	return (xdnat_state(word) & (XDNAT_TAKEN | XDNAT_HIDDEN)) == XDNAT_TAKEN;
}

static __always_inline bool word_is_embryo(__u64 word)
{
	return !(xdnat_state(word) & (XDNAT_ASSURED | XDNAT_HIDDEN | XDNAT_DEAD));
}

static __always_inline __u64 word_with_state(__u64 word, __u32 state)
{
	return (word & ~(0xffULL << XDNAT_WORD_STATE)) | ((__u64)state << XDNAT_WORD_STATE);
}

static __always_inline __u64 word_with_until(__u64 word, __u32 until)
{
	return (word & ~0xffffffffULL) | until;
}

/* A half as it is stored: half is NULL or part of the one of half4 and half6 that is not
 * NULL. (From a flag the verifier cannot tell which map it came from.) */
struct stored {
	struct xdnat_half *half;
	struct xdnat_half4 *half4;
	struct xdnat_half6 *half6;
	__u64 word; /* as it was last seen, visible, with the key that was looked for */
	__u32 place;
	__u32 pad;
};

/* Makes the word another, if it still is what was last seen. */
static __always_inline bool stored_swap(struct stored *stored, __u64 word)
{
	__u64 seen = __sync_val_compare_and_swap(&stored->half->word, stored->word, word);

	if (seen != stored->word)
		return false;
	stored->word = word;
	return true;
}

/* Is the slot still this half's? In order with all that was read of it before. */
static __always_inline bool stored_is(const struct stored *stored)
{
	__u64 word = word_load(stored->half);

	return !((word ^ stored->word) & XDNAT_OWNER_MASK) && word_is_visible(word);
}

/* Looks at the word anew. False: the half is gone or going. */
static __always_inline bool stored_refresh(struct stored *stored)
{
	__u64 word = word_load(stored->half);

	if (((word ^ stored->word) & XDNAT_OWNER_MASK) || !word_is_visible(word) ||
	    (xdnat_state(word) & XDNAT_DEAD))
		return false;
	stored->word = word;
	return true;
}

/* The family's tables and sizes. */
static __always_inline void *bucket_slots_at(bool is_v6, const __u32 *bucket)
{
	if (is_v6)
		return bpf_map_lookup_elem(&xdnat_flows6, bucket);
	return bpf_map_lookup_elem(&xdnat_flows4, bucket);
}

static __always_inline void *bucket_slots(bool is_v6, __u32 bucket)
{
	return bucket_slots_at(is_v6, &bucket);
}

static __always_inline struct xdnat_bucket *bucket_get(bool is_v6, __u32 bucket)
{
	if (is_v6)
		return bpf_map_lookup_elem(&xdnat_buckets6, &bucket);
	return bpf_map_lookup_elem(&xdnat_buckets4, &bucket);
}

static __always_inline void *overflow_map(bool is_v6)
{
	return is_v6 ? (void *)&xdnat_overflow6 : (void *)&xdnat_overflow4;
}

static __always_inline __u32 slot_bytes(bool is_v6)
{
	return is_v6 ? sizeof(struct xdnat_half6) : sizeof(struct xdnat_half4);
}

static __always_inline __u32 slot_key_bytes(bool is_v6)
{
	return is_v6 ? sizeof(struct xdnat_key6) : sizeof(struct xdnat_key4);
}

static __always_inline void *slot_of(bool is_v6, void *slots, __u32 slot)
{
	return slots + (slot % XDNAT_SLOTS) * slot_bytes(is_v6);
}

static __always_inline void *table_slot(bool is_v6, __u32 place)
{
	void *slots = bucket_slots(is_v6, place / XDNAT_SLOTS);

	return slots ? slot_of(is_v6, slots, place) : NULL;
}

static __always_inline struct xdnat_half *half_of(bool is_v6, void *slot)
{
	return slot + slot_key_bytes(is_v6);
}

static __always_inline bool slot_has(bool is_v6, const void *slot, const void *key)
{
	const volatile __u64 *have = slot;
	const __u64 *want = key;
	__u64 differ = (have[0] ^ want[0]) | (have[1] ^ want[1]);

	for (int i = 2; is_v6 && i < 5; i++) {
		/* Else clang 19 reads all first, and keeps them on the stack. */
		barrier_var(differ);
		differ |= have[i] ^ want[i];
	}
	return !differ;
}

static __always_inline __u64 key_home(bool is_v6, const void *key)
{
	return xdnat_home(is_v6 ? xdnat_key6_hash(key, hash_seeds)
				: xdnat_key4_hash(key, hash_seeds),
			  home_buckets);
}

static __always_inline struct xdnat_half *place_half(bool is_v6, __u32 place)
{
	void *slot = is_v6 ? table_slot(true, place) : table_slot(false, place);

	if (!slot)
		return NULL;
	return is_v6 ? half_of(true, slot) : half_of(false, slot);
}

/* Clears and sets bits of a half's word: what it is then, or 0 if the half, which had that
 * owner in its word, is gone or going, or others were always faster. Global as home_find4()
 * is. */
__noinline __u64 word_change(__u32 is_v6, __u32 place, __u64 word, __u64 set, __u64 clear)
{
	struct xdnat_half *half = place_half(is_v6, place);

	if (!half)
		return 0;
#pragma clang loop unroll(disable)
	for (int i = 0; i < RELEASE_TRIES; i++) {
		__u64 to = (word & ~clear) | set;
		__u64 seen = __sync_val_compare_and_swap(&half->word, word, to);

		if (seen == word)
			return to;
		if (((seen ^ word) & XDNAT_OWNER_MASK) || !word_is_visible(seen) ||
		    (xdnat_state(seen) & XDNAT_DEAD))
			return 0;
		word = seen;
	}
	return 0;
}

/* Clears and sets bits of the word. False: the half is gone, or going, or others were
 * always faster. */
static __always_inline bool stored_change(struct stored *stored, __u64 set, __u64 clear)
{
	__u64 word;

	if (((stored->word & ~clear) | set) == stored->word)
		return true;
	word = word_change(stored->half6 != NULL, stored->place, stored->word, set, clear);
	if (word)
		stored->word = word;
	return word;
}

#define WORD_STATE(state) ((__u64)(state) << XDNAT_WORD_STATE)

#endif
