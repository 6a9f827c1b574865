/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The one place that counts packets by what became of them.
 */
#ifndef XDNAT_STATS_BPF_H
#define XDNAT_STATS_BPF_H

#include "maps.bpf.h"

/* Keys of what is counted most, where they take no stack. */
static const __u32 stats_forwarded = XDNAT_HOOK_XDP * XDNAT_REASON_MAX + XDNAT_FORWARDED;
static const __u32 stats_foreign[XDNAT_HOOKS] = {
	[XDNAT_HOOK_XDP] = XDNAT_HOOK_XDP * XDNAT_REASON_MAX + XDNAT_PASS_NO_RULE,
	[XDNAT_HOOK_INGRESS] = XDNAT_HOOK_INGRESS * XDNAT_REASON_MAX + XDNAT_PASS_NO_RULE,
	[XDNAT_HOOK_EGRESS] = XDNAT_HOOK_EGRESS * XDNAT_REASON_MAX + XDNAT_PASS_NO_RULE,
};

/* Per CPU, and our programs do not nest: no atomics. */
static __always_inline void stats_add(const __u32 *key, __u32 packets, __u64 frame_bytes)
{
	struct xdnat_counter *counter = bpf_map_lookup_elem(&xdnat_stats, key);

	if (!counter)
		return;
	counter->packets += packets;
	counter->bytes += frame_bytes;
}

static __always_inline void stats_count(__u32 hook, enum xdnat_reason reason, __u32 packets,
					__u64 frame_bytes)
{
	__u32 key = hook * XDNAT_REASON_MAX + reason;

	stats_add(&key, packets, frame_bytes);
}

#endif
