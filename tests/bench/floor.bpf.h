/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The floors: what nobody who keeps flows in kernel maps can do without. Floor-P of an
 * established packet, Floor-N of a new flow.
 */
#ifndef BENCH_FLOOR_BPF_H
#define BENCH_FLOOR_BPF_H

#include "../../bpf/rule.bpf.h"
#include "hash.bpf.h"

/* As the tables of the NAT on a kernel hash. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2);
	__type(key, struct xdnat_key4);
	__type(value, struct hash_half4);
} bench_floor_map4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2);
	__type(key, struct xdnat_key6);
	__type(value, struct hash_half6);
} bench_floor_map6 SEC(".maps");

static __always_inline void *floor_find(bool is_v6, const struct plain *pkt)
{
	const __u64 *addrs = plain_addrs(is_v6, pkt->l3);
	__u64 key[5];

	for (int i = 0; i < (is_v6 ? 4 : 1); i++)
		key[i] = addrs[i];
	key[is_v6 ? 4 : 1] = pkt->ports.both | (__u64)pkt->proto << 32;
	if (is_v6)
		return bpf_map_lookup_elem(&bench_floor_map6, key);
	return bpf_map_lookup_elem(&bench_floor_map4, key);
}

/* Floor-P. The way out is in the value: who looks up must read what he found. */
static __always_inline int floor_send(bool is_v6, const struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct plain pkt = {.l3 = data + ETH_HLEN};
	const struct xdnat_half *half;
	void *found;

	if (data + FRAME_LEAST > end || !frame_is_of(is_v6, data) ||
	    !plain_has_ports(is_v6, end, &pkt) ||
	    !plain_is_whole(is_v6, end, ctx->data_end - ctx->data, &pkt))
		return XDP_PASS;
	found = floor_find(is_v6, &pkt);
	if (!found)
		return XDP_PASS;
	half = half_of(is_v6, found);
	return bpf_redirect(half->out_ifindex, 0);
}

static __always_inline struct xdnat_rule *rule_of(__u32 id)
{
	return id ? rule_get(id) : NULL;
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

/* Floor-N: what a new flow costs anybody who keeps both halves in kernel maps. */
static __always_inline int making4(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct hash_half4 original = {}, reply = {};
	struct bpf_fib_lookup fib = {.family = FIB_AF_INET, .ifindex = ctx->ingress_ifindex};
	const struct xdnat_rule *rule;
	struct packet pkt = {};

	if (packet_parse(data, end, &pkt) || !pkt.ip4)
		return XDP_PASS;
	rule = rule_of(rule_find4(pkt.ip4->daddr, pkt.ports.dport, pkt.proto));
	if (!rule)
		return XDP_PASS;
	packet_key4(&pkt, &original.key);
	reply.key = (struct xdnat_key4){
		.src = rule->target.word[3],
		.dst = pkt.ip4->saddr,
		.ports = {.sport = rule->target_port, .dport = pkt.ports.sport},
		.proto = pkt.proto,
	};
	fib.ipv4_src = reply.key.dst;
	fib.ipv4_dst = reply.key.src;
	if (bpf_fib_lookup(ctx, &fib, sizeof(fib), 0) ||
	    bpf_map_update_elem(&bench_floor_map4, &reply.key, &reply, BPF_NOEXIST) ||
	    bpf_map_update_elem(&bench_floor_map4, &original.key, &original, BPF_NOEXIST))
		return XDP_DROP;
	return bpf_redirect(fib.ifindex, 0);
}

static __always_inline int making6(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct bpf_fib_lookup fib = {.family = FIB_AF_INET6, .ifindex = ctx->ingress_ifindex};
	const struct xdnat_rule *rule;
	struct hash_half6 half = {};
	struct xdnat_key6 original;
	struct packet pkt = {};

	if (packet_parse(data, end, &pkt) || !pkt.ip6)
		return XDP_PASS;
	rule = rule_of(rule_find6(&pkt.ip6->daddr, pkt.ports.dport, pkt.proto));
	if (!rule)
		return XDP_PASS;
	packet_key6(&pkt, &original);
	__builtin_memcpy(half.key.src, &rule->target, sizeof(half.key.src));
	__builtin_memcpy(half.key.dst, original.src, sizeof(half.key.dst));
	half.key.ports = (union xdnat_ports){
		.sport = rule->target_port,
		.dport = pkt.ports.sport,
	};
	half.key.proto = pkt.proto;
	__builtin_memcpy(fib.ipv6_src, original.src, sizeof(fib.ipv6_src));
	__builtin_memcpy(fib.ipv6_dst, half.key.src, sizeof(fib.ipv6_dst));
	if (bpf_fib_lookup(ctx, &fib, sizeof(fib), 0) ||
	    bpf_map_update_elem(&bench_floor_map6, &half.key, &half, BPF_NOEXIST))
		return XDP_DROP;
	half.key = original;
	if (bpf_map_update_elem(&bench_floor_map6, &half.key, &half, BPF_NOEXIST))
		return XDP_DROP;
	return bpf_redirect(fib.ifindex, 0);
}

#endif
