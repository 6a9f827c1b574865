/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The one place that counts packets by what became of them.
 */
#ifndef XDNAT_STATS_BPF_H
#define XDNAT_STATS_BPF_H

#include "maps.bpf.h"

/* Per CPU, and our programs do not nest: no atomics. */
static __always_inline void stats_count(__u32 hook, enum xdnat_reason reason, __u32 packets,
					__u64 frame_bytes)
{
	__u32 key = hook * XDNAT_REASON_MAX + reason;
	struct xdnat_counter *counter = bpf_map_lookup_elem(&xdnat_stats, &key);

	if (!counter)
		return;
	counter->packets += packets;
	counter->bytes += frame_bytes;
}

#endif
