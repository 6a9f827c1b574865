/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The plain packet, which nearly all are: TCP or UDP, without tag, IPv4 options or IPv6
 * extension headers, no fragment. In two looks, so that what is foreign costs next to
 * nothing: first the ports, then whether its headers are whole and it may go on. Whatever
 * is not plain is packet.bpf.h's, which tells why. No policy, no maps, no context.
 */
#ifndef XDNAT_PLAIN_BPF_H
#define XDNAT_PLAIN_BPF_H

#include "packet.bpf.h"

#define IP4_FIRST_BYTE 0x45 /* version 4, five words */

static __always_inline bool plain_has_ports(__u8 proto)
{
	return proto == IPPROTO_TCP || proto == IPPROTO_UDP;
}

/* Where the ports of a plain IPv4 packet are (one word: clang would read bytes), or NULL.
 * Of one with lies in its headers they may be anything. */
static __always_inline __be32 *plain4_ports(struct iphdr *ip, void *end)
{
	__be32 *ports = (void *)(ip + 1);

	if ((void *)(ports + 1) > end || *(const __u8 *)ip != IP4_FIRST_BYTE ||
	    (ip->frag_off & IP_MORE_OR_OFFSET) || !plain_has_ports(ip->protocol))
		return NULL;
	return ports;
}

static __always_inline __be32 *plain6_ports(struct ipv6hdr *ip, void *end)
{
	__be32 *ports = (void *)(ip + 1);

	if ((void *)(ports + 1) > end || ip->version != 6 || !plain_has_ports(ip->nexthdr))
		return NULL;
	return ports;
}

/* The second look: l4 is plain4_ports() or 6, pkt has proto, bytes and ip4 or ip6. Is it
 * all there, and is there nothing to be said about it? */
static __always_inline bool plain_is_whole(void *l4, void *end, struct packet *pkt, __u32 l4_bytes)
{
	struct tcphdr *tcp = l4;
	struct udphdr *udp = l4;

	if (l4 + l4_bytes > end)
		return false;
	pkt->udp = udp;
	if (pkt->proto != IPPROTO_TCP) {
		__u32 bytes;

		if ((void *)(udp + 1) > end)
			return false;
		bytes = bpf_ntohs(udp->len);
		return bytes >= sizeof(*udp) && bytes <= l4_bytes && (!pkt->ip6 || udp->check);
	}
	if ((void *)(tcp + 1) > end)
		return false;
	pkt->tcp = tcp;
	pkt->tcp_flags = ((__u8 *)tcp)[TCP_FLAGS_BYTE];
	return tcp->doff * 4 >= sizeof(*tcp) && tcp->doff * 4 <= l4_bytes;
}

static __always_inline bool plain4_is_whole(struct iphdr *ip, __be32 *ports, void *end,
					    struct packet *pkt)
{
	__u32 bytes = length_host(ip->tot_len);

	if (bytes <= sizeof(*ip) || ip->ttl <= 1)
		return false;
	pkt->ip4 = ip;
	pkt->ports.both = *ports;
	pkt->proto = ip->protocol;
	pkt->bytes = bytes;
	return plain_is_whole(ports, end, pkt, bytes - sizeof(*ip));
}

static __always_inline bool plain6_is_whole(struct ipv6hdr *ip, __be32 *ports, void *end,
					    struct packet *pkt)
{
	__u32 bytes = length_host(ip->payload_len);

	if (!bytes || ip->hop_limit <= 1 || bytes + sizeof(*ip) > 0xffff)
		return false;
	pkt->ip6 = ip;
	pkt->ports.both = *ports;
	pkt->proto = ip->nexthdr;
	pkt->bytes = bytes + sizeof(*ip);
	return plain_is_whole(ports, end, pkt, bytes);
}

#endif
