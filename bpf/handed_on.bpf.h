/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How XDP hands a frame on to tc: with a destination MAC address that is nobody's. The
 * host takes it for another's and never answers, be tc there or not; tc knows it.
 */
#ifndef XDNAT_HANDED_ON_BPF_H
#define XDNAT_HANDED_ON_BPF_H

#include <linux/types.h>
#include <stdbool.h>

#include <bpf/bpf_endian.h>

/* 02:78:64:6e:61:74: locally administered (IEEE 802), then "xdnat". */
#define HANDED_ON_FIRST bpf_htonl(0x0278646e)
#define HANDED_ON_LAST	bpf_htons(0x6174)

/* mac: a frame's first six bytes, which begin at an even address. */
static __always_inline bool is_handed_on(const __u8 *mac)
{
	return *(const __be32 *)mac == HANDED_ON_FIRST &&
	       *(const __be16 *)(mac + 4) == HANDED_ON_LAST;
}

static __always_inline void hand_on(__u8 *mac)
{
	*(__be32 *)mac = HANDED_ON_FIRST;
	*(__be16 *)(mac + 4) = HANDED_ON_LAST;
}

#endif
