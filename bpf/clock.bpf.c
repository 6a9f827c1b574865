// SPDX-License-Identifier: GPL-2.0-only
/*
 * The datapath's clock, for the tools: jiffies are its only time. An object of
 * its own, because the other one is loaded with what this one measures.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "xdnat_abi.h"

char LICENSE[] SEC("license") = "GPL";

SEC("syscall")
int xdnat_clock(struct xdnat_clock *clock)
{
	clock->jiffies = bpf_jiffies64();
	clock->boot_ns = bpf_ktime_get_boot_ns();
	return 0;
}
