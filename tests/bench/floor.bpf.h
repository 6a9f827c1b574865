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

/* Floor-P. The way out is in the value: who looks up must read what he found. */
static __always_inline int floor4(const struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	const struct hash_half4 *half4;
	struct packet pkt = {};
	struct xdnat_key4 key;

	if (packet_parse(data, end, &pkt) || !pkt.ip4)
		return XDP_PASS;
	packet_key4(&pkt, &key);
	half4 = bpf_map_lookup_elem(&bench_floor_map4, &key);
	return half4 ? bpf_redirect(half4->half.out_ifindex, 0) : XDP_PASS;
}

static __always_inline int floor6(const struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	const struct hash_half6 *half6;
	struct packet pkt = {};
	struct xdnat_key6 key;

	if (packet_parse(data, end, &pkt) || !pkt.ip6)
		return XDP_PASS;
	packet_key6(&pkt, &key);
	half6 = bpf_map_lookup_elem(&bench_floor_map6, &key);
	return half6 ? bpf_redirect(half6->half.out_ifindex, 0) : XDP_PASS;
}

static __always_inline struct xdnat_rule *rule_of(__u32 id)
{
	return id ? rule_get(id) : NULL;
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
