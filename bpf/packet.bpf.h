/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * From bytes to struct packet: bounds, tags, options, extension headers,
 * fragments (RFC 791, 8200, 9293, 768). No policy, no maps, no context: it takes
 * two pointers, so the host can run it too.
 */
#ifndef XDNAT_PACKET_BPF_H
#define XDNAT_PACKET_BPF_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/types.h>
#include <linux/udp.h>
#include <stdbool.h>
#include <stddef.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "csum.bpf.h"
#include "xdnat_abi.h"

#define IP_MORE_OR_OFFSET bpf_htons(0x3fff) /* RFC 791: MF and fragment offset */
#define IP_OFFSET	  bpf_htons(0x1fff)
#define VLAN_VID	  bpf_htons(0x0fff) /* IEEE 802.1Q */
#define PRIORITY_TAGS_MAX 2		    /* of one packet; no host sends more */
#define IP6_OFFSET	  bpf_htons(0xfff8) /* RFC 8200 section 4.5 */
/* "Each extension header should occur at most once, except for the Destination
 * Options header which should occur at most twice" (RFC 8200 section 4.1): six. */
#define IP6_EXTENSIONS_MAX 6
#define IP6_EXTENSION_UNIT 8 /* bytes; a fragment header is one unit */

#define TCP_FLAGS_BYTE 13 /* RFC 9293 section 3.1 */
#define TCP_FIN	       0x01
#define TCP_SYN	       0x02
#define TCP_RST	       0x04
#define TCP_ACK	       0x10

/* The pointers tell the kinds apart, not flags: the verifier knows a NULL that
 * went over the stack (6.1 does not know a byte that did). It does not know that
 * one of the two families' must be there: ask for the one that is used. */
struct packet {
	struct ethhdr *eth;  /* NULL: nobody asks whose MAC address it has */
	struct iphdr *ip4;   /* NULL: IPv6 */
	struct ipv6hdr *ip6; /* NULL: IPv4 */
	struct tcphdr *tcp;  /* NULL: UDP */
	struct udphdr *udp;  /* stands for TCP too */
	__u16 bytes;	     /* from the IP header on, by that header's own word */
	__u16 payload_bytes; /* behind the TCP header; UDP: not kept */
	__u8 proto;	     /* IPPROTO_TCP or IPPROTO_UDP */
	__u8 tcp_flags;	     /* 0 for UDP */
	__u8 has_ports;	     /* the ports stand: it can be asked whose it is */
	union xdnat_ports ports;
};

/*
 * What decisions ask of a packet, without pointers into it. It lies in map memory: the
 * verifier takes all that is read there for possible, and so goes through the decisions
 * once, not once for every kind of packet.
 */
struct traits {
	/* It may stand for several packets on the wire (GSO, GRO). Bytes are those from the
	 * IP header on. */
	__u32 all_bytes;
	__u16 wire_packets;
	__u16 wire_bytes; /* of the largest of them */
	__u8 is_tcp;
	__u8 tcp_flags;
	__u8 has_payload;   /* of TCP */
	__u8 is_bad_header; /* IPv4: its checksum is wrong */
	__u8 is_to_us;	    /* by its MAC address, if it has one */
	__u8 is_last_hop;   /* it may be delivered, not forwarded */
	__u8 has_ports;	    /* else nothing is decided about it, and nothing else is set */
	__u8 pad;
};

/* Addresses and ports in the family-blind form of the cold paths and of rules. */
struct tuple {
	struct xdnat_addr src;
	struct xdnat_addr dst;
	union xdnat_ports ports;
	__u32 proto;
	__u32 is_v6;
} __attribute__((aligned(8)));
_Static_assert(offsetof(struct tuple, is_v6) == sizeof(struct xdnat_key6) &&
		       offsetof(struct tuple, dst) == offsetof(struct xdnat_key6, dst) &&
		       offsetof(struct tuple, ports) == offsetof(struct xdnat_key6, ports),
	       "a tuple begins as a key of IPv6");

