/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The one place that counts packets by what became of them.
 */
#ifndef XDNAT_STATS_BPF_H
#define XDNAT_STATS_BPF_H

#include "maps.bpf.h"

/* Per CPU and XDP does not nest: no atomics. */
static __always_inline void stats_count(enum xdnat_reason reason, __u64 frame_bytes)
{
	__u32 key = reason;
	struct xdnat_counter *counter = bpf_map_lookup_elem(&xdnat_stats, &key);

	if (!counter)
		return;
	counter->packets++;
	counter->bytes += frame_bytes;
}

#endif
