/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the flow table is measured against: the same NAT of an established packet with
 * its halves in a preallocated kernel hash, as xdnat had them before. The kernel
 * recycles elements under their readers: a reader copies, then compares the element's
 * key and state, and only then rewrites. Nothing here makes a flow: bench_copy4 and
 * bench_copy6 take over the datapath's.
 */
#ifndef BENCH_HASH_BPF_H
#define BENCH_HASH_BPF_H

#include "../../bpf/flow.bpf.h"
#include "../../bpf/rewrite.bpf.h"

struct hash_half {
	__u32 version; /* even; odd while out_ifindex, mtu and eth are written */
	__u32 state;   /* beside version: both are compared at once */
	__u32 until;   /* jiffies: when the tick of the last packet ends */
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
_Static_assert(sizeof(struct hash_half) == 72, "hash_half");

struct hash_half4 {
	struct xdnat_key4 key;
	struct hash_half half;
	__u64 addrs;
};
_Static_assert(sizeof(struct hash_half4) == 96, "hash_half4");

struct hash_half6 {
	struct xdnat_key6 key;
	struct hash_half half;
	__be32 src[4];
	__be32 dst[4];
};
_Static_assert(sizeof(struct hash_half6) == 144, "hash_half6");

/* The benchmark sets max_entries. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2);
	__type(key, struct xdnat_key4);
	__type(value, struct hash_half4);
} bench_hash4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2);
	__type(key, struct xdnat_key6);
	__type(value, struct hash_half6);
} bench_hash6 SEC(".maps");

/* Version and state as one word: what a copy is worth, asked before and after. */
static __always_inline __u64 hash_word(const struct hash_half *half)
{
	return READ_ONCE(*(const __u64 *)&half->version);
}

static __always_inline bool hash_is_settled(__u64 word)
{
	return (word >> 32) == XDNAT_SETTLED && !(word & 1);
}

/* A packet of this tick, from where the last one came: nothing to decide. */
static __always_inline bool hash_is_usual(const struct hash_half *half, const struct packet *pkt,
					  __u32 ingress, __u32 now)
{
	return (__s32)(now - READ_ONCE(half->until)) < 0 &&
	       READ_ONCE(half->in_ifindex) == ingress &&
	       is_same_mac(pkt->eth->h_dest, half->in_mac) && pkt->bytes <= READ_ONCE(half->mtu) &&
	       !(pkt->tcp_flags & (TCP_SYN | TCP_FIN | TCP_RST));
}

/* Without the addresses. */
static __always_inline void hash_half_copy(const struct hash_half *half, struct translation *to)
{
	to->ports = half->ports;
	to->l3_delta = half->l3_delta;
	to->l4_delta = half->l4_delta;
	to->out_ifindex = half->out_ifindex;
	__builtin_memcpy(to->eth, half->eth, sizeof(to->eth));
}

static __always_inline bool hash_key4_is(const struct hash_half4 *half4,
					 const struct xdnat_key4 *key)
{
	const volatile __u64 *have = (const volatile __u64 *)&half4->key;
	const __u64 *want = (const __u64 *)key;

	return have[0] == want[0] && have[1] == want[1];
}

static __always_inline bool hash_key6_is(const struct hash_half6 *half6,
					 const struct xdnat_key6 *key)
{
	const volatile __u64 *have = (const volatile __u64 *)&half6->key;
	const __u64 *want = (const __u64 *)key;

	return have[0] == want[0] && have[1] == want[1] && have[2] == want[2] &&
	       have[3] == want[3] && have[4] == want[4];
}

static __always_inline void packet_key4(const struct packet *pkt, struct xdnat_key4 *key)
{
	/* Read through the member Clang would split it: it has four bytes' alignment. */
	const __u64 *addrs = (const void *)&pkt->ip4->saddr;

	*key = (struct xdnat_key4){
		.both = *addrs,
		.ports = pkt->ports,
		.proto = pkt->proto,
	};
}

static __always_inline void packet_key6(const struct packet *pkt, struct xdnat_key6 *key)
{
	const __u64 *addrs = (const void *)&pkt->ip6->saddr;
	__u64 *to = (void *)key;

	for (int i = 0; i < 4; i++)
		to[i] = addrs[i];
	key->ports = pkt->ports;
	key->proto = pkt->proto;
}

/* What a call would push out of its register is asked before the lookup. */
static __always_inline struct hash_half *hash_copy4(const struct packet *pkt, __u32 ingress,
						    struct translation *to)
{
	__u32 now = bpf_jiffies64();
	struct hash_half4 *half4;
	struct xdnat_key4 key;
	__u64 word;

	packet_key4(pkt, &key);
	half4 = bpf_map_lookup_elem(&bench_hash4, &key);
	if (!half4)
		return NULL;
	word = hash_word(&half4->half);
	if (!hash_is_settled(word) || !hash_is_usual(&half4->half, pkt, ingress, now))
		return NULL;
	hash_half_copy(&half4->half, to);
	to->addrs[0] = half4->addrs;
	barrier();
	return hash_word(&half4->half) == word && hash_key4_is(half4, &key) ? &half4->half : NULL;
}

static __always_inline struct hash_half *hash_copy6(const struct packet *pkt, __u32 ingress,
						    struct translation *to)
{
	__u32 now = bpf_jiffies64();
	struct hash_half6 *half6;
	struct xdnat_key6 key;
	__u64 word;

	packet_key6(pkt, &key);
	half6 = bpf_map_lookup_elem(&bench_hash6, &key);
	if (!half6)
		return NULL;
	word = hash_word(&half6->half);
	if (!hash_is_settled(word) || !hash_is_usual(&half6->half, pkt, ingress, now))
		return NULL;
	hash_half_copy(&half6->half, to);
	__builtin_memcpy(to->addrs, half6->src, sizeof(to->addrs));
	barrier();
	return hash_word(&half6->half) == word && hash_key6_is(half6, &key) ? &half6->half : NULL;
}

/* Counts and sends as the datapath does. half: NULL, or its packet is rewritten. */
static __always_inline int hash_send(struct xdp_md *ctx, const struct packet *pkt,
				     struct hash_half *half, __u32 out_ifindex)
{
	if (!half)
		return XDP_PASS;
	half->packets++;
	half->bytes += pkt->bytes;
	stats_count(XDNAT_HOOK_XDP, XDNAT_FORWARDED, 1, ctx->data_end - ctx->data);
	return out_ifindex == ctx->ingress_ifindex ? XDP_TX : bpf_redirect(out_ifindex, 0);
}

static __always_inline int hash_translate4(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct translation to;
	struct hash_half *half;
	struct packet pkt = {};

	if (packet_parse(data, end, &pkt) || !pkt.ip4)
		return XDP_PASS;
	half = hash_copy4(&pkt, ctx->ingress_ifindex, &to);
	if (half)
		rewrite4(&pkt, &to);
	return hash_send(ctx, &pkt, half, half ? to.out_ifindex : 0);
}

static __always_inline int hash_translate6(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct translation to;
	struct hash_half *half;
	struct packet pkt = {};

	if (packet_parse(data, end, &pkt) || !pkt.ip6)
		return XDP_PASS;
	half = hash_copy6(&pkt, ctx->ingress_ifindex, &to);
	if (half)
		rewrite6(&pkt, &to);
	return hash_send(ctx, &pkt, half, half ? to.out_ifindex : 0);
}

#endif
