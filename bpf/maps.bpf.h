/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Every map, and the choices made at load. Keys, values and who writes them:
 * xdnat_abi.h. Maps are pinned by the loader and outlive the programs.
 */
#ifndef XDNAT_MAPS_BPF_H
#define XDNAT_MAPS_BPF_H

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "xdnat_abi.h"

/* Same as in xdnat_config. */
const volatile __u32 tick_jiffies;
const volatile __u32 home_buckets = 1;
const volatile __u32 overflow_buckets = 1;
const volatile __u64 hash_seeds[XDNAT_SEEDS];

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct xdnat_config);
} xdnat_config SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, XDNAT_LISTENERS_MAX);
	__type(key, struct xdnat_listener);
	__type(value, __u32);
} xdnat_listeners SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, XDNAT_RANGES_MAX);
	__type(key, struct xdnat_range);
	__type(value, __u32);
} xdnat_ranges SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, XDNAT_PREFIXES_MAX);
	__type(key, struct xdnat_prefix);
	__type(value, __u32);
} xdnat_prefixes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, XDNAT_RANGES_MAX);
	__type(key, struct xdnat_target_port);
	__type(value, __u32);
} xdnat_target_ports SEC(".maps");

/* A map by its section, with nothing else in it: what every packet asks for is read by its
 * address, without a lookup. */
struct xdnat_port_bits xdnat_ports SEC(XDNAT_PORTS_SECTION);

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 2 * XDNAT_RULES_MAX);
	__type(key, __u32);
	__type(value, struct xdnat_snat);
} xdnat_snat SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, XDNAT_PORTS);
	__type(key, __u32);
	__type(value, struct xdnat_snat_port);
} xdnat_snat_ports SEC(".maps");

/* Twice, as specs: all rules and those that are to replace them. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 2 * XDNAT_RULES_MAX);
	__type(key, __u32);
	__type(value, struct xdnat_rule);
} xdnat_rules SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 2 * XDNAT_RULES_MAX);
	__type(key, __u32);
	__type(value, struct xdnat_spec);
} xdnat_specs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, XDNAT_INTERFACES_MAX);
	__type(key, __u32);
	__type(value, struct xdnat_interface);
} xdnat_interfaces SEC(".maps");

/* Tools only: the interfaces that have our filters. The kernel takes an entry out with
 * its interface, and so tells in every network namespace whether that is gone. */
struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP_HASH);
	__uint(max_entries, XDNAT_INTERFACES_MAX);
	__type(key, __u32);
	__type(value, __u32);
} xdnat_devices SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, XDNAT_NEIGHBOURS_MAX);
	__type(key, struct xdnat_neighbour);
	__type(value, __u32);
} xdnat_neighbours SEC(".maps");

/* The flow tables. The loader sets max_entries; the tools read them in their memory. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct xdnat_bucket4);
} xdnat_flows4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct xdnat_bucket6);
} xdnat_flows6 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct xdnat_bucket);
} xdnat_buckets4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct xdnat_bucket);
} xdnat_buckets6 SEC(".maps");

/* Preallocated: inserts cannot fail for want of memory. An entry for each slot that is
 * no home's. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, XDNAT_SLOTS);
	__type(key, struct xdnat_key4);
	__type(value, __u32);
} xdnat_overflow4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, XDNAT_SLOTS);
	__type(key, struct xdnat_key6);
	__type(value, __u32);
} xdnat_overflow6 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, XDNAT_HOOKS *XDNAT_REASON_MAX);
	__type(key, __u32);
	__type(value, struct xdnat_counter);
} xdnat_stats SEC(".maps");

/* Mid-stream segments that made a flow since a window began. Best effort: processors may
 * lose an increment, the limit is then passed by that much. */
struct pickups {
	__u32 start; /* of the window, jiffies */
	__u32 count;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct pickups);
} xdnat_pickups SEC(".maps");

/* Working memory for one packet: what would not fit on the 512 bytes of stack. Per CPU:
 * soft interrupts run XDP and tc or are off meanwhile, so our programs do not nest. */
#define SCRATCH_BYTES 1024
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, SCRATCH_BYTES);
} xdnat_scratch SEC(".maps");

/* The same for tools' programs, which ours may interrupt. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, SCRATCH_BYTES);
} xdnat_put_scratch SEC(".maps");

/* The same for one FIB lookup. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct bpf_fib_lookup);
} xdnat_fib SEC(".maps");

static __always_inline void *scratch_get(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&xdnat_scratch, &zero);
}

static __always_inline void *put_scratch_get(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&xdnat_put_scratch, &zero);
}

static __always_inline const struct xdnat_config *config_get(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&xdnat_config, &zero);
}

static __always_inline const struct xdnat_interface *interface_get(__u32 ifindex)
{
	return bpf_map_lookup_elem(&xdnat_interfaces, &ifindex);
}

#endif