struct vlan_header {
	__be16 tci;
	__be16 ethertype;
};

struct ip6_extension {
	__u8 next;
	__u8 length;
	__be16 offset; /* in a fragment header */
};

static __always_inline struct xdnat_addr addr_mapped(__be32 ip4)
{
	return (struct xdnat_addr){{0, 0, bpf_htonl(0xffff), ip4}};
}

static __always_inline bool addr_is_same(const struct xdnat_addr *left,
					 const struct xdnat_addr *right)
{
	return left->word[0] == right->word[0] && left->word[1] == right->word[1] &&
	       left->word[2] == right->word[2] && left->word[3] == right->word[3];
}

static __always_inline bool tuple_is_same(const struct tuple *left, const struct tuple *right)
{
	return left->ports.both == right->ports.both && addr_is_same(&left->src, &right->src) &&
	       addr_is_same(&left->dst, &right->dst);
}

static __always_inline void packet_tuple(const struct packet *pkt, struct tuple *tuple)
{
	*tuple = (struct tuple){};
	if (pkt->ip6) {
		__builtin_memcpy(&tuple->src, &pkt->ip6->saddr, sizeof(tuple->src));
		__builtin_memcpy(&tuple->dst, &pkt->ip6->daddr, sizeof(tuple->dst));
	} else if (pkt->ip4) {
		tuple->src = addr_mapped(pkt->ip4->saddr);
		tuple->dst = addr_mapped(pkt->ip4->daddr);
	}
	tuple->ports = pkt->ports;
	tuple->proto = pkt->proto;
	tuple->is_v6 = pkt->ip6 != NULL;
}

static __always_inline void tuple_reverse(const struct tuple *tuple, struct tuple *reversed)
{
	reversed->src = tuple->dst;
	reversed->dst = tuple->src;
	reversed->ports.sport = tuple->ports.dport;
	reversed->ports.dport = tuple->ports.sport;
	reversed->proto = tuple->proto;
	reversed->is_v6 = tuple->is_v6;
}

/* l4_bytes: what the IP header leaves for the segment. */
static __always_inline enum xdnat_reason packet_parse_tcp(struct tcphdr *tcp, void *end,
							  struct packet *pkt, __u32 l4_bytes)
{
	__u32 header_bytes;

	if ((void *)(tcp + 1) > end || l4_bytes < sizeof(*tcp))
		return XDNAT_DROP_MALFORMED;
	header_bytes = tcp->doff * 4;
	if (header_bytes < sizeof(*tcp) || header_bytes > l4_bytes)
		return XDNAT_DROP_MALFORMED;
	pkt->tcp = tcp;
	pkt->udp = (void *)tcp;
	pkt->tcp_flags = ((__u8 *)tcp)[TCP_FLAGS_BYTE];
	pkt->payload_bytes = l4_bytes - header_bytes;
	return XDNAT_FORWARDED;
}

static __always_inline enum xdnat_reason packet_parse_udp(struct udphdr *udp, void *end,
							  struct packet *pkt, __u32 l4_bytes)
{
	__u32 bytes;

	if ((void *)(udp + 1) > end || l4_bytes < sizeof(*udp))
		return XDNAT_DROP_MALFORMED;
	bytes = bpf_ntohs(udp->len);
	if (bytes < sizeof(*udp) || bytes > l4_bytes)
		return XDNAT_DROP_MALFORMED;
	if (pkt->ip6 && !udp->check)
		return XDNAT_DROP_UDP6_CHECKSUM; /* RFC 8200 section 8.1 */
	pkt->udp = udp;
	return XDNAT_FORWARDED;
}

