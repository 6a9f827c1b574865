// SPDX-License-Identifier: GPL-2.0-only
/*
 * The programs that are measured: each puts the next flow's frame back and then is one
 * of these: nothing else (empty), Floor-P (floor), Floor-N (making), the NAT on a kernel
 * hash (hash), the datapath (xdnat, ingress, egress). One a family, so that offsets are
 * constants.
 */
#include "../../bpf/xdnat.bpf.c"
#include "copy.bpf.h"
#include "restore.bpf.h"

SEC("xdp")
int bench_empty4(struct xdp_md *ctx)
{
	return restore4(ctx) ? XDP_PASS : XDP_ABORTED;
}

SEC("xdp")
int bench_empty6(struct xdp_md *ctx)
{
	return restore6(ctx) ? XDP_PASS : XDP_ABORTED;
}

SEC("xdp")
int bench_floor4(struct xdp_md *ctx)
{
	return restore4(ctx) ? floor_send(false, ctx) : XDP_ABORTED;
}

SEC("xdp")
int bench_floor6(struct xdp_md *ctx)
{
	return restore6(ctx) ? floor_send(true, ctx) : XDP_ABORTED;
}

SEC("xdp")
int bench_hash_nat4(struct xdp_md *ctx)
{
	return restore4(ctx) ? hash_nat(false, ctx) : XDP_ABORTED;
}

SEC("xdp")
int bench_hash_nat6(struct xdp_md *ctx)
{
	return restore6(ctx) ? hash_nat(true, ctx) : XDP_ABORTED;
}

SEC("xdp")
int bench_xdnat4(struct xdp_md *ctx)
{
	return restore4(ctx) ? handle_frame(ctx) : XDP_ABORTED;
}

SEC("xdp")
int bench_xdnat6(struct xdp_md *ctx)
{
	return restore6(ctx) ? handle_frame(ctx) : XDP_ABORTED;
}

SEC("xdp")
int bench_making4(struct xdp_md *ctx)
{
	return restore4(ctx) ? making4(ctx) : XDP_ABORTED;
}

SEC("xdp")
int bench_making6(struct xdp_md *ctx)
{
	return restore6(ctx) ? making6(ctx) : XDP_ABORTED;
}

/* Established packets and new flows in turns, if there are rows of new flows. */
SEC("xdp")
int bench_churn4(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;

	return row_restore4(data, end, row_next(true)) ? handle_frame(ctx) : XDP_ABORTED;
}

SEC("xdp")
int bench_churn6(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;

	return row_restore6(data, end, row_next(true)) ? handle_frame(ctx) : XDP_ABORTED;
}

/* A function: what it needs is off the stack again, of which the datapath needs all. */
static __noinline bool set_choose(__u32 set)
{
	__u32 zero = 0;
	struct xdnat_config *config = bpf_map_lookup_elem(&xdnat_config, &zero);

	if (config)
		config->active_set = set;
	return config;
}

/* Set 0 has the flows' rule as a single port, set 1 as all ports, among a thousand
 * single ones. */
static __always_inline int handle_in_set(struct xdp_md *ctx, __u32 set)
{
	int action;

	if (!set_choose(set) || !restore4(ctx))
		return XDP_ABORTED;
	action = handle_frame(ctx);
	set_choose(0); /* the other programs' */
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

SEC("tc")
int bench_skb_empty4(struct __sk_buff *skb)
{
	return skb_restore4(skb) ? TC_ACT_UNSPEC : TC_ACT_SHOT;
}

SEC("tc")
int bench_skb_empty6(struct __sk_buff *skb)
{
	return skb_restore6(skb) ? TC_ACT_UNSPEC : TC_ACT_SHOT;
}

SEC("tc")
int bench_ingress4(struct __sk_buff *skb)
{
	return skb_restore4(skb) ? handle_ingress(skb) : TC_ACT_SHOT;
}

SEC("tc")
int bench_ingress6(struct __sk_buff *skb)
{
	return skb_restore6(skb) ? handle_ingress(skb) : TC_ACT_SHOT;
}

SEC("tc")
int bench_egress4(struct __sk_buff *skb)
{
	return skb_restore4(skb) ? handle_egress(skb) : TC_ACT_SHOT;
}

SEC("tc")
int bench_egress6(struct __sk_buff *skb)
{
	return skb_restore6(skb) ? handle_egress(skb) : TC_ACT_SHOT;
}

SEC("xdp")
int bench_copy4(struct xdp_md *ctx)
{
	copied += restore4(ctx) && copy_flow(ctx);
	return XDP_PASS;
}

SEC("xdp")
int bench_copy6(struct xdp_md *ctx)
{
	copied += restore6(ctx) && copy_flow(ctx);
	return XDP_PASS;
}

static long clear_element(void *map, const void *key, void *value, void *context)
{
	(void)value;
	(void)context;
	bpf_map_delete_elem(map, key);
	return 0;
}

static long clear_bucket4(void *map, const void *key, void *value, void *context)
{
	volatile __u64 *words = value; /* not a memset(): it is too long */

	(void)map;
	(void)key;
	(void)context;
#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < sizeof(struct xdnat_bucket4) / sizeof(*words); i++)
		words[i] = 0;
	return 0;
}

static long clear_bucket6(void *map, const void *key, void *value, void *context)
{
	volatile __u64 *words = value; /* not a memset(): it is too long */

	(void)map;
	(void)key;
	(void)context;
#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < sizeof(struct xdnat_bucket6) / sizeof(*words); i++)
		words[i] = 0;
	return 0;
}

static long clear_known(void *map, const void *key, void *value, void *context)
{
	(void)map;
	(void)key;
	(void)context;
	__builtin_memset(value, 0, sizeof(struct xdnat_bucket));
	return 0;
}

/* Empties one family's tables, while no packet is under way. */
SEC("syscall")
int bench_clear4(void *context)
{
	(void)context;
	bpf_for_each_map_elem(&xdnat_flows4, clear_bucket4, NULL, 0);
	bpf_for_each_map_elem(&xdnat_buckets4, clear_known, NULL, 0);
	bpf_for_each_map_elem(&xdnat_overflow4, clear_element, NULL, 0);
	bpf_for_each_map_elem(&bench_hash4, clear_element, NULL, 0);
	bpf_for_each_map_elem(&bench_floor_map4, clear_element, NULL, 0);
	return 0;
}

SEC("syscall")
int bench_clear6(void *context)
{
	(void)context;
	bpf_for_each_map_elem(&xdnat_flows6, clear_bucket6, NULL, 0);
	bpf_for_each_map_elem(&xdnat_buckets6, clear_known, NULL, 0);
	bpf_for_each_map_elem(&xdnat_overflow6, clear_element, NULL, 0);
	bpf_for_each_map_elem(&bench_hash6, clear_element, NULL, 0);
	bpf_for_each_map_elem(&bench_floor_map6, clear_element, NULL, 0);
	return 0;
}
