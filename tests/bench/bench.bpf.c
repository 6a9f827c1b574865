// SPDX-License-Identifier: GPL-2.0-only
/*
 * The programs that are measured: each puts the next flow's frame back and then is
 * one of four: nothing else (empty), Floor-P (floor), Floor-N (making), the datapath
 * (xdnat). One a family, so that offsets are constants.
 */
#include "../../bpf/xdnat.bpf.c"
#include "bench_abi.h"

#define L3_OFFSET  14
#define L4_OFFSET4 (L3_OFFSET + 20)
#define L4_OFFSET6 (L3_OFFSET + 40)
#define UDP_CHECK  6
#define TCP_CHECK  16

/* Written by the benchmark between runs; position and stamps_ns by the programs. */
struct bench_row rows[BENCH_ROWS];
__u64 frame[BENCH_FRAME6_BYTES / 8];
__u32 row_mask;
__u32 is_tcp;
__u32 position;
__u64 stamps_ns[BENCH_STAMPS]; /* at the start of each chunk */

/* Floor-P's tables: type, key, value and size of a kernel hash of flows. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2 * XDNAT_FLOWS_DEFAULT);
	__type(key, struct xdnat_key4);
	__type(value, struct xdnat_half4);
} bench_floor_map4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2 * XDNAT_FLOWS_DEFAULT);
	__type(key, struct xdnat_key6);
	__type(value, struct xdnat_half6);
} bench_floor_map6 SEC(".maps");

/* The stamps are the program's own: the kernel's mean is in whole nanoseconds. */
static __always_inline const struct bench_row *row_next(void)
{
	__u32 at = position++;

	if (at % BENCH_CHUNK == 0)
		stamps_ns[at / BENCH_CHUNK % BENCH_STAMPS] = bpf_ktime_get_ns();
	return &rows[at & row_mask & (BENCH_ROWS - 1)];
}

/* False: the frame is too short. Eight bytes at a time: left to itself, Clang
 * copies a packet by bytes. */
static __always_inline bool frame_restore(void *data, void *end, __u32 bytes)
{
	__u64 *word = data;

	if (data + bytes > end)
		return false;
	for (__u32 i = 0; i < bytes / 8; i++)
		word[i] = frame[i];
	return true;
}

static __always_inline void ports_restore(void *l4, const struct bench_row *row)
{
	__be16 *ports = l4;

	ports[0] = row->sport;
	ports[1] = row->dport;
	if (is_tcp)
		*(__sum16 *)(l4 + TCP_CHECK) = row->l4_check;
	else
		*(__sum16 *)(l4 + UDP_CHECK) = row->l4_check;
}

static __always_inline bool restore4(const struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	const struct bench_row *row = row_next();
	struct iphdr *ip = data + L3_OFFSET;

	if (!frame_restore(data, end, BENCH_FRAME4_BYTES))
		return false;
	ip->saddr = row->src;
	ip->daddr = row->dst;
	ip->check = row->l3_check;
	ports_restore(data + L4_OFFSET4, row);
	return true;
}

static __always_inline bool restore6(const struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	const struct bench_row *row = row_next();
	struct ipv6hdr *ip = data + L3_OFFSET;

	if (!frame_restore(data, end, BENCH_FRAME6_BYTES))
		return false;
	ip->saddr.in6_u.u6_addr32[3] = row->src;
	ip->daddr.in6_u.u6_addr32[3] = row->dst;
	ports_restore(data + L4_OFFSET6, row);
	return true;
}

/* Floor-P. The way out is in the value: who looks up must read what he found. */
static __always_inline int floor4(const struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	const struct xdnat_half4 *half4;
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
	const struct xdnat_half6 *half6;
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
	struct xdnat_half4 original = {}, reply = {};
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
	struct xdnat_half6 half = {};
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

SEC("xdp")
int bench_empty4(struct xdp_md *ctx)
{
	return restore4(ctx) ? XDP_PASS : XDP_ABORTED;
}

SEC("xdp")
int bench_floor4(struct xdp_md *ctx)
{
	return restore4(ctx) ? floor4(ctx) : XDP_ABORTED;
}

SEC("xdp")
int bench_xdnat4(struct xdp_md *ctx)
{
	return restore4(ctx) ? handle_frame(ctx) : XDP_ABORTED;
}

SEC("xdp")
int bench_making4(struct xdp_md *ctx)
{
	return restore4(ctx) ? making4(ctx) : XDP_ABORTED;
}

SEC("xdp")
int bench_empty6(struct xdp_md *ctx)
{
	return restore6(ctx) ? XDP_PASS : XDP_ABORTED;
}

SEC("xdp")
int bench_floor6(struct xdp_md *ctx)
{
	return restore6(ctx) ? floor6(ctx) : XDP_ABORTED;
}

SEC("xdp")
int bench_xdnat6(struct xdp_md *ctx)
{
	return restore6(ctx) ? handle_frame(ctx) : XDP_ABORTED;
}

SEC("xdp")
int bench_making6(struct xdp_md *ctx)
{
	return restore6(ctx) ? making6(ctx) : XDP_ABORTED;
}

/* Set 0 has the flows' rule as a single port, set 1 as all ports, among a thousand
 * single ones. */
static __always_inline int handle_in_set(struct xdp_md *ctx, __u32 set)
{
	__u32 zero = 0;
	struct xdnat_config *config = bpf_map_lookup_elem(&xdnat_config, &zero);
	int action;

	if (!config || !restore4(ctx))
		return XDP_ABORTED;
	config->active_set = set;
	action = handle_frame(ctx);
	config->active_set = 0; /* the other programs' */
	return action;
}

SEC("xdp")
int bench_exact4(struct xdp_md *ctx)
{
	return handle_in_set(ctx, 0);
}

SEC("xdp")
int bench_any4(struct xdp_md *ctx)
{
	return handle_in_set(ctx, 1);
}

static long clear_element(void *map, const void *key, void *value, void *context)
{
	(void)value;
	(void)context;
	bpf_map_delete_elem(map, key);
	return 0;
}

/* Empties the flow tables. */
SEC("syscall")
int bench_clear(void *context)
{
	(void)context;
	bpf_for_each_map_elem(&xdnat_flows4, clear_element, NULL, 0);
	bpf_for_each_map_elem(&xdnat_flows6, clear_element, NULL, 0);
	bpf_for_each_map_elem(&bench_floor_map4, clear_element, NULL, 0);
	bpf_for_each_map_elem(&bench_floor_map6, clear_element, NULL, 0);
	return 0;
}