/* Reads the ports at l4 and then, unless the IP header has a flaw, the rest. */
static __always_inline enum xdnat_reason packet_parse_l4(void *l4, void *end, struct packet *pkt,
							 __u32 l4_bytes, enum xdnat_reason flaw)
{
	union xdnat_ports *ports;

	/* clang 19 concludes from the IP header's length that the ports are inside
	 * and drops the check that the verifier wants to see. Hide where l4 is from. */
	barrier_var(l4);
	ports = l4;
	if ((void *)(ports + 1) > end || l4_bytes < sizeof(*ports))
		return XDNAT_PASS_MALFORMED;
	pkt->ports = *ports;
	pkt->has_ports = 1;
	if (flaw)
		return flaw;
	if (pkt->proto == IPPROTO_TCP)
		return packet_parse_tcp(l4, end, pkt, l4_bytes);
	return packet_parse_udp(l4, end, pkt, l4_bytes);
}

/* A header's 16-bit length. The verifier of 6.1 forgets the range of what was
 * byte-swapped, and clang drops a mask that it knows to be one: hide the value. */
static __always_inline __u32 length_host(__be16 length)
{
	__u32 bytes = bpf_ntohs(length);

	barrier_var(bytes);
	return bytes & 0xffff;
}

/* room: bytes from the IP header on that the frame has; of an skb, some of them are
 * behind end. So in all that follow. */
static __always_inline enum xdnat_reason packet_parse_ip4(struct iphdr *ip, void *end, __u32 room,
							  struct packet *pkt,
							  enum xdnat_reason flaw)
{
	__u32 header_bytes, bytes;

	if ((void *)(ip + 1) > end || ip->version != 4)
		return XDNAT_PASS_MALFORMED;
	header_bytes = ip->ihl * 4;
	bytes = length_host(ip->tot_len);
	if (header_bytes < sizeof(*ip) || bytes < header_bytes || bytes > room)
		return XDNAT_PASS_MALFORMED;
	if (ip->protocol != IPPROTO_TCP && ip->protocol != IPPROTO_UDP)
		return XDNAT_PASS_PROTOCOL;
	if (ip->frag_off & IP_OFFSET)
		return XDNAT_PASS_FRAGMENT;
	if (ip->ttl <= 1)
		flaw = XDNAT_DROP_TTL;
	if (ip->frag_off & IP_MORE_OR_OFFSET)
		flaw = XDNAT_DROP_FRAGMENT;
	pkt->ip4 = ip;
	pkt->proto = ip->protocol;
	pkt->bytes = bytes;
	if (header_bytes != sizeof(*ip))
		return packet_parse_l4((void *)ip + header_bytes, end, pkt, bytes - header_bytes,
				       XDNAT_DROP_IP_OPTIONS);
	return packet_parse_l4(ip + 1, end, pkt, bytes - sizeof(*ip), flaw);
}

/*
 * For a packet that packet_parse() called XDNAT_DROP_EXT_HEADERS, without ports:
 * behind its extension headers there may be some, but never a packet for XDP. The
 * result is a flaw or a reason to pass.
 */
static __noinline enum xdnat_reason packet_parse_extensions(struct packet *pkt, void *end)
{
	enum xdnat_reason flaw = XDNAT_DROP_EXT_HEADERS;
	struct ipv6hdr *ip = pkt->ip6;
	__u32 offset = sizeof(*ip);
	__u8 next;

	if (!ip)
		return XDNAT_PASS_MALFORMED;
	next = ip->nexthdr;

	for (int i = 0; i < IP6_EXTENSIONS_MAX; i++) {
		struct ip6_extension *extension = (void *)ip + offset;

		if (next == IPPROTO_TCP || next == IPPROTO_UDP)
			break;
		if ((void *)(extension + 1) > end)
			return XDNAT_PASS_MALFORMED;
		if (next == IPPROTO_FRAGMENT) {
			if (extension->offset & IP6_OFFSET)
				return XDNAT_PASS_FRAGMENT;
			flaw = XDNAT_DROP_FRAGMENT;
			offset += IP6_EXTENSION_UNIT;
		} else if (next == IPPROTO_HOPOPTS || next == IPPROTO_ROUTING ||
			   next == IPPROTO_DSTOPTS) {
			offset += (extension->length + 1) * IP6_EXTENSION_UNIT;
		} else {
			return XDNAT_PASS_PROTOCOL;
		}
		next = extension->next;
	}
	if ((next != IPPROTO_TCP && next != IPPROTO_UDP) || offset > pkt->bytes)
		return XDNAT_PASS_PROTOCOL;
	pkt->proto = next;
	return packet_parse_l4((void *)ip + offset, end, pkt, pkt->bytes - offset, flaw);
}

