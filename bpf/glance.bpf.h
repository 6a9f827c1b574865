/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * An skb's ports at a glance, so that what is foreign costs next to nothing: every packet
 * of the host passes here. Reads only, of the linear part only.
 */
#ifndef XDNAT_GLANCE_BPF_H
#define XDNAT_GLANCE_BPF_H

#include "foreign.bpf.h"
#include "maps.bpf.h"
#include "plain.bpf.h"

static __always_inline __u32 skb_l2_bytes(const struct __sk_buff *skb)
{
	const struct xdnat_interface *interface = interface_get(skb->ifindex);

	return interface && interface->flags & XDNAT_NO_ETHERNET ? 0 : ETH_HLEN;
}

static __always_inline bool glance_is_foreign(bool is_v6, void *l3, void *end)
{
	struct plain pkt = {.l3 = l3};

	return plain_has_ports(is_v6, end, &pkt) && plain_is_version(is_v6, *(const __u8 *)l3) &&
	       is_foreign(pkt.l4);
}

/* Asks a map about the Ethernet header only where one begins as the IP header would; else
 * the offset is a constant. (A packet that lies about its version may deceive it: the kernel
 * drops that.) */
static __always_inline bool skb_glance(bool is_v6, const struct __sk_buff *skb, void *data,
				       void *end)
{
	if (*(const __u8 *)data >> 4 == (is_v6 ? 6 : 4))
		return glance_is_foreign(is_v6, data + (skb_l2_bytes(skb) & ETH_HLEN), end);
	return glance_is_foreign(is_v6, data + ETH_HLEN, end);
}

/* True for a plain packet that is nobody's. False: skb_parse() has to look. */
static __always_inline bool skb_is_foreign(const struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;

	if (data + FRAME_LEAST > end || skb->vlan_present)
		return false;
	if (skb->protocol == bpf_htons(ETH_P_IP))
		return skb_glance(false, skb, data, end);
	return skb->protocol == bpf_htons(ETH_P_IPV6) && skb_glance(true, skb, data, end);
}

#endif
