/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The flow table: an open-addressing hash in arrays that the tools map (its layout:
 * xdnat_flow.h). Knows slots, keys and words, not what a flow is. One story for both
 * families: is_v6 is a constant wherever it is inlined.
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
 * - Counters: anybody. In a slot that changed hands a packet may be counted wrong.
 *
 * No tuple is there twice: a key gets a slot under the lock of its home only, after all
 * places where it could be were looked at, the hidden ones too. Who finds it hidden
 * comes back (-EBUSY). A lock is held for some hundred instructions, by programs that
 * always end; who waits for it gives up after some time.
 *
 * A reader is safe: it reads the word, then key and fields, then the word again. Is that
 * the same, the slot was one half's all the while and no hop was being written; if not,
 * it has seen nothing. All read-modify-writes here are fully ordered (BPF_FETCH). Loads
 * may be reordered on arm64, for which BPF has no barrier: the address of the one that
 * must be later depends on what must be read earlier, by after_load(), or there is an
 * atomic operation between.
 *
 * A half beyond its home: under the home's lock it is claimed (under that bucket's lock
 * too), and then its place is written into the kernel's hash. It is taken out before
 * the slot is free or has another key, by who hid the slot: an entry always is of a
 * slot with its key. bucket.overflowed is raised before and lowered after.
 *
 * Embryos. At most half of a bucket's slots are given to them: one more takes the place
 * of that one of them for which no packet has come for the longest time. No answered
 * half ever loses its place. tests/model has all this as a model, checked exhaustively.
 */
#ifndef XDNAT_TABLE_BPF_H
#define XDNAT_TABLE_BPF_H

#include <linux/errno.h>

#include "maps.bpf.h"
#include "packet.bpf.h"

#define READ_ONCE(x) (*(const volatile __typeof__(x) *)&(x))

#define SLOT_NONE	 0xffffffff
#define SLOT_EMBRYOS_MAX (XDNAT_SLOTS / 2) /* of a bucket */
#define CLAIM_TRIES	 3  /* a slot is snatched away, look again */
#define OVERFLOW_TRIES	 3  /* buckets */
#define LOCK_TRIES	 64 /* some microseconds */
#define RELEASE_TRIES	 64

/* Zero, but not before value was loaded: added to an address it keeps what is read there
 * from being read before (an address dependency). x86 does that anyway. */
static __always_inline __u64 after_load(__u64 value)
{
#ifdef __TARGET_ARCH_arm64
	asm volatile("%0 &= 0" : "+r"(value));
	return value;
#else
	barrier();
	return 0;
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
	return !(xdnat_state(word) & (XDNAT_ANSWERED | XDNAT_HIDDEN | XDNAT_DEAD));
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
	__u64 word;  /* as it was last seen, visible, with the key that was looked for */
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

/* Sets and clears state bits. False: the half is gone, or going, or others were always
 * faster. */
static __always_inline bool stored_change(struct stored *stored, __u32 set, __u32 clear)
{
	for (int i = 0; i < CLAIM_TRIES; i++) {
		__u64 word = stored->word, seen;
		__u32 state = xdnat_state(word);

		if ((state | set) == state && !(state & clear))
			return true;
		if (stored_swap(stored, word_with_state(word, (state | set) & ~clear)))
			return true;
		seen = word_load(stored->half);
		if (((seen ^ word) & XDNAT_OWNER_MASK) || !word_is_visible(seen) ||
		    (xdnat_state(seen) & XDNAT_DEAD))
			return false;
		stored->word = seen;
	}
	return false;
}
