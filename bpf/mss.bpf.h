/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The maximum segment size that a SYN announces (RFC 9293 section 3.7.1), made smaller:
 * never larger, and no option is added. Finds and reckons; the hooks write.
 */
#ifndef XDNAT_MSS_BPF_H
#define XDNAT_MSS_BPF_H

#include "packet.bpf.h"

/* RFC 9293 section 3.1 */
#define TCP_OPTION_END	  0
#define TCP_OPTION_NOP	  1
#define TCP_OPTION_MSS	  2
#define TCP_MSS_BYTES	  4
#define TCP_OPTIONS_BYTES 40  /* what a data offset of 15 words leaves */
#define TCP_OFFSET_MASK	  63  /* holds any offset in a TCP header, for the verifier */
#define MSS_L4_MAX	  255 /* where a TCP header may begin; tells the verifier */

/* The largest segment that both ways take; mtu 0: not known. 0: no limit is. */
static __always_inline __u16 mss_of_ways(bool is_v6, __u16 mtu, __u16 reverse_mtu)
{
	__u16 headers =
		sizeof(struct tcphdr) + (is_v6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr));

	if (!mtu || (reverse_mtu && reverse_mtu < mtu))
		mtu = reverse_mtu;
	return mtu > headers ? mtu - headers : 0;
}

/* An MSS in a SYN, in one word, as a global function can return it. at: bytes from the
 * TCP header to the value, 0: there is none that is too large. */
static __always_inline __u32 mss_pack(__u32 at, __u16 mss_host)
{
	return at << 16 | mss_host;
}

static __always_inline __u32 mss_at(__u32 packed)
{
	return packed >> 16;
}

/* The RFC 1624 difference of the segment when the MSS becomes limit_host: at an odd
 * place it is one byte each of two words (RFC 1071 section 2 B). */
static __always_inline __u16 mss_delta(__u32 packed, __u16 limit_host)
{
	__u16 delta = csum_fold(csum_diff16(bpf_htons(packed & 0xffff), bpf_htons(limit_host)));

	return mss_at(packed) & 1 ? (__u16)(delta << 8 | delta >> 8) : delta;
}

/* Returns at, of which the verifier now knows but that it is a byte: else it would
 * go through every sum of lengths (6.1 to 6.18 give up after a million steps). */
static __always_inline __u32 mss_forget(__u32 at, __u8 secret)
{
	at ^= secret;
	barrier_var(at);
	at ^= secret;
	barrier_var(at);
	return at & 0xff;
}

/* The length of the option at `option`, room bytes before the end of all options; 0:
 * there is none any more, or it contradicts itself. */
static __always_inline __u32 mss_option_bytes(const __u8 *option, void *end, __u32 room)
{
	if (*option == TCP_OPTION_NOP)
		return 1;
	if (*option == TCP_OPTION_END || (void *)(option + 2) > end || option[1] < 2 ||
	    option[1] > room)
		return 0;
	return option[1];
}

/* The MSS that a SYN's TCP header at data + l4 announces, if it is larger than
 * limit_host. Options behind one that contradicts itself have no meaning. */
static __always_inline __u32 mss_find(void *data, void *end, __u32 l4, __u16 limit_host)
{
	struct tcphdr *tcp = data + l4;
	__u32 at = 0, bytes, length;
	__u8 *option;

	if (l4 > MSS_L4_MAX || (void *)(tcp + 1) > end)
		return 0;
	bytes = tcp->doff * 4 - sizeof(*tcp);
	for (int i = 0; i < TCP_OPTIONS_BYTES; i++) {
		at = mss_forget(at, *(__u8 *)tcp);
		option = (void *)(tcp + 1) + at;
		if (at >= bytes || at >= TCP_OPTIONS_BYTES || (void *)(option + 1) > end)
			return 0;
		length = mss_option_bytes(option, end, bytes - at);
		if (!length || *option == TCP_OPTION_MSS)
			break;
		at += length;
	}
	if (length != TCP_MSS_BYTES || (void *)(option + TCP_MSS_BYTES) > end ||
	    (option[2] << 8 | option[3]) <= limit_host)
		return 0;
	return mss_pack(sizeof(*tcp) + at + 2, option[2] << 8 | option[3]);
}

#endif
