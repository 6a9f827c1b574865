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

/* The same without asking a map, but where an Ethernet header begins as the IP header
 * would. (A packet that lies about its version may deceive it: the kernel drops that.) */
static __always_inline void *glance_l3(const struct __sk_buff *skb, void *data, __u8 version)
{
	if (*(const __u8 *)data >> 4 != version)
		return data + ETH_HLEN;
	return data + (skb_l2_bytes(skb) & ETH_HLEN);
}

static __always_inline bool glance_is_foreign(bool is_v6, const struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct plain pkt = {.l3 = glance_l3(skb, data, is_v6 ? 6 : 4)};

	return plain_has_ports(is_v6, end, &pkt) &&
	       plain_is_version(is_v6, *(const __u8 *)pkt.l3) && is_foreign(pkt.l4);
}

/* True for a plain packet that is nobody's. False: skb_parse() has to look. */
static __always_inline bool skb_is_foreign(const struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;

	if (data + ETH_HLEN > end || skb->vlan_present)
		return false;
	if (skb->protocol == bpf_htons(ETH_P_IP))
		return glance_is_foreign(false, skb);
	return skb->protocol == bpf_htons(ETH_P_IPV6) && glance_is_foreign(true, skb);
}

#endif