static __always_inline enum xdnat_reason packet_parse_ip6(struct ipv6hdr *ip, void *end, __u32 room,
							  struct packet *pkt,
							  enum xdnat_reason flaw)
{
	__u32 bytes;

	if ((void *)(ip + 1) > end || ip->version != 6)
		return XDNAT_PASS_MALFORMED;
	bytes = length_host(ip->payload_len) + sizeof(*ip);
	if (bytes > room || bytes > 0xffff)
		return XDNAT_PASS_MALFORMED;
	pkt->ip6 = ip;
	pkt->bytes = bytes;
	if (ip->nexthdr != IPPROTO_TCP && ip->nexthdr != IPPROTO_UDP)
		return XDNAT_DROP_EXT_HEADERS;
	pkt->proto = ip->nexthdr;
	if (ip->hop_limit <= 1)
		flaw = XDNAT_DROP_TTL;
	return packet_parse_l4(ip + 1, end, pkt, bytes - sizeof(*ip), flaw);
}

static __always_inline bool is_vlan(__be16 ethertype)
{
	return ethertype == bpf_htons(ETH_P_8021Q) || ethertype == bpf_htons(ETH_P_8021AD);
}

/* Tags that only carry a priority: the host takes such a frame for untagged, so
 * must we. The result is behind them; *ethertype stays a tag's if there is a VLAN. */
static __always_inline void *skip_priority_tags(void *l3, void *end, __be16 *ethertype)
{
	struct vlan_header *vlan = l3;

	for (int i = 0; i < PRIORITY_TAGS_MAX; i++) {
		if (!is_vlan(*ethertype) || (void *)(vlan + 1) > end || (vlan->tci & VLAN_VID))
			break;
		*ethertype = vlan->ethertype;
		vlan++;
	}
	return vlan;
}

/*
 * Fills pkt, all zero before, from the frame between data and end. XDNAT_FORWARDED:
 * a TCP or UDP packet whose every header is whole, fit for rewriting. Another
 * reason: why it is not; if pkt->has_ports then, family, protocol and ports stand
 * and the caller asks whose packet it is before it decides.
 */
static __always_inline enum xdnat_reason packet_parse(void *data, void *end, struct packet *pkt)
{
	enum xdnat_reason flaw = XDNAT_FORWARDED;
	struct ethhdr *eth = data;
	void *l3 = eth + 1;
	__be16 ethertype;

	if (l3 > end)
		return XDNAT_PASS_NOT_IP;
	pkt->eth = eth;
	/* struct ethhdr is packed: through it these are two loads. */
	ethertype = *(const __be16 *)(data + offsetof(struct ethhdr, h_proto));
	if (is_vlan(ethertype)) {
		l3 = skip_priority_tags(l3, end, &ethertype);
		flaw = XDNAT_HAND_ON_PRIORITY_TAG;
	}
	if (ethertype == bpf_htons(ETH_P_IP))
		return packet_parse_ip4(l3, end, end - l3, pkt, flaw);
	if (ethertype == bpf_htons(ETH_P_IPV6))
		return packet_parse_ip6(l3, end, end - l3, pkt, flaw);
	return is_vlan(ethertype) ? XDNAT_PASS_VLAN : XDNAT_PASS_NOT_IP;
}

/* RFC 1071 over the fixed IPv4 header; only asked when it has no options. */
static __always_inline bool packet_header_is_valid(const struct iphdr *ip)
{
	const __u16 *word = (const void *)ip;
	__u32 sum = 0;

	for (int i = 0; i < 10; i++)
		sum += word[i];
	return csum_fold(sum) == 0xffff;
}

#endif
