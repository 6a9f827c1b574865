/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One half by itself: its translation, its next hop, where its packets come in.
 * Knows neither how halves are found nor what their states mean.
 */
#ifndef XDNAT_HALF_BPF_H
#define XDNAT_HALF_BPF_H

#include "rewrite.bpf.h"
#include "route.bpf.h"
#include "table.bpf.h"

static __always_inline bool is_same_mac(const __u8 *left, const __u8 *right)
{
	return *(const __u32 *)left == *(const __u32 *)right &&
	       *(const __u16 *)(left + 4) == *(const __u16 *)(right + 4);
}

#define HALF_COPIED_WORDS 3
_Static_assert(offsetof(struct translation, eth) - offsetof(struct translation, ports) ==
			       offsetof(struct xdnat_half, eth) -
				       offsetof(struct xdnat_half, ports) &&
		       offsetof(struct translation, out_ifindex) -
				       offsetof(struct translation, ports) ==
			       offsetof(struct xdnat_half, out_ifindex) -
				       offsetof(struct xdnat_half, ports) &&
		       sizeof(struct translation) - offsetof(struct translation, ports) ==
			       HALF_COPIED_WORDS * sizeof(__u64),
	       "a half's translation is one run of double words");

/* Copies what rewriting needs, without the addresses. */
static __always_inline void half_copy(const struct xdnat_half *half, struct translation *to)
{
	const __u64 *from = (const void *)&half->ports;
	__u64 *words = (void *)&to->ports;

	for (int i = 0; i < HALF_COPIED_WORDS; i++)
		words[i] = from[i];
}

/* Is the frame to the address that the last packet came to, by the same interface, and is
 * there room on the way out for so many bytes from the IP header on? All that tells is read
 * before what is read through *slot then. */
static __always_inline bool half_is_way(bool is_v6, void **slot, const void *frame, __u64 bytes,
					__u32 ifindex)
{
	const struct xdnat_half *half = half_of(is_v6, *slot);
	/* Six bytes of address, which come first, and two of MTU, the upper ones. */
	__u64 mac_mtu = *(const volatile __u64 *)half->in_mac;
	__u64 differ = (mac_mtu ^ *(const __u64 *)frame) << 16;
	__u32 in_ifindex = READ_ONCE(half->in_ifindex);

	barrier_var(differ); /* else clang takes a mask for the shift, and loads it */
	*slot += after_load(mac_mtu ^ in_ifindex);
	return !differ && bytes <= mac_mtu >> 48 && in_ifindex == ifindex;
}

static __always_inline void half_count(struct xdnat_half *half, __u32 packets, __u64 bytes)
{
	half->packets += packets;
	half->bytes += bytes;
}

/* Do its packets come in elsewhere now? */
static __always_inline bool half_is_moved(const struct xdnat_half *half, __u32 ifindex,
					  const struct xdnat_interface *interface)
{
	return half->in_ifindex != ifindex || !is_same_mac(half->in_mac, interface->mac);
}

/* mac: that interface's. */
static __always_inline void half_set_ingress(struct xdnat_half *half, __u32 ifindex,
					     const __u8 *mac)
{
	half->in_ifindex = ifindex;
	__builtin_memcpy(half->in_mac, mac, sizeof(half->in_mac));
}

static __always_inline void half_set_hop(struct xdnat_half *half, const struct hop *hop)
{
	half->out_ifindex = hop->ifindex;
	half->mtu = hop->way == WAY_XDP ? hop->mtu : 0;
	half->tc_mtu = hop->way == WAY_NEIGHBOUR ? 0 : hop->mtu;
	half->eth[0] = hop->eth[0];
	half->eth[1] = hop->eth[1];
	half->eth[2] = hop->eth[2];
}

static __noinline void half_set_rewrite(struct xdnat_half *half, const struct tuple *tuple,
					const struct tuple *leaving)
{
	__u32 addr_delta = rewrite_addr_delta(tuple, leaving);

	half->l3_delta = csum_fold(addr_delta + rewrite_ttl_delta());
	half->l4_delta = csum_fold(addr_delta + rewrite_port_delta(tuple, leaving));
	half->ports = leaving->ports;
}

/* Makes hop odd. False: somebody else is at it, or the half is gone. */
static __always_inline bool half_begin_hop(struct stored *stored)
{
#pragma clang loop unroll(disable)
	for (int i = 0; i < SWAP_TRIES; i++) {
		if (xdnat_is_hop_written(stored->word))
			return false;
		if (stored_swap(stored, stored->word + (1ULL << XDNAT_WORD_HOP)))
			return true;
		if (!stored_refresh(stored))
			return false;
	}
	return false;
}

/* Writes down the next hop and, if interface is not NULL, where packets come in. */
static __always_inline void half_store_hop(struct stored *stored, const struct hop *hop,
					   __u32 in_ifindex,
					   const struct xdnat_interface *interface)
{
	if (!half_begin_hop(stored))
		return;
	half_set_hop(stored->half, hop);
	if (interface)
		half_set_ingress(stored->half, in_ifindex, interface->mac);
	stored->word = __sync_fetch_and_add(&stored->half->word, 1ULL << XDNAT_WORD_HOP) +
		       (1ULL << XDNAT_WORD_HOP);
}

/* True if the half's next hop could be copied whole. */
static __always_inline bool half_load_hop(struct xdnat_half *half, struct hop *hop)
{
	__u64 word = word_load(half);

	hop->ifindex = READ_ONCE(half->out_ifindex);
	hop->mtu = READ_ONCE(half->tc_mtu);
	hop->way = READ_ONCE(half->mtu) ? WAY_XDP : WAY_TC;
	hop->eth[0] = READ_ONCE(half->eth[0]);
	hop->eth[1] = READ_ONCE(half->eth[1]);
	hop->eth[2] = READ_ONCE(half->eth[2]);
	return hop->mtu && !xdnat_is_hop_written(word) &&
	       !((word_load(half) ^ word) & (XDNAT_OWNER_MASK | XDNAT_HOP_MASK));
}

static __always_inline void half_add_totals(const struct xdnat_half *half, struct xdnat_rule *rule)
{
	__u32 direction = half->direction % XDNAT_DIRECTIONS;

	__sync_fetch_and_add(&rule->ended_packets[direction], half->packets);
	__sync_fetch_and_add(&rule->ended_bytes[direction], half->bytes);
}

#endif
