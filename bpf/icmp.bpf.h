/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * ICMP errors about clients' packets, on their way out to the clients: from this host
 * about what it delivered or could not send on, and from beyond, which the kernel
 * forwarded. What they quote is turned back into what the client sent, and a target
 * that speaks itself does so as its listener (RFC 5508 section 4.2, RFC 4443). Not for
 * masqueraded flows: errors about those come to this host.
 */
#ifndef XDNAT_ICMP_BPF_H
#define XDNAT_ICMP_BPF_H

#include "flow.bpf.h"
#include "leak.bpf.h"
#include "making.bpf.h"

/* Types that are errors: RFC 792, and all that are lower, RFC 4443 section 2.1. */
#define ICMP_UNREACHABLE       3
#define ICMP_TIME_EXCEEDED     11
#define ICMP_PARAMETER_PROBLEM 12
#define ICMP6_NO_ERROR	       128
/* Offsets: RFC 768, and RFC 9293 section 3.1, perhaps beyond the 8 bytes that RFC 792
 * asks to quote. */
#define QUOTED_UDP_CHECK 6
#define QUOTED_TCP_CHECK 16

/* Of both families (<linux/icmp.h> drags libc in). */
struct icmp_header {
	__u8 type;
	__u8 code;
	__sum16 check;
	__be32 rest;
};
_Static_assert(sizeof(struct icmp_header) == 8, "icmp_header");

/* As they stand in the packet; a quoted header with options is left alone. */
struct icmp_error4 {
	struct iphdr ip;
	struct icmp_header icmp;
	struct iphdr quoted;
	union xdnat_ports ports;
};
_Static_assert(sizeof(struct icmp_error4) == 52, "icmp_error4");

struct icmp_error6 {
	struct ipv6hdr ip;
	struct icmp_header icmp;
	struct ipv6hdr quoted;
	union xdnat_ports ports;
};
_Static_assert(sizeof(struct icmp_error6) == 92, "icmp_error6");

static __always_inline bool icmp_has_ports(__u8 proto)
{
	return proto == IPPROTO_TCP || proto == IPPROTO_UDP;
}

/* True if there is an error to the quoted packet's sender at l3. answer: the tuple of
 * what would have answered that packet; from: who sends the error. */
static __noinline bool icmp_read4(struct __sk_buff *skb, __u32 l3, struct tuple *answer,
				  struct xdnat_addr *from)
{
	struct icmp_error4 error;

	if (bpf_skb_load_bytes(skb, l3, &error, sizeof(error)) || error.ip.ihl != 5 ||
	    error.ip.protocol != IPPROTO_ICMP || (error.ip.frag_off & IP_MORE_OR_OFFSET))
		return false;
	if (error.icmp.type != ICMP_UNREACHABLE && error.icmp.type != ICMP_TIME_EXCEEDED &&
	    error.icmp.type != ICMP_PARAMETER_PROBLEM)
		return false;
	if (error.quoted.version != 4 || error.quoted.ihl != 5 ||
	    (error.quoted.frag_off & IP_OFFSET) || !icmp_has_ports(error.quoted.protocol))
		return false;
	*answer = (struct tuple){
		.src = addr_mapped(error.quoted.daddr),
		.dst = addr_mapped(error.quoted.saddr),
		.ports = {.sport = error.ports.dport, .dport = error.ports.sport},
		.proto = error.quoted.protocol,
	};
	*from = addr_mapped(error.ip.saddr);
	return error.ip.daddr == error.quoted.saddr;
}

static __noinline bool icmp_read6(struct __sk_buff *skb, __u32 l3, struct tuple *answer,
				  struct xdnat_addr *from)
{
	struct icmp_error6 error;
	struct xdnat_addr to;

	if (bpf_skb_load_bytes(skb, l3, &error, sizeof(error)) ||
	    error.ip.nexthdr != IPPROTO_ICMPV6 || error.icmp.type >= ICMP6_NO_ERROR)
		return false;
	if (error.quoted.version != 6 || !icmp_has_ports(error.quoted.nexthdr))
		return false;
	*answer = (struct tuple){
		.ports = {.sport = error.ports.dport, .dport = error.ports.sport},
		.proto = error.quoted.nexthdr,
		.is_v6 = 1,
	};
	__builtin_memcpy(&answer->src, &error.quoted.daddr, sizeof(answer->src));
	__builtin_memcpy(&answer->dst, &error.quoted.saddr, sizeof(answer->dst));
	__builtin_memcpy(from, &error.ip.saddr, sizeof(*from));
	__builtin_memcpy(&to, &error.ip.daddr, sizeof(to));
	return addr_is_same(&to, &answer->dst);
}

