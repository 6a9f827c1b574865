/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A bucket's tags: a byte for each slot, all in one word, so that only those slots are
 * looked at that may have a key. Here a set of slots is a word with the highest bit of
 * each one's byte. Pure arithmetic; what tags are worth: table.bpf.h.
 */
#ifndef XDNAT_TAGS_BPF_H
#define XDNAT_TAGS_BPF_H

#include <linux/types.h>

#include "xdnat_flow.h"

#define TAGS_LOW  0x0101010101010101ULL
#define TAGS_HIGH 0x8080808080808080ULL

/* Turned, so that the slot to begin with comes first. */
static inline __attribute__((always_inline)) __u64 tags_from(__u64 tags, __u32 start)
{
	__u32 bits = 8 * start;

	return tags >> (bits & 63) | tags << (-bits & 63);
}

/* The slots with that tag, and perhaps others behind the first of them: a borrow goes on. */
static inline __attribute__((always_inline)) __u64 tags_that_are(__u64 tags, __u8 tag)
{
	__u64 differ = tags ^ tag * TAGS_LOW;

	return (differ - TAGS_LOW) & ~differ & TAGS_HIGH;
}

static inline __attribute__((always_inline)) __u64 tags_free(__u64 tags)
{
	return ~tags & TAGS_HIGH;
}

static inline __attribute__((always_inline)) __u64 tags_taken(__u64 tags)
{
	return tags & TAGS_HIGH;
}

static inline __attribute__((always_inline)) __u32 tags_count(__u64 set)
{
	return (set >> 7) * TAGS_LOW >> 56;
}

/* The first of a set that is not empty. */
static inline __attribute__((always_inline)) __u32 tags_first(__u64 set)
{
	return ((set & -set) >> 7) * 0x0001020304050607ULL >> 56;
}

static inline __attribute__((always_inline)) __u64 tags_without_first(__u64 set)
{
	return set & (set - 1);
}

#endif
