/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What every measured program does first: it puts the next flow's frame back, which
 * the one before it has rewritten.
 */
#ifndef BENCH_RESTORE_BPF_H
#define BENCH_RESTORE_BPF_H

#include "bench_abi.h"

#define L3_OFFSET  14
#define L4_OFFSET4 (L3_OFFSET + 20)
#define L4_OFFSET6 (L3_OFFSET + 40)
#define UDP_CHECK  6
#define TCP_CHECK  16

/* Written by the benchmark between runs; position, row_at, churn_at and stamps_ns by
 * the programs. */
__u64 frame[BENCH_FRAME6_BYTES / 8];
__u32 is_tcp;
__u32 row_count;
__u32 row_at;
__u32 churn_count; /* rows behind row_count */
__u32 churn_at;
__u32 position;
__u64 stamps_ns[BENCH_STAMPS]; /* at the start of each chunk */

/* Read in order: what a row costs is little, and the same for everybody. The benchmark
 * sets max_entries. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct bench_row);
} bench_rows SEC(".maps");

/* The stamps are the program's own: the kernel's mean is in whole nanoseconds. churns:
 * every second chunk is of the rows behind. NULL: never. */
static __always_inline const struct bench_row *row_next(bool churns)
{
	__u32 chunk = position / BENCH_CHUNK, at = row_at;

	if (position++ % BENCH_CHUNK == 0)
		stamps_ns[chunk % BENCH_STAMPS] = bpf_ktime_get_ns();
	if (churns && churn_count && chunk % 2) {
		at = row_count + churn_at;
		churn_at = churn_at + 1 < churn_count ? churn_at + 1 : 0;
	} else {
		row_at = at + 1 < row_count ? at + 1 : 0;
	}
	return bpf_map_lookup_elem(&bench_rows, &at);
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

static __always_inline bool row_restore4(void *data, void *end, const struct bench_row *row)
{
	struct iphdr *ip = data + L3_OFFSET;

	if (!row || !frame_restore(data, end, BENCH_FRAME4_BYTES))
		return false;
	ip->saddr = row->src;
	ip->daddr = row->dst;
	ip->check = row->l3_check;
	ports_restore(data + L4_OFFSET4, row);
	return true;
}

static __always_inline bool row_restore6(void *data, void *end, const struct bench_row *row)
{
	struct ipv6hdr *ip = data + L3_OFFSET;

	if (!row || !frame_restore(data, end, BENCH_FRAME6_BYTES))
		return false;
	ip->saddr.in6_u.u6_addr32[3] = row->src;
	ip->daddr.in6_u.u6_addr32[3] = row->dst;
	ports_restore(data + L4_OFFSET6, row);
	return true;
}

static __always_inline bool restore4(const struct xdp_md *ctx)
{
	return row_restore4((void *)(long)ctx->data, (void *)(long)ctx->data_end, row_next(false));
}

static __always_inline bool restore6(const struct xdp_md *ctx)
{
	return row_restore6((void *)(long)ctx->data, (void *)(long)ctx->data_end, row_next(false));
}

static __always_inline bool skb_restore4(const struct __sk_buff *skb)
{
	return row_restore4((void *)(long)skb->data, (void *)(long)skb->data_end, row_next(false));
}

static __always_inline bool skb_restore6(const struct __sk_buff *skb)
{
	return row_restore6((void *)(long)skb->data, (void *)(long)skb->data_end, row_next(false));
}

#endif