/* The listener's address at offset; check: of the IPv4 header there, else 0. */
static __noinline void icmp_write_addr(struct __sk_buff *skb, __u32 offset, __u32 check,
				       const struct making *making, __u32 addrs)
{
	const struct xdnat_addr *addr = &making->leaving.src;

	if (making->original.is_v6) {
		bpf_skb_store_bytes(skb, offset, addr, sizeof(*addr), 0);
		return;
	}
	bpf_skb_store_bytes(skb, offset, &addr->word[3], sizeof(addr->word[3]), 0);
	bpf_l3_csum_replace(skb, check, 0, addrs, 0);
}

/* The quoted segment's ports and checksum. The result is the difference of its sum. */
static __noinline __u32 icmp_write_l4(struct __sk_buff *skb, __u32 l4, const struct making *making,
				      __u32 addrs)
{
	__u32 at =
		l4 + (making->original.proto == IPPROTO_TCP ? QUOTED_TCP_CHECK : QUOTED_UDP_CHECK);
	__u32 ports = rewrite_port_delta(&making->original, &making->leaving);
	union xdnat_ports quoted = {
		.sport = making->leaving.ports.dport,
		.dport = making->leaving.ports.sport,
	};
	__sum16 check, right;

	bpf_skb_store_bytes(skb, l4, &quoted, sizeof(quoted), 0);
	if (bpf_skb_load_bytes(skb, at, &check, sizeof(check)) ||
	    (making->original.proto == IPPROTO_UDP && !check))
		return ports;
	right = csum_apply(check, csum_fold(addrs + ports));
	if (making->original.proto == IPPROTO_UDP && !right)
		right = 0xffff;
	bpf_skb_store_bytes(skb, at, &right, sizeof(right), 0);
	return ports + csum_diff16(check, right);
}

/*
 * making: original, the tuple that icmp_read4() or 6 gave, leaving, how such packets
 * leave. An IPv4 header sums up to the same with another address, and so do both its
 * quotation and the error; IPv6's addresses count in both.
 */
static __noinline void icmp_write(struct __sk_buff *skb, __u32 l3, const struct making *making,
				  bool is_from_target)
{
	__u32 ip_bytes = making->original.is_v6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr);
	__u32 src = making->original.is_v6 ? offsetof(struct ipv6hdr, saddr)
					   : offsetof(struct iphdr, saddr);
	__u32 dst = making->original.is_v6 ? offsetof(struct ipv6hdr, daddr)
					   : offsetof(struct iphdr, daddr);
	__u32 at = l3 + ip_bytes + offsetof(struct icmp_header, check);
	__u32 quoted = l3 + ip_bytes + sizeof(struct icmp_header);
	__u32 addrs = rewrite_addr_delta(&making->original, &making->leaving);
	__u32 delta = icmp_write_l4(skb, quoted + ip_bytes, making, addrs);
	__sum16 check = 0;

	icmp_write_addr(skb, quoted + dst, quoted + offsetof(struct iphdr, check), making, addrs);
	if (is_from_target)
		icmp_write_addr(skb, l3 + src, l3 + offsetof(struct iphdr, check), making, addrs);
	if (making->original.is_v6)
		delta += addrs + (is_from_target ? addrs : 0);
	bpf_skb_load_bytes(skb, at, &check, sizeof(check));
	check = csum_apply(check, csum_fold(delta));
	bpf_skb_store_bytes(skb, at, &check, sizeof(check), 0);
}

/* At XDNAT_HOOK_EGRESS: a packet that is neither TCP nor UDP. */
static __noinline enum xdnat_reason icmp_out(struct __sk_buff *skb, struct making *making,
					     __u32 l2_bytes)
{
	struct tuple *answer = &making->original;
	struct xdnat_addr from;
	struct stored stored;

	if (skb->protocol == bpf_htons(ETH_P_IP) ? !icmp_read4(skb, l2_bytes, answer, &from)
						 : !icmp_read6(skb, l2_bytes, answer, &from))
		return XDNAT_PASS_PROTOCOL;
	if (!flow_find(answer, &stored) || (xdnat_state(stored.word) & XDNAT_DEAD))
		return leak_is_to_stop(answer, making->in_ifindex) ? XDNAT_DROP_LEAK
								   : XDNAT_PASS_PROTOCOL;
	if (stored.half->direction != XDNAT_REPLY ||
	    !flow_leaving(&stored, answer, &making->leaving) ||
	    !addr_is_same(&answer->dst, &making->leaving.dst))
		return XDNAT_PASS_PROTOCOL;
	icmp_write(skb, l2_bytes, making, addr_is_same(&from, &answer->src));
	return XDNAT_FORWARDED;
}

#endif
