// SPDX-License-Identifier: GPL-2.0-only
/*
 * Somebody else's XDP program: counts packets and passes them.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} beside_count SEC(".maps");

SEC("xdp")
int beside_xdp(struct xdp_md *ctx)
{
	__u32 zero = 0;
	__u64 *count = bpf_map_lookup_elem(&beside_count, &zero);

	if (count)
		__sync_fetch_and_add(count, 1);
	return XDP_PASS;
}
