/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the flow table is measured against: the same NAT of an established packet, line by
 * line, but with its halves in a preallocated kernel hash. The kernel recycles elements
 * under their readers: when all is copied, word and key are compared once more, and only
 * then is it rewritten. Nothing here makes a flow: bench_copy4 and bench_copy6 take over
 * the datapath's.
 */
#ifndef BENCH_HASH_BPF_H
#define BENCH_HASH_BPF_H

#include "../../bpf/frame.bpf.h"

/* Slots of the flow table without what only fills them up. */
struct hash_half4 {
	struct xdnat_key4 key;
	struct xdnat_half half;
	__u64 both;
};
_Static_assert(offsetof(struct hash_half4, both) == offsetof(struct xdnat_half4, both),
	       "hash_half4");

struct hash_half6 {
	struct xdnat_key6 key;
	struct xdnat_half half;
	__be32 src[4];
	__be32 dst[4];
};
_Static_assert(offsetof(struct hash_half6, dst) == offsetof(struct xdnat_half6, dst), "hash_half6");

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

static __always_inline void *hash_find(bool is_v6, const struct packet_key *key)
{
	const __u64 *addrs = plain_addrs(is_v6, key->frame + ETH_HLEN);
	__u64 copy[5];

	for (int i = 0; i < (is_v6 ? 4 : 1); i++)
		copy[i] = addrs[i];
	copy[is_v6 ? 4 : 1] = key->last;
	if (is_v6)
		return bpf_map_lookup_elem(&bench_hash6, copy);
	return bpf_map_lookup_elem(&bench_hash4, copy);
}

/* As frame_translate(). */
static __always_inline bool hash_translate(bool is_v6, const struct xdp_md *ctx, struct plain *pkt,
					   __u32 *out_ifindex)
{
	__u32 now = life_now();
	struct packet_key key = {
		.frame = pkt->l3 - ETH_HLEN,
		.last = pkt->ports.both | (__u64)pkt->proto << 32,
	};
	struct translation to;
	struct xdnat_half *half;
	__u64 word, again, bytes;
	void *slot = hash_find(is_v6, &key);

	if (!slot)
		return false;
	half = half_of(is_v6, slot);
	word = READ_ONCE(half->word);
	bytes = plain_bytes(is_v6, pkt->l3);
	if (!life_is_settled(word) || life_tick_is_over(xdnat_until(word), now) ||
	    !half_is_way(is_v6, &slot, key.frame, bytes, ctx->ingress_ifindex) ||
	    !slot_copy(is_v6, slot, word, &to) || !slot_is_of(is_v6, &slot, &key, &again))
		return false;
	half_count(half, 1, bytes);
	frame_rewrite_plain(is_v6, pkt, &to);
	*out_ifindex = to.out_ifindex;
	return true;
}

/* As frame_plain(). */
static __always_inline bool hash_plain(bool is_v6, const struct xdp_md *ctx, __u64 frame_bytes,
				       __u32 *out_ifindex)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct plain pkt = {.l3 = data + ETH_HLEN};

	if (data + FRAME_LEAST > end || !frame_is_of(is_v6, data) ||
	    !plain_has_ports(is_v6, end, &pkt) || is_foreign(pkt.l4))
		return false;
	if (pkt.proto == IPPROTO_TCP) {
		pkt.proto = IPPROTO_TCP;
		return plain_is_whole(is_v6, end, frame_bytes, &pkt) &&
		       hash_translate(is_v6, ctx, &pkt, out_ifindex);
	}
	pkt.proto = IPPROTO_UDP;
	return plain_is_whole(is_v6, end, frame_bytes, &pkt) &&
	       hash_translate(is_v6, ctx, &pkt, out_ifindex);
}

/* Counts and sends as the datapath does. */
static __always_inline int hash_nat(bool is_v6, struct xdp_md *ctx)
{
	__u64 frame_bytes = ctx->data_end - ctx->data;
	__u32 out_ifindex;

	if (!hash_plain(is_v6, ctx, frame_bytes, &out_ifindex))
		return XDP_PASS;
	stats_add(&stats_forwarded, 1, frame_bytes);
	return frame_send(ctx, out_ifindex);
}

#endif
