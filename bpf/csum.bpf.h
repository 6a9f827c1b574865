/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Internet checksums as integer arithmetic: RFC 1624 differences, RFC 1071 sums.
 * Includes no BPF header, so that host tests compile it too. All values stay in
 * network byte order: the one's complement sum does not care (RFC 1071 section 2 B).
 */
#ifndef XDNAT_CSUM_BPF_H
#define XDNAT_CSUM_BPF_H

#include <linux/types.h>

/* Folds a sum of at most 2^16 16-bit words to 16 bits. */
static inline __attribute__((always_inline)) __u16 csum_fold(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return (__u16)(sum + (sum >> 16));
}

/* The sum ~m + m' of one replaced 16-bit word, unfolded. */
static inline __attribute__((always_inline)) __u32 csum_diff16(__be16 from, __be16 to)
{
	return (__u32)(__u16)~from + (__u16)to;
}

/* The same for a 32-bit word. */
static inline __attribute__((always_inline)) __u32 csum_diff32(__be32 from, __be32 to)
{
	__u32 gone = ~(__u32)from;

	return (gone >> 16) + (gone & 0xffff) + ((__u32)to >> 16) + ((__u32)to & 0xffff);
}

/* HC' = ~(~HC + delta), RFC 1624 eqn. 3: the one's complement of either side is taken, and
 * what was a carry to fold is a borrow, which is all of the difference's upper half. That is
 * added to the lower one by a multiplication. */
static inline __attribute__((always_inline)) __sum16 csum_apply(__sum16 check, __u16 delta)
{
	__u32 sum = (__u16)check - delta;

	return (__sum16)(sum * 0x00010001 >> 16);
}

#endif
