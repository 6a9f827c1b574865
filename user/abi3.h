/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What ABI 3 had otherwise: its flows were in two hashes of the kernel. Only read, by
 * who upgrades an instance from there. All other layouts are those of xdnat_abi.h.
 */
#ifndef XDNAT_ABI3_H
#define XDNAT_ABI3_H

#include "xdnat_abi.h"

#define ABI3 3

/* The one element of xdnat_config, as struct xdnat_config. */
struct abi3_config {
	__u32 abi;
	__u32 active_set;
	__u32 hz;
	__u32 tick_jiffies;
	__u32 flows; /* the tables have room for two halves each */
	__u32 next_id;
	__u32 generation;
	__u32 life_jiffies[XDNAT_LIFE_MAX];
	__u32 has_ranges;
	__u32 snat_ports;
	__u16 snat_first_host;
	__u16 snat_last_host;
	__u32 seed;
	__u64 netns_cookie;
};
_Static_assert(sizeof(struct abi3_config) == 72, "abi3_config");

/* As struct xdnat_half, whose bits its state has. */
struct abi3_half {
	__u32 version; /* odd while out_ifindex, mtu and eth are written */
	__u32 state;
	__u32 until;
	__u32 in_ifindex;
	__u8 in_mac[6];
	__sum16 l3_delta;
	__sum16 l4_delta;
	__u16 tc_mtu;
	union xdnat_ports ports;
	__u32 out_ifindex;
	__u16 mtu;
	__u8 direction;
	__u8 pad;
	__be32 eth[3];
	__u32 rule;
	__u64 packets;
	__u64 bytes;
};
_Static_assert(sizeof(struct abi3_half) == 72, "abi3_half");

/* Values of the hashes xdnat_flows4 and xdnat_flows6, by their keys. */
struct abi3_half4 {
	struct xdnat_key4 key;
	struct abi3_half half;
	__be32 src;
	__be32 dst;
};
_Static_assert(sizeof(struct abi3_half4) == 96, "abi3_half4");

struct abi3_half6 {
	struct xdnat_key6 key;
	struct abi3_half half;
	__be32 src[4];
	__be32 dst[4];
};
_Static_assert(sizeof(struct abi3_half6) == 144, "abi3_half6");

#endif
