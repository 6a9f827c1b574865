/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * An skb's ports at a glance, so that what is foreign costs next to nothing: every packet
 * of the host passes here. Reads only, of the linear part only.
 */
#ifndef XDNAT_GLANCE_BPF_H
#define XDNAT_GLANCE_BPF_H

#include "maps.bpf.h"
#include "packet.bpf.h"

#define IP4_FIRST_BYTE 0x45 /* version 4, five words */

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

/* The ports of a TCP or UDP packet without tag, options, extension headers and fragments.
 * False: skb_parse() has to look. Of what that finds malformed they may be anything. */
static __always_inline bool skb_glance(const struct __sk_buff *skb, union xdnat_ports *ports)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end, *l4;
	const struct ipv6hdr *ip6;
	const struct iphdr *ip4;
	__u8 proto;

	if (data + ETH_HLEN + sizeof(*ip4) + sizeof(*ports) > end || skb->vlan_present)
		return false;
	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		ip4 = glance_l3(skb, data, 4);
		if (*(const __u8 *)ip4 != IP4_FIRST_BYTE || ip4->frag_off & IP_MORE_OR_OFFSET)
			return false;
		proto = ip4->protocol;
		l4 = (void *)(ip4 + 1);
	} else if (skb->protocol == bpf_htons(ETH_P_IPV6)) {
		ip6 = glance_l3(skb, data, 6);
		if ((void *)(ip6 + 1) > end)
			return false;
		proto = ip6->nexthdr;
		l4 = (void *)(ip6 + 1);
	} else {
		return false;
	}
	if ((proto != IPPROTO_TCP && proto != IPPROTO_UDP) || l4 + sizeof(*ports) > end)
		return false;
	*ports = *(const union xdnat_ports *)l4;
	return true;
}

#endif
